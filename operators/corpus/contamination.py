"""Texts that repeat an evaluation set, by n-grams of words.

The rule of GPT-3 (Brown et al. 2020, appendix C): a run of 13 words that also stands in an
evaluation text is no chance. An evaluation text that is shorter counts as one n-gram of all its
words, down to a length below which runs of words do occur by chance (there 8).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from operators.corpus.shingles import letter_tables, text_buffers

# Places of the filter for each n-gram, which most n-grams that are not known do not pass.
_PLACES = 16


class NgramIndex(NamedTuple):
    """The n-grams of evaluation texts.

    Attributes:
        lengths: int64 [m], the lengths there are, in words.
        firsts: int64 [m + 1], where the n-grams of each length begin.
        known: uint64 [n], their hashes, sorted within a length.
        owners: int64 [n], the first text that each is in.
        filter: bool [2^k], true at the upper k bits of each hash.
        too_short: how many texts have no n-gram.
    """

    lengths: npt.NDArray[np.int64]
    firsts: npt.NDArray[np.int64]
    known: npt.NDArray[np.uint64]
    owners: npt.NDArray[np.int64]
    filter: npt.NDArray[np.bool_]
    too_short: int


class Overlap(NamedTuple):
    """How much of each text is known: share of its words (float64), and the first evaluation text
    that it shares an n-gram with (int64, -1: none)."""

    shares: npt.NDArray[np.float64]
    owners: npt.NDArray[np.int64]


def ngram_index(
    texts: pa.Array | pa.ChunkedArray, *, ngram: int = 13, shortest: int = 8
) -> NgramIndex:
    """Collect the n-grams of evaluation texts.

    Args:
        ngram: words in an n-gram.
        shortest: a text of fewer than `ngram` words, and of at least these, is an n-gram itself.

    Raises:
        ValueError: `ngram` or `shortest` is less than 1.
    """
    from operators.corpus import shingle_kernels

    if ngram < 1 or shortest < 1:
        raise ValueError(f"ngram and shortest must be at least 1, not {ngram} and {shortest}")
    data, offsets = text_buffers(texts)
    words = np.empty(len(offsets) - 1, np.int64)
    shingle_kernels.count_words(data, offsets, *letter_tables(), words)
    values = np.empty(int(words.sum()), np.uint64)
    ends = np.empty(len(words), np.int64)
    shingle_kernels.all_shingles(data, offsets, ngram, *letter_tables(), values, ends)
    of = np.repeat(np.arange(len(words)), np.diff(ends, prepend=0))
    values = values[: len(of)]
    lengths = np.minimum(words, ngram)[of]
    long_enough = lengths >= min(shortest, ngram)
    values, lengths, of = values[long_enough], lengths[long_enough], of[long_enough]

    order = np.lexsort((of, values, lengths))
    values, lengths, of = values[order], lengths[order], of[order]
    new = np.ones(len(values), bool)
    new[1:] = (values[1:] != values[:-1]) | (lengths[1:] != lengths[:-1])
    values, lengths, of = values[new], lengths[new], of[new]
    present, firsts = np.unique(lengths, return_index=True)
    bits = max(1, int(_PLACES * len(values)).bit_length())
    passing = np.zeros(2**bits, np.bool_)
    passing[values >> np.uint64(64 - bits)] = True
    return NgramIndex(
        present.astype(np.int64),
        np.append(firsts, len(values)).astype(np.int64),
        values,
        of.astype(np.int64),
        passing,
        int(np.count_nonzero(words < min(shortest, ngram))),
    )


def ngram_overlap(texts: pa.Array | pa.ChunkedArray, index: NgramIndex) -> Overlap:
    """What share of the words of each text lies in n-grams of the index; 0 for an empty text."""
    from operators.corpus import shingle_kernels

    data, offsets = text_buffers(texts)
    covered, words, owners = np.empty((3, len(offsets) - 1), np.int64)
    shingle_kernels.find_ngrams(
        data,
        offsets,
        *letter_tables(),
        index.lengths,
        index.firsts,
        index.known,
        index.owners,
        index.filter,
        covered,
        words,
        owners,
    )
    return Overlap(covered / np.maximum(words, 1), owners)
