"""Quality signals of documents: what the rules of Gopher, C4 and FineWeb look at.

Measuring and deciding are apart: this module measures, `operators.corpus.quality_rules` decides, so
that a threshold can be moved without measuring again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

# Gopher's eight (Rae et al. 2021, section A1.1).
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")

SIGNALS: dict[str, str] = {
    "characters": "code points",
    "words": "words, symbols that stand alone among them",
    "content_words": "words that hold more than punctuation and symbols",
    "mean_word_length": "characters of a content word, on average",
    "hash_word_ratio": "# signs for each word",
    "ellipsis_word_ratio": "ellipses (... or …) for each word",
    "alphabetic_word_fraction": "words with at least one letter",
    "newline_word_ratio": "newlines for each word",
    "stop_words": "how many of the stop words occur",
    "bullet_line_fraction": "lines that begin with • or -",
    "ellipsis_line_fraction": "lines that end with an ellipsis",
    "c4_line_fraction": "lines that C4 keeps",
    "c4_sentences": "sentences in the lines that C4 keeps",
    "lorem_ipsum_lines": 'lines with "lorem ipsum" that pass C4\'s rules before that one',
    "curly_bracket_lines": "lines with { that pass C4's rules before that one",
    "javascript_lines": 'lines with "javascript" that pass C4\'s rules before that one',
    "policy_lines": "lines on cookies and terms of use that pass C4's rules before that one",
    "terminal_line_fraction": "lines that end with a mark that ends sentences",
    "short_line_fraction": "lines of at most 30 characters",
    "duplicate_line_fraction": "lines equal to an earlier one",
    "duplicate_line_character_fraction": "characters in such lines, of all",
    "duplicate_character_fraction": "characters in such lines, of all but newlines",
    "duplicate_paragraph_fraction": "paragraphs equal to an earlier one",
    "duplicate_paragraph_character_fraction": "characters in such paragraphs, of all",
    "top_2_gram_fraction": "characters in the 2-gram of words that occurs most often",
    "top_3_gram_fraction": "the same for 3 words",
    "top_4_gram_fraction": "the same for 4 words",
    "duplicate_5_gram_fraction": "characters in 5-grams of words that were seen before",
    "duplicate_6_gram_fraction": "the same for 6 words",
    "duplicate_7_gram_fraction": "the same for 7 words",
    "duplicate_8_gram_fraction": "the same for 8 words",
    "duplicate_9_gram_fraction": "the same for 9 words",
    "duplicate_10_gram_fraction": "the same for 10 words",
}


def measure_quality(
    texts: pa.Array,
    *,
    words: Literal["spaced", "tokens"] = "spaced",
    stop_words: Sequence[str] = STOP_WORDS,
    short_line: int = 30,
    min_words_per_line: int = 3,
    max_word_length: int = 1000,
) -> pa.RecordBatch:
    """The signals of each text, a float64 column a signal (`SIGNALS`), in the order of the texts.

    A text is measured by itself. Where a fraction has nothing to divide by it is 0.

    The signals are those of Gopher (Rae et al. 2021, arXiv 2112.11446, A1.1 and table A1), C4
    (Raffel et al. 2020, section 2.2, with the order of rules of its reference implementation) and
    FineWeb (Penedo et al. 2024, arXiv 2406.17557), with the conventions of datatrove, in which
    FineWeb was made, where papers are silent: an n-gram counts its words joined by single spaces;
    duplicate n-grams are found from left to right, and behind one the next begins after its end.
    An n-gram that occurs once is no repetition.

    Args:
        texts: Arrow strings [n].
        words: "spaced": the pieces between white space. "tokens": runs of letters, marks and
            digits, and runs of one symbol; single characters in scripts written without spaces.
        stop_words: compared as they are written, case and all.
        short_line: FineWeb's short lines have at most (<=) so many characters.
        min_words_per_line, max_word_length: of the lines that C4 keeps.

    Raises:
        ValueError: a text is null.
    """
    from operators.corpus.characters import character_classes
    from operators.corpus.quality_kernels import measure

    data, offsets = utf8_of(texts)
    out = np.empty((len(texts), len(SIGNALS)))
    measure(
        data,
        offsets,
        character_classes(),
        words == "spaced",
        _hashes(stop_words),
        short_line,
        min_words_per_line,
        max_word_length,
        out,
    )
    return pa.RecordBatch.from_arrays(
        [pa.array(np.ascontiguousarray(out[:, i])) for i in range(len(SIGNALS))], list(SIGNALS)
    )


def utf8_of(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of Arrow strings, uint8, and where each begins and the last ends, int64 [n + 1]."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if texts.null_count:
        raise ValueError(f"{texts.null_count} texts are null")
    texts = texts.cast(pa.large_string())
    if not len(texts):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    _, offsets, data = texts.buffers()
    span = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data or b"", np.uint8), span


def _hashes(words: Sequence[str]) -> np.ndarray:
    from operators.corpus.text_kernels import hash_codes

    codes = [np.array([ord(c) for c in word], np.int32) for word in words]
    return np.array([hash_codes(code, 0, len(code)) for code in codes], np.uint64)
