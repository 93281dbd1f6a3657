"""Short texts that may follow the bytes at hand: the continuations that a search has to try.

A regex tells characters apart by kind only (`ScanningProgram.kinds`), so one character of each
kind stands for all of them when a text is cut. Tokens are another matter: a following character
may merge with what stands before it. Hence characters are chosen whose first byte, in no token at
all, follows the last byte at hand: between such two bytes every encoder has a boundary.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from operators.tokenization.scanning_program import ScanningProgram

# So many characters of a kind are kept to choose from, each with another first byte.
_CHOICE = 12

# So many of the characters of one kind and first byte are looked at for assigned ones.
_SAMPLE = 64

_SURROGATES = range(0xD800, 0xE000)
_LAST = 0x10FFFF


class TextEndings:
    """Continuations for one regex and one vocabulary, as UTF-8.

    Args:
        program: whose kinds of characters are told apart.
        tokens: those that text is encoded with. Only characters whose bytes are all tokens are
            used: a vocabulary without all bytes cannot encode the others.
        depth: 2: also each kind after each kind. 1: single characters, and each kind twice.
    """

    def __init__(self, program: ScanningProgram, tokens: Sequence[bytes], *, depth: int) -> None:
        self._kinds = program.kinds
        self._depth = depth
        self._bytes = frozenset(token[0] for token in tokens if len(token) == 1)
        self._joined = np.zeros((256, 256), np.bool_)
        for token in tokens:
            raw = np.frombuffer(token, np.uint8)
            self._joined[raw[:-1], raw[1:]] = True
        self._choices = self._characters_by_kind()
        self._after: dict[int, tuple[bytes, ...]] = {}
        self._completing: dict[bytes, tuple[bytes, ...]] = {}

    @property
    def kinds(self) -> frozenset[int]:
        """The kinds that have a character which can be encoded."""
        return frozenset(self._choices)

    def kind_of(self, character: str) -> int:
        """The kind of a character."""
        return int(self._kinds[ord(character)])

    def of_kind(self, kind: int, last_byte: int | None = None) -> bytes:
        """A character of a kind, apart from `last_byte` if there is such a one."""
        choice = self._choices[kind]
        if last_byte is not None:
            for character in choice:
                if self.is_apart(last_byte, character):
                    return character
        return choice[0]

    def is_apart(self, last_byte: int, ending: bytes) -> bool:
        """Whether a token boundary must lie before the ending, after that byte."""
        return not ending or not self._joined[last_byte, ending[0]]

    def after(self, last_byte: int) -> tuple[bytes, ...]:
        """What may follow a whole character that ends with this byte; b"" comes first."""
        if last_byte not in self._after:
            endings = [b""]
            for kind, choice in self._choices.items():
                first = self.of_kind(kind, last_byte)
                # Where all may merge with what stands before, each may merge differently.
                for character in (first,) if self.is_apart(last_byte, first) else choice:
                    endings.append(character)
                    seconds = self._choices if self._depth > 1 else (kind,)
                    endings += [character + self.of_kind(one, character[-1]) for one in seconds]
            self._after[last_byte] = tuple(endings)
        return self._after[last_byte]

    def completing(self, partial: bytes) -> tuple[bytes, ...]:
        """Rests of characters that begin with these 1 to 3 bytes, and what may follow.

        Every byte that can come next appears with every kind of character that it can lead to.
        Those that a boundary must come before stand first, and all single characters before the
        longer endings.
        """
        if partial not in self._completing:
            rests = [
                (kind, rest)
                for kind, rest in _completions(partial, self._kinds.tobytes())
                if self._bytes.issuperset(rest)
            ]
            rests.sort(key=lambda one: not self.is_apart(partial[-1], one[1]))
            first_of_kind = dict(reversed(rests))
            longer = [
                rest + self.of_kind(following, rest[-1])
                for rest in first_of_kind.values()
                for following in self._choices
            ]
            self._completing[partial] = (*(rest for _, rest in rests), *longer)
        return self._completing[partial]

    def _characters_by_kind(self) -> dict[int, tuple[bytes, ...]]:
        """Those first that begin with a byte which few others come before inside of a token."""
        followed = self._joined.sum(axis=0)
        choices = {}
        for kind, characters in _characters_of(self._kinds.tobytes()).items():
            usable = [one for one in map(str.encode, characters) if self._bytes.issuperset(one)]
            usable.sort(key=lambda one: int(followed[one[0]]))
            if usable:
                choices[kind] = tuple(usable[:_CHOICE])
        return choices


def partial_character(data: bytes) -> bytes | None:
    """The 1 to 3 bytes of an unfinished character at the end; b"" if there are none.

    None if the data are no beginning of any UTF-8 text.
    """
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            return None
        return data[error.start :]
    return b""


def text_beginning(data: bytes, what: str = "the text") -> tuple[str, bytes]:
    """(whole characters, bytes of an unfinished one) of data that some text begins with.

    Raises:
        ValueError: where they are no beginning of any UTF-8 text, naming the place.
    """
    partial = partial_character(data)
    if partial is None:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{what} is not UTF-8 at byte {error.start} (0x{data[error.start]:02X}): no text "
                "begins with it"
            ) from error
    assert partial is not None
    whole = data[: len(data) - len(partial)]
    return whole.decode(), partial


@lru_cache(maxsize=8)
def _characters_of(kinds: bytes) -> dict[int, list[str]]:
    """kind -> characters of it, two for each first byte of UTF-8, assigned ones if there are."""
    import unicodedata

    table = np.frombuffer(kinds, np.uint8)
    points = np.arange(_LAST + 1)
    points = points[(points < _SURROGATES.start) | (points >= _SURROGATES.stop)]
    keys = table[points].astype(np.int64) * 256 + _lead_bytes(points)
    order = np.argsort(keys, kind="stable")
    _, starts = np.unique(keys[order], return_index=True)
    found: dict[int, list[str]] = {}
    for group in np.split(points[order], starts[1:]):
        characters = [chr(point) for point in group[:: max(len(group) // _SAMPLE, 1)]]
        characters.sort(key=lambda one: unicodedata.category(one) in ("Cn", "Co"))
        found.setdefault(int(table[group[0]]), []).extend(characters[:2])
    return found


@lru_cache(maxsize=2048)
def _completions(partial: bytes, kinds: bytes) -> tuple[tuple[int, bytes], ...]:
    """(kind, rest) of characters that begin with `partial`: one for each next byte and kind."""
    table = np.frombuffer(kinds, np.uint8)
    low, high = _range(partial)
    points = np.arange(low, high + 1)
    points = points[(points < _SURROGATES.start) | (points >= _SURROGATES.stop)]
    missing = _length(partial[0]) - len(partial)
    following = points >> (6 * (missing - 1))
    keys = following.astype(np.int64) * 256 + table[points]
    _, first = np.unique(keys, return_index=True)
    return tuple(
        (int(table[point]), chr(point).encode()[len(partial) :]) for point in points[first].tolist()
    )


def _range(partial: bytes) -> tuple[int, int]:
    """The lowest and highest code point whose UTF-8 begins with these bytes."""
    length = _length(partial[0])
    missing = length - len(partial)
    value = partial[0] & (0x7F >> length)
    for byte in partial[1:]:
        value = value << 6 | byte & 0x3F
    low, high = value << 6 * missing, (value + 1 << 6 * missing) - 1
    least = {2: 0x80, 3: 0x800, 4: 0x10000}[length]
    return max(low, least), min(high, _LAST)


def _length(lead: int) -> int:
    return 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4


def _lead_bytes(points: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.select(
        [points < 0x80, points < 0x800, points < 0x10000],
        [points, 0xC0 | points >> 6, 0xE0 | points >> 12],
        0xF0 | points >> 18,
    )
