"""Words, shingles and MinHash of UTF-8 texts as they lie in Arrow buffers, compiled.

A text is `data[offsets[k]:offsets[k + 1]]`. What a code point is (part of a word, a word by itself,
or neither) and its lower case stand in two tables that `operators.corpus.shingles` makes. All
hashes are arithmetic modulo 2^64 or 2^32, written out here, so that they are the same with every
version of every library.
"""

from __future__ import annotations

import numpy as np

from operators.compiled import njit

APART, IN_WORD, ALONE = 0, 1, 2

_FNV_BASIS = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_OTHER_BASIS = np.uint64(0x9AE16A3B2F90404F)
_OTHER_PRIME = np.uint64(0x9E3779B97F4A7C15)
_POLYNOMIAL = np.uint64(0xD6E8FEB86659FD93)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_SPACE = np.uint8(32)
_EMPTY = np.uint32(0xFFFFFFFF)


@njit(cache=True)
def _mix(value):
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return value ^ (value >> np.uint64(31))


@njit(cache=True)
def word_hashes(data, begin, end, kinds, lower, words):
    """Write a hash of each word of one text, in order, into `words`; returns how many there are.

    FNV-1a over the code points of the word in lower case, then mixed.
    """
    count = 0
    state = _FNV_BASIS
    inside = False
    at = begin
    while at < end:
        byte = np.uint32(data[at])
        if byte < 0x80:
            code = byte
            at += 1
        elif byte < 0xE0:
            code = (byte & 0x1F) << 6 | np.uint32(data[at + 1]) & 0x3F
            at += 2
        elif byte < 0xF0:
            code = (
                (byte & 0x0F) << 12
                | (np.uint32(data[at + 1]) & 0x3F) << 6
                | np.uint32(data[at + 2]) & 0x3F
            )
            at += 3
        else:
            code = (
                (byte & 0x07) << 18
                | (np.uint32(data[at + 1]) & 0x3F) << 12
                | (np.uint32(data[at + 2]) & 0x3F) << 6
                | np.uint32(data[at + 3]) & 0x3F
            )
            at += 4
        if code < len(kinds):
            kind = kinds[code]
            code = lower[code]
        else:  # the planes of rare Chinese characters, and those of no script
            kind = ALONE if code < 0x40000 else APART
        if kind == IN_WORD:
            state = (state ^ np.uint64(code)) * _FNV_PRIME
            inside = True
            continue
        if inside:
            words[count] = _mix(state)
            count += 1
            state = _FNV_BASIS
            inside = False
        if kind == ALONE:
            words[count] = _mix((_FNV_BASIS ^ np.uint64(code)) * _FNV_PRIME)
            count += 1
    if inside:
        words[count] = _mix(state)
        count += 1
    return count


@njit(cache=True)
def ngrams_of(words, count, n, grams):
    """Write a hash of each run of `n` words into `grams`; returns how many: max(0, count - n + 1).

    A polynomial of the hashes of the words, rolled along the text, then mixed.
    """
    if count < n:
        return 0
    leading = np.uint64(1)
    for _ in range(n):
        leading *= _POLYNOMIAL
    rolled = np.uint64(0)
    for k in range(n):
        rolled = rolled * _POLYNOMIAL + words[k]
    grams[0] = _mix(rolled)
    for k in range(n, count):
        rolled = rolled * _POLYNOMIAL + words[k] - words[k - n] * leading
        grams[k - n + 1] = _mix(rolled)
    return count - n + 1


@njit(cache=True)
def shingles_of(words, count, n, grams):
    """`ngrams_of`, and the whole of a text that has words, but fewer than `n`."""
    return ngrams_of(words, count, min(n, count), grams) if count else 0


@njit(cache=True)
def _longest(offsets):
    longest = 0
    for k in range(len(offsets) - 1):
        longest = max(longest, offsets[k + 1] - offsets[k])
    return longest


@njit(cache=True)
def minhash(data, offsets, n, kinds, lower, factors, terms, signatures, sizes):
    """Fill `signatures` [texts, permutations] uint32 and `sizes`, the shingles of each text.

    Permutation k of a shingle x, the upper half of its hash, is factors[k] * x + terms[k] modulo
    2^32.
    """
    room = _longest(offsets) + 1
    words = np.empty(room, np.uint64)
    grams = np.empty(room, np.uint64)
    permutations = len(factors)
    lowest = np.empty(permutations, np.uint32)
    for text in range(len(offsets) - 1):
        count = word_hashes(data, offsets[text], offsets[text + 1], kinds, lower, words)
        size = shingles_of(words, count, n, grams)
        sizes[text] = size
        lowest[:] = _EMPTY
        for k in range(size):
            shingle = np.uint32(grams[k] >> np.uint64(32))
            for p in range(permutations):
                lowest[p] = min(lowest[p], np.uint32(factors[p] * shingle + terms[p]))
        signatures[text] = lowest


@njit(cache=True)
def count_words(data, offsets, kinds, lower, counts):
    """Fill `counts` with the words of each text."""
    words = np.empty(_longest(offsets) + 1, np.uint64)
    for text in range(len(offsets) - 1):
        counts[text] = word_hashes(data, offsets[text], offsets[text + 1], kinds, lower, words)


@njit(cache=True)
def all_shingles(data, offsets, n, kinds, lower, values, ends):
    """Fill `values` with the shingles of text after text, `ends` with where those of each end.
    There must be room for a shingle a word."""
    room = _longest(offsets) + 1
    words = np.empty(room, np.uint64)
    at = 0
    for text in range(len(offsets) - 1):
        count = word_hashes(data, offsets[text], offsets[text + 1], kinds, lower, words)
        at += shingles_of(words, count, n, values[at:])
        ends[text] = at


@njit(cache=True)
def drop_repeats(values, ends):
    """Leave each value of each sorted run once, in place; returns how many are left in all."""
    at = 0
    start = 0
    for run in range(len(ends)):
        for k in range(start, ends[run]):
            if k == start or values[k] != values[at - 1]:
                values[at] = values[k]
                at += 1
        start = ends[run]
        ends[run] = at
    return at


@njit(cache=True)
def content_hashes(data, offsets, low, high):
    """Two hashes of each text, in which runs of ASCII white space count as one space, and none at
    its ends. FNV-1a over the bytes, with two primes; then mixed."""
    for text in range(len(offsets) - 1):
        first, second = _FNV_BASIS, _OTHER_BASIS
        begun = False
        space = False
        for at in range(offsets[text], offsets[text + 1]):
            byte = data[at]
            if byte == _SPACE or 9 <= byte <= 13:
                space = begun
                continue
            if space:
                first = (first ^ np.uint64(_SPACE)) * _FNV_PRIME
                second = (second ^ np.uint64(_SPACE)) * _OTHER_PRIME
                space = False
            begun = True
            first = (first ^ np.uint64(byte)) * _FNV_PRIME
            second = (second ^ np.uint64(byte)) * _OTHER_PRIME
        low[text] = _mix(first)
        high[text] = _mix(second)


@njit(cache=True)
def band_keys(signatures, bands, rows, keys):
    """Fill `keys` [texts, bands]: a hash of the `rows` columns of each band, and of its number."""
    for text in range(len(signatures)):
        for band in range(bands):
            key = np.uint64(band)
            for column in range(band * rows, (band + 1) * rows):
                key = _mix(key + _OTHER_PRIME ^ np.uint64(signatures[text, column]))
            keys[text, band] = key


@njit(cache=True)
def sketches(signatures, low, high):
    """One bit of each of at most 128 columns of the signatures, in two words a text."""
    for text in range(len(signatures)):
        first = second = np.uint64(0)
        for column in range(signatures.shape[1]):
            bit = _mix(np.uint64(signatures[text, column])) >> np.uint64(63)
            if column < 64:
                first |= bit << np.uint64(column)
            else:
                second |= bit << np.uint64(column - 64)
        low[text] = first
        high[text] = second


@njit(cache=True)
def _ones(word):
    """How many bits of a word are set."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True)
def _root(parents, node):
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


@njit(cache=True)
def bucket_links(keys, low, high, most_different, window, left, right):
    """Links within buckets: runs of equal `keys`, each ordered by sketch.

    A row is linked with those before it in its bucket whose sketches differ in at most
    `most_different` bits, unless links join the two already; no further back than `window`.
    Writes positions into `left` and `right`, which have room for one link a row; returns how many.
    """
    parents = np.arange(len(keys))
    count = 0
    start = 0
    for row in range(1, len(keys)):
        if keys[row] != keys[start]:
            start = row
            continue
        root = row
        for other in range(row - 1, max(start, row - window) - 1, -1):
            if _root(parents, other) == root:
                continue
            different = _ones(low[row] ^ low[other]) + _ones(high[row] ^ high[other])
            if different <= most_different:
                found = _root(parents, other)
                parents[root] = found
                root = found
                left[count] = other
                right[count] = row
                count += 1
    return count


@njit(cache=True)
def _shared(values, a, a_end, b, b_end, needed):
    """How many values two sorted sets share; -1 as soon as they cannot share `needed`."""
    shared = 0
    while a < a_end and b < b_end:
        if values[a] == values[b]:
            shared += 1
            a += 1
            b += 1
        elif values[a] < values[b]:
            a += 1
        else:
            b += 1
        if shared + min(a_end - a, b_end - b) < needed:
            return -1
    return shared


@njit(cache=True)
def _needed(total, threshold):
    """The fewest shared values with which two sets of `total` values together reach a similarity"""
    needed = np.int64(threshold * total / (1 + threshold))
    while needed > 0 and (needed - 1) / max(total - needed + 1, 1) >= threshold:
        needed -= 1
    while needed / max(total - needed, 1) < threshold:
        needed += 1
    return needed


@njit(cache=True)
def similar_sets(groups, values, starts, ends, threshold, window, parents):
    """Join the sets of each group that are similar; rows of a group stand together, small first.

    Two sets are joined where their Jaccard similarity is at least `threshold`, directly or through
    others: `parents` becomes a forest whose trees are the clusters. A set is compared with the
    `window` next smaller ones that it is not joined with yet.
    """
    start = 0
    for row in range(len(groups)):
        parents[row] = row
        if groups[row] != groups[start]:
            start = row
        size = ends[row] - starts[row]
        if size == 0:
            continue
        root = row
        compared = 0
        for other in range(row - 1, start - 1, -1):
            smaller = ends[other] - starts[other]
            if smaller < threshold * size or compared >= window:
                break
            found = _root(parents, other)
            if found == root:
                continue
            compared += 1
            needed = _needed(size + smaller, threshold)
            shared = _shared(values, starts[row], ends[row], starts[other], ends[other], needed)
            if shared >= needed:
                parents[root] = found
                root = found
    for row in range(len(groups)):
        parents[row] = _root(parents, row)


@njit(cache=True)
def jaccard(values, starts, ends, left, right, similarities):
    """The Jaccard similarity of pairs of sets; 0 where both are empty."""
    for k in range(len(left)):
        a, b = left[k], right[k]
        shared = _shared(values, starts[a], ends[a], starts[b], ends[b], 0)
        union = ends[a] - starts[a] + ends[b] - starts[b] - shared
        similarities[k] = shared / union if union else 0.0


@njit(cache=True)
def _place(ordered, first, last, value):
    """Where a value stands in ordered[first:last], which is sorted; -1 where it does not."""
    while first < last:
        middle = (first + last) // 2
        if ordered[middle] < value:
            first = middle + 1
        else:
            last = middle
    return first if first < len(ordered) and ordered[first] == value else -1


@njit(cache=True)
def find_ngrams(
    data, offsets, kinds, lower, lengths, firsts, known, owners, passing, covered, words_of, best
):
    """How much of each text stands in n-grams that are known (`operators.corpus.contamination`).

    Fills `covered` with how many words of each text lie in an n-gram that is known, `words_of`
    with how many it has, `best` with the smallest owner of those n-grams, or -1.
    """
    room = _longest(offsets) + 1
    words = np.empty(room, np.uint64)
    grams = np.empty(room, np.uint64)
    shift = np.uint64(64)
    places = len(passing)
    while places > 1:
        places //= 2
        shift -= np.uint64(1)
    for text in range(len(offsets) - 1):
        count = word_hashes(data, offsets[text], offsets[text + 1], kinds, lower, words)
        words_of[text] = count
        covered[text] = 0
        best[text] = -1
        marked = np.zeros(0, np.bool_)
        for i in range(len(lengths)):
            n = lengths[i]
            for k in range(ngrams_of(words, count, n, grams)):
                if not passing[grams[k] >> shift]:
                    continue
                at = _place(known, firsts[i], firsts[i + 1], grams[k])
                if at < 0 or at >= firsts[i + 1]:
                    continue
                if len(marked) == 0:
                    marked = np.zeros(count, np.bool_)
                marked[k : k + n] = True
                if best[text] < 0 or owners[at] < best[text]:
                    best[text] = owners[at]
        for k in range(len(marked)):
            covered[text] += marked[k]
