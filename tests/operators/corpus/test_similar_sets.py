"""Clusters of sets, against all pairs compared in plain Python."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.corpus import ShingleSets, similar_clusters

SETS = st.lists(
    st.tuples(st.integers(0, 2), st.frozensets(st.integers(0, 12), max_size=8)), max_size=16
)


def packed(sets):
    values = np.array([v for one in sets for v in sorted(one)], np.uint64)
    return ShingleSets(values, np.cumsum([len(one) for one in sets], dtype=np.int64))


def similarity(a, b):
    return Fraction(len(a & b), len(a | b)) if a | b else Fraction(0)


@settings(deadline=None)  # the first call compiles
@given(SETS, st.sampled_from([Fraction(1, 2), Fraction(1, 3), Fraction(3, 4), Fraction(1)]))
def test_clusters_are_what_pairs_on_or_above_the_threshold_join(rows, threshold):
    groups, sets = [group for group, _ in rows], [one for _, one in rows]
    ranks = [(7 * k) % 31 for k in range(len(rows))]
    clusters, similarities = similar_clusters(
        np.array(groups, np.int64), packed(sets), np.array(ranks, np.int64),
        threshold=float(threshold),
    )  # fmt: skip
    member = list(range(len(rows)))
    for a in range(len(rows)):
        for b in range(a):
            near = groups[a] == groups[b] and similarity(sets[a], sets[b]) >= threshold
            if near and member[a] != member[b]:
                member = [member[b] if m == member[a] else m for m in member]
    for row in range(len(rows)):
        same = [other for other in range(len(rows)) if member[other] == member[row]]
        assert clusters[row] == min(same, key=lambda other: ranks[other])
        expected = 1.0 if clusters[row] == row else similarity(sets[row], sets[clusters[row]])
        assert similarities[row] == pytest.approx(float(expected))


def test_a_pair_exactly_on_the_threshold_is_near_and_one_below_it_is_not():
    sets = packed([{1, 2, 3}, {2, 3, 4}])  # 2 of 4
    groups, ranks = np.zeros(2, np.int64), np.arange(2)
    assert similar_clusters(groups, sets, ranks, threshold=0.5)[0].tolist() == [0, 0]
    assert similar_clusters(groups, sets, ranks, threshold=0.5000001)[0].tolist() == [0, 1]


def test_empty_sets_are_near_to_nothing_and_no_sets_are_no_clusters():
    groups, ranks = np.zeros(2, np.int64), np.arange(2)
    assert similar_clusters(groups, packed([set(), set()]), ranks, threshold=0.5)[0].tolist() == [
        0,
        1,
    ]
    none = np.empty(0, np.int64)
    assert len(similar_clusters(none, packed([]), none, threshold=0.5)[0]) == 0


@pytest.mark.parametrize("threshold", [0, -0.1, 1.1])
def test_a_threshold_that_is_no_similarity_is_refused(threshold):
    none = np.empty(0, np.int64)
    with pytest.raises(ValueError, match="threshold"):
        similar_clusters(none, packed([]), none, threshold=threshold)
