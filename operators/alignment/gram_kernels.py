"""Character n-grams as numbers, compiled: one pass over the code points of all texts.

A gram is known by a 64-bit hash of its code points, so that no dictionary of strings is built; two
of a million grams share a hash once in 37 million corpora.
"""

from __future__ import annotations

import numpy as np

from operators.compiled import njit

BETWEEN, LETTER, DIGIT, UNSPACED = 0, 1, 2, 3

_BEGIN, _END = np.uint64(2), np.uint64(3)
_WHOLE = np.uint64(0x9E3779B97F4A7C15)  # tells a word from a gram with the same letters
_NUMBER = np.uint64(0xC2B2AE3D27D4EB4F)
_FIRST = np.uint64(0xCBF29CE484222325)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)


@njit(cache=True)
def _mix(state, value):
    """The next state of the hash (the finaliser of SplitMix64; Steele, Lea and Flood 2014)."""
    x = state ^ (value + _WHOLE)
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


@njit(cache=True)
def _grams_of(points, kinds, start, stop, least, most, longest, whole, out, at):
    """Write the hashes of one text behind `at`; say where they end. `out` may be empty: count."""
    write = len(out) > 0
    here = start
    while here < stop:
        kind = kinds[here]
        if kind == BETWEEN:
            here += 1
            continue
        end = here + 1
        while end < stop and kinds[end] == kind:
            end += 1
        length = end - here
        if kind == UNSPACED:
            for first in range(here, end):
                state = _FIRST
                for last in range(first, min(first + longest, end)):
                    state = _mix(state, np.uint64(points[last]))
                    if write:
                        out[at] = state
                    at += 1
        else:
            state = _NUMBER if kind == DIGIT else _WHOLE
            for n in range(here, end):
                state = _mix(state, np.uint64(points[n]))
            if kind == DIGIT or whole:
                if write:
                    out[at] = state
                at += 1
            if kind == LETTER:
                # Grams over <word>: one that is only its end says little and is left out.
                for first in range(-1, length):
                    state = _FIRST
                    for last in range(first, min(first + most, length + 1)):
                        if last < 0:
                            value = _BEGIN
                        elif last == length:
                            value = _END
                        else:
                            value = np.uint64(points[here + last])
                        state = _mix(state, value)
                        if last - first + 1 >= least:
                            if write:
                                out[at] = state
                            at += 1
        here = end
    return at


@njit(cache=True)
def gram_hashes(points, kinds, text_at, least, most, longest, whole):
    """Hashes of the grams of each text, sorted, each once, with how often it is there.

    Args:
        points: code points of all texts, one after the other.
        kinds: what each is: BETWEEN words, a LETTER, a DIGIT, or a letter of an UNSPACED script.
        text_at: where each text begins, and where the last one ends.
        least, most: letters of a gram in spaced scripts, the word's two ends counted.
        longest: letters of a gram in unspaced scripts; the shortest has one.
        whole: whether words are features beside their grams.

    Returns:
        Where each text begins, the hashes, their counts.
    """
    nothing = np.empty(0, np.uint64)
    sizes = np.zeros(len(text_at), np.int64)
    for k in range(len(text_at) - 1):
        sizes[k + 1] = _grams_of(
            points, kinds, text_at[k], text_at[k + 1], least, most, longest, whole, nothing, 0
        )
    hashes = np.empty(sizes.sum(), np.uint64)
    counts = np.empty(len(hashes), np.int32)
    begins = np.zeros(len(text_at), np.int64)
    kept = 0
    buffer = np.empty(max(sizes.max(), 1), np.uint64)
    for k in range(len(text_at) - 1):
        size = _grams_of(
            points, kinds, text_at[k], text_at[k + 1], least, most, longest, whole, buffer, 0
        )
        own = np.sort(buffer[:size])
        for n in range(size):
            if n and own[n] == own[n - 1]:
                counts[kept - 1] += 1
            else:
                hashes[kept] = own[n]
                counts[kept] = 1
                kept += 1
        begins[k + 1] = kept
    return begins, hashes[:kept].copy(), counts[:kept].copy()


@njit(cache=True)
def unit_rows(values, begins):
    """Each row divided by its Euclidean length, summed up in order and in double precision."""
    scaled = np.empty_like(values)
    for k in range(len(begins) - 1):
        total = 0.0
        for n in range(begins[k], begins[k + 1]):
            total += np.float64(values[n]) * values[n]
        length = np.sqrt(total) if total > 0 else 1.0
        for n in range(begins[k], begins[k + 1]):
            scaled[n] = values[n] / length
    return scaled


@njit(cache=True)
def add_products(begins, columns, values, other_begins, other_rows, other_values, out):
    """Add the products of sparse rows with other sparse rows, these given column by column.

    `out[r, o]` grows by the sum of row r times row o, in the order of the columns.
    """
    for r in range(len(begins) - 1):
        own = out[r]
        for n in range(begins[r], begins[r + 1]):
            column = columns[n]
            value = values[n]
            for m in range(other_begins[column], other_begins[column + 1]):
                own[other_rows[m]] += value * other_values[m]


@njit(cache=True)
def salted(hashes, salt):
    """Hashes that differ from those with another salt."""
    out = np.empty_like(hashes)
    for n in range(len(hashes)):
        out[n] = _mix(np.uint64(salt), hashes[n])
    return out
