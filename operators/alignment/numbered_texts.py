"""Texts as numbers: the words of each sentence, their counts, and lengths in characters."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from operators.alignment.bands import Ints


def words_of(sentence: str) -> list[str]:
    """Words, without case: runs of letters, marks and digits, and each other sign by itself.

    Scripts that put no spaces between words give all pairs of neighbouring characters instead.
    """
    return list(itertools.chain.from_iterable(map(_pieces, sentence.casefold().split())))


@lru_cache(maxsize=100_000)
def _pieces(chunk: str) -> tuple[str, ...]:
    pieces: list[str] = []
    runs = itertools.groupby(chunk, key=_character_class)
    for kind, run in runs:
        text = "".join(run)
        if kind == "unspaced" and len(text) > 1:
            pieces += [text[k : k + 2] for k in range(len(text) - 1)]
        elif kind == "word":
            pieces.append(text)
        else:
            pieces += text
    return tuple(pieces)


# Thai and Lao, Burmese, Khmer, Japanese and Chinese.
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF),
    (0x20000, 0x3FFFF),
)  # fmt: skip


def _character_class(character: str) -> str:
    code = ord(character)
    if unicodedata.category(character)[0] not in "LMN":
        return "sign"
    return "unspaced" if any(low <= code <= high for low, high in _UNSPACED) else "word"


class NumberedText:
    """A text as numbers.

    Attributes:
        words: word numbers, all sentences one after the other; `begin` where each sentence begins.
        length: characters of the first k sentences.
        vocabulary: the words by number, `count` of each.
    """

    def __init__(self, sentences: Sequence[str]) -> None:
        numbers: dict[str, int] = {}
        found: list[int] = []
        begin = [0]
        for sentence in sentences:
            found += [numbers.setdefault(word, len(numbers)) for word in words_of(sentence)]
            begin.append(len(found))
        self.words = np.array(found, np.int32)
        self.begin = np.array(begin, np.int64)
        self.vocabulary = list(numbers)
        self.count = np.bincount(self.words, minlength=len(numbers)).astype(np.float64)
        self.share = self.count / max(len(found), 1)
        self.length = np.concatenate([[0.0], np.cumsum([float(len(s)) for s in sentences])])

    def blocks(self, size: int) -> NumberedText:
        """The same text, `size` sentences as one."""
        side = object.__new__(NumberedText)
        side.__dict__.update(self.__dict__)
        at = np.append(np.arange(0, len(self.begin) - 1, size), len(self.begin) - 1)
        side.begin, side.length = self.begin[at], self.length[at]
        return side

    def occurrences(self) -> tuple[Ints, npt.NDArray[np.int32]]:
        """Sentences by word: where those of each word begin, and the sentences."""
        sentence = np.repeat(np.arange(len(self.begin) - 1, dtype=np.int32), np.diff(self.begin))
        order = np.argsort(self.words, kind="stable")
        return ends(self.words, len(self.vocabulary)), sentence[order]


@dataclass(frozen=True)
class TextPair:
    source: NumberedText
    target: NumberedText

    @property
    def size(self) -> tuple[int, int]:
        return len(self.source.begin) - 1, len(self.target.begin) - 1

    @property
    def numbers(self) -> tuple[npt.NDArray[np.int32], Ints, npt.NDArray[np.int32], Ints]:
        return self.source.words, self.source.begin, self.target.words, self.target.begin

    def blocks(self, size: int) -> TextPair:
        return TextPair(self.source.blocks(size), self.target.blocks(size))


def ends(words: npt.NDArray[Any], size: int) -> Ints:
    """Where each word begins and the last one ends, were they sorted by their numbers."""
    counts = np.bincount(words, minlength=size)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
