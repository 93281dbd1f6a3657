"""Groups of sets, verified: which are truly similar, by their Jaccard similarity itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from operators.corpus.shingles import ShingleSets

# How many sets of one group a set is compared with, those nearest to it in size first.
_WINDOW = 4096


def similar_clusters(
    groups: npt.NDArray[np.int64],
    sets: ShingleSets,
    ranks: npt.NDArray[np.int64],
    *,
    threshold: float,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The cluster of each set, as the row of its member of lowest rank; and how similar they are.

    Sets of one group are joined where their Jaccard similarity is at least (>=) `threshold`; a
    cluster is all that is joined, directly or through others, so two sets of one cluster may be
    less similar. An empty set is a cluster of its own. All sets of a group are compared, but for
    groups of thousands: there a set that has been compared with 4096 others in vain, those nearest
    in size, is compared with no more.

    Args:
        groups: int64 [n], the group of each set.
        ranks: int64 [n], distinct within a group.

    Returns:
        int64 [n], rows; float64 [n], the similarity to that row's set, 1 for itself.

    Raises:
        ValueError: `threshold` is not in (0, 1].
    """
    from operators.corpus import shingle_kernels

    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], not {threshold}")
    ends = sets.ends
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]]) if len(ends) else ends
    order = np.lexsort((ranks, ends - starts, groups))
    parents = np.empty(len(order), np.int64)
    shingle_kernels.similar_sets(
        groups[order], sets.values, starts[order], ends[order], threshold, _WINDOW, parents
    )
    trees = np.empty_like(parents)
    trees[order] = order[parents]
    # The member of lowest rank of each tree.
    by_rank = np.lexsort((ranks, trees))
    first = np.ones(len(order), bool)
    first[1:] = np.diff(trees[by_rank]) != 0
    lowest = by_rank[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    clusters = np.empty_like(parents)
    clusters[by_rank] = lowest
    similarities = np.empty(len(order))
    rows = np.arange(len(order))
    shingle_kernels.jaccard(sets.values, starts, ends, rows, clusters, similarities)
    similarities[clusters == rows] = 1.0
    return clusters, similarities
