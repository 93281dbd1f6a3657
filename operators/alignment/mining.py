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
_HEIGHT = 1024  # of them a block of rows
_DIGITS = 6  # sums of floats differ beyond these between machines


@dataclass(frozen=True)
class MixedVectors:
    """Rows of numbers, of which most are zero: a dense part and a sparse part side by side.

    Attributes:
        dense: float32 [rows, width].
        begins: int64 [rows + 1], where the sparse part of each row begins.
        features: uint64, names of columns, sorted and each once in a row.
        values: float32, the numbers in them.
    """

    dense: npt.NDArray[np.float32]
    begins: npt.NDArray[np.int64]
    features: npt.NDArray[np.uint64]
    values: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.dense)

    def __getitem__(self, rows: slice) -> MixedVectors:
        """Some rows that follow each other."""
        first, last, _ = rows.indices(len(self))
        own = slice(self.begins[first], self.begins[last])
        begins = self.begins[first : last + 1] - self.begins[first]
        return MixedVectors(self.dense[rows], begins, self.features[own], self.values[own])


Vectors = npt.ArrayLike | MixedVectors


@dataclass(frozen=True, slots=True)
class MinedPair:
    """A sentence, its translation (both counted from 0), and the margin of the two."""

    source: int
    target: int
    score: float


def mine_bitext(
    source_vectors: Vectors,
    target_vectors: Vectors,
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
        source_vectors: [sources, width], or mixed; need not be of length 1. What has no cosine > 0
            to any other finds nothing.
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
    source_vectors: Vectors,
    target_vectors: Vectors,
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


def score_neighbours(
    source_vectors: Vectors, target_vectors: Vectors, *, k: int = 4, margin: Margin = "ratio"
) -> tuple[Ints, Ints, Floats]:
    """Margins of each sentence to its nearest on the other side: sources, targets, margins.

    Each pair is there once, in order of its numbers.
    """
    near, scores = _scored(source_vectors, target_vectors, k, margin)
    rows = np.repeat(np.arange(near[0].shape[0]), near[0].shape[1])
    back = np.repeat(np.arange(near[1].shape[0]), near[1].shape[1])
    keys = np.concatenate([rows * max(len(near[1]), 1) + near[0].ravel(),
                           near[1].ravel() * max(len(near[1]), 1) + back])  # fmt: skip
    pairs, first = np.unique(keys, return_index=True)
    found = np.concatenate([scores[0].ravel(), scores[1].ravel()])[first]
    return pairs // max(len(near[1]), 1), pairs % max(len(near[1]), 1), found


def _best_partners(
    source_vectors: Vectors, target_vectors: Vectors, k: int, margin: Margin
) -> tuple[tuple[Ints, Floats], tuple[Ints, Floats]]:
    """For each sentence of either side its best partner by margin (-1: none), and the margin."""
    found = []
    for partners, scores in zip(*_scored(source_vectors, target_vectors, k, margin), strict=True):
        if not partners.shape[1]:
            found.append((np.full(len(partners), -1), np.zeros(len(partners))))
            continue
        # Neighbours come by cosine and number: the first of equal margins is the one to take.
        first = scores.argmax(axis=1)
        rows = np.arange(len(partners))
        some = np.isfinite(scores[rows, first])
        found.append((np.where(some, partners[rows, first], -1), scores[rows, first]))
    return found[0], found[1]


def _scored(
    source_vectors: Vectors, target_vectors: Vectors, k: int, margin: Margin
) -> tuple[tuple[Ints, Ints], tuple[Floats, Floats]]:
    """Neighbours of both sides, and their margins; -inf where the cosine is not > 0."""
    if margin not in ("ratio", "distance", "absolute"):
        raise ValueError(f'margin must be "ratio", "distance" or "absolute", not {margin!r}')
    if k < 1:
        raise ValueError(f"k is {k}, but must be >= 1")
    left, right = _mixed(source_vectors, "source_vectors"), _mixed(target_vectors, "target_vectors")
    if left.dense.shape[1] != right.dense.shape[1]:
        raise ValueError(
            f"source_vectors have {left.dense.shape[1]} numbers a row and target_vectors "
            f"{right.dense.shape[1]}; they must be of one space"
        )
    near = nearest_neighbours(left, right, k), nearest_neighbours(right, left, k)
    means = [
        cosines.mean(axis=1) if cosines.shape[1] else np.zeros(len(cosines)) for _, cosines in near
    ]
    scores = []
    for (partners, cosines), own, other in zip(near, means, means[::-1], strict=True):
        rows = np.repeat(own[:, None], partners.shape[1], axis=1)
        margins = _margins(cosines, (rows + other[partners]) / 2, margin)
        scores.append(np.where(cosines > 0, np.round(margins, _DIGITS), -np.inf))
    return (near[0][0], near[1][0]), (scores[0], scores[1])


def _margins(cosines: Floats, means: Floats, margin: Margin) -> Floats:
    if margin == "absolute":
        return cosines
    if margin == "distance":
        return cosines - means
    return cosines / np.maximum(means, 1e-9)


def _mixed(vectors: Vectors, name: str) -> MixedVectors:
    """Vectors with rows of length 1."""
    if isinstance(vectors, MixedVectors):
        given, sums = vectors, np.zeros(len(vectors))
        np.add.at(sums, np.repeat(np.arange(len(given)), np.diff(given.begins)),
                  given.values.astype(np.float64) ** 2)  # fmt: skip
    else:
        plain = np.asarray(vectors)
        if plain.dtype not in (np.float32, np.float64):
            plain = plain.astype(np.float64)
        if plain.ndim != 2:
            raise ValueError(f"{name} has {plain.ndim} dimensions; there must be a row a sentence")
        begins = np.zeros(len(plain) + 1, np.int64)
        given = MixedVectors(plain, begins, np.empty(0, np.uint64), np.empty(0, np.float32))
        sums = np.zeros(len(plain))
    lengths = np.sqrt(sums + np.einsum("ij,ij->i", given.dense, given.dense, dtype=np.float64))
    if not np.isfinite(lengths).all():
        row = int(np.flatnonzero(~np.isfinite(lengths))[0])
        raise ValueError(f"{name}: row {row} is not finite")
    lengths = np.where(lengths > 0, lengths, 1)
    dense = (given.dense / lengths[:, None]).astype(given.dense.dtype, copy=False)
    values = (given.values / np.repeat(lengths, np.diff(given.begins))).astype(np.float32)
    return MixedVectors(dense, given.begins, given.features, values)


def nearest_neighbours(rows: MixedVectors, others: MixedVectors, k: int) -> tuple[Ints, Floats]:
    """The `k` others with the highest scalar products with each row, and these, rounded.

    Block by block, so that memory does not grow with the number of pairs. Of equal products the
    other with the smaller number comes first.
    """
    k = min(k, len(others))
    numbers = np.empty((len(rows), k), np.int64)
    products = np.empty((len(rows), k))
    if not k:
        return numbers, products
    height = max(1, min(len(rows), _HEIGHT))
    width = max(k, min(len(others), _CELLS // height))
    names = np.intersect1d(rows.features, others.features)
    columns = [
        _columns(others[left : left + width], names) for left in range(0, len(others), width)
    ]
    for top in range(0, len(rows), height):
        own = rows[top : top + height]
        best, which = np.empty((len(own), 0)), np.empty((len(own), 0), np.int64)
        for left, turned in zip(range(0, len(others), width), columns, strict=True):
            block = own.dense @ others.dense[left : left + width].T
            _add_sparse(own, names, turned, block)
            values, where = _top(np.round(block, _DIGITS, out=block), k)
            best, which = np.hstack([best, values]), np.hstack([which, where + left])
            order = np.lexsort((which, -best), axis=1)[:, :k]
            best = np.take_along_axis(best, order, axis=1)
            which = np.take_along_axis(which, order, axis=1)
        numbers[top : top + height], products[top : top + height] = which, best
    return numbers, products


def cosines(rows: MixedVectors, others: MixedVectors) -> npt.NDArray[np.float32]:
    """Scalar products of each row with each other, [rows, others]; not for many."""
    names = np.intersect1d(rows.features, others.features)
    block: npt.NDArray[np.float32] = rows.dense @ others.dense.T
    _add_sparse(rows, names, _columns(others, names), block)
    return block


def _columns(vectors: MixedVectors, names: npt.NDArray[np.uint64]) -> tuple[Any, Any, Any]:
    """The sparse part column by column: where columns begin, rows, values."""
    begins, columns, values = _known(vectors, names)
    rows = np.repeat(np.arange(len(vectors), dtype=np.int32), np.diff(begins))
    order = np.argsort(columns, kind="stable")
    turned = np.concatenate([[0], np.cumsum(np.bincount(columns, minlength=len(names)))])
    return turned, rows[order], values[order]


def _known(vectors: MixedVectors, names: npt.NDArray[np.uint64]) -> tuple[Any, Any, Any]:
    """The sparse part without what the other side has not: begins, columns, values."""
    place = np.searchsorted(names, vectors.features)
    known = np.zeros(len(place), np.bool_)
    inside = place < len(names)
    known[inside] = names[place[inside]] == vectors.features[inside]
    begins = np.concatenate([[0], np.cumsum(known)])[vectors.begins]
    return begins, place[known], vectors.values[known]


def _add_sparse(
    rows: MixedVectors, names: npt.NDArray[np.uint64], turned: tuple[Any, Any, Any], out: Any
) -> None:
    if len(names):
        from operators.alignment import gram_kernels

        gram_kernels.add_products(*_known(rows, names), *turned, out)


def _top(block: npt.NDArray[Any], k: int) -> tuple[Floats, Ints]:
    """The k highest of each row, from the highest down, and where; of equal ones the first."""
    if block.shape[1] <= k:
        where = np.tile(np.arange(block.shape[1]), (len(block), 1))
        return block.astype(np.float64), where
    # One more than wanted: where it equals the last, any of the equal ones may have been taken.
    where = np.argpartition(block, block.shape[1] - k - 1, axis=1)[:, -k - 1 :]
    values = np.take_along_axis(block, where, axis=1)
    order = np.lexsort((where, -values), axis=1)
    where = np.take_along_axis(where, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    for row in np.flatnonzero(values[:, k - 1] == values[:, k]):
        where[row] = np.argsort(-block[row], kind="stable")[: k + 1]
        values[row] = block[row, where[row]]
    return values[:, :k].astype(np.float64), where[:, :k]
