"""Compile a pre-tokenizer's regex for `scanning_kernels`, where that is possible.

Understood are alternatives, groups, character sets, literals, greedy and possessive repeats,
look-aheads and atomic groups: all that pre-tokenizers are made of. Any other regex (anchors,
look-behind, references, lazy repeats, loops in loops) gives None, and `regex` itself must split.

What a set holds is never decided here: `regex` is asked about every code point, so both cut alike.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from operators.tokenization.scanning_kernels import (
    ATOMIC,
    ATOMIC_END,
    JUMP,
    LOOK,
    LOOK_END,
    LOOP,
    LOOP_END,
    MATCH,
    POSSESSIVE,
    SPAN,
    SPLIT,
    scan,
)

_NO_LIMIT = 2**31 - 1
_REPEATS = {"*": (0, _NO_LIMIT), "+": (1, _NO_LIMIT), "?": (0, 1)}
# A repeated group is written out so often.
_MOST_COPIES = 8
_MOST_SETS = 63
_CODE_POINTS = sys.maxunicode + 1
_SURROGATES = (0xD800, 0xE000)
_ESCAPED_SETS = "sSdDwW"
_ESCAPED_CONTROLS = "rntf"

# In the time in which a program is made, `regex` itself cuts about so many bytes.
_WORTH_A_PROGRAM = 1 << 22
_cut_so_far: dict[str, int] = {}
_one_at_a_time = threading.Lock()

Row = tuple[int, int, int, int]


class ScanningProgram(NamedTuple):
    """A compiled regex.

    Attributes:
        rows: [n, 4] operations, see `scanning_kernels`.
        members: [sets, kinds] whether a set holds the characters of a kind.
        kinds: [0x110000] the kind of each code point: characters are of one kind when they are
            in the same sets.
    """

    rows: npt.NDArray[np.int64]
    members: npt.NDArray[np.bool_]
    kinds: npt.NDArray[np.uint8]

    def split(
        self, data: npt.NDArray[np.uint8], text_ends: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Pretokens of texts, which lie end to end as UTF-8 and end at `text_ends`.

        Returns:
            Where each pretoken ends, and, [texts + 1], the number of pretokens before each text.
        """
        ends = np.empty(len(data), np.int64)
        groups = np.empty(len(text_ends) + 1, np.int64)
        count = scan(*self, data, text_ends, ends, groups)
        return ends[:count], groups


class _NotUnderstood(Exception):
    """The regex has something that this compiler leaves to `regex`."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows with jumps relative to their own beginning, and the fewest characters they match."""

    rows: tuple[Row, ...]
    least: int


def program_for(pattern: str, size: int) -> ScanningProgram | None:
    """The program of a regex, as soon as this process has cut enough text by it to be worth one.

    Args:
        size: bytes or characters that are about to be cut.

    Returns:
        None until then, and for a regex without a program: let `regex` cut, which gives the same.
    """
    with _one_at_a_time:
        seen = _cut_so_far[pattern] = _cut_so_far.get(pattern, 0) + size
        return scanning_program(pattern) if seen >= _WORTH_A_PROGRAM else None


@lru_cache(maxsize=64)
def scanning_program(pattern: str) -> ScanningProgram | None:
    """The program of a regex, or None if it is not understood or may match nothing at all."""
    compiler = _Compiler(pattern)
    try:
        whole = compiler.compile()
    except _NotUnderstood:
        return None
    if whole.least == 0:
        return None
    tables = _tables(tuple(compiler.sets))
    if tables is None:
        return None
    rows = [*_absolute(whole.rows, 0), (MATCH, 0, 0, 0)]
    return ScanningProgram(np.array(rows, np.int64), *tables)


class _Compiler:
    """Recursive descent over a regex."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self.sets: dict[str, int] = {}

    def compile(self) -> _Part:
        whole = self._alternatives("")
        if self._at < len(self._pattern):
            raise _NotUnderstood
        return whole

    def _peek(self, length: int = 1) -> str:
        return self._pattern[self._at : self._at + length]

    def _take(self, expected: str) -> bool:
        if not self._pattern.startswith(expected, self._at):
            return False
        self._at += len(expected)
        return True

    def _alternatives(self, flags: str) -> _Part:
        parts = [self._sequence(flags)]
        while self._take("|"):
            parts.append(self._sequence(flags))
        joined = parts.pop()
        while parts:
            joined = _either(parts.pop(), joined)
        return joined

    def _sequence(self, flags: str) -> _Part:
        parts = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(flags))
        return _in_turn(parts)

    def _repeated(self, flags: str) -> _Part:
        start = self._at
        name = None if self._peek() == "(" else self._set_name(flags)
        item = self._group(flags) if name is None else None
        looked = self._pattern.startswith(("(?=", "(?!"), start)
        least, most, possessive = self._repeats()
        if (least, most) != (1, 1) and looked:
            raise _NotUnderstood
        if name is not None:
            number = self.sets.setdefault(name, len(self.sets))
            return _Part(((POSSESSIVE if possessive else SPAN, number, least, most),), least)
        assert item is not None
        return _copies(item, least, most, possessive)

    def _repeats(self) -> tuple[int, int, bool]:
        """(least, most, possessive) as written here; once if nothing is."""
        sign = self._peek()
        if sign in _REPEATS:
            self._at += 1
            least, most = _REPEATS[sign]
        else:
            if not self._take("{"):
                return 1, 1, False
            numbers, closed, _ = self._pattern[self._at :].partition("}")
            low, comma, high = numbers.partition(",")
            if not (closed and low.isdecimal() and (high.isdecimal() or not high)):
                raise _NotUnderstood
            self._at += len(numbers) + 1
            least = int(low)
            most = int(high) if high else _NO_LIMIT if comma else least
        possessive = self._take("+")
        if most < max(least, 1) or self._peek() in ("?", "*", "+", "{"):
            raise _NotUnderstood
        return least, most, possessive

    def _group(self, flags: str) -> _Part:
        self._at += 1
        look = atomic = False
        negative = 0
        if self._take("?"):
            if self._take(":"):
                pass
            elif self._take(">"):
                atomic = True
            elif self._take("="):
                look = True
            elif self._take("!"):
                look, negative = True, 1
            else:
                added, colon, _ = self._pattern[self._at :].partition(":")
                if not (colon and added and set(added) <= set("is")):
                    raise _NotUnderstood
                self._at += len(added) + 1
                flags = "".join(sorted({*flags, *added}))
        inner = self._alternatives(flags)
        if not self._take(")"):
            raise _NotUnderstood
        if look:
            beyond = len(inner.rows) + 2
            body = _absolute(inner.rows, 1)
            return _Part(((LOOK, beyond, negative, 0), *body, (LOOK_END, 0, 0, 0)), 0)
        return _atomic(inner) if atomic else inner

    def _set_name(self, flags: str) -> str:
        """One set or character as a regex of its own, which `regex` answers for."""
        start = self._at
        sign = self._peek()
        if sign == "\\":
            self._at += 1
            self._escape()
        elif sign == "[":
            self._at += 1
            self._take("^")
            if self._peek() == "]":  # means "]" to some and "nothing" to others
                raise _NotUnderstood
            while not self._take("]"):
                # Set operations and nested sets have signs of their own.
                if self._peek() in ("", "[") or self._peek(2) in ("--", "&&", "||", "~~"):
                    raise _NotUnderstood
                if self._take("\\"):
                    self._escape()
                else:
                    self._at += 1
        elif sign in "^$*+?{}":
            raise _NotUnderstood
        else:
            self._at += 1
        raw = self._pattern[start : self._at]
        return f"(?{flags}:{raw})" if flags else raw

    def _escape(self) -> None:
        """Step over what follows a backslash, if it stands for characters."""
        sign = self._peek()
        self._at += 1
        if sign in ("p", "P"):
            name, closed, _ = self._pattern[self._at :].partition("}")
            if not (closed and name.startswith("{")):
                raise _NotUnderstood
            self._at += len(name) + 1
        elif not sign or (sign.isalnum() and sign not in _ESCAPED_SETS + _ESCAPED_CONTROLS):
            raise _NotUnderstood


def _in_turn(parts: list[_Part]) -> _Part:
    rows: list[Row] = []
    for part in parts:
        rows += _absolute(part.rows, len(rows))
    return _Part(tuple(rows), sum(part.least for part in parts))


def _either(first: _Part, other: _Part) -> _Part:
    beyond = len(first.rows) + 2
    rows = [
        (SPLIT, beyond, 0, 0),
        *_absolute(first.rows, 1),
        (JUMP, beyond + len(other.rows), 0, 0),
        *_absolute(other.rows, beyond),
    ]
    return _Part(tuple(rows), min(first.least, other.least))


def _atomic(inner: _Part) -> _Part:
    rows = ((ATOMIC, 0, 0, 0), *_absolute(inner.rows, 1), (ATOMIC_END, 0, 0, 0))
    return _Part(rows, inner.least)


def _copies(item: _Part, least: int, most: int, possessive: bool) -> _Part:
    """A group so often, written out."""
    if (least, most) == (1, 1):
        return item
    if least > _MOST_COPIES or (most < _NO_LIMIT and most > _MOST_COPIES):
        raise _NotUnderstood
    parts = [item] * least
    if most == _NO_LIMIT:
        # A loop that can give back its rounds, or whose rounds are empty, is left to `regex`.
        if not possessive or item.least == 0:
            raise _NotUnderstood
        size = len(item.rows)
        loop = ((LOOP, size + 2, 0, 0), *_absolute(item.rows, 1), (LOOP_END, 0, 0, 0))
        parts.append(_Part(loop, 0))
    else:
        optional = _Part((), 0)
        for _ in range(most - least):
            optional = _either(_in_turn([item, optional]), _Part((), 0))
        parts.append(optional)
    together = _in_turn(parts)
    return _atomic(together) if possessive else together


def _absolute(rows: tuple[Row, ...], shift: int) -> list[Row]:
    """Rows whose jumps count from `shift` places earlier."""
    jumps = (SPLIT, JUMP, LOOK, LOOP, LOOP_END)
    return [
        (operation, x + shift if operation in jumps else x, y, z) for operation, x, y, z in rows
    ]


@lru_cache(maxsize=64)
def _tables(
    sets: tuple[str, ...],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint8]] | None:
    """`members` and `kinds` of a `ScanningProgram`; None if there are too many of either."""
    if len(sets) > _MOST_SETS:
        return None
    masks = np.zeros(_CODE_POINTS, np.int64)
    for number, members in enumerate(sets):
        masks |= _membership(members).astype(np.int64) << number
    distinct, kinds = np.unique(masks, return_inverse=True)
    if len(distinct) > 256:
        return None
    held = (distinct[None, :] >> np.arange(len(sets))[:, None]) & 1 == 1
    return np.ascontiguousarray(held), kinds.astype(np.uint8)


@lru_cache(maxsize=256)
def _membership(members: str) -> npt.NDArray[np.bool_]:
    """Whether each code point is in a set, as `regex` has it. No surrogate is in any."""
    import regex

    low, high = _SURROGATES
    held = np.zeros(_CODE_POINTS, np.bool_)
    for run in regex.finditer(f"(?:{members})+", _all_characters()):
        begin, end = run.span()
        # Behind the surrogates, positions are that much less than code points.
        for first, last, shift in ((begin, min(end, low), 0), (max(begin, low), end, high - low)):
            if first < last:
                held[first + shift : last + shift] = True
    return held


@lru_cache(maxsize=1)
def _all_characters() -> str:
    low, high = _SURROGATES
    return "".join(map(chr, (*range(low), *range(high, _CODE_POINTS))))
