"""Words that may translate each other, learnt from two texts themselves.

At first those that look alike, then those that beads teach: by model 1 in both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from operators.alignment.bands import Ints, Spans
from operators.alignment.numbered_texts import TextPair, ends

Floats = npt.NDArray[np.float64]

_ALIKE = 0.5  # least likeness (Dice, character bigrams) of words that may be one
_CONCENTRATION = 0.1  # Dirichlet prior: of words that look the same it is 0.5, of others 0,
_LIKENESS = 5.0  # and of words never seen together 0.5 in all
_MOST_RATE = 0.95  # no word is sure to have a counterpart
_ITERATIONS = 5  # of model 1
_KEPT = 0.5  # an expected count worth keeping
_UNSEEN = _CONCENTRATION * _LIKENESS


@dataclass(frozen=True)
class Lexicon:
    """Words that may translate each other, each two an entry, in order of source, then target.

    Attributes:
        left, right: the two words of each entry.
        likeness: of the two words, 0 below `_ALIKE`.
        forward, backward: t(target | source), t(source | target).
        learnt: expected counts and prior, where beads taught them; else 0.
        source_rate, target_rate: probability that a word has a counterpart.
    """

    left: Ints
    right: Ints
    likeness: Floats
    forward: Floats
    backward: Floats
    learnt: Floats
    source_rate: Floats
    target_rate: Floats


def lookalikes(texts: TextPair) -> Lexicon:
    """Words that look alike, as if they had been found together as often as they can be."""
    from operators.alignment import sentence_kernels

    numbers: dict[str, int] = {}
    sides = [_bigrams(side.vocabulary, numbers) for side in (texts.source, texts.target)]
    pairs, likeness = sentence_kernels.alike(*sides[0], *sides[1], len(numbers), _ALIKE)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    left, right = pairs[order].astype(np.int64).T
    likeness = likeness[order]
    prior = _prior(likeness)
    n, m = len(texts.source.count), len(texts.target.count)
    counts = likeness**2 * np.minimum(
        texts.source.count[left] * prior / np.bincount(left, prior, n)[left],
        texts.target.count[right] * prior / np.bincount(right, prior, m)[right],
    )
    return _estimated(texts, left, right, likeness, counts, learnt=False)


def rare_only(texts: TextPair, lexicon: Lexicon) -> Lexicon:
    """Without words that each block has, on average: they do not tell one place from another."""
    n, m = texts.size
    rare = texts.source.count <= n, texts.target.count <= m
    kept = rare[0][lexicon.left] & rare[1][lexicon.right]
    return Lexicon(
        lexicon.left[kept],
        lexicon.right[kept],
        lexicon.likeness[kept],
        lexicon.forward[kept],
        lexicon.backward[kept],
        lexicon.learnt[kept],
        np.where(rare[0], lexicon.source_rate, 0.0),
        np.where(rare[1], lexicon.target_rate, 0.0),
    )


def learn_lexicon(texts: TextPair, spans: Spans, before: Lexicon) -> Lexicon:
    """Translations that the beads show, of words together more than once or alike."""
    from operators.alignment import sentence_kernels

    source, target = texts.source, texts.target
    width = len(target.vocabulary)
    beads = spans[(spans[:, 1] > spans[:, 0]) & (spans[:, 3] > spans[:, 2])]
    keys = sentence_kernels.word_pairs(
        *texts.numbers, beads, source.count > 1, target.count > 1, width
    )
    keys.sort()
    again = keys[1:] == keys[:-1]
    twice = keys[1:][again & ~np.append(False, again)[:-1]] if len(keys) > 1 else keys[:0]
    looks = before.likeness > 0
    alike = before.left[looks] * width + before.right[looks]
    entries = np.union1d(twice, alike)
    left, right = entries // max(width, 1), entries % max(width, 1)
    likeness = np.zeros(len(entries))
    likeness[np.searchsorted(entries, alike)] = before.likeness[looks]
    n, m = len(source.count), width
    found = sentence_kernels.find_entries(*texts.numbers, beads, ends(left, n), right)
    prior = _prior(likeness)
    forward = 1 / np.bincount(left, minlength=n)[left]
    backward = 1 / np.bincount(right, minlength=m)[right]
    rates = [np.full(n, 0.5), np.full(m, 0.5)]
    counts, explained = np.zeros(len(entries)), [np.zeros(n), np.zeros(m)]
    for _ in range(_ITERATIONS):
        sentence_kernels.expect(
            *texts.numbers, beads, found, forward, backward, *rates, source.share, target.share,
            counts, *explained,
        )  # fmt: skip
        known = counts + prior
        forward = known / (np.bincount(left, known, n) + _UNSEEN)[left]
        backward = known / (np.bincount(right, known, m) + _UNSEEN)[right]
        rates = [
            np.minimum((words + 0.5) / (side.count + 1), _MOST_RATE)
            for words, side in zip(explained, (source, target), strict=True)
        ]
    # Less is too little to say anything outside the bead that it comes from.
    kept = (counts >= _KEPT) | (likeness > 0)
    return _estimated(texts, left[kept], right[kept], likeness[kept], counts[kept], learnt=True)


def _estimated(
    texts: TextPair, left: Ints, right: Ints, likeness: Floats, counts: Floats, learnt: bool
) -> Lexicon:
    prior = _prior(likeness)
    known = counts + prior
    sizes = len(texts.source.count), len(texts.target.count)
    shares, rates = [], []
    for words, size, count in zip(
        (left, right), sizes, (texts.source.count, texts.target.count), strict=True
    ):
        total = np.bincount(words, known, size) + _UNSEEN
        shares.append(known / total[words])
        rates.append(
            np.minimum(
                np.bincount(words, known, size)
                / (count + np.bincount(words, prior, size) + _UNSEEN),
                _MOST_RATE,
            )
        )
    taught = np.where(counts > 1e-9, known, 0.0) if learnt else np.zeros(len(left))
    return Lexicon(left, right, likeness, shares[0], shares[1], taught, rates[0], rates[1])


def _prior(likeness: Floats) -> Floats:
    return np.asarray(_CONCENTRATION * _LIKENESS * likeness**2, np.float64)


def _bigrams(words: Sequence[str], numbers: dict[str, int]) -> tuple[Ints, Ints]:
    """Character bigrams, ends included, of each word, and where those of each begin."""
    grams: list[int] = []
    at = [0]
    for word in words:
        marked = f"\x02{word}\x03"
        own = {marked[k : k + 2] for k in range(len(marked) - 1)}
        grams += sorted(numbers.setdefault(gram, len(numbers)) for gram in own)
        at.append(len(grams))
    return np.array(grams, np.int64), np.array(at, np.int64)
