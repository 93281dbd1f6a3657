"""How far two sets of usages are apart (Kutuzov and Giulianelli 2020; Giulianelli et al. 2020)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def prototype_distance(old: npt.ArrayLike, new: npt.ArrayLike) -> float:
    """PRT: 1 - cosine of the two centroids; 0 where the sets are the same, up to 2.

    Args:
        old, new: vectors of usages, [n, d] and [m, d]. A centroid without length is at
            a distance of 1 from all.
    """
    return float(centroid_distances(*(np.mean(np.atleast_2d(x), axis=0) for x in (old, new))))


def average_pairwise_distance(old: npt.ArrayLike, new: npt.ArrayLike) -> float:
    """APD: mean of 1 - cosine over all pairs of an old and a new usage.

    Takes time linear in the usages: the mean of the cosines of all pairs is the product of the
    means of the unit vectors. It is not 0 for a set and itself: it holds the spread within a set
    as well.
    """
    sides = [unit(np.atleast_2d(np.asarray(x, np.float64))).mean(axis=0) for x in (old, new)]
    return float(1 - sides[0] @ sides[1])


def jensen_shannon(p: npt.ArrayLike, q: npt.ArrayLike) -> Any:
    """Jensen-Shannon divergence of distributions over the last axis, in bits: 0 to 1."""
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    middle = (p + q) / 2

    def information(x: Floats) -> Any:
        share = np.divide(x, middle, out=np.ones_like(x), where=x > 0)
        return (x * np.log2(share)).sum(axis=-1)

    return np.maximum((information(p) + information(q)) / 2, 0.0)


def sense_distribution(senses: npt.ArrayLike, count: int) -> Floats:
    """Share of each of `count` senses among usages; zeros where there is no usage."""
    found = np.bincount(np.asarray(senses, np.int64), minlength=count).astype(np.float64)
    shares: Floats = found / max(1.0, float(found.sum()))
    return shares


def centroid_distances(old: Floats, new: Floats) -> Any:
    """1 - cosine over the last axis; 1 where a vector has no length, exactly 0 for equal ones."""
    lengths = np.linalg.norm(old, axis=-1) * np.linalg.norm(new, axis=-1)
    products = (old * new).sum(axis=-1)
    cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    equal = (old == new).all(axis=-1) & (lengths > 0)
    return np.where(equal, 0.0, np.maximum(1 - cosines, 0.0))


def unit(vectors: Floats) -> Floats:
    """Vectors of length 1; those without length stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    made: Floats = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return made
