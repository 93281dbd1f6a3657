"""Compiled loops of Unigram's training against slow definitions."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.tokenization import unigram_kernels as kernels
from operators.tokenization.token_trie import end_to_end

WORDS = st.dictionaries(
    st.text("abc", min_size=1, max_size=8).map(str.encode), st.integers(1, 9), max_size=8
)


def laid_out(words):
    pretokens = sorted(words)
    data, ends = end_to_end(pretokens)
    weights = np.array([words[pretoken] for pretoken in pretokens], np.int64)
    return data, ends, weights


def vocabulary_of(data, pieces):
    """Pieces (substrings of the data, two bytes and more) as the kernels want them."""
    text = data.tobytes()
    ordered = sorted(set(pieces), key=lambda piece: (len(piece), piece))
    starts = np.array([text.index(piece) for piece in ordered], np.int32)
    lengths = np.array([len(piece) for piece in ordered], np.int32)
    names = [bytes([byte]) for byte in range(256)] + ordered
    return kernels.piece_trie(data, starts, lengths), starts, lengths, names


def segmentations(text, known):
    if not text:
        yield []
    for n in range(1, len(text) + 1):
        if text[:n] in known:
            for rest in segmentations(text[n:], known):
                yield [text[:n], *rest]


def some_pieces(words, generator):
    """A few substrings of the words that do not cross them."""
    found = set()
    for word in sorted(words):
        for start in range(len(word)):
            for stop in range(start + 2, len(word) + 1):
                if generator.random() < 0.5:
                    found.add(word[start:stop])
    return found


# --- seeds ------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ab\0", min_size=1, max_size=40), max_size=12), st.integers(1, 50))
def test_suffixes_are_in_the_order_of_their_bytes(words, longest):
    data, ends, _ = laid_out(Counter(word.encode() for word in words))
    begins = np.concatenate([[0], ends[:-1]])
    which = np.repeat(np.arange(len(ends)), ends - begins)
    limits = np.minimum(ends[which], np.arange(len(data)) + longest)
    order = kernels.sorted_suffixes(data, limits)
    text = data.tobytes()
    suffixes = [text[start : limits[start]] for start in order.tolist()]
    assert sorted(order.tolist()) == list(range(len(data)))
    assert suffixes == sorted(suffixes)


def naive_repeats(words, longest):
    """Substring -> occurrences, where no longer one occurs as often around it."""
    counts = Counter()
    before, behind = {}, {}
    for word, weight in words.items():
        for start in range(len(word)):
            for stop in range(start + 1, min(len(word), start + longest) + 1):
                piece = word[start:stop]
                counts[piece] += weight
                # A boundary cannot be joined to the piece: it differs from all others.
                before.setdefault(piece, set()).add(word[start - 1] if start else (word, start))
                behind.setdefault(piece, set()).add(
                    word[stop] if stop < len(word) else (word, start)
                )
                if not start:
                    before[piece].add("boundary")
                if stop == len(word):
                    behind[piece].add("boundary")
    return {
        piece: count
        for piece, count in counts.items()
        if len(piece) > 1
        and count > 1
        and (len(piece) == longest or (len(before[piece]) > 1 and len(behind[piece]) > 1))
    }


@settings(max_examples=300, deadline=None)
@given(WORDS, st.integers(2, 9))
def test_repeats_are_those_that_no_longer_one_replaces(words, longest):
    data, ends, weights = laid_out(words)
    lengths = np.diff(ends, prepend=0)
    which = np.repeat(np.arange(len(ends), dtype=np.int32), lengths)
    limits = np.minimum(ends[which], np.arange(len(data)) + longest)
    order = kernels.sorted_suffixes(data, limits)
    starts, sizes, counts = kernels.repeats(order, data, limits, which, weights, longest)
    text = data.tobytes()
    found = [text[a : a + b] for a, b in zip(starts.tolist(), sizes.tolist(), strict=True)]
    assert len(set(found)) == len(found)
    assert dict(zip(found, counts.tolist(), strict=True)) == naive_repeats(words, longest)


# --- expectation ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_expected_counts_are_those_over_all_segmentations(seed):
    generator = random.Random(seed)
    words = {
        "".join(generator.choices("abc", k=generator.randint(1, 8))).encode(): generator.randint(
            1, 5
        )
        for _ in range(6)
    }
    data, ends, weights = laid_out(words)
    edges, _, _, names = vocabulary_of(data, some_pieces(words, generator))
    probability = {name: generator.random() for name in names}
    gone = {name for name in names if len(name) > 1 and generator.random() < 0.2}
    known = {name: p for name, p in probability.items() if name not in gone}
    expected, likelihood = dict.fromkeys(names, 0.0), 0.0
    for word, weight in words.items():
        ways = [(math.prod(known[p] for p in way), way) for way in segmentations(word, known)]
        total = math.fsum(p for p, _ in ways)
        likelihood += weight * math.log(total)
        for p, way in ways:
            for piece in way:
                expected[piece] += weight * p / total
    given_ = np.array([0.0 if name in gone else probability[name] for name in names])
    ours, log_probability = kernels.expected_counts(edges, given_, data, ends, weights)
    assert ours == pytest.approx([expected[name] for name in names], rel=1e-12)
    assert log_probability == pytest.approx(likelihood, rel=1e-12)


@pytest.mark.parametrize("rare", [1e-3, 1e-40, 1e-150])
def test_a_pretoken_as_long_as_a_book_does_not_underflow(rare):
    generator = random.Random(1)
    word = "".join(generator.choices(["ab", "c", "abab", "x"], k=30_000)).encode()
    data, ends, weights = laid_out({word: 3})
    edges, _, _, names = vocabulary_of(data, {b"ab", b"abab", b"cc", b"bc"})
    probabilities = np.array([rare if len(name) == 1 else rare / 2 for name in names])
    expected, likelihood = kernels.expected_counts(edges, probabilities, data, ends, weights)
    spelled = sum(len(name) * times for name, times in zip(names, expected, strict=True))
    assert spelled == pytest.approx(3 * len(word), rel=1e-9)
    # The same in logarithms.
    forward = [0.0] + [-math.inf] * len(word)
    logs = {n: math.log(p) for n, p in zip(names, probabilities.tolist(), strict=True)}
    for stop in range(1, len(word) + 1):
        values = [
            forward[stop - length] + logs[word[stop - length : stop]]
            for length in (1, 2, 4)
            if length <= stop and word[stop - length : stop] in logs
        ]
        highest = max(values)
        forward[stop] = highest + math.log(math.fsum(math.exp(v - highest) for v in values))
    assert likelihood == pytest.approx(3 * forward[-1], rel=1e-9)


def test_a_likely_piece_over_very_unlikely_bytes_takes_all():
    # The bytes alone are below the smallest float, many times over.
    word = b"q" * 400
    data, ends, weights = laid_out({word: 2})
    edges, _, _, names = vocabulary_of(data, {word})
    probabilities = np.full(len(names), 1e-100)
    probabilities[256] = 0.5
    expected, likelihood = kernels.expected_counts(edges, probabilities, data, ends, weights)
    assert expected[256] == pytest.approx(2)
    assert expected[ord("q")] == pytest.approx(0, abs=1e-300)
    assert likelihood == pytest.approx(2 * math.log(0.5))


# --- pruning ----------------------------------------------------------------------------------


def best_of(text, scores, without=None):
    ways = [way for way in segmentations(text, scores) if way != [without]]
    return max(ways, key=lambda way: sum(scores[piece] for piece in way))


@pytest.mark.parametrize("seed", range(20))
def test_losses_are_those_of_the_second_best_spelling(seed):
    generator = random.Random(seed)
    words = {
        "".join(generator.choices("abc", k=generator.randint(1, 8))).encode(): generator.randint(
            1, 5
        )
        for _ in range(6)
    }
    data, ends, weights = laid_out(words)
    edges, starts, lengths, names = vocabulary_of(data, some_pieces(words, generator))
    scores = {name: math.log(generator.random()) - 3 / len(name) for name in names}
    counts = Counter()
    for word, weight in words.items():
        for piece in best_of(word, scores):
            counts[piece] += weight
    values = np.array([scores[name] for name in names])
    ours = kernels.segmentation_counts(edges, values, data, ends, weights)
    assert ours.tolist() == [counts[name] for name in names]
    total = sum(counts.values())
    losses = []
    for piece in names[256:]:
        if not counts[piece]:
            losses.append(-math.inf)
            continue
        instead = best_of(piece, scores, without=piece)
        grown = math.log(total + counts[piece] * (len(instead) - 1))
        spelled = sum(math.log(counts[part] + counts[piece]) - grown for part in instead)
        losses.append(counts[piece] * (math.log(counts[piece]) - math.log(total) - spelled))
    found = kernels.removal_losses(edges, values, ours, data, starts, lengths)
    assert found.tolist() == pytest.approx(losses, rel=1e-9, abs=1e-12)


def test_digamma_is_that_of_scipy():
    from scipy.special import digamma

    values = np.concatenate([np.geomspace(1e-6, 1e9, 500), np.arange(1, 30) / 2])
    assert kernels.digamma(values) == pytest.approx(digamma(values), rel=1e-8, abs=1e-8)
