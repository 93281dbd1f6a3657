"""C4's rules for lines (Raffel et al. 2020, section 2.2), and sentences of a line, compiled."""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from operators.compiled import njit
from operators.corpus.characters import ALONE, CLOSER, LETTER, SENTENCE_END, SPACE, WORD
from operators.corpus.text_kernels import decode, next_line, strip

KEPT, LONG_WORD, NO_END, FEW_WORDS, LOREM_IPSUM, JAVASCRIPT, CURLY, POLICY = range(8)

_DOT = 46
_OPEN, _CLOSE, _BRACE = 91, 93, 123


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
            first, last = strip(classes, start, end)
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
