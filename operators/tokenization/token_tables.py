"""Hash tables of pairs and of strings of symbols, compiled, for training and for encoding.

Open addressing with linear probing; the number of slots is a power of two and at most half of
them are taken. A table only finds: what it finds is compared, so hashes cannot be confused.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from operators.compiled import njit

# Multiplicative hashing (Knuth 1998, section 6.4): 2**64 over the golden ratio.
_GOLDEN, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(24)
# FNV-1a (Fowler, Noll and Vo 1991).
_FNV, _FNV_BASIS = np.uint64(0x100000001B3), np.uint64(0xCBF29CE484222325)


@njit(cache=True)
def slots_for(entries):
    """The number of slots that a table of so many entries needs."""
    slots = 16
    while slots < 2 * entries:
        slots *= 2
    return slots


@njit(cache=True)
def pair_key(left, right):
    return (np.int64(left) << 32) | np.int64(right)


@njit(cache=True)
def pair_slot(keys, key):
    """Where `key` is in `keys`, or the free slot (-1) where it belongs."""
    mask = np.int64(len(keys) - 1)
    at = np.int64((np.uint64(key) * _GOLDEN) >> _SHIFT) & mask
    while keys[at] != key and keys[at] != -1:
        at = (at + 1) & mask
    return at


@njit(cache=True, nogil=True)
def pair_table(keys):
    """A table of keys that are all different: the slots' keys, and the position of each key."""
    slots = slots_for(len(keys))
    slot_keys = np.full(slots, -1, np.int64)
    positions = np.full(slots, -1, np.int32)
    for n in range(len(keys)):
        at = pair_slot(slot_keys, keys[n])
        slot_keys[at] = keys[n]
        positions[at] = n
    return slot_keys, positions


@njit(cache=True)
def string_slot(slots, data, begins, symbols, start, stop):
    """Where symbols[start:stop] is among the strings of a table, or the free slot (-1) for it.

    String n is data[begins[n]:begins[n + 1]]; `slots` holds such n.
    """
    state = _FNV_BASIS
    for p in range(start, stop):
        state = (state ^ np.uint64(symbols[p])) * _FNV
    mask = np.int64(len(slots) - 1)
    at = np.int64((state * _GOLDEN) >> _SHIFT) & mask
    while slots[at] >= 0:
        first = begins[slots[at]]
        if begins[slots[at] + 1] - first == stop - start:
            same = True
            for p in range(start, stop):
                if data[first + p - start] != symbols[p]:
                    same = False
                    break
            if same:
                break
        at = (at + 1) & mask
    return at


@njit(cache=True, nogil=True)
def string_table(data, begins, slots):
    """A table of the strings data[begins[n]:begins[n + 1]], all different."""
    table = np.full(slots, -1, np.int32)
    for n in range(len(begins) - 1):
        table[string_slot(table, data, begins, data, begins[n], begins[n + 1])] = n
    return table
