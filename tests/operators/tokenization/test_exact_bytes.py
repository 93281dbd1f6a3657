"""Byte probabilities must be those of the texts behind the tokens, exactly."""

from itertools import pairwise

import numpy as np
import pytest
from byte_oracles import (
    BruteForce,
    CorpusModel,
    MarkovTokens,
    NoisyModel,
    greedy_tokenizer,
    hub_bpe,
    next_bytes_of,
    our_tokenizer,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from operators.tokenization.cover_tokenizer import CoverTokenizer, cover_tokenizer
from operators.tokenization.exact_bytes import END, ByteStream, next_byte_distribution
from operators.tokenization.live_tokens import LiveTokens
from operators.tokenization.pretokenization import PRETOKENIZERS

AWKWARD = st.text(alphabet=" \n'arestl1é中\u3000😀!", max_size=12)
CORPUS = [
    "they're here, we'll see\n\n\nthe  end   \n  if a:\n\n    return a's",
    "don't 12345 123 1234567 é éa éé  \u3000\u3000 x 中中文 文中 😀😀 😃",
] * 3


def chain_over_two_letters():
    """B14's oracle: vocabulary {AA, A, B}, longest match first, P(A|A) = .7, P(A|B) = .4."""
    tokens = (b"AA", b"A", b"B")
    after_a = {b"AA": 0.49, b"A": 0.21, b"B": 0.3}
    after_b = {b"AA": 0.4 * 0.7, b"A": 0.4 * 0.3, b"B": 0.6}
    start = {b"AA": 0.5 * 0.7, b"A": 0.5 * 0.3, b"B": 0.5}
    rows = [after_a, {b"B": 1.0}, after_b]  # after a lone A stands a B, or it would be AA
    model = MarkovTokens(
        [start[one] for one in tokens], [[row.get(one, 0.0) for one in tokens] for row in rows]
    )
    tokenizer = greedy_tokenizer(tokens)
    endless = CoverTokenizer(tokens, frozenset(), None, tokenizer.encode_batch)
    return model, endless


def test_the_toy_chain_comes_back_exactly():
    model, tokenizer = chain_over_two_letters()
    assert np.exp(model.log_probabilities([[]])[0]) == pytest.approx([0.35, 0.15, 0.5], abs=1e-12)
    of_a = {"": 0.5, "A": 0.7, "B": 0.4}
    generator = np.random.default_rng(0)
    prefixes = ["", "A", "AA", "AAA", "B", "BA", "AB", "AAB", "BAAAA"]
    prefixes += ["".join(generator.choice(["A", "B"], 30)) for _ in range(5)]
    for prefix in prefixes:
        expected = np.zeros(256)
        expected[ord("A")] = of_a[prefix[-1:]]
        expected[ord("B")] = 1 - of_a[prefix[-1:]]
        got = next_byte_distribution(model, tokenizer, prefix.encode())
        assert np.abs(got - expected).max() < 1e-9, prefix


def test_prompting_with_tokens_is_as_wrong_as_the_paper_says():
    model, tokenizer = chain_over_two_letters()
    (ids,) = tokenizer.encode_batch(["A"])
    after_token = np.exp(model.log_probabilities([ids])[0])
    assert after_token.tolist() == [0.0, 0.0, 1.0]  # never an A, where the truth is 0.7


def test_the_toy_chain_costs_one_forward_pass_a_byte():
    model, tokenizer = chain_over_two_letters()
    stream = ByteStream(model, tokenizer)
    for byte in b"ABAABBAAAB" * 4:
        stream.advance(byte)
    assert stream.forward_passes <= 41


@settings(max_examples=30, deadline=None)
@given(
    texts=st.lists(AWKWARD, min_size=1, max_size=8, unique=True),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["gpt2", "gpt4", "digits-rtl", "none", "punctuation", "picky", "hub"]),
)
def test_a_perfect_model_of_any_texts_gives_their_bytes(kit, texts, seed, kind):
    live = kit(kind)
    weights = np.random.default_rng(seed).random(len(texts)) + 0.1
    model = CorpusModel(live.tokenizer, texts, weights)
    for text in texts:
        data = text.encode()
        for size in range(len(data) + 1):
            expected = next_bytes_of(texts, weights, data[:size])
            stream = ByteStream(model, live.tokenizer, data[:size], live=live)
            assert np.abs(stream.outcomes() - expected).max() < 1e-9, (data[:size], data)


@settings(max_examples=20, deadline=None)
@given(
    texts=st.lists(AWKWARD, min_size=1, max_size=6, unique=True),
    kind=st.sampled_from(["gpt2", "gpt4"]),
)
def test_reading_on_gives_what_starting_anew_gives(kit, texts, kind):
    live = kit(kind)
    weights = np.arange(1, len(texts) + 1)
    model = CorpusModel(live.tokenizer, texts, weights)
    stream = ByteStream(model, live.tokenizer, live=live)
    for byte in texts[-1].encode():
        anew = ByteStream(model, live.tokenizer, stream.prefix, live=live)
        assert np.allclose(stream.outcomes(), anew.outcomes(), atol=1e-12)
        stream.advance(byte)
    assert stream.end_probability() == pytest.approx(
        next_bytes_of(texts, weights, texts[-1].encode())[END]
    )


@pytest.fixture(scope="module")
def kit():
    made = {}

    def make(kind):
        if kind not in made:
            settings_of = {"picky": {"algorithm": "picky_bpe", "picky_threshold": 0.5}}
            if kind == "hub":
                tokenizer = hub_bpe(CORPUS, 340)
            else:
                tokenizer = our_tokenizer(
                    CORPUS, 340, **settings_of.get(kind, {"pretokenizer": kind})
                )
            made[kind] = LiveTokens(cover_tokenizer(tokenizer))
        return made[kind]

    return make


SMALL_VOCABULARIES = st.lists(
    st.text(alphabet="ab ", min_size=2, max_size=4), max_size=5, unique=True
).map(lambda more: (b"a", b"b", b" ", *(one.encode() for one in more)))


@settings(max_examples=40, deadline=None)
@given(tokens=SMALL_VOCABULARIES, seed=st.integers(0, 999), text=st.text("ab ", max_size=6))
def test_a_noisy_model_over_any_greedy_vocabulary_agrees_with_brute_force(tokens, seed, text):
    tokenizer = greedy_tokenizer(tokens)
    model = NoisyModel(len(tokenizer.tokens), seed)
    brute = BruteForce(model, tokenizer, "ab ", reach=0)  # longest match is prefix-closed
    check_against(brute, model, tokenizer, text)


@settings(max_examples=15, deadline=None)
@given(
    merges=st.lists(st.tuples(st.text("ab ", min_size=1, max_size=2), st.text("ab ", min_size=1, max_size=2)), max_size=6, unique=True),
    pattern=st.sampled_from(["gpt2", "none", "whitespace", "superbpe-stage2"]),
    seed=st.integers(0, 999),
    text=st.text("ab ", max_size=4),
)  # fmt: skip
def test_a_noisy_model_over_any_merges_agrees_with_brute_force(merges, pattern, seed, text):
    tokenizer = small_bpe(merges, PRETOKENIZERS[pattern])
    model = NoisyModel(len(tokenizer.tokens), seed)
    # Two more characters settle a run of spaces and a word of this alphabet.
    brute = BruteForce(model, tokenizer, "ab ", reach=2)
    check_against(brute, model, tokenizer, text)


def check_against(brute, model, tokenizer, text):
    """Distribution, chain rule and end, by the definition and by the stream."""
    live = LiveTokens(tokenizer)
    stream = ByteStream(model, tokenizer, live=live)
    total = 0.0
    before = 1.0
    for byte in text.encode():
        outcomes = stream.outcomes()
        assert outcomes.sum() == pytest.approx(1, abs=1e-12)
        now = brute.begins_with(stream.prefix + bytes([byte]))
        assert outcomes[byte] == pytest.approx(now / before, abs=1e-9)
        total += stream.advance(byte)
        before = now
    assert np.exp(total) == pytest.approx(before, rel=1e-9)
    ended = np.exp(
        ByteStream(model, tokenizer, live=live).log_probability(text.encode(), ends=True)
    )
    assert ended == pytest.approx(brute.is_text(text), rel=1e-9)


def small_bpe(merges, pattern):
    """BPE over "ab " with the merges whose parts exist by then, each pretoken by itself."""
    from operators.tokenization.pretokenization import Pretokenizer

    tokens = ["a", "b", " "]
    kept = []
    for left, right in merges:
        if left in tokens and right in tokens:
            kept.append((left, right))
            if left + right not in tokens:
                tokens.append(left + right)
    split = Pretokenizer(pattern).split

    def encode(text):
        ids = []
        for piece in split(text):
            parts = list(piece)
            while True:
                ranks = [
                    (kept.index(pair), at)
                    for at, pair in enumerate(pairwise(parts))
                    if pair in kept
                ]
                if not ranks:
                    break
                _, at = min(ranks)
                parts[at : at + 2] = [parts[at] + parts[at + 1]]
            ids += [tokens.index(part) for part in parts]
        return ids

    end = len(tokens)
    return CoverTokenizer(
        (*(one.encode() for one in tokens), b"<end>"),
        frozenset([end]),
        end,
        lambda texts: [encode(text) for text in texts],
        pattern,
        True,
    )


def byte_tokenizer():
    """A token for each byte, and the end."""
    tokens = (*(bytes([byte]) for byte in range(256)), b"<end>")
    return CoverTokenizer(
        tokens, frozenset([256]), 256, lambda texts: [list(text.encode()) for text in texts]
    )


@given(st.integers(0, 999), st.text("abc \n", max_size=8))
@settings(max_examples=20, deadline=None)
def test_a_vocabulary_of_bytes_gives_the_models_own_distribution(seed, text):
    generator = np.random.default_rng(seed)
    rows = np.zeros((258, 257))
    rows[:, :128] = generator.random((258, 128))  # on ASCII; 256 is the end
    rows[:, 256] = generator.random(258)
    rows /= rows.sum(axis=1, keepdims=True)
    model = MarkovTokens(rows[0], rows[1:])
    stream = ByteStream(model, byte_tokenizer(), text.encode())
    own = rows[0] if not text else rows[1 + ord(text[-1])]
    assert np.abs(stream.outcomes() - own).max() < 1e-12


def test_a_vocabulary_of_bytes_loses_what_cannot_be_utf8_and_no_more():
    model = NoisyModel(257, seed=3)
    stream = ByteStream(model, byte_tokenizer(), b"a\xc3")
    own = np.exp(model.row([ord("a"), 0xC3]))
    own[:0x80] = own[0xC0:] = 0  # the end is no byte that can follow, either
    assert np.abs(stream.outcomes() - own / own.sum()).max() < 1e-12
    assert stream.end_probability() == 0


def test_specials_and_padded_rows_have_no_probability(kit):
    live = kit("gpt2")
    size = len(live.tokenizer.tokens)
    model = NoisyModel(size + 7, seed=1)
    stream = ByteStream(model, live.tokenizer, b"the", live=live)
    assert stream.outcomes().sum() == pytest.approx(1, abs=1e-12)
    with pytest.raises(ValueError, match=f"the model has {size - 1} tokens"):
        ByteStream(NoisyModel(size - 1), live.tokenizer, live=live).outcomes()


@given(st.text(alphabet=" thealnd'\n", max_size=8), st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_bytes_multiply_to_the_whole_whatever_the_cuts(kit, text, seed):
    live = kit("gpt2")
    model = NoisyModel(len(live.tokenizer.tokens), seed)
    data = text.encode()
    whole = ByteStream(model, live.tokenizer, live=live).log_probability(data)
    assume(len(data) > 1)
    middle = len(data) // 2
    stream = ByteStream(model, live.tokenizer, live=live)
    first = stream.log_probability(data[:middle])
    for byte in data[:middle]:
        stream.advance(byte)
    assert first + stream.log_probability(data[middle:]) == pytest.approx(whole, abs=1e-9)
    assert stream.prefix == data[:middle]  # asking did not move it


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        (b"a\xff", "the prefix is not UTF-8 at byte 1"),
        (b"\xc3a", "not UTF-8 at byte 0"),
        (b"\xed\xa0\x80", "not UTF-8 at byte 0"),
    ],
)
def test_a_prefix_that_no_text_has_is_refused(kit, prefix, message):
    live = kit("gpt2")
    with pytest.raises(ValueError, match=message):
        ByteStream(NoisyModel(len(live.tokenizer.tokens)), live.tokenizer, prefix, live=live)


def test_wrong_bytes_are_refused(kit):
    live = kit("gpt2")
    model = NoisyModel(len(live.tokenizer.tokens))
    stream = ByteStream(model, live.tokenizer, b"a", live=live)
    with pytest.raises(ValueError, match="256 is not a byte"):
        stream.advance(256)
    with pytest.raises(ValueError, match="0xFF has probability 0 after b'a'"):
        stream.advance(0xFF)
    assert stream.log_probability(b"a\xff") == -np.inf


def test_a_text_that_surely_ends_has_no_next_byte():
    tokenizer = byte_tokenizer()
    row = np.eye(257)[256]
    model = MarkovTokens(np.eye(257)[97], np.tile(row, (257, 1)))
    assert ByteStream(model, tokenizer, b"a").end_probability() == 1
    with pytest.raises(ValueError, match="the text ends"):
        next_byte_distribution(model, tokenizer, b"a")


def test_a_prefix_that_the_search_misses_is_an_error():
    # The first look ahead makes one token of "ab"; the second one leaves it open that it is so.
    pattern = r"\w+(?=!!!!!x)(?!!!!!!xyz)|\w|[^\w]+"
    tokenizer = our_tokenizer(["ab!!!!!x ab"] * 5, 300, pretokenizer=pattern)
    model = NoisyModel(tokenizer.vocab_size)
    with pytest.raises(ValueError, match="looks too far ahead"):
        ByteStream(model, tokenizer, b"ab!!!!!x").outcomes()


def test_a_tokenizer_that_changes_texts_is_refused():
    lossy = CoverTokenizer((b"a", b"b"), frozenset(), None, lambda texts: [[0] for _ in texts])
    with pytest.raises(ValueError, match="not reversible"):
        ByteStream(NoisyModel(2), lossy, b"ab")
