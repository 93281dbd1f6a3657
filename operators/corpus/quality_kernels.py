"""Quality signals of texts, compiled: UTF-8 in, one row of numbers a text out.

A text is decoded once into code points and their classes (`operators.corpus.characters`); all
signals are read off these two arrays and off the hashes of its words. The columns are those of
`operators.corpus.quality.SIGNALS`, in that order.
"""

from __future__ import annotations

import numpy as np

from operators.compiled import njit
from operators.corpus.c4_kernels import (
    CURLY,
    JAVASCRIPT,
    KEPT,
    LOREM_IPSUM,
    POLICY,
    c4_verdict,
    count_sentences,
)
from operators.corpus.characters import SENTENCE_END
from operators.corpus.repetition_kernels import (
    duplicate_ngrams,
    duplicate_segments,
    slots_mask,
    top_ngram,
)
from operators.corpus.text_kernels import cut_words, decode, next_line, strip

_NEWLINE, _HASH, _DOT, _ELLIPSIS, _BULLET, _HYPHEN = 10, 35, 46, 0x2026, 0x2022, 45


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
    size = np.int64(slots_mask(longest + 2)) + 1
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
            first, last = strip(classes, start, end)
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
            first, last = strip(classes, start, i)
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
