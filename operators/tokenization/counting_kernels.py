"""Pretokens counted, compiled: each different one is kept once, with its count."""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from operators.compiled import njit
from operators.tokenization.token_tables import string_slot, string_table


@njit(cache=True)
def _grown(array, size):
    larger = np.empty(max(size, 2 * len(array)), array.dtype)
    larger[: len(array)] = array
    return larger


@njit(cache=True, nogil=True)
def count_distinct(data, ends):
    """Count the strings of bytes that lie end to end in `data` and end at `ends`.

    Returns:
        The different ones end to end, in the order in which they first appear, uint8; where each
        begins and the last one ends, int64 [distinct + 1]; their counts, int64 [distinct].
    """
    distinct = np.empty(1 << 16, np.uint8)
    begins = np.zeros((1 << 12) + 1, np.int64)
    counts = np.zeros(1 << 12, np.int64)
    slots = np.full(1 << 13, -1, np.int32)
    found, begin = 0, 0
    for n in range(len(ends)):
        end = ends[n]
        slot = string_slot(slots, distinct, begins, data, begin, end)
        number = slots[slot]
        if number >= 0:
            counts[number] += 1
        else:
            stop = begins[found] + end - begin
            if stop > len(distinct):
                distinct = _grown(distinct, stop)
            distinct[begins[found] : stop] = data[begin:end]
            slots[slot] = found
            counts[found] = 1
            found += 1
            begins[found] = stop
            if found == len(counts):
                begins = _grown(begins, 2 * found + 1)
                counts = _grown(counts, 2 * found)
                slots = string_table(distinct, begins[: found + 1], 4 * found)
        begin = end
    return (
        distinct[: begins[found]].copy(),
        begins[: found + 1].copy(),
        counts[:found].copy(),
    )
