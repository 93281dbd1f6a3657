"""Texts as sets of shingles: words, hashed; runs of words; MinHash signatures. All on Arrow.

A word is a run of letters, digits and marks, in lower case; a character of a script that is written
without spaces (Han, kana, Thai, Lao, Khmer, Burmese, Tibetan) is a word by itself. What else there
is, punctuation and symbols, only parts words. So a shingle of 5 words is 5 characters of Chinese,
and a text in both scripts needs no rule of its own.

MinHash after Broder (1997), "On the resemblance and containment of documents".
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from operators.corpus.ngrams import mix64

Signatures = npt.NDArray[np.uint32]

# Beyond lie rare Chinese characters, and no other script.
_TABLE = 0x20000
_WITHOUT_SPACES = (
    (0x0E00, 0x0FFF),  # Thai, Lao, Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3040, 0x312F),  # kana, Bopomofo
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x1B000, 0x1B16F),
)


class ShingleSets(NamedTuple):
    """The distinct shingles of texts, sorted: those of text k are values[ends[k - 1]:ends[k]]."""

    values: npt.NDArray[np.uint64]
    ends: npt.NDArray[np.int64]


def signature_constants(
    permutations: int, seed: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Factors (odd) and terms of the hash functions of a signature; they follow from `seed`."""
    counters = np.arange(2 * permutations, dtype=np.uint64)
    drawn = mix64(mix64(np.full(2 * permutations, seed % 2**64, dtype=np.uint64)) ^ counters)
    constants = (drawn >> np.uint64(32)).astype(np.uint32)
    return constants[:permutations] | np.uint32(1), constants[permutations:]


def shingle_signatures(
    texts: pa.Array | pa.ChunkedArray, *, permutations: int = 128, shingle: int = 5, seed: int = 1
) -> tuple[Signatures, npt.NDArray[np.int64]]:
    """MinHash signatures of texts, uint32 [texts, permutations], and how many shingles each has.

    The share of equal columns in two rows estimates the Jaccard similarity of the two texts' sets
    of shingles, with a standard error of at most 0.5 / sqrt(permutations). A text of fewer words
    than a shingle has one shingle, of all its words; a text without words has none, and a row of
    0xFFFFFFFF. A row depends on its own text only.

    Raises:
        ValueError: `permutations` or `shingle` is less than 1.
    """
    from operators.corpus.shingle_kernels import minhash

    if permutations < 1 or shingle < 1:
        raise ValueError("permutations and shingle must be at least 1")
    data, offsets = text_buffers(texts)
    signatures = np.empty((len(offsets) - 1, permutations), np.uint32)
    sizes = np.empty(len(offsets) - 1, np.int64)
    factors, terms = signature_constants(permutations, seed)
    minhash(data, offsets, shingle, *letter_tables(), factors, terms, signatures, sizes)
    return signatures, sizes


def shingle_sets(texts: pa.Array | pa.ChunkedArray, *, shingle: int = 5) -> ShingleSets:
    """The set of shingles of each text, as the signatures of `shingle_signatures` stand for it.

    Raises:
        ValueError: `shingle` is less than 1.
    """
    from operators.corpus import shingle_kernels

    if shingle < 1:
        raise ValueError(f"shingle must be at least 1, not {shingle}")
    data, offsets = text_buffers(texts)
    counts = np.empty(len(offsets) - 1, np.int64)
    shingle_kernels.count_words(data, offsets, *letter_tables(), counts)
    values = np.empty(int(counts.sum()), np.uint64)
    ends = np.empty(len(offsets) - 1, np.int64)
    shingle_kernels.all_shingles(data, offsets, shingle, *letter_tables(), values, ends)
    start = 0
    for end in ends.tolist():
        values[start:end].sort()
        start = end
    size = shingle_kernels.drop_repeats(values, ends)
    return ShingleSets(values[:size], ends)


def content_hashes(
    texts: pa.Array | pa.ChunkedArray,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """128 bits of hash of each text in two words, the same for texts that differ only in how much
    (ASCII) white space parts their words or stands at their ends."""
    from operators.corpus import shingle_kernels

    data, offsets = text_buffers(texts)
    low = np.empty(len(offsets) - 1, np.uint64)
    high = np.empty_like(low)
    shingle_kernels.content_hashes(data, offsets, low, high)
    return low, high


def text_buffers(
    texts: pa.Array | pa.ChunkedArray,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The bytes of all texts, and where each begins and the last ends; a null is an empty text."""
    if isinstance(texts, pa.ChunkedArray):
        chunks = texts.chunks
        texts = (
            chunks[0]
            if len(chunks) == 1
            else pa.concat_arrays(chunks or [pa.array([], texts.type)])
        )
    if texts.null_count:
        texts = texts.fill_null("")
    if not pa.types.is_large_string(texts.type):
        texts = texts.cast(pa.large_string())
    _, offsets, data = texts.buffers()
    if not len(texts):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    begins = np.frombuffer(offsets, np.int64, len(texts) + 1, 8 * texts.offset)
    held = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    return held, begins


@cache
def letter_tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint32]]:
    """What each code point is (apart, in a word, a word alone), and its lower case."""
    from operators.corpus.shingle_kernels import ALONE, APART, IN_WORD

    letters = "LMN"
    kinds = np.fromiter(
        (IN_WORD if unicodedata.category(chr(c))[0] in letters else APART for c in range(_TABLE)),
        np.uint8,
        _TABLE,
    )
    for first, last in _WITHOUT_SPACES:
        block = kinds[first : last + 1]
        block[block == IN_WORD] = ALONE
    lower = np.fromiter((ord(chr(c).lower()[0]) for c in range(_TABLE)), np.uint32, _TABLE)
    return kinds, lower
