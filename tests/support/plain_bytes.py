"""A tokenizer with a token a byte."""

from __future__ import annotations

from collections.abc import Sequence

BEGIN = 256


class Bytes:
    """A token a byte; the begin of a document is 256, and other special tokens stand behind it."""

    unknown_id = None

    def __init__(self, *special: bytes) -> None:
        self.tokens = [*(bytes([number]) for number in range(256)), b"<begin>", *special]
        self.special_ids = tuple(range(BEGIN, len(self.tokens)))

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(self.tokens[number] for number in ids).decode(errors="replace")
