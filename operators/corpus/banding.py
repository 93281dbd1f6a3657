"""Locality-sensitive hashing by bands: which texts are worth comparing.

Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", chapter 3.4. With b bands of r rows,
two texts of Jaccard similarity s share a bucket with probability 1 - (1 - s^r)^b. What shares one
is compared by its sketch (Li and König 2010, "b-bit minwise hashing", with b = 1): bits of two
sketches agree with probability (1 + s) / 2.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from operators.corpus.shingles import Signatures

MOST_PERMUTATIONS = 128  # bits of a sketch
# A pair on the threshold is given up for its sketch about once in 2,000 times.
_SKETCH_DEVIATIONS = 3.3
_SKETCH_RECALL = 0.9995
# How many rows of one bucket a row is compared with, in the order of their sketches.
_BUCKET_WINDOW = 20_000


class Bands(NamedTuple):
    """How signatures are cut: `bands` of `rows` columns each."""

    bands: int
    rows: int

    @property
    def permutations(self) -> int:
        return self.bands * self.rows

    def probability(self, similarity: float) -> float:
        """That two texts of this Jaccard similarity share a bucket."""
        return float(1 - (1 - similarity**self.rows) ** self.bands)


def choose_bands(
    threshold: float, recall: float = 0.99, permutations: int = MOST_PERMUTATIONS
) -> Bands:
    """The bands with most rows that find a pair exactly on the threshold with probability `recall`.

    More rows a band mean fewer pairs that are compared for nothing.

    Raises:
        ValueError: a number is out of range, or no bands of so few permutations find so many.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], not {threshold}")
    if not 0 < recall < _SKETCH_RECALL:
        raise ValueError(f"recall must lie in (0, {_SKETCH_RECALL}), not {recall}")
    if not 1 <= permutations <= MOST_PERMUTATIONS:
        raise ValueError(f"permutations must lie in 1..{MOST_PERMUTATIONS}, not {permutations}")
    missed = 1 - recall / _SKETCH_RECALL
    best: Bands | None = None
    for rows in range(1, permutations + 1):
        agree = threshold**rows
        bands = 1 if agree >= 1 - missed else math.ceil(math.log(missed) / math.log1p(-agree))
        if bands * rows > permutations:
            break
        best = Bands(bands, rows)
    if best is None:
        raise ValueError(
            f"{permutations} permutations cannot find {recall:g} of the pairs of similarity "
            f"{threshold:g}; allow more permutations, less recall, or a higher threshold"
        )
    return best


def bucket_keys(signatures: Signatures, bands: Bands) -> npt.NDArray[np.uint64]:
    """The bucket of each text in each band: uint64 [texts, bands]; bands share no bucket."""
    from operators.corpus.shingle_kernels import band_keys

    keys = np.empty((len(signatures), bands.bands), np.uint64)
    band_keys(np.ascontiguousarray(signatures), bands.bands, bands.rows, keys)
    return keys


def signature_sketches(signatures: Signatures) -> npt.NDArray[np.uint64]:
    """A bit of each permutation: uint64 [texts, 2].

    Raises:
        ValueError: there are more than 128 permutations.
    """
    from operators.corpus.shingle_kernels import sketches

    if signatures.shape[1] > MOST_PERMUTATIONS:
        raise ValueError(f"a sketch has {MOST_PERMUTATIONS} bits, not {signatures.shape[1]}")
    made = np.empty((2, len(signatures)), np.uint64)
    sketches(np.ascontiguousarray(signatures), made[0], made[1])
    return made.T


def most_different_bits(threshold: float, permutations: int) -> int:
    """How many bits of the sketches of a pair on the threshold differ at most, but for bad luck."""
    differ = (1 - threshold) / 2
    spread = math.sqrt(differ * (1 - differ) * permutations)
    return math.ceil(differ * permutations + _SKETCH_DEVIATIONS * spread)


def bucket_links(
    buckets: npt.NDArray[np.uint64],
    sketches: npt.NDArray[np.uint64],
    numbers: npt.NDArray[np.int64],
    *,
    threshold: float,
    permutations: int,
) -> npt.NDArray[np.int64]:
    """Links between texts of one bucket whose sketches allow a similarity of `threshold`.

    Of links that join what is joined already, one is enough: a bucket of n texts has at most n - 1.
    Which texts are joined does not depend on the order of the rows.

    Args:
        buckets, sketches, numbers: one row for each text in each bucket: uint64 [n], uint64 [n, 2],
            int64 [n].

    Returns:
        int64 [links, 2], pairs of numbers, the smaller first, sorted and distinct.
    """
    from operators.corpus import shingle_kernels

    order = np.lexsort((numbers, sketches[:, 1], sketches[:, 0], buckets))
    low, high = np.ascontiguousarray(sketches[order, 0]), np.ascontiguousarray(sketches[order, 1])
    left, right = np.empty((2, len(order)), np.int64)
    most = most_different_bits(threshold, permutations)
    count = shingle_kernels.bucket_links(
        buckets[order], low, high, most, _BUCKET_WINDOW, left, right
    )
    pairs = np.stack([numbers[order][left[:count]], numbers[order][right[:count]]], axis=1)
    pairs.sort(axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
