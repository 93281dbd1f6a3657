"""Picky BPE must remove what the paper removes, and encode as it was trained."""

import os
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_bpe import naive_training

from operators.tokenization.bpe_family import train_bpe_family
from operators.tokenization.bpe_training import learn_events
from operators.tokenization.byte_alphabet import ALPHABET
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.model import MERGE, SPLIT
from operators.tokenization.picky_encoding import picky_encoder
from operators.tokenization.pretokenization import count_pretokens, from_counter
from operators.tokenization.symbols import symbols_of

INITIAL = (b"<|endoftext|>", *ALPHABET)
SYLLABLES = ["abcd", "bcd", "qu", "xyzz", "zza", "e", "quab"]


def corpus(seed, size=900):
    """Words of a few syllables, whose beginnings are junk once the syllables are tokens."""
    generator = random.Random(seed)
    return Counter(
        "".join(generator.choices(SYLLABLES, k=generator.randint(1, 5))).encode()
        for _ in range(size)
    )


def picky(words, vocab_size, threshold, min_frequency=1):
    config = TokenizerConfig(
        algorithm="picky_bpe",
        vocab_size=vocab_size,
        picky_threshold=threshold,
        min_frequency=min_frequency,
    )
    return train_bpe_family(config, from_counter(words, "gpt2"))


def told(model):
    """The events in bytes."""
    names = [*model.tokens, *model.removed]
    return [
        ("merge", names[a], names[b], names[c])
        if kind == MERGE
        else ("split", names[a], tuple(names[piece] for piece in model.pieces[b:c].tolist()))
        for kind, a, b, c in model.events.tolist()
    ]


def encoded(model, pretokens, **settings_):
    ids, ends = picky_encoder(model, **settings_).encode(*symbols_of(model)(pretokens))
    return [ids[ends[n] : ends[n + 1]].tolist() for n in range(len(pretokens))]


ORACLE = {b"xabc": 9, b"ab": 1, b"abc": 10}


def test_a_token_that_lives_in_a_larger_one_is_removed_and_restored():
    model = picky(ORACLE, 257 + 3, threshold=0.9)
    assert told(model) == [
        ("merge", b"a", b"b", b"ab"),
        ("merge", b"ab", b"c", b"abc"),
        ("split", b"ab", (b"a", b"b")),
        ("merge", b"x", b"abc", b"xabc"),
        ("merge", b"a", b"b", b"ab"),
    ]
    assert sorted(model.tokens[257:]) == [b"ab", b"abc", b"xabc"]
    assert model.removed == ()


def test_a_threshold_that_is_just_reached_removes_nothing():
    assert not [event for event in told(picky(ORACLE, 260, threshold=0.95)) if event[0] == "split"]
    assert [event for event in told(picky(ORACLE, 260, threshold=0.9499)) if event[0] == "split"]


words = st.dictionaries(
    st.text("abc", min_size=1, max_size=9).map(str.encode), st.integers(1, 9), max_size=9
)


@settings(max_examples=250, deadline=None)
@given(words, st.sampled_from([0.0, 0.3, 0.5, 0.6, 0.75, 0.9, 1.0]), st.integers(258, 275))
def test_events_are_those_of_counting_everything_anew(words, threshold, vocab_size):
    model = picky(words, vocab_size, threshold)
    tokens, events = naive_training(words, INITIAL, vocab_size, threshold=threshold)
    assert told(model) == [
        ("merge", *(tokens[token] for token in event[1:]))
        if event[0] == "merge"
        else ("split", tokens[event[1]], tuple(tokens[piece] for piece in event[2]))
        for event in events
    ]


@settings(max_examples=150, deadline=None)
@given(words, st.sampled_from([0.3, 0.6, 0.9]))
def test_replaying_the_events_gives_the_words_of_the_end_of_training(words, threshold):
    model = picky(words, 270, threshold)
    at_the_end: dict[bytes, list[int]] = {}
    tokens, _ = naive_training(words, INITIAL, 270, threshold=threshold, words_seen=at_the_end)
    pretokens = list(words)
    replayed = encoded(model, pretokens, whole_words=False)
    assert [[model.tokens[i] for i in ids] for ids in replayed] == [
        [tokens[token] for token in at_the_end[word]] for word in pretokens
    ]


@settings(max_examples=200, deadline=None)
@given(words, st.text("abcd", max_size=12).map(str.encode), st.sampled_from([0.2, 0.6, 0.9]))
def test_text_comes_back_and_holds_no_removed_token(words, text, threshold):
    model = picky(words, 268, threshold)
    for settings_ in ({}, {"whole_words": False}):
        (ids,) = encoded(model, [text], **settings_)
        assert b"".join(model.tokens[token] for token in ids) == text


def test_a_long_pretoken_is_encoded_as_short_ones_are():
    model = picky(corpus(3), 400, 0.6)
    assert SPLIT in model.events[:, 0]
    text = "".join(random.Random(3).choices(SYLLABLES, k=8_000)).encode()
    (ids,) = encoded(model, [text])
    assert b"".join(model.tokens[token] for token in ids) == text
    assert len(ids) < 0.5 * len(text)


@pytest.mark.parametrize("threshold", [1.0, 1.01, 2.0])
def test_a_threshold_of_one_and_more_is_bpe(threshold):
    training = corpus(1)
    model = picky(training, 400, threshold)
    plain = train_bpe_family(
        TokenizerConfig(algorithm="bpe", vocab_size=400, min_frequency=1),
        from_counter(training, "gpt2"),
    )
    assert model.tokens == plain.tokens
    assert np.array_equal(model.merges, plain.merges)
    assert model.removed == ()
    assert SPLIT not in model.events[:, 0]


def test_the_vocabulary_has_its_size_although_tokens_left():
    model = picky(corpus(2), 400, 0.5)
    assert model.vocab_size == 400
    assert model.removed


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.9, 1.0])
def test_one_training_holds_every_smaller_one(threshold):
    training = corpus(4)
    largest = picky(training, 420, threshold)
    for size in (257, 258, 280, 333, 419, 420):
        assert largest.prefix(size) == picky(training, size, threshold)


def test_frequencies_at_the_end_are_those_of_the_encoded_corpus():
    training = corpus(5)
    config = TokenizerConfig(algorithm="picky_bpe", vocab_size=360, picky_threshold=0.6)
    counts = from_counter(training, "gpt2")
    learned = learn_events(counts, config, threshold=0.6)
    model = train_bpe_family(config, counts)
    assert model.removed
    found: Counter[bytes] = Counter()
    pretokens = list(counts.pretokens)
    for ids, count in zip(
        encoded(model, pretokens, whole_words=False), counts.counts.tolist(), strict=True
    ):
        for token in ids:
            found[model.tokens[token]] += count
    trained = {t: n for t, n in zip(learned.tokens, learned.frequencies.tolist(), strict=True) if n}
    assert found == trained


@pytest.fixture(scope="module")
def shakespeare():
    if "TOKENMILL_DATA" not in os.environ:
        pytest.skip("TOKENMILL_DATA is unset: it names the folder with tiny Shakespeare")
    path = Path(os.environ["TOKENMILL_DATA"], "books", "tinyshakespeare.txt")
    return count_pretokens([path.read_text()], "picky")


@pytest.mark.parametrize(
    ("threshold", "tokens", "removals"),
    [(1.0, 278_105, 0), (0.9, 273_087, 419), (0.6, 271_304, 1029)],
)
def test_the_authors_figures_on_tiny_shakespeare(shakespeare, threshold, tokens, removals):
    config = TokenizerConfig(
        algorithm="picky_bpe",
        vocab_size=4096,
        picky_threshold=threshold,
        min_frequency=1,
        conventions="picky",
    )
    model = train_bpe_family(config, shakespeare)
    assert model.vocab_size == 4096
    ids, ends = picky_encoder(model).encode(*symbols_of(model)(shakespeare.pretokens))
    assert len(ids) == ends[-1]
    used = int(np.diff(ends) @ shakespeare.counts)
    assert used == pytest.approx(tokens, rel=0.005)
    assert int((model.events[:, 0] == SPLIT).sum()) == pytest.approx(removals, rel=0.02)


def test_the_authors_conventions_have_their_specials_and_an_unknown_character(shakespeare):
    config = TokenizerConfig(
        algorithm="picky_bpe", vocab_size=300, min_frequency=1, conventions="picky"
    )
    model = train_bpe_family(config, shakespeare)
    assert model.tokens[:4] == (b"<PAD>", b"<UNK>", b"<BOS>", b"<EOS>")
    ((begin, *rest),) = encoded(model, ["▁ж".encode()])
    assert (model.tokens[begin], rest) == ("▁".encode(), [1])
    (whole,) = encoded(model, ["▁the".encode()])
    assert [model.tokens[token] for token in whole] == ["▁the".encode()]


def test_an_alphabet_larger_than_the_vocabulary_is_refused():
    config = TokenizerConfig(algorithm="picky_bpe", vocab_size=10, conventions="picky")
    with pytest.raises(
        ValueError, match="vocab_size is 10, but the alphabet of this corpus alone has 31"
    ):
        train_bpe_family(config, count_pretokens(["abcdefghijklmnopqrstuvwxyz"], "picky"))


def test_the_rarest_characters_become_unknown_as_far_as_coverage_allows():
    counts = count_pretokens(["a" * 70 + " " + "b" * 20 + " " + "c" * 5 + " dde"], "picky")

    def characters(coverage):
        config = TokenizerConfig(
            algorithm="picky_bpe", vocab_size=40, coverage=coverage, conventions="picky"
        )
        model = train_bpe_family(config, counts)
        return sorted(t.decode() for t in model.tokens[4:] if len(t.decode()) == 1)

    # 102 characters: e once, d twice, "▁" four times, c five times.
    assert characters(1.0) == ["a", "b", "c", "d", "e", "▁"]
    assert characters(0.98) == ["a", "b", "c", "d", "▁"]
    assert characters(0.96) == ["a", "b", "c", "▁"]


def test_nothing_to_read_gives_the_specials():
    config = TokenizerConfig(algorithm="picky_bpe", vocab_size=40, conventions="picky")
    model = train_bpe_family(config, count_pretokens([], "picky"))
    assert len(model.tokens) == 4
    assert picky({}, 300, 0.9).tokens == INITIAL
