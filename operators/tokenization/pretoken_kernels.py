"""Ids of pretokens that were met before, compiled: a text repeats most of its words.

Pretoken k is `data[bounds[k]:bounds[k + 1]]`. Entry e of a cache has the bytes
`keys[key_ends[e]:key_ends[e + 1]]` and the ids `ids[id_ends[e]:id_ends[e + 1]]`.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from operators.compiled import njit

_MULTIPLIER = 0x1E3779B97F4A7C15
_LOW = (1 << 32) - 1


@njit(cache=True, nogil=True)
def look_up(data, bounds, start, slots, key_ends, keys, known, entries, missing):
    """Find the entry of each pretoken from number `start` on; what has none gets the next one.

    Args:
        slots: [a power of two, more than there are entries] a hash table, 0 where it is empty.
        key_ends, keys: of the cache; written for new entries. Their ids are left to the caller.
        known: entries that there are.
        entries: [pretokens] written here.
        missing: [pretokens, or entries that there may be] written here: for each new entry, a
            pretoken with its bytes.

    Returns:
        The pretoken where the cache was full, and the number of new entries.
    """
    mask = len(slots) - 1
    found = known
    for k in range(start, len(bounds) - 1):
        begin, end = bounds[k], bounds[k + 1]
        code = end - begin
        for n in range(begin, end):
            code = (code ^ np.int64(data[n])) * _MULTIPLIER
        slot = (code >> 20) & mask
        tag = (code >> 3) & ~_LOW
        entry = -1
        while slots[slot] != 0:
            if slots[slot] & ~_LOW == tag:
                entry = (slots[slot] & _LOW) - 1
                there = key_ends[entry]
                if key_ends[entry + 1] - there == end - begin:
                    same = True
                    for n in range(end - begin):
                        if keys[there + n] != data[begin + n]:
                            same = False
                            break
                    if same:
                        break
                entry = -1
            slot = (slot + 1) & mask
        if entry < 0:
            there = key_ends[found]
            if found + 1 == len(key_ends) or there + end - begin > len(keys):
                return k, found - known
            for n in range(end - begin):
                keys[there + n] = data[begin + n]
            key_ends[found + 1] = there + end - begin
            missing[found - known] = k
            entry = found
            found += 1
            slots[slot] = tag | found
        entries[k] = entry
    return len(bounds) - 1, found - known


@njit(cache=True, nogil=True)
def gather(entries, start, stop, id_ends, ids, out, at, token_ends):
    """Write the ids of the pretokens from `start` to `stop` from `out[at]` on.

    Args:
        token_ends: [pretokens] written here: where the ids of each end.

    Returns:
        Where they all end.
    """
    for k in range(start, stop):
        for n in range(id_ends[entries[k]], id_ends[entries[k] + 1]):
            out[at] = ids[n]
            at += 1
        token_ends[k] = at
    return at
