"""Quality signals of texts, compiled: UTF-8 in, one row of numbers a text out.

A text is decoded once into code points and their classes (`operators.corpus.characters`); all
signals are read off these two arrays and off the hashes of its words. Two words, lines or n-grams
are equal when their 64-bit hashes are. The columns are those of `operators.corpus.quality.SIGNALS`,
in that order.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from operators.corpus.characters import (
    ALONE,
    CLOSER,
    LETTER,
    LINE_END,
    SENTENCE_END,
    SPACE,
    SYMBOL,
    WORD,
)

KEPT, LONG_WORD, NO_END, FEW_WORDS, LOREM_IPSUM, JAVASCRIPT, CURLY, POLICY = range(8)

_NEWLINE, _HASH, _DOT, _ELLIPSIS, _BULLET, _HYPHEN = 10, 35, 46, 0x2026, 0x2022, 45
_OPEN, _CLOSE, _BRACE = 91, 93, 123
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_SEED = np.uint64(0xCBF29CE484222325)


def _codes(text):
    return np.array([ord(character) for character in text], np.int32)


_LOREM = _codes("lorem ipsum")
_JAVA = _codes("javascript")
_EDIT = _codes("edit")
_CITATION = _codes("citation needed")
_POLICIES = (
    _codes("terms of use"),
    _codes("privacy policy"),
    _codes("cookie policy"),
    _codes("uses cookies"),
    _codes("use of cookies"),
    _codes("use cookies"),
)


@njit(cache=True)
def _mix(value):
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(cache=True)
def hash_codes(codes, start, stop):
    """A 64-bit hash of some code points."""
    value = _SEED
    for i in range(start, stop):
        value = (value ^ np.uint64(codes[i])) * _PRIME
        value ^= value >> np.uint64(29)
    return _mix(value)


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
            value = (value ^ np.uint64(codes[k])) * _PRIME
            value ^= value >> np.uint64(29)
            if classes[k] & LETTER:
                kind |= 1
            if not classes[k] & SYMBOL:
                kind |= 2
        hashes[words] = _mix(value)
        lengths[words] = i - start
        kinds[words] = kind
        words += 1
    return words


@njit(cache=True)
def _slot(keys, stamps, mask, stamp, key):
    """Where `key` lies in an open hash table, or the free place for it."""
    at = np.int64(key & mask)
    while stamps[at] == stamp and keys[at] != key:
        at = (at + 1) & np.int64(mask)
    return at


@njit(cache=True)
def _mask(entries):
    size = 16
    while size < 2 * entries:
        size *= 2
    return np.uint64(size - 1)


@njit(cache=True)
def duplicate_segments(codes, n, least, keys, stamps, stamp):
    """Segments between runs of at least `least` newlines: (how many, equal to an earlier one,
    characters in these). `least` 0: every newline cuts, and blank segments are left out."""
    segments, duplicates, characters = 0, 0, 0
    mask = _mask(n // 2 + 2)
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
    mask = _mask(total)
    power = np.uint64(1)
    for _ in range(n):
        power *= _PRIME
    value = np.uint64(0)
    for i in range(n - 1):
        value = value * _PRIME + hashes[i]
    distinct = 0
    most = 1
    for i in range(total):
        value = value * _PRIME + hashes[i + n - 1]
        if i:
            value -= hashes[i - 1] * power
        key = _mix(value)
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
    mask = _mask(total)
    power = np.uint64(1)
    for _ in range(n):
        power *= _PRIME
    value = np.uint64(0)
    for i in range(n - 1):
        value = value * _PRIME + hashes[i]
    characters = 0
    open_from = 0
    for i in range(total):
        value = value * _PRIME + hashes[i + n - 1]
        if i:
            value -= hashes[i - 1] * power
        if i < open_from:
            continue
        key = _mix(value)
        at = _slot(keys, stamps, mask, stamp, key)
        if stamps[at] == stamp:
            characters += ends[i + n] - ends[i]
            open_from = i + n
        else:
            stamps[at] = stamp
            keys[at] = key
    return characters


@njit(cache=True)
def _begins(codes, start, stop, pattern):
    """Whether some words of ASCII, in whatever case, stand at `start`."""
    if stop - start < len(pattern):
        return False
    for k in range(len(pattern)):
        code = codes[start + k]
        if 65 <= code <= 90:
            code += 32
        if code != pattern[k]:
            return False
    return True


@njit(cache=True)
def _phrase(codes, start, stop):
    """The first rule, in C4's order, that some words or a bracket in the line break; or KEPT."""
    java, curly, policy = False, False, False
    for i in range(start, stop):
        code = codes[i] | 32  # an upper-case letter becomes lower case; others are compared again
        if code == 108:
            if _begins(codes, i, stop, _LOREM):
                return LOREM_IPSUM
        elif code == 106:
            java = java or _begins(codes, i, stop, _JAVA)
        elif codes[i] == _BRACE:
            curly = True
        elif code in (116, 112, 99, 117) and not policy:
            for words in _POLICIES:
                policy = policy or _begins(codes, i, stop, words)
    if java:
        return JAVASCRIPT
    if curly:
        return CURLY
    return POLICY if policy else KEPT


@njit(cache=True)
def _is_citation(codes, start, stop):
    """Whether the code points between two brackets are digits, "edit" or "citation needed"."""
    digits = True
    for i in range(start, stop):
        if not 48 <= codes[i] <= 57:
            digits = False
            break
    if digits:
        return True
    for words in (_EDIT, _CITATION):
        if stop - start == len(words):
            same = True
            for i in range(len(words)):
                if codes[start + i] != words[i]:
                    same = False
                    break
            if same:
                return True
    return False


@njit(cache=True)
def _without_citations(codes, start, stop):
    """The end of a line before the citations at its end, as "text.[3][edit]" has."""
    while stop > start and codes[stop - 1] == _CLOSE:
        opening = stop - 2
        while opening > start and codes[opening] != _OPEN and stop - opening < 24:
            opening -= 1
        if codes[opening] != _OPEN or not _is_citation(codes, opening + 1, stop - 1):
            break
        stop = opening
    return stop


@njit(cache=True)
def c4_verdict(codes, classes, start, stop, min_words, max_word_length, ends):
    """What C4's rules say of a line, in the order of their reference implementation.

    `start` and `stop` leave out white space at the ends. A limit of -1 is off; `ends` switches the
    rule on terminal punctuation.
    """
    words, length = 0, 0
    for i in range(start, stop):
        if classes[i] & SPACE:
            length = 0
        else:
            if length == 0:
                words += 1
            length += 1
            if max_word_length >= 0 and length > max_word_length:
                return LONG_WORD
    end = _without_citations(codes, start, stop)
    if ends:
        last = codes[end - 1] if end > start else 0
        if last not in (46, 63, 33, 34, 39):
            return NO_END
        if end - start >= 3 and last == 46 and codes[end - 2] == 46 and codes[end - 3] == 46:
            return NO_END
    if words < min_words:
        return FEW_WORDS
    return _phrase(codes, start, stop)


@njit(cache=True)
def count_sentences(codes, classes, start, stop):
    """Sentences of a line: ends of sentences before white space and no lower-case letter, where
    the word before is no single letter; the rest of the line is one more."""
    sentences = 0
    open_ = False  # whether anything stands behind the last end
    i = start
    while i < stop:
        if not classes[i] & SENTENCE_END:
            if classes[i] & WORD:
                open_ = True
            i += 1
            continue
        first = i
        while i < stop and classes[i] & (SENTENCE_END | CLOSER):
            i += 1
        unspaced = codes[first] >= 0x3000
        if not unspaced and i < stop and not classes[i] & SPACE:
            continue
        following = i
        while following < stop and classes[following] & SPACE:
            following += 1
        if following < stop and 97 <= codes[following] <= 122:
            continue
        is_initial = (
            codes[first] == _DOT
            and first - start >= 1
            and classes[first - 1] & LETTER
            and not classes[first - 1] & ALONE
            and (first - start == 1 or not classes[first - 2] & WORD)
            and following < stop
        )
        if open_ and not is_initial:
            sentences += 1
            open_ = False
    return sentences + (1 if open_ else 0)


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
def _strip(classes, start, stop):
    while start < stop and classes[start] & SPACE:
        start += 1
    while stop > start and classes[stop - 1] & SPACE:
        stop -= 1
    return start, stop


@njit(cache=True)
def measure(  # noqa: PLR0915 - one row, one column after the other
    data, offsets, table, spaced, stop_words, short_line, min_words, max_word_length, out
):
    """The signals of each text, one row of `out` a text; `out` is float64 [texts, signals]."""
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    codes = np.empty(longest + 1, np.int32)
    classes = np.empty(longest + 1, np.uint8)
    hashes = np.empty(longest + 1, np.uint64)
    lengths = np.empty(longest + 1, np.int64)
    kinds = np.empty(longest + 1, np.uint8)
    ends = np.empty(longest + 2, np.int64)
    size = np.int64(_mask(longest + 2)) + 1
    keys = np.empty(size, np.uint64)
    stamps = np.zeros(size, np.int64)
    counts = np.empty(size, np.int64)
    firsts = np.empty(size, np.int64)
    order = np.empty(longest + 1, np.int64)
    met = np.empty(len(stop_words), np.bool_)
    stamp = 0
    for text in range(len(offsets) - 1):
        row = out[text]
        row[:] = 0.0
        n = decode(data, offsets[text], offsets[text + 1], table, codes, classes)
        words = cut_words(codes, classes, n, spaced, hashes, lengths, kinds)
        row[0] = n
        row[1] = words

        # --- words
        met[:] = False
        with_letter, content, content_characters = 0, 0, 0
        ends[0] = 0
        for w in range(words):
            ends[w + 1] = ends[w] + lengths[w]
            if kinds[w] & 1:
                with_letter += 1
            if kinds[w] & 2:
                content += 1
                content_characters += lengths[w]
            for s in range(len(stop_words)):
                if hashes[w] == stop_words[s]:
                    met[s] = True
        hash_signs, ellipses, newlines, dots = 0, 0, 0, 0
        for i in range(n):
            code = codes[i]
            if code == _DOT:
                dots += 1
                if dots == 3:
                    ellipses += 1
                    dots = 0
                continue
            dots = 0
            if code == _NEWLINE:
                newlines += 1
            elif code == _HASH:
                hash_signs += 1
            elif code == _ELLIPSIS:
                ellipses += 1
        row[2] = content
        if content:
            row[3] = content_characters / content
        if words:
            row[4] = hash_signs / words
            row[5] = ellipses / words
            row[6] = with_letter / words
            row[7] = newlines / words
        row[8] = met.sum()

        # --- lines as str.splitlines cuts them: bullets, ellipses, C4
        lines, bullets, trailing, kept, sentences = 0, 0, 0, 0, 0
        lorem, curly, javascript, policy = 0, 0, 0, 0
        start = 0
        while start < n:
            end, after = next_line(codes, classes, n, start)
            first, last = _strip(classes, start, end)
            lines += 1
            start = after
            if first < last:
                if codes[first] == _BULLET or codes[first] == _HYPHEN:
                    bullets += 1
                if codes[last - 1] == _ELLIPSIS or (
                    last - first >= 3
                    and codes[last - 1] == _DOT
                    and codes[last - 2] == _DOT
                    and codes[last - 3] == _DOT
                ):
                    trailing += 1
            verdict = c4_verdict(codes, classes, first, last, min_words, max_word_length, True)
            if verdict == KEPT:
                kept += 1
                sentences += count_sentences(codes, classes, first, last)
            elif verdict == LOREM_IPSUM:
                lorem += 1
            elif verdict == CURLY:
                curly += 1
            elif verdict == JAVASCRIPT:
                javascript += 1
            elif verdict == POLICY:
                policy += 1
        if lines:
            row[9] = bullets / lines
            row[10] = trailing / lines
            row[11] = kept / lines
        row[12] = sentences
        row[13] = lorem
        row[14] = curly
        row[15] = javascript
        row[16] = policy

        # --- lines between newlines that hold more than white space: FineWeb
        lines, ending, short = 0, 0, 0
        start = 0
        for i in range(n + 1):
            if i < n and codes[i] != _NEWLINE:
                continue
            first, last = _strip(classes, start, i)
            if first < last:
                lines += 1
                if classes[i - 1] & SENTENCE_END:
                    ending += 1
                if i - start <= short_line:
                    short += 1
            start = i + 1
        if lines:
            row[17] = ending / lines
            row[18] = short / lines

        # --- repetition
        stamp += 1
        segments, duplicates, characters = duplicate_segments(codes, n, 0, keys, stamps, stamp)
        if segments:
            row[19] = duplicates / segments
            row[20] = characters / n
            row[21] = characters / (n - newlines)
        stamp += 1
        segments, duplicates, characters = duplicate_segments(codes, n, 2, keys, stamps, stamp)
        if segments:
            row[22] = duplicates / segments
            row[23] = characters / n
        for size_ in range(2, 5):
            stamp += 1
            top = top_ngram(hashes, ends, words, size_, keys, stamps, counts, firsts, order, stamp)
            row[22 + size_] = top / n if n else 0.0
        for size_ in range(5, 11):
            stamp += 1
            repeated = duplicate_ngrams(hashes, ends, words, size_, keys, stamps, stamp)
            row[22 + size_] = repeated / n if n else 0.0


@njit(cache=True)
def line_verdicts(data, offsets, table, min_words, max_word_length, ends, starts, stops, verdicts):
    """C4's verdict on every line of every text.

    Fills `starts` and `stops` (bytes in `data`, white space at the ends of a line left out) and
    `verdicts`, all int64 [lines]; returns int64 [texts + 1], where the lines of each text begin.
    """
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    codes = np.empty(longest + 1, np.int32)
    classes = np.empty(longest + 1, np.uint8)
    at = np.zeros(len(offsets), np.int64)
    line = 0
    for text in range(len(offsets) - 1):
        n = decode(data, offsets[text], offsets[text + 1], table, codes, classes)
        start, done, byte = 0, 0, np.int64(offsets[text])
        while start < n:
            end, after = next_line(codes, classes, n, start)
            first, last = _strip(classes, start, end)
            while done < first:
                byte += _width(codes[done])
                done += 1
            starts[line] = byte
            while done < last:
                byte += _width(codes[done])
                done += 1
            stops[line] = byte
            verdicts[line] = c4_verdict(
                codes, classes, first, last, min_words, max_word_length, ends
            )
            line += 1
            start = after
        at[text + 1] = line
    return at


@njit(cache=True)
def _width(code):
    if code < 0x80:
        return 1
    if code < 0x800:
        return 2
    return 3 if code < 0x10000 else 4
