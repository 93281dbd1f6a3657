"""Senses of a word: clusters of its usages in all corpora together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from operators.semantics.measures import unit


@dataclass(frozen=True)
class Senses:
    """Which usage has which sense.

    Attributes:
        labels: int64 [n], 0 the most frequent sense.
        count: senses.
        silhouette: of the clustering, -1 to 1; 0 for one sense.
        distances: from each usage to the centre of its sense, float64 [n].
    """

    labels: npt.NDArray[np.int64]
    count: int
    silhouette: float
    distances: npt.NDArray[np.float64]


def find_senses(
    vectors: npt.ArrayLike,
    *,
    most: int = 8,
    least_silhouette: float = 0.05,
    smallest: int = 2,
    seed: int,
) -> Senses:
    """k-means of unit vectors; the number of senses is that with the best silhouette.

    With the best silhouette below (<) `least_silhouette` there is one sense: a silhouette cannot
    be taken of one cluster, so this is a threshold of ours.

    Args:
        vectors: usages of a word, [n, d].
        most: senses that are tried, from 2 on.
        smallest: usages of a sense at least; numbers of senses with a smaller one are not taken.
        seed: of the first centres.

    Raises:
        ValueError: no usages.
    """
    points = unit(np.atleast_2d(np.asarray(vectors, dtype=np.float64)))
    if len(points) == 0:
        raise ValueError("there are no usages to find senses of")
    best, labels = -np.inf, np.zeros(len(points), np.int64)
    different = len(np.unique(points, axis=0))
    if different > 1:
        from sklearn.cluster import KMeans
        from sklearn.metrics import silhouette_score
        from threadpoolctl import threadpool_limits

        # Sums of floats depend on the number of threads.
        with threadpool_limits(limits=1):
            for count in range(2, min(most, different, len(points) - 1) + 1):
                found = KMeans(count, n_init=10, random_state=seed).fit_predict(points)
                if np.bincount(found, minlength=count).min() < smallest:
                    continue
                score = float(silhouette_score(points, found))
                if score > best:
                    best, labels = score, found.astype(np.int64)
    if best < least_silhouette:
        best, labels = 0.0, np.zeros(len(points), np.int64)
    labels = _by_size(labels)
    count = int(labels.max()) + 1
    centres = np.array([points[labels == sense].mean(axis=0) for sense in range(count)])
    distances = np.linalg.norm(points - centres[labels], axis=1)
    return Senses(labels, count, float(best), distances)


def _by_size(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Numbers anew: by size, then by the first usage."""
    names, firsts, sizes = np.unique(labels, return_index=True, return_counts=True)
    order: Any = np.lexsort((firsts, -sizes))
    ranks = np.empty(len(names), np.int64)
    ranks[order] = np.arange(len(names))
    return ranks[np.searchsorted(names, labels)]
