"""Texts as arrays of hashed words, for everything that counts or compares n-grams."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

# Above this mean length in characters the pieces between white space are not words: the text is
# in a script without spaces (Chinese, Japanese, Thai, ...). The longest mean of scripts with
# spaces lies near 10 (Malayalam, Tamil: vowel signs count as characters).
_LONGEST_MEAN_WORD = 15


class Units(NamedTuple):
    """The words of one text, or its characters where it has (almost) no spaces.

    Attributes:
        ids: uint64 [n], a hash of each unit in lower case, in reading order.
        lengths: int64 [n], characters of each unit.
        kind: what a unit is.
    """

    ids: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.int64]
    kind: Literal["words", "characters"]


def text_units(text: str) -> Units:
    """Cut a text into the units of which its n-grams are made.

    Units are the pieces between white space. Where these are longer than 15 characters on
    average (>), or where there is only one, the text is taken for a script without spaces and
    the units are its characters other than white space. Case is ignored.
    """
    words = text.lower().split()
    characters = "".join(words)
    if len(words) == 1 or len(characters) > _LONGEST_MEAN_WORD * len(words):
        codes = np.frombuffer(characters.encode("utf-32-le"), dtype="<u4").astype(np.uint64)
        return Units(mix64(codes), np.ones(len(codes), dtype=np.int64), "characters")
    ids = np.fromiter(
        (xxhash.xxh3_64_intdigest(word.encode()) for word in words),
        dtype=np.uint64,
        count=len(words),
    )
    lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    return Units(ids, lengths, "words")


def ngram_hashes(ids: npt.NDArray[np.uint64], n: int) -> npt.NDArray[np.uint64]:
    """A hash of each run of `n` (>= 1) ids: uint64 [max(0, len(ids) - n + 1)]."""
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    count = max(0, len(ids) - n + 1)
    hashes = np.zeros(count, dtype=np.uint64)
    for offset in range(n):
        # Mixing at every step makes the hash depend on the order of the units.
        hashes = mix64(hashes ^ ids[offset : offset + count])
    return hashes


def mix64(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The output function of SplitMix64 (Steele, Lea, Flood 2014): a bijection of uint64 whose
    every output bit depends on every input bit."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
