"""The heap of pairs, the one to be merged next at its top.

An entry holds the count that its pair had when it was made: it may no longer be true.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

from operators.compiled import njit
from operators.tokenization.bpe_state import HEAP, Heap, grown
from operators.tokenization.token_tables import pair_key

_RIGHT_HALF = (1 << 32) - 1


@njit(cache=True)
def _compare(data, begins, one, other):
    """The order of two tokens by their bytes: -1, 0 or 1."""
    first, second = begins[one], begins[other]
    length, other_length = begins[one + 1] - first, begins[other + 1] - second
    for n in range(min(length, other_length)):
        if data[first + n] != data[second + n]:
            return 1 if data[first + n] > data[second + n] else -1
    return 0 if length == other_length else (1 if length > other_length else -1)


@njit(cache=True, inline="always")
def _precedes(count, key, other_count, other, data, begins, bytewise):
    """Whether one pair is merged before another: the more frequent; then by ids or by bytes."""
    if count != other_count:
        return count > other_count
    if bytewise:
        order = _compare(data, begins, key >> 32, other >> 32)
        if order == 0:
            order = _compare(data, begins, key & _RIGHT_HALF, other & _RIGHT_HALF)
        return order > 0
    return key < other


@njit(cache=True)
def _push(heap, sizes, count, pair, key, data, begins, bytewise):
    if sizes[HEAP] == len(heap.pairs):
        size = sizes[HEAP] + 1
        heap = Heap(grown(heap.counts, size), grown(heap.keys, size), grown(heap.pairs, size))
    counts, keys, pairs = heap.counts, heap.keys, heap.pairs
    here = sizes[HEAP]
    sizes[HEAP] += 1
    while here:
        above = (here - 1) >> 1
        if not _precedes(count, key, counts[above], keys[above], data, begins, bytewise):
            break
        counts[here], keys[here], pairs[here] = counts[above], keys[above], pairs[above]
        here = above
    counts[here], keys[here], pairs[here] = count, key, pair
    return heap


@njit(cache=True, inline="always")
def offered(heap, sizes, pair, least, pairs, tokens, bytewise):
    """The heap with a pair that is frequent enough."""
    count = pairs.counts[pair]
    if count >= least:
        key = pair_key(pairs.left[pair], pairs.right[pair])
        heap = _push(heap, sizes, count, pair, key, tokens.data, tokens.begins, bytewise)
    return heap


@njit(cache=True)
def drop_first(heap, sizes, data, begins, bytewise):
    """Take the top entry away."""
    counts, keys, pairs = heap.counts, heap.keys, heap.pairs
    sizes[HEAP] -= 1
    size = sizes[HEAP]
    count, key, pair = counts[size], keys[size], pairs[size]
    here = 0
    while 2 * here + 1 < size:
        below = 2 * here + 1
        if below + 1 < size and _precedes(
            counts[below + 1], keys[below + 1], counts[below], keys[below], data, begins, bytewise
        ):
            below += 1
        if not _precedes(counts[below], keys[below], count, key, data, begins, bytewise):
            break
        counts[here], keys[here], pairs[here] = counts[below], keys[below], pairs[below]
        here = below
    counts[here], keys[here], pairs[here] = count, key, pair
