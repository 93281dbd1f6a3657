"""How a tokenizer treats digits and whitespace: what its tokens hold, what becomes of probes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from operators.tokenization.byte_tokenizer import ByteTokenizer, as_byte_tokenizer

DigitGrouping = Literal["single", "left_to_right", "right_to_left", "whole", "learned"]

_LENGTHS = range(1, 13)
_PROBES_A_LENGTH = 8
_DIGIT = re.compile(rb"[0-9]")
_NOT_DIGIT = re.compile(rb"[^0-9]")


@dataclass(frozen=True, slots=True)
class DigitBehaviour:
    """What becomes of numbers.

    Attributes:
        grouping: how runs of 1 to 12 digits are cut: "single" digits; threes from the left
            ("123","456","7") or from the right ("1","234","567": Singh and Strouse 2024);
            "whole" is never; "learned" is anything else, most often whatever was frequent.
        longest: digits in the longest token of digits only (a space before them aside).
        mixed_tokens: tokens that hold a digit and something else than digits and a space before
            them.
    """

    grouping: DigitGrouping
    longest: int
    mixed_tokens: int


@dataclass(frozen=True, slots=True)
class WhitespaceBehaviour:
    """What becomes of spaces.

    Attributes:
        space_before_word: share of ordinary tokens that begin with a space and hold more.
        longest_run: bytes of the longest token of spaces, tabs and line breaks only.
        superwords: tokens with a space between two other characters (they cross words).
        tokens_for_spaces: tokens of 16 spaces; 1 is the cheapest for indented code.
        mixes_line_breaks: whether a token holds a line break and something that is no whitespace.
    """

    space_before_word: float
    longest_run: int
    superwords: int
    tokens_for_spaces: int
    mixes_line_breaks: bool


def digit_behaviour(tokenizer: Any) -> DigitBehaviour:
    """Look at the tokens with ASCII digits, and at 96 numbers of 1 to 12 digits, encoded alone.

    The numbers are the same every time. A vocabulary that holds all runs of up to three digits is
    told from a pre-tokenizer that cuts in threes only by the longer runs, and not at all where
    merges happen to do the same.
    """
    adapted = as_byte_tokenizer(tokenizer)
    runs = [token.removeprefix(b" ") for token in _ordinary(adapted) if _DIGIT.search(token)]
    pure = [run for run in runs if not _NOT_DIGIT.search(run)]
    generator = np.random.Generator(np.random.PCG64(0))
    probes = [
        "".join(map(str, generator.integers(0, 10, length).tolist()))
        for length in _LENGTHS
        for _ in range(_PROBES_A_LENGTH)
    ]
    # A token of nothing but the space that some vocabularies put before a text is no digit group.
    cuts = [
        [len(group) for number in ids if (group := adapted.tokens[number].strip())]
        for ids in adapted.encode_batch(probes)
    ]
    grouping: DigitGrouping = "learned"
    for name, groups in _GROUPINGS.items():
        if all(cut == groups(len(run)) for cut, run in zip(cuts, probes, strict=True)):
            grouping = name
            break
    return DigitBehaviour(grouping, max(map(len, pure), default=0), len(runs) - len(pure))


def whitespace_behaviour(tokenizer: Any) -> WhitespaceBehaviour:
    """Look at the tokens with whitespace (ASCII), and at a run of 16 spaces."""
    adapted = as_byte_tokenizer(tokenizer)
    tokens = _ordinary(adapted)
    before = sum(token[:1] == b" " and bool(token.strip()) for token in tokens)
    return WhitespaceBehaviour(
        before / len(tokens) if tokens else float("nan"),
        max((len(token) for token in tokens if not token.strip()), default=0),
        sum(b" " in token.strip() for token in tokens),
        len(adapted.encode(" " * 16)),
        any((b"\n" in token or b"\r" in token) and bool(token.strip()) for token in tokens),
    )


def _from_left(length: int) -> list[int]:
    return [3] * (length // 3) + ([length % 3] if length % 3 else [])


_GROUPINGS: dict[DigitGrouping, Any] = {
    "single": lambda length: [1] * length,
    "whole": lambda length: [length],
    "left_to_right": _from_left,
    "right_to_left": lambda length: _from_left(length)[::-1],
}


def _ordinary(tokenizer: ByteTokenizer) -> Sequence[bytes]:
    special = set(tokenizer.special_ids)
    return [
        bytes(token)
        for number, token in enumerate(tokenizer.tokens)
        if token and number not in special
    ]
