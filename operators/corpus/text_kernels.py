"""A text as numbers, compiled: its code points and their classes, its words, its lines.

Two words, lines or n-grams are equal when their 64-bit hashes are.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from operators.compiled import njit
from operators.corpus.characters import ALONE, LETTER, LINE_END, SPACE, SYMBOL, WORD

PRIME = np.uint64(0x9E3779B97F4A7C15)
_SEED = np.uint64(0xCBF29CE484222325)
_NEWLINE = 10


@njit(cache=True)
def mix(value):
    """All bits of a number scattered over all bits of another (SplitMix64)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(cache=True)
def hash_codes(codes, start, stop):
    """A 64-bit hash of some code points."""
    value = _SEED
    for i in range(start, stop):
        value = (value ^ np.uint64(codes[i])) * PRIME
        value ^= value >> np.uint64(29)
    return mix(value)


@njit(cache=True)
def decode(data, start, stop, table, codes, classes):
    """Code points and classes of valid UTF-8; returns how many there are."""
    n = 0
    i = start
    while i < stop:
        byte = np.int32(data[i])
        if byte < 0x80:
            code = byte
            i += 1
        elif byte < 0xE0:
            code = ((byte & 0x1F) << 6) | (data[i + 1] & 0x3F)
            i += 2
        elif byte < 0xF0:
            code = ((byte & 0x0F) << 12) | ((data[i + 1] & 0x3F) << 6) | (data[i + 2] & 0x3F)
            i += 3
        else:
            code = (
                ((byte & 0x07) << 18)
                | ((data[i + 1] & 0x3F) << 12)
                | ((data[i + 2] & 0x3F) << 6)
                | (data[i + 3] & 0x3F)
            )
            i += 4
        codes[n] = code
        classes[n] = table[code]
        n += 1
    return n


@njit(cache=True)
def cut_words(codes, classes, n, spaced, hashes, lengths, kinds):
    """Words of a text: hash, length in characters, and 1 where it has a letter + 2 where it has
    more than symbols. Returns how many.

    `spaced`: the pieces between white space. Otherwise words are runs of letters, marks and digits
    (with an apostrophe between two of them), single characters in scripts without spaces, and runs
    of one and the same symbol.
    """
    words = 0
    i = 0
    while i < n:
        if classes[i] & SPACE:
            i += 1
            continue
        start = i
        i += 1
        if spaced:
            while i < n and not classes[i] & SPACE:
                i += 1
        elif classes[start] & WORD:
            alone = classes[start] & ALONE
            while i < n:
                is_word = classes[i] & WORD
                if alone or classes[i] & ALONE:
                    # A sign on a letter, such as a vowel, stays with it.
                    if not (is_word and alone and not classes[i] & LETTER):
                        break
                elif not is_word and not (
                    (codes[i] == 39 or codes[i] == 0x2019)
                    and i + 1 < n
                    and classes[i + 1] & LETTER
                    and not classes[i + 1] & ALONE
                ):
                    break
                i += 1
        else:
            while i < n and codes[i] == codes[start]:
                i += 1
        value = _SEED
        kind = 0
        for k in range(start, i):
            value = (value ^ np.uint64(codes[k])) * PRIME
            value ^= value >> np.uint64(29)
            if classes[k] & LETTER:
                kind |= 1
            if not classes[k] & SYMBOL:
                kind |= 2
        hashes[words] = mix(value)
        lengths[words] = i - start
        kinds[words] = kind
        words += 1
    return words


@njit(cache=True)
def next_line(codes, classes, n, start):
    """End of the line that begins at `start`, and where the next one begins (str.splitlines)."""
    end = start
    while end < n and not classes[end] & LINE_END:
        end += 1
    after = end + 1
    if after < n and codes[end] == 13 and codes[after] == _NEWLINE:
        after += 1
    return end, after


@njit(cache=True)
def strip(classes, start, stop):
    """A span without the white space at its ends."""
    while start < stop and classes[start] & SPACE:
        start += 1
    while stop > start and classes[stop - 1] & SPACE:
        stop -= 1
    return start, stop
