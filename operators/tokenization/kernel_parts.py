"""Parts of compiled loops: a heap of numbers, and a stream of chance."""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from operators.compiled import njit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@njit(cache=True, nogil=True)
def push(heap, size, key):
    """Add a number to a heap whose smallest is heap[0]; returns its new size."""
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if heap[above] <= key:
            break
        heap[at] = heap[above]
        at = above
    heap[at] = key
    return size + 1


@njit(cache=True, nogil=True)
def drop_smallest(heap, size):
    """Take heap[0] away; returns the new size."""
    size -= 1
    key = heap[size]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and heap[below + 1] < heap[below]:
            below += 1
        if heap[below] >= key:
            break
        heap[at] = heap[below]
        at = below
    heap[at] = key
    return size


@njit(cache=True, nogil=True)
def draw(state):
    """A number in [0, 1); `state` is one uint64, a seed at first (SplitMix64, Steele et al. 2014).

    The first step already scatters neighbouring seeds.
    """
    state[0] += _GOLDEN
    value = state[0]
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    value = value ^ (value >> np.uint64(31))
    return np.float64(value >> np.uint64(11)) * (1.0 / (1 << 53))
