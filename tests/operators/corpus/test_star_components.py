"""Components found round by round are those found at once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.corpus import components, large_star, small_star

EDGES = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)).filter(lambda e: e[0] != e[1]))


def arrays(edges):
    return np.array([max(e) for e in edges], np.int64), np.array([min(e) for e in edges], np.int64)


def by_rounds(edges, partitions):
    """As a shuffle would: each partition sees the edges of its own nodes only."""
    left, right = arrays(edges)
    for round_ in range(100):
        both = np.concatenate([left, right]), np.concatenate([right, left])
        *large, changed = in_partitions(large_star, *both, partitions)
        left, right, more = in_partitions(small_star, *large, partitions)
        if not changed + more:
            return left, right, round_
    raise AssertionError("no end")


def in_partitions(operation, nodes, others, partitions):
    made = [operation(nodes[nodes % partitions == p], others[nodes % partitions == p])
            for p in range(partitions)]  # fmt: skip
    return (
        np.concatenate([part.nodes for part in made]),
        np.concatenate([part.others for part in made]),
        sum(part.changed for part in made),
    )


@given(EDGES, st.integers(1, 4))
def test_rounds_end_in_a_star_around_the_smallest_node_of_each_component(edges, partitions):
    left, right, _ = by_rounds(edges, partitions)
    nodes, smallest = components(*arrays(edges))
    expected = {n: s for n, s in zip(nodes.tolist(), smallest.tolist(), strict=True) if n != s}
    assert dict(zip(left.tolist(), right.tolist(), strict=True)) == expected
    assert len(set(left.tolist())) == len(set(zip(left.tolist(), right.tolist(), strict=True)))


def test_a_long_chain_takes_few_rounds():
    chain = [(k, k + 1) for k in range(2000)]
    *_, rounds = by_rounds(chain, 3)
    assert rounds <= 12


def test_no_edges_have_no_components():
    empty = np.empty(0, np.int64)
    assert len(components(empty, empty)[0]) == 0
    assert large_star(empty, empty).changed == small_star(empty, empty).changed == 0
