"""How much of a text is said again, compiled: lines, paragraphs and n-grams of words."""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from operators.compiled import njit
from operators.corpus.text_kernels import PRIME, hash_codes, mix

_NEWLINE = 10


@njit(cache=True)
def _slot(keys, stamps, mask, stamp, key):
    """Where `key` lies in an open hash table, or the free place for it."""
    at = np.int64(key & mask)
    while stamps[at] == stamp and keys[at] != key:
        at = (at + 1) & np.int64(mask)
    return at


@njit(cache=True)
def slots_mask(entries):
    """One less than the places of an open hash table for so many entries."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return np.uint64(size - 1)


@njit(cache=True)
def duplicate_segments(codes, n, least, keys, stamps, stamp):
    """Segments between runs of at least `least` newlines: (how many, equal to an earlier one,
    characters in these). `least` 0: every newline cuts, and blank segments are left out."""
    segments, duplicates, characters = 0, 0, 0
    mask = slots_mask(n // 2 + 2)
    start = 0
    i = 0
    while i <= n:
        if i < n and codes[i] != _NEWLINE:
            i += 1
            continue
        end = i
        while i < n and codes[i] == _NEWLINE:
            i += 1
        if i < n and i - end < least:
            continue
        if end > start:
            segments += 1
            key = hash_codes(codes, start, end)
            at = _slot(keys, stamps, mask, stamp, key)
            if stamps[at] == stamp:
                duplicates += 1
                characters += end - start
            else:
                stamps[at] = stamp
                keys[at] = key
        start = i
        if i >= n:
            break
    return segments, duplicates, characters


@njit(cache=True)
def top_ngram(hashes, ends, words, n, keys, stamps, counts, firsts, order, stamp):
    """Characters in all occurrences of the n-gram that occurs most often, words joined by one
    space; 0 where none occurs twice. Of n-grams that occur as often the longest counts."""
    total = words - n + 1
    if total < 2:
        return 0
    mask = slots_mask(total)
    power = np.uint64(1)
    for _ in range(n):
        power *= PRIME
    value = np.uint64(0)
    for i in range(n - 1):
        value = value * PRIME + hashes[i]
    distinct = 0
    most = 1
    for i in range(total):
        value = value * PRIME + hashes[i + n - 1]
        if i:
            value -= hashes[i - 1] * power
        key = mix(value)
        at = _slot(keys, stamps, mask, stamp, key)
        if stamps[at] == stamp:
            counts[at] += 1
            most = max(most, counts[at])
        else:
            stamps[at] = stamp
            keys[at] = key
            counts[at] = 1
            firsts[at] = i
            order[distinct] = at
            distinct += 1
    if most < 2:
        return 0
    longest = 0
    for k in range(distinct):
        at = order[k]
        if counts[at] == most:
            first = firsts[at]
            longest = max(longest, ends[first + n] - ends[first] + n - 1)
    return longest * most


@njit(cache=True)
def duplicate_ngrams(hashes, ends, words, n, keys, stamps, stamp):
    """Characters in n-grams that were seen before, each counted once: after one that was, the next
    begins behind it."""
    total = words - n + 1
    if total < 2:
        return 0
    mask = slots_mask(total)
    power = np.uint64(1)
    for _ in range(n):
        power *= PRIME
    value = np.uint64(0)
    for i in range(n - 1):
        value = value * PRIME + hashes[i]
    characters = 0
    open_from = 0
    for i in range(total):
        value = value * PRIME + hashes[i + n - 1]
        if i:
            value -= hashes[i - 1] * power
        if i < open_from:
            continue
        key = mix(value)
        at = _slot(keys, stamps, mask, stamp, key)
        if stamps[at] == stamp:
            characters += ends[i + n] - ends[i]
            open_from = i + n
        else:
            stamps[at] = stamp
            keys[at] = key
    return characters
