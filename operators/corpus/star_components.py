"""Connected components of a graph whose edges are too many for one place.

Each round sees the edges of each node together and no more: large-star and small-star of Kiveris et
al. (2014), "Connected components in MapReduce and beyond". In turn they end in stars, whose centres
are the smallest nodes of their components.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Nodes = npt.NDArray[np.int64]


class Stars(NamedTuple):
    """Edges, and how many of them a round has changed."""

    nodes: Nodes
    others: Nodes
    changed: int


def large_star(nodes: Nodes, others: Nodes) -> Stars:
    """Each neighbour of a node that is larger than it moves to the smallest of them all.

    Args:
        nodes, others: int64 [m], every edge twice, once at each of its ends; all edges of a node.

    Returns:
        Edges from larger nodes to smaller ones.
    """
    nodes, others, smallest = _by_node(nodes, others)
    smallest = np.minimum(smallest, nodes)
    larger = others > nodes
    changed = int(np.count_nonzero(larger & (smallest != nodes)))
    return Stars(*_distinct(others[larger], smallest[larger]), changed)


def small_star(nodes: Nodes, others: Nodes) -> Stars:
    """The smaller neighbours of a node, and the node, move to the smallest of them.

    Args:
        nodes, others: int64 [m], edges from larger nodes to smaller ones; all such edges of a node.
    """
    nodes, others, smallest = _by_node(nodes, others)
    moved = others != smallest
    left = np.concatenate([others[moved], nodes])
    right = np.concatenate([smallest[moved], smallest])
    return Stars(*_distinct(left, right), int(np.count_nonzero(moved)))


def components(left: Nodes, right: Nodes) -> tuple[Nodes, Nodes]:
    """The same at once, for edges that have room: every node of an edge, sorted, and the smallest
    node of its component."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes, positions = np.unique(np.concatenate([left, right]), return_inverse=True)
    rows, columns = positions[: len(left)], positions[len(left) :]
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), (len(nodes), len(nodes)))
    _, labels = connected_components(graph, directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return nodes, nodes[first[inverse]]


def _by_node(nodes: Nodes, others: Nodes) -> tuple[Nodes, Nodes, Nodes]:
    """Edges ordered by node, distinct; and the smallest neighbour of the node of each."""
    nodes, others = _distinct(nodes, others)
    first = np.ones(len(nodes), bool)
    first[1:] = nodes[1:] != nodes[:-1]
    starts = np.flatnonzero(first)
    return nodes, others, others[starts][np.cumsum(first) - 1]


def _distinct(left: Nodes, right: Nodes) -> tuple[Nodes, Nodes]:
    order = np.lexsort((right, left))
    left, right = left[order], right[order]
    new = np.ones(len(left), bool)
    new[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
    return left[new], right[new]
