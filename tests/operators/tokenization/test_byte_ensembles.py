"""An ensemble is the mean of byte distributions; what is drawn from it is text."""

import numpy as np
import pytest
from byte_oracles import CorpusModel, NoisyModel, greedy_tokenizer, next_bytes_of
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.tokenization.byte_ensembles import ByteEnsemble, generate_bytes
from operators.tokenization.cover_tokenizer import CoverTokenizer
from operators.tokenization.exact_bytes import END, ByteStream

LETTERS = greedy_tokenizer((b"a", b"b", b"ab", b"aba"))
OTHERS = greedy_tokenizer((b"bb", b"b", b"a", b"aa"))
TEXTS = ["abab", "abba", "ab", "b", ""]


def byte_vocabulary():
    tokens = (*(bytes([byte]) for byte in range(256)), b"<end>")
    return CoverTokenizer(
        tokens, frozenset([256]), 256, lambda texts: [list(text.encode()) for text in texts]
    )


def two_streams(prefix=b""):
    return [
        ByteStream(CorpusModel(LETTERS, TEXTS, [5, 4, 3, 2, 1]), LETTERS, prefix),
        ByteStream(CorpusModel(OTHERS, TEXTS, [1, 2, 3, 4, 5]), OTHERS, prefix),
    ]


@pytest.mark.parametrize("prefix", [b"", b"a", b"ab", b"aba", b"abba"])
def test_two_vocabularies_average_to_the_mean_of_their_texts(prefix):
    expected = 0.2 * next_bytes_of(TEXTS, [5, 4, 3, 2, 1], prefix)
    expected += 0.8 * next_bytes_of(TEXTS, [1, 2, 3, 4, 5], prefix)
    ensemble = ByteEnsemble(two_streams(prefix), [1, 4])
    assert np.abs(ensemble.outcomes() - expected).max() < 1e-12
    assert ensemble.end_probability() == pytest.approx(expected[END])


def test_one_stream_or_all_weight_on_it_is_that_stream():
    alone = two_streams()[0].outcomes()
    assert np.array_equal(ByteEnsemble(two_streams()[:1]).outcomes(), alone)
    assert np.allclose(ByteEnsemble(two_streams(), [2, 0]).outcomes(), alone, atol=1e-15)
    same = [two_streams()[0], two_streams()[0]]
    assert np.allclose(ByteEnsemble(same).outcomes(), alone, atol=1e-15)


@given(st.text("ab", max_size=6))
@settings(max_examples=20, deadline=None)
def test_bytes_multiply_to_the_log_probability_of_the_whole(text):
    models = [NoisyModel(len(one.tokens), seed) for seed, one in enumerate((LETTERS, OTHERS))]
    ensemble = ByteEnsemble([ByteStream(models[0], LETTERS), ByteStream(models[1], OTHERS)], [1, 2])
    whole = ensemble.log_probability(text.encode(), ends=True)
    assert ensemble.prefix == b""
    total = sum(ensemble.advance(byte) for byte in text.encode())
    total += np.log(ensemble.end_probability())
    assert whole == pytest.approx(total, abs=1e-12)


def test_a_byte_that_one_stream_rules_out_moves_none():
    ensemble = ByteEnsemble(
        [
            ByteStream(CorpusModel(LETTERS, ["ab"], [1]), LETTERS),
            ByteStream(CorpusModel(OTHERS, ["b"], [1]), OTHERS),
        ]
    )
    assert ensemble.outcomes()[ord("b")] == 0.5
    with pytest.raises(ValueError, match="0x62 has probability 0"):
        ensemble.advance(ord("b"))
    assert ensemble.prefix == b""
    assert ensemble.log_probability(b"c") == -np.inf


@pytest.mark.parametrize(
    ("streams", "weights", "message"),
    [
        ([], None, "no streams"),
        (two_streams(b"a")[:1] + two_streams(b"b")[1:], None, "different places"),
        (two_streams(), [1], "2 numbers >= 0"),
        (two_streams(), [1, -1], "2 numbers >= 0"),
        (two_streams(), [0, 0], "do not sum to 0"),
    ],
)
def test_streams_and_weights_that_do_not_fit_are_refused(streams, weights, message):
    with pytest.raises(ValueError, match=message):
        ByteEnsemble(streams, weights)


def test_the_greedy_text_is_the_most_probable_byte_each_time():
    # Behind "ab": a 5/12, b 4/12, the end 3/12 in one; a 1/6, b 2/6, the end 3/6 in the other.
    assert generate_bytes(ByteEnsemble(two_streams()), 10, temperature=0) == b"ab"
    assert generate_bytes(ByteEnsemble(two_streams(), [4, 1]), 10, temperature=0) == b"abab"
    assert generate_bytes(ByteEnsemble(two_streams(), [4, 1]), 3, temperature=0) == b"aba"
    assert generate_bytes(ByteEnsemble(two_streams()), 0, temperature=0) == b""


def test_texts_are_drawn_as_often_as_they_are_probable():
    start = two_streams()[0]
    generator = np.random.default_rng(7)
    drawn = [generate_bytes(start.copy(), 9, generator=generator).decode() for _ in range(3000)]
    assert set(drawn) == set(TEXTS)
    for text, weight in zip(TEXTS, [5, 4, 3, 2, 1], strict=True):
        assert drawn.count(text) / 3000 == pytest.approx(weight / 15, abs=0.035)
    again = np.random.default_rng(7)
    assert [generate_bytes(start.copy(), 9, generator=again).decode() for _ in range(9)] == drawn[
        :9
    ]


def test_whatever_is_drawn_begins_some_utf8_text():
    generator = np.random.default_rng(1)
    stream = ByteStream(NoisyModel(257, spread=0.1), byte_vocabulary())
    written = generate_bytes(stream, 300, temperature=2.0, generator=generator)
    assert len(written) > 5
    assert any(byte > 0xC0 for byte in written)
    assert "\ufffd" not in written.decode(errors="ignore")
    tail = len(written.decode(errors="ignore").encode())
    assert len(written) - tail < 4


@pytest.mark.parametrize(
    ("settings_of", "message"),
    [
        ({"most": -1, "temperature": 0}, "most is -1"),
        ({"most": 1, "temperature": -1}, "temperature is -1"),
        ({"most": 1}, "needs a generator"),
    ],
)
def test_draws_that_cannot_be_made_are_refused(settings_of, message):
    with pytest.raises(ValueError, match=message):
        generate_bytes(two_streams()[0], **settings_of)
