"""Places where two long texts are surely the same, found by sequences of words too rare for chance.

As in patience diff, a sequence counts when it stands once on each side, and of those the longest
chain in the same order is kept. One rare word is not enough: its sequence grows to the right until
it would be found by chance, given how often its words occur, in fewer than one of a hundred pairs
of texts of these lengths. So a transcript of ten digits has anchors as well as a novel has.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]

_CHANCE = 0.01
_LONGEST = 40


def anchors(a: Ids, b: Ids) -> list[tuple[int, int]]:
    """Pairs (i, j) at which the same rare sequence of words begins, rising on both sides.

    Args:
        a, b: numbers of words, the same number for the same word; [n] and [m].
    """
    if not len(a) or not len(b):
        return []
    counts = np.bincount(np.concatenate((a, b)))
    total = len(a) + len(b)
    surprise = np.log(total) - np.log(np.maximum(counts, 1))
    wanted = float(np.log(len(a)) + np.log(len(b)) - np.log(_CHANCE))
    first, second = _unique(a, surprise, wanted), _unique(b, surprise, wanted)
    shared = [(i, second[gram]) for gram, i in first.items() if gram in second]
    shared.sort()
    return _longest_chain(shared)


def _unique(words: Ids, surprise: npt.NDArray[np.float64], wanted: float) -> dict[bytes, int]:
    """Where each sequence that is surprising enough begins, if it stands there alone."""
    told = np.concatenate(([0.0], np.cumsum(surprise[words])))
    # The rounding keeps the length of a sequence from depending on what stands before it.
    ends = np.searchsorted(told, told[:-1] + wanted - 1e-6)
    data = words.tobytes()
    size = words.itemsize
    places: dict[bytes, int] = {}
    for start, end in enumerate(ends.tolist()):
        if end <= len(words) and end - start <= _LONGEST:
            gram = data[start * size : end * size]
            places[gram] = -1 if gram in places else start
    return {gram: start for gram, start in places.items() if start >= 0}


def _longest_chain(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest subsequence that rises on the second side; `pairs` are sorted by the first."""
    tails: list[int] = []
    ends: list[int] = []
    before = [-1] * len(pairs)
    for index, (_, j) in enumerate(pairs):
        place = bisect_left(tails, j)
        before[index] = ends[place - 1] if place else -1
        if place == len(tails):
            tails.append(j)
            ends.append(index)
        else:
            tails[place], ends[place] = j, index
    chain = []
    index = ends[-1] if ends else -1
    while index >= 0:
        chain.append(pairs[index])
        index = before[index]
    return chain[::-1]
