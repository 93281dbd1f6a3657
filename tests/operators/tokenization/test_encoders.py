"""Every encoder must spell as its definition says: slow definitions against compiled loops."""

import random
import time
from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from byte_models import model_of, spelled
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.tokenization.encoders import encode_pretokens, make_encoder
from operators.tokenization.token_trie import end_to_end, token_trie


def encode(model, text, name=None, seed=None, **options):
    encoder = make_encoder(model, name, **options)
    pretoken = text if isinstance(text, bytes) else text.encode()
    seeds = np.array([seed], np.uint64) if seed is not None else None
    (ids,) = encode_pretokens(encoder, [pretoken], seeds)
    return ids


def pieces(model, text, name=None, **options):
    return spelled(model, encode(model, text, name, **options))


# --- slow definitions --------------------------------------------------------------------------


def slow_merges(text, ranks, better):
    """BPE: the best applicable merge, the leftmost of its places, until none applies."""
    parts = list(text)
    while True:
        found = [
            (better(pair, ranks[pair]), n)
            for n, pair in enumerate(pairwise(parts))
            if pair in ranks
        ]
        if not found:
            return parts
        _, n = min(found)
        parts[n : n + 2] = [parts[n] + parts[n + 1]]


def slow_longest_first(text, vocabulary):
    if not text:
        return []
    for length in range(len(text), 0, -1):
        for start in range(len(text) - length + 1):
            piece = text[start : start + length]
            if piece in vocabulary or length == 1:
                left = slow_longest_first(text[:start], vocabulary)
                return [*left, piece, *slow_longest_first(text[start + length :], vocabulary)]
    raise AssertionError


def slow_greedy(text, vocabulary):
    parts = []
    while text:
        length = max(n for n in range(1, len(text) + 1) if n == 1 or text[:n] in vocabulary)
        parts.append(text[:length])
        text = text[length:]
    return parts


def segmentations(text, vocabulary):
    if not text:
        yield []
    for n in range(1, len(text) + 1):
        if n == 1 or text[:n] in vocabulary:
            for rest in segmentations(text[n:], vocabulary):
                yield [text[:n], *rest]


def last_lengths(parts):
    return [len(part) for part in reversed(parts)]


def random_merges(generator, count):
    parts, merges = list("abc"), []
    for _ in range(count):
        pair = (generator.choice(parts), generator.choice(parts))
        if pair not in merges and len("".join(pair)) < 9:
            merges.append(pair)
            parts.append("".join(pair))
    return merges


VOCABULARIES = st.lists(st.text("abc", min_size=2, max_size=6), max_size=12, unique=True)
TEXTS = st.text("abc", max_size=14)


# --- oracles -----------------------------------------------------------------------------------

UNRELATED = ["un", "re", "rel", "related", "unre", "lated"]
ABCDE = ["ab", "abc", "cde", "bcde"]


@pytest.mark.parametrize(
    ("vocabulary", "text", "encoder", "expected"),
    [
        (UNRELATED, "unrelated", "longest_first", ["un", "related"]),
        (UNRELATED, "unrelated", "greedy", ["unre", "lated"]),
        (UNRELATED, "unrelated", "pathpiece", ["un", "related"]),
        (ABCDE, "abcde", "longest_first", ["a", "bcde"]),
        (ABCDE, "abcde", "greedy", ["abc", "d", "e"]),
        (ABCDE, "abcde", "pathpiece", ["a", "bcde"]),
        (ABCDE, "abcde", "greedy_suffix", ["a", "bcde"]),
        (["ab", "bc"], "abc", "longest_first", ["ab", "c"]),
        (["ab", "bc"], "abc", "greedy_suffix", ["a", "bc"]),
    ],
)
def test_the_published_examples_come_out(vocabulary, text, encoder, expected):
    assert pieces(model_of(vocabulary), text, encoder) == expected


def test_the_other_reading_of_lbpe_reaches_only_what_merges_make():
    merges = [("a", "b"), ("b", "c"), ("bc", "d")]
    model = model_of(merges=merges)
    # "bcd" is the longest, but needs "bc" first, which "ab" does not leave when it comes first.
    assert pieces(model, "abcd", "merges") == ["ab", "c", "d"]
    assert pieces(model, "abcd", "longest_first") == ["a", "bcd"]
    # Among "ab" and "bc", both of two bytes, the earlier learned comes first here, too.
    assert pieces(model, "abcd", "longest_merge") == ["ab", "c", "d"]
    other = model_of(merges=[("a", "b"), ("b", "c"), ("c", "d"), ("b", "cd")])
    assert pieces(other, "bcd", "merges") == ["bc", "d"]
    assert pieces(other, "bcd", "longest_first") == ["bcd"]


@settings(max_examples=200, deadline=None)
@given(VOCABULARIES, st.lists(TEXTS, max_size=8))
def test_vocabulary_encoders_equal_their_definitions(vocabulary, texts):
    model = model_of(vocabulary)
    pretokens = [text.encode() for text in texts]

    def all_of(name):
        ids = encode_pretokens(make_encoder(model, name), pretokens)
        return [spelled(model, each) for each in ids]

    held = set(vocabulary)
    assert all_of("longest_first") == [slow_longest_first(text, held) for text in texts]
    assert all_of("greedy") == [slow_greedy(text, held) for text in texts]
    mirrored = {token[::-1] for token in held}
    backwards = [
        [part[::-1] for part in reversed(slow_greedy(text[::-1], mirrored))] for text in texts
    ]
    assert all_of("greedy_suffix") == backwards
    for text, parts in zip(texts, all_of("pathpiece"), strict=True):
        ways = list(segmentations(text, held))
        fewest = min(map(len, ways))
        # The tie rule looks from the end: the longest last token, then the longest before it.
        best = max((way for way in ways if len(way) == fewest), key=last_lengths)
        assert parts == best


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.text("abc", max_size=90), max_size=6))
def test_merging_equals_its_definition_for_short_and_long_pretokens(seed, texts):
    merges = random_merges(random.Random(seed), 12)
    model = model_of(merges=merges)
    ranks = {pair: rank for rank, pair in reversed(list(enumerate(merges)))}
    pretokens = [text.encode() for text in texts]
    for name, better in (
        ("merges", lambda pair, rank: rank),
        ("longest_merge", lambda pair, rank: (-len("".join(pair)), rank)),
    ):
        ids = encode_pretokens(make_encoder(model, name), pretokens)
        assert [spelled(model, each) for each in ids] == [
            slow_merges(text, ranks, better) for text in texts
        ]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.text("abc", max_size=60))
def test_pathpiece_never_uses_more_tokens_than_any_other_encoder(seed, text):
    model = model_of(merges=random_merges(random.Random(seed), 14))
    fewest = len(encode(model, text, "pathpiece"))
    drawn = encode(model, text, "pathpiece_random", seed=seed)
    assert len(drawn) == fewest
    for other in ("merges", "longest_merge", "longest_first", "greedy", "greedy_suffix"):
        assert fewest <= len(encode(model, text, other))


# --- chance ------------------------------------------------------------------------------------


def drawn_spellings(model, text, name, draws, **options):
    """How often each spelling comes, by one encoder with the seeds 0, 1, 2, ..."""
    encoder = make_encoder(model, name, **options)
    seeds = np.arange(draws, dtype=np.uint64)
    ids = encode_pretokens(encoder, [text.encode()] * draws, seeds)
    return Counter(tuple(spelled(model, each)) for each in ids)


def test_random_ties_are_drawn_uniformly_at_every_place():
    model = model_of(["ab", "bc"])
    drawn = drawn_spellings(model, "abc", "pathpiece_random", 4000)
    assert set(drawn) == {("ab", "c"), ("a", "bc")}
    assert abs(drawn["ab", "c"] / 4000 - 0.5) < 0.03


@pytest.mark.parametrize("text", ["abcabc", "abcd" * 30, "a"])
def test_dropout_0_is_bpe_and_1_is_single_bytes(text):
    model = model_of(merges=[("a", "b"), ("ab", "c"), ("abc", "d")])
    assert encode(model, text, dropout=0.0) == encode(model, text)
    assert pieces(model, text, dropout=1.0, seed=3) == list(text)


def test_dropout_drops_each_applicable_merge_with_its_probability():
    # "ab" stays apart when the only merge is dropped once; "abc" needs two merges that stay.
    model = model_of(merges=[("a", "b"), ("ab", "c")])
    drawn = drawn_spellings(model, "abc", "merges", 8000, dropout=0.3)
    assert set(drawn) == {("a", "b", "c"), ("ab", "c"), ("abc",)}
    assert abs(drawn["a", "b", "c"] / 8000 - 0.3) < 0.02
    assert abs(drawn["ab", "c"] / 8000 - 0.7 * 0.3) < 0.02


def test_a_dropped_merge_gets_another_chance_after_the_next_one():
    # "abab": the second "ab" can be made when the first was dropped, and the first after it.
    model = model_of(merges=[("a", "b")])
    drawn = drawn_spellings(model, "abab", "merges", 8000, dropout=0.5)
    # Nothing: both dropped at once. Then one of them; with the one made, the other has 1/2.
    assert abs(drawn["a", "b", "a", "b"] / 8000 - 0.25) < 0.02
    assert abs(drawn["ab", "ab"] / 8000 - 0.375) < 0.02


def test_the_places_of_a_pretoken_in_a_text_are_drawn_independently():
    encoder = make_encoder(model_of(merges=[("a", "b")]), "merges", dropout=0.5)
    count = 10_000
    data, ends = end_to_end([b"ab"] * count)
    ids, _ = encoder.encode(data, ends, np.array([0, count]), np.array([7], np.uint64))
    merged = np.zeros(count, bool)
    place = 0
    for number in ids:
        merged[place] = number == 257
        place += number != model_of().tokens.index(b"a")
    assert place == count
    # Four standard errors.
    assert abs(merged.mean() - 0.5) < 4 * 0.5 / count**0.5
    neighbours = np.mean(merged[1:] == merged[:-1])
    assert abs(neighbours - 0.5) < 4 * 0.5 / count**0.5


def scored_segmentations(text, scores):
    ways = segmentations(text, set(scores))
    return {tuple(way): sum(scores.get(part, -9.0) for part in way) for way in ways}


SCORES = {"ab": -2.0, "bc": -1.5, "abc": -3.5, "ca": -2.5, "aa": -12.0}


@pytest.mark.parametrize("text", ["abc", "abcabc", "aabbcc", "cab", "c"])
def test_unigram_finds_the_most_probable_segmentation(text):
    model = model_of(SCORES, scores=list(SCORES.values()))
    ways = scored_segmentations(text, SCORES)
    assert ways[tuple(pieces(model, text, "unigram"))] == pytest.approx(max(ways.values()))


@pytest.mark.parametrize("power", [0.0, 0.2, 1.0])
def test_sampled_segmentations_follow_their_probability(power):
    model = model_of(SCORES, scores=list(SCORES.values()))
    ways = scored_segmentations("abcab", SCORES)
    weights = {way: np.exp(power * score) for way, score in ways.items()}
    total = sum(weights.values())
    draws = 20_000
    drawn = drawn_spellings(model, "abcab", "unigram_sampled", draws, power=power)
    assert set(drawn) <= set(ways)
    for way, weight in weights.items():
        expected = weight / total
        # Four standard errors: one case in 16,000 would fail by chance, and the seeds are fixed.
        assert abs(drawn[way] / draws - expected) < 4 * np.sqrt(expected / draws) + 1e-4


def test_a_very_large_power_samples_the_most_probable_segmentation():
    model = model_of(SCORES, scores=list(SCORES.values()))
    for seed in range(50):
        ids = encode(model, "abcabccaab", "unigram_sampled", seed=seed, power=200.0)
        assert ids == encode(model, "abcabccaab", "unigram")


def test_an_encoder_that_draws_wants_seeds():
    with pytest.raises(ValueError, match="seed"):
        encode(model_of(["ab"]), "ab", "pathpiece_random")


# --- any bytes, any size -----------------------------------------------------------------------

ENCODERS = [
    "merges",
    "longest_merge",
    "longest_first",
    "pathpiece",
    "pathpiece_random",
    "greedy",
    "greedy_suffix",
]


@pytest.mark.parametrize("name", ENCODERS)
@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=10))
def test_any_bytes_come_back(name, pretokens):
    merges = [("a", "b"), ("ab", "a"), (" ", " "), ("  ", "  ")]
    model = model_of([b"\0\0", b"\xff\x80", b"\x80\xff\xff"], merges=merges)
    seeds = np.arange(len(pretokens), dtype=np.uint64)
    ids = encode_pretokens(make_encoder(model, name), pretokens, seeds)
    assert [b"".join(model.tokens[number] for number in each) for each in ids] == pretokens
    assert all(0 not in each for each in ids)


@pytest.mark.parametrize("name", ENCODERS)
def test_nothing_gives_no_ids(name):
    encoder = make_encoder(model_of(["ab"], merges=[("a", "b")]), name)
    assert encode_pretokens(encoder, [], np.empty(0, np.uint64)) == []
    assert encode_pretokens(encoder, [b"", b""], np.zeros(2, np.uint64)) == [[], []]


@pytest.mark.parametrize("name", ENCODERS)
def test_tokens_of_any_length_do_not_blow_up(name):
    # Runs of spaces of every length up to 200, as code vocabularies have them, in long pretokens.
    merges = [(" " * length, " ") for length in range(1, 200)]
    model = model_of(merges=merges)
    encoder = make_encoder(model, name)
    text = (b" " * 999 + b"x") * 40
    seeds = np.zeros(1, np.uint64)
    encode_pretokens(encoder, [b"  x"], seeds)  # compiled before the clock runs
    begin = time.process_time()
    (ids,) = encode_pretokens(encoder, [text], seeds)
    assert time.process_time() - begin < 2.0
    assert b"".join(model.tokens[number] for number in ids) == text
    if name in ("longest_first", "pathpiece", "greedy"):
        assert len(ids) == 40 * (5 + 1)


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "pathpiece_random"])
def test_a_long_pretoken_costs_about_as_much_a_byte_as_a_short_one(name):
    generator = random.Random(1)
    merges = [(a, b) for a, b in product("abcd", repeat=2)] + [("ab", "cd"), ("cd", "ab")]
    encoder = make_encoder(model_of(merges=merges), name)
    text = "".join(generator.choices("abcd", k=400_000)).encode()
    encode_pretokens(encoder, [b"abc"])
    begin = time.process_time()
    (ids,) = encode_pretokens(encoder, [text])
    # Quadratic time would be hours.
    assert time.process_time() - begin < 5.0
    assert len(ids) < len(text)


def test_a_full_cache_starts_again_and_changes_no_id():
    generator = random.Random(2)
    model = model_of(merges=random_merges(generator, 14))
    words = ["".join(generator.choices("abcdefgh", k=7)).encode() for _ in range(150_000)]
    together = make_encoder(model, "merges")
    warm = encode_pretokens(together, words)
    again = encode_pretokens(together, words[:500])
    assert again == warm[:500] == encode_pretokens(make_encoder(model, "merges"), words[:500])
    assert warm[-100:] == encode_pretokens(make_encoder(model, "merges"), words[-100:])


def test_a_pretoken_that_no_cache_can_hold_is_spelled_among_others():
    model = model_of(merges=[("a", "b")])
    encoder = make_encoder(model, "merges")
    giant = b"ab" * 400_000
    ids = encode_pretokens(encoder, [b"abc", giant, b"abc", giant[1:], b"b"])
    ab, a, b, c = (model.tokens.index(token) for token in (b"ab", b"a", b"b", b"c"))
    assert ids[0] == ids[2] == [ab, c]
    assert ids[1] == [ab] * 400_000
    assert ids[3] == [b, *[ab] * 399_999]
    assert ids[4] == [b]
    assert a not in ids[3]


# --- errors ------------------------------------------------------------------------------------


def test_what_an_encoder_needs_is_asked_for():
    vocabulary = model_of(["ab"])
    with pytest.raises(ValueError, match="needs merges"):
        make_encoder(vocabulary, "merges")
    with pytest.raises(ValueError, match="no scores"):
        make_encoder(vocabulary, "unigram")
    with pytest.raises(ValueError, match="needs events"):
        make_encoder(vocabulary, "events")
    with pytest.raises(ValueError, match="must be one of"):
        make_encoder(vocabulary, "longest")
    with pytest.raises(ValueError, match=r"dropout is 1.5"):
        make_encoder(vocabulary, "merges", dropout=1.5)
    with pytest.raises(ValueError, match="makes no merges"):
        make_encoder(vocabulary, "greedy", dropout=0.1)
    with pytest.raises(ValueError, match="power"):
        make_encoder(vocabulary, "greedy", power=float("inf"))


def test_a_vocabulary_that_cannot_spell_every_byte_is_refused():
    with pytest.raises(ValueError, match="256 bytes"):
        token_trie([bytes([byte]) for byte in range(255)])
    with pytest.raises(ValueError, match="more than once"):
        token_trie([*(bytes([byte]) for byte in range(256)), b"ab", b"ab"])
    with pytest.raises(ValueError, match="empty"):
        token_trie([*(bytes([byte]) for byte in range(256)), b""])


def test_a_special_token_is_never_made_of_text():
    model = model_of(["<|end"])
    for name in ("longest_first", "pathpiece", "greedy", "greedy_suffix"):
        assert 0 not in encode(model, "a<|endoftext|>b", name)
