"""Cleaning of historical text, as for "Historical Ink" (Montes et al. 2024, LChange)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def letter_share(text: str, letters: str = "a-zA-ZÀ-ÿ") -> float:
    """Share of the characters, white space included, that are letters; 0 for an empty text.

    Args:
        letters: characters and ranges, as between the brackets of a regular expression.

    Raises:
        ValueError: `letters` is no such list.
    """
    try:
        others = re.compile(f"[^{letters}]+")
    except re.error as error:
        raise ValueError(f'"{letters}" is no list of characters and ranges: {error}') from error
    return len(others.sub("", text)) / len(text) if text else 0.0


def count_wordpieces(tokenizer: Tokenizer, texts: Sequence[str]) -> list[int]:
    """Tokens of each text, with those that mark its begin and end."""
    return [len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts))]


def sentence_chunks(
    sentences: Sequence[str], lengths: Sequence[int], longest: int
) -> list[list[int]]:
    """Sentences in order, put together while their tokens are no more (<=) than `longest`.

    A sentence that is longer by itself is a chunk by itself.

    Args:
        sentences: of one document.
        lengths: tokens of each, without marks of begin and end.
        longest: tokens of a chunk.

    Returns:
        For each chunk the numbers of its sentences.
    """
    chunks: list[list[int]] = []
    room = 0
    for number, length in zip(range(len(sentences)), lengths, strict=True):
        if chunks and length <= room:
            chunks[-1].append(number)
            room -= length
        else:
            chunks.append([number])
            room = longest - length
    return chunks
