"""BPE, compiled: the table of merges, and pretokens spelled with it.

Pretokens lie end to end: number k is `data[bounds[k]:bounds[k + 1]]`.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from operators.compiled import njit
from operators.tokenization.kernel_parts import draw, drop_smallest, push

_MULTIPLIER = 0x1E3779B97F4A7C15
_LOW = (1 << 32) - 1
_NO_MERGE = (1 << 62) - 1
# Up to here a search through all pairs is quicker than a heap.
_FEW_BYTES = 40


@njit(cache=True, nogil=True)
def fill_merges(merges, ranks, pairs):
    """Fill `pairs`, [a power of two, 2], with (left << 31 | right, rank << 32 | result).

    Where a pair has two merges, the smaller rank counts. An empty place has -1.
    """
    mask = len(pairs) - 1
    pairs[:, 0] = -1
    for n in range(len(merges)):
        key = np.int64(merges[n, 0]) << 31 | np.int64(merges[n, 1])
        value = np.int64(ranks[n]) << 32 | np.int64(merges[n, 2])
        slot = ((key * _MULTIPLIER) >> 24) & mask
        while pairs[slot, 0] != -1 and pairs[slot, 0] != key:
            slot = (slot + 1) & mask
        if pairs[slot, 0] == -1 or value < pairs[slot, 1]:
            pairs[slot, 0] = key
            pairs[slot, 1] = value


@njit(cache=True, nogil=True)
def _merge_of(pairs, left, right):
    """rank << 32 | result of the merge of two ids, or `_NO_MERGE`."""
    key = np.int64(left) << 31 | np.int64(right)
    mask = len(pairs) - 1
    slot = ((key * _MULTIPLIER) >> 24) & mask
    while True:
        found = pairs[slot, 0]
        if found == key:
            return pairs[slot, 1]
        if found == -1:
            return _NO_MERGE
        slot = (slot + 1) & mask


@njit(cache=True, nogil=True)
def _merge_few(pairs, ids, count, found):
    """Merge ids[:count] in place: the smallest rank first, the leftmost of its places first."""
    for n in range(count - 1):
        found[n] = _merge_of(pairs, ids[n], ids[n + 1])
    while True:
        best = _NO_MERGE
        where = -1
        for n in range(count - 1):
            if found[n] < best:
                best = found[n]
                where = n
        if where < 0:
            return count
        ids[where] = best & _LOW
        count -= 1
        for n in range(where + 1, count):
            ids[n] = ids[n + 1]
            found[n] = found[n + 1]
        if where + 1 < count:
            found[where] = _merge_of(pairs, ids[where], ids[where + 1])
        if where > 0:
            found[where - 1] = _merge_of(pairs, ids[where - 1], ids[where])


@njit(cache=True, nogil=True)
def _merge_many(pairs, dropout, ids, count, following, previous, heap, waiting, state):
    """The same with a heap, O(n log n). A merge that is dropped waits until another one was made.

    That is Provilkov et al. 2020: before each merge every applicable one is dropped with
    probability `dropout`, and the first of the rest is made; it ends when none is left. Chance is
    asked only as far as the first that stays.
    """
    size = 0
    for n in range(count):
        following[n] = n + 1
        previous[n] = n - 1
    for n in range(count - 1):
        merge = _merge_of(pairs, ids[n], ids[n + 1])
        if merge != _NO_MERGE:
            size = push(heap, size, (merge >> 32) << 32 | n)
    dropped = 0
    while size > 0:
        key = heap[0]
        size = drop_smallest(heap, size)
        n = key & _LOW
        right = following[n]
        if ids[n] < 0 or right >= count:
            continue
        merge = _merge_of(pairs, ids[n], ids[right])
        if merge >> 32 != key >> 32:  # one of the two has changed since
            continue
        if dropout > 0 and draw(state) < dropout:
            waiting[dropped] = key
            dropped += 1
            continue
        ids[n] = merge & _LOW
        ids[right] = -1
        after = following[right]
        following[n] = after
        if after < count:
            previous[after] = n
            merge = _merge_of(pairs, ids[n], ids[after])
            if merge != _NO_MERGE:
                size = push(heap, size, (merge >> 32) << 32 | n)
        before = previous[n]
        if before >= 0:
            merge = _merge_of(pairs, ids[before], ids[n])
            if merge != _NO_MERGE:
                size = push(heap, size, (merge >> 32) << 32 | before)
        while dropped > 0:
            dropped -= 1
            size = push(heap, size, waiting[dropped])
    left = 0
    n = 0
    while n < count:
        ids[left] = ids[n]
        left += 1
        n = following[n]
    return left


@njit(cache=True, nogil=True)
def spell_by_merges(pairs, byte_ids, dropout, data, bounds, chosen, seeds, out, out_ends):
    """BPE of chosen pretokens, BPE-dropout where `dropout` is above 0.

    Args:
        pairs: from `fill_merges`.
        byte_ids: [256] the id of each byte.
        chosen: the pretokens.
        seeds: [chosen] of what is dropped; empty where nothing is.
        out: room for as many ids as they have bytes.
        out_ends: [chosen] where the ids of each end, written here.
    """
    longest = 0
    for k in chosen:
        longest = max(longest, bounds[k + 1] - bounds[k])
    few = dropout <= 0 and longest <= _FEW_BYTES
    room = 0 if few else longest
    found = np.empty(_FEW_BYTES, np.int64)
    following, previous = np.empty(room, np.int64), np.empty(room, np.int64)
    # A merge brings two pairs at most.
    heap, waiting = np.empty(2 * room, np.int64), np.empty(2 * room, np.int64)
    state = np.zeros(1, np.uint64)
    at = 0
    for m in range(len(chosen)):
        begin = bounds[chosen[m]]
        count = bounds[chosen[m] + 1] - begin
        ids = out[at : at + count]
        for n in range(count):
            ids[n] = byte_ids[data[begin + n]]
        if dropout <= 0 and count <= _FEW_BYTES:
            at += _merge_few(pairs, ids, count, found)
        else:
            if dropout > 0:
                state[0] = seeds[m]
            at += _merge_many(pairs, dropout, ids, count, following, previous, heap, waiting, state)
        out_ends[m] = at
