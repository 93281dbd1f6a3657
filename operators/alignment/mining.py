"""Bitext mining by margin: which sentences of two languages are translations of each other.

Artetxe and Schwenk 2019 (P19-1309): a cosine says little by itself, since some sentences are near
to everything; it is held against those of the nearest neighbours on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Retrieval = Literal["max", "intersect"]
Margin = Literal["ratio", "distance", "absolute"]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CELLS = 1 << 24  # cosines computed at a time
_DIGITS = 6  # sums of floats differ beyond these between machines


@dataclass(frozen=True, slots=True)
class MinedPair:
    """A sentence, its translation (both counted from 0), and the margin of the two."""

    source: int
    target: int
    score: float


def mine_bitext(
    source_vectors: npt.ArrayLike,
    target_vectors: npt.ArrayLike,
    *,
    k: int = 4,
    threshold: float = 0.0,
    retrieval: Retrieval = "max",
    margin: Margin = "ratio",
) -> list[MinedPair]:
    """Pairs of sentences that are nearer to each other than to their other neighbours.

    The margin of x and y sets cos(x, y) against m, the mean of two means: of the cosines of x to
    its `k` nearest neighbours on the other side, and of y to its. "ratio" is cos / m, "distance"
    cos - m, "absolute" cos alone. Candidates are the best partner of each x and of each y among its
    `k` nearest; "max" takes them from the highest margin down while neither side is taken,
    "intersect" those that are each other's best. A pair is kept if its margin is > `threshold`.
    Remove repeated sentences first: copies take each other's place among the neighbours.

    Time is that of all cosines, memory that of the vectors and 64 MiB or so. Cosines are rounded to
    6 digits, and of equal ones the pair with the smaller numbers comes first.

    Args:
        source_vectors: [sources, width]; need not be of length 1. One of zeros finds nothing.
        target_vectors: [targets, width].
        k: neighbours, all where there are fewer.
        threshold: as above; 1.04 to 1.06 is customary for ratios of sentence encoders.
        retrieval: as above.
        margin: as above.

    Returns:
        Pairs from the highest margin down; each sentence is in one at most.

    Raises:
        ValueError: vectors that do not fit each other or are not finite, k < 1, unknown words.
    """
    if retrieval not in ("max", "intersect"):
        raise ValueError(f'retrieval must be "max" or "intersect", not {retrieval!r}')
    best = _best_partners(source_vectors, target_vectors, k, margin)
    (forward, forward_scores), (backward, backward_scores) = best
    sources, targets = np.arange(len(forward)), np.arange(len(backward))
    if retrieval == "intersect":
        (kept,) = np.nonzero(forward >= 0)
        kept = kept[backward[forward[kept]] == kept]
        left, right, scores = kept, forward[kept], forward_scores[kept]
    else:
        left = np.concatenate([sources, backward])
        right = np.concatenate([forward, targets])
        scores = np.concatenate([forward_scores, backward_scores])
    real = (left >= 0) & (right >= 0) & (scores > threshold)
    left, right, scores = left[real], right[real], scores[real]
    used_left, used_right = np.zeros(len(sources), np.bool_), np.zeros(len(targets), np.bool_)
    found = []
    for n in np.lexsort((right, left, -scores)).tolist():
        i, j = int(left[n]), int(right[n])
        if not (used_left[i] or used_right[j]):
            used_left[i] = used_right[j] = True
            found.append(MinedPair(i, j, float(scores[n])))
    return found


def xsim(
    source_vectors: npt.ArrayLike,
    target_vectors: npt.ArrayLike,
    *,
    k: int = 4,
    margin: Margin = "ratio",
) -> float:
    """Share of source sentences whose best partner is not the target of the same number.

    The error rate of similarity search (Artetxe and Schwenk 2019) on translations row by row; the
    precision at 1 is 1 - xsim.
    """
    (partner, _), _ = _best_partners(source_vectors, target_vectors, k, margin)
    return float(np.mean(partner != np.arange(len(partner)))) if len(partner) else 0.0


def _best_partners(
    source_vectors: npt.ArrayLike, target_vectors: npt.ArrayLike, k: int, margin: Margin
) -> tuple[tuple[Ints, Floats], tuple[Ints, Floats]]:
    """For each sentence of either side its best partner by margin (-1: none), and the margin."""
    if margin not in ("ratio", "distance", "absolute"):
        raise ValueError(f'margin must be "ratio", "distance" or "absolute", not {margin!r}')
    if k < 1:
        raise ValueError(f"k is {k}, but must be >= 1")
    sides = [_unit(v, name) for v, name in
             ((source_vectors, "source_vectors"), (target_vectors, "target_vectors"))]  # fmt: skip
    if sides[0].shape[1] != sides[1].shape[1]:
        raise ValueError(
            f"source_vectors have {sides[0].shape[1]} numbers a row and target_vectors "
            f"{sides[1].shape[1]}; they must be of one space"
        )
    near = nearest_neighbours(sides[0], sides[1], k), nearest_neighbours(sides[1], sides[0], k)
    means = [cosines.mean(axis=1) if cosines.shape[1] else np.zeros(len(cosines))
             for _, cosines in near]  # fmt: skip
    found = []
    for (partners, cosines), own, other in zip(near, means, means[::-1], strict=True):
        if not partners.shape[1]:
            found.append((np.full(len(partners), -1), np.zeros(len(partners))))
            continue
        scores = np.round(_margins(cosines, (own[:, None] + other[partners]) / 2, margin), _DIGITS)
        # Neighbours come by cosine and number: the first of equal margins is the one to take.
        first = scores.argmax(axis=1)
        rows = np.arange(len(partners))
        some = cosines[rows, first] > 0
        found.append((np.where(some, partners[rows, first], -1), scores[rows, first]))
    return found[0], found[1]


def _margins(cosines: Floats, means: Floats, margin: Margin) -> Floats:
    if margin == "absolute":
        return cosines
    if margin == "distance":
        return cosines - means
    return cosines / np.maximum(means, 1e-9)


def _unit(vectors: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    given = np.asarray(vectors)
    if given.dtype not in (np.float32, np.float64):
        given = given.astype(np.float64)
    if given.ndim != 2:
        raise ValueError(f"{name} has {given.ndim} dimensions; there must be a row a sentence")
    lengths = np.sqrt(np.einsum("ij,ij->i", given, given, dtype=np.float64))
    if not np.isfinite(lengths).all():
        row = int(np.flatnonzero(~np.isfinite(lengths))[0])
        raise ValueError(f"{name}: row {row} is not finite")
    return (given / np.where(lengths > 0, lengths, 1)[:, None]).astype(given.dtype, copy=False)


def nearest_neighbours(
    rows: npt.NDArray[Any], others: npt.NDArray[Any], k: int
) -> tuple[Ints, Floats]:
    """The `k` others with the highest scalar products with each row, and these, rounded.

    Block by block, so that memory does not grow with the number of pairs. Of equal products the
    other with the smaller number comes first.
    """
    k = min(k, len(others))
    numbers = np.empty((len(rows), k), np.int64)
    products = np.empty((len(rows), k))
    if not k:
        return numbers, products
    height = max(1, min(len(rows), 1024))
    width = max(k, min(len(others), _CELLS // height))
    for top in range(0, len(rows), height):
        best = np.empty((min(height, len(rows) - top), 0))
        which = np.empty(best.shape, np.int64)
        for left in range(0, len(others), width):
            block = rows[top : top + height] @ others[left : left + width].T
            own, where = _top(np.round(block.astype(np.float64), _DIGITS), k)
            best, which = np.hstack([best, own]), np.hstack([which, where + left])
            order = np.lexsort((which, -best), axis=1)[:, :k]
            best = np.take_along_axis(best, order, axis=1)
            which = np.take_along_axis(which, order, axis=1)
        numbers[top : top + height], products[top : top + height] = which, best
    return numbers, products


def _top(block: Floats, k: int) -> tuple[Floats, Ints]:
    """The k highest of each row and where; of equal ones the first."""
    if block.shape[1] <= k:
        return block, np.tile(np.arange(block.shape[1]), (len(block), 1))
    # argpartition takes any of equal values at the border: rows where that could be are sorted.
    where = np.argpartition(-block, k, axis=1)[:, : k + 1]
    values = np.take_along_axis(block, where, axis=1)
    least = np.sort(values, axis=1)[:, 0]
    where = where[:, :]
    order = np.lexsort((where, -values), axis=1)[:, :k]
    picked = np.take_along_axis(where, order, axis=1)
    kept = np.take_along_axis(values, order, axis=1)
    for row in np.flatnonzero(kept[:, -1] == least):
        order = np.argsort(-block[row], kind="stable")[:k]
        picked[row], kept[row] = order, block[row, order]
    return kept, picked
