"""Edit spans: a text told as what changes in another one.

Source: Kaneko and Okazaki, "Reducing Sequence Length by Predicting Edit Spans with Large Language
Models" (EMNLP 2023, arXiv 2305.11862). An edit says which tokens of the source (from `start` to
before `end`) become which others; nothing is deletion, and `start == end` an insertion. Written:
``(1,2,"goes") (3,3,"a")`` makes "he goes to a school" of "he go to school"; ``None`` changes
nothing. How edits are written is our choice: a replacement is a JSON string of tokens divided by
spaces.

Positions count the tokens of the source as the model is shown it: `split` both in the same way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

UNCHANGED = "None"

_EDIT = re.compile(r'\(\s*(\d+)\s*,\s*(\d+)\s*,\s*("(?:[^"\\]|\\.)*")\s*\)', re.S)


@dataclass(frozen=True, slots=True)
class SpanEdit:
    """Tokens [start, end) of the source become `replacement`.

    Raises:
        ValueError: a span that ends before it begins or begins before the source.
    """

    start: int
    end: int
    replacement: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"the span ({self.start},{self.end}) must have 0 <= start <= end")


def extract_edits(source: Sequence[str], target: Sequence[str]) -> list[SpanEdit]:
    """The fewest edits (Levenshtein, in tokens) from source to target, merged into spans.

    Edits without a kept token between them are one span. Of several shortest ways one is taken, the
    same everywhere: what both begin with is kept, and the rest is read from the right, where a
    token is rather kept than substituted, and rather substituted than deleted.
    """
    start = _common(source, target)
    end = _common(source[start:][::-1], target[start:][::-1])
    here, there = source[start : len(source) - end], target[start : len(target) - end]
    distances = _distances(here, there)
    edits: list[SpanEdit] = []
    i, j = len(here), len(there)
    behind = (i, j)  # where the span ends that is being read, from right to left
    while i or j:
        if i and j and here[i - 1] == there[j - 1]:
            if behind != (i, j):
                edits.append(_span(there, start, (i, j), behind))
            i, j = i - 1, j - 1
            behind = (i, j)
        elif i and j and distances[i, j] == distances[i - 1, j - 1] + 1:
            i, j = i - 1, j - 1
        elif i and distances[i, j] == distances[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
    if behind != (0, 0):
        edits.append(_span(there, start, (0, 0), behind))
    return edits[::-1]


def apply_edits(source: Sequence[str], edits: Sequence[SpanEdit]) -> list[str]:
    """The source with all edits made, from right to left, so that no position shifts.

    Raises:
        ValueError: edits that overlap or are not in order, or one that ends behind the source.
    """
    _check_order(edits)
    made = list(source)
    for edit in reversed(edits):
        if edit.end > len(source):
            raise ValueError(
                f"the edit {format_edits([edit])} ends behind the {len(source)} tokens of the "
                "source: its positions are those of another text or of other tokens"
            )
        made[edit.start : edit.end] = edit.replacement
    return made


def format_edits(edits: Iterable[SpanEdit]) -> str:
    """The edits as a model writes them; "None" for none.

    Raises:
        ValueError: a token in a replacement that is empty or holds white space, which could not be
            read back.
    """
    written = []
    for edit in edits:
        for token in edit.replacement:
            if token.split() != [token]:
                raise ValueError(
                    f"the token {token!r} holds white space or nothing: divide it before edits "
                    "are extracted"
                )
        replacement = json.dumps(" ".join(edit.replacement), ensure_ascii=False)
        written.append(f"({edit.start},{edit.end},{replacement})")
    return " ".join(written) or UNCHANGED


def parse_edits(text: str) -> list[SpanEdit]:
    """The inverse of `format_edits`; white space around the parts does not matter.

    Raises:
        ValueError: what is neither edits nor "None", naming the place; or edits that overlap or
            are not in order.
    """
    if text.strip() == UNCHANGED:
        return []
    edits: list[SpanEdit] = []
    at = 0
    while rest := text[at:].lstrip():
        at = len(text) - len(rest)
        match = _EDIT.match(text, at)
        if match is None:
            raise ValueError(
                f'there is no edit at character {at}: "{rest[:40]}"; it should be '
                f'(start,end,"replacement"), or {UNCHANGED} alone'
            )
        try:
            replacement = json.loads(match[3], strict=False)
        except ValueError as error:
            raise ValueError(
                f"the replacement at character {match.start(3)} is no JSON string: {error}"
            ) from error
        edits.append(SpanEdit(int(match[1]), int(match[2]), tuple(replacement.split())))
        at = match.end()
    if not edits:
        raise ValueError(f"there is no edit in an empty text; unchanged is {UNCHANGED}")
    _check_order(edits)
    return edits


def _check_order(edits: Sequence[SpanEdit]) -> None:
    for before, after in pairwise(edits):
        if after.start < before.end:
            raise ValueError(
                f"the edits {format_edits([before, after])} overlap or are not in order"
            )


def _span(
    target: Sequence[str], shift: int, begin: tuple[int, int], end: tuple[int, int]
) -> SpanEdit:
    return SpanEdit(begin[0] + shift, end[0] + shift, tuple(target[begin[1] : end[1]]))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many tokens both begin with."""
    same = 0
    for here, there in zip(one, other, strict=False):
        if here != there:
            break
        same += 1
    return same


def _distances(source: Sequence[str], target: Sequence[str]) -> NDArray[np.int32]:
    """[n + 1, m + 1] Levenshtein distances of all prefixes, a row of the table at a time."""
    numbers = {token: number for number, token in enumerate(dict.fromkeys([*source, *target]))}
    columns = np.array([numbers[token] for token in target], np.int64)
    table = np.empty((len(source) + 1, len(target) + 1), np.int32)
    across = np.arange(len(target) + 1, dtype=np.int32)
    table[0] = across
    for i, token in enumerate(source, start=1):
        above = table[i - 1]
        row = above + 1
        np.minimum(row[1:], above[:-1] + (columns != numbers[token]), out=row[1:])
        # Insertions run along the row: row[j] = min over k <= j of row[k] + (j - k).
        table[i] = np.minimum.accumulate(row - across) + across
    return table
