"""One writing for what is read and what is heard: words in lower case, without punctuation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

# They join or divide letters on the page; nobody hears them.
_UNHEARD = {"\u200c", "\u200d", "\u00ad", "\ufeff"}
_APOSTROPHES = "'’ʼ`´"
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_CHUNK = re.compile(r"\S+")


@dataclass(frozen=True)
class Token:
    """A word as it is compared, and where it stands in the original: `original[start:end]`."""

    text: str
    start: int
    end: int


def tokens(
    text: str, *, characters: bool = False, spell: Callable[[str], str] | None = None
) -> list[Token]:
    """The words of a text in the writing in which texts are compared.

    NFC, case folded, without marks of punctuation and symbols, zero-width joiners and soft
    hyphens. Apostrophes are left out ("don't" is "dont"); other punctuation divides ("well-known"
    is two words), but not between digits. Several tokens may come from one place of the original.

    Args:
        text: any text.
        characters: each letter, with its marks, is a token, for writing without spaces.
        spell: how a number such as "12" or "3.5" is said; None leaves it as it is.
    """
    found = []
    for chunk in _CHUNK.finditer(text):
        for start, end, piece in _pieces(chunk.group(), chunk.start(), spell):
            for word in piece.split():
                if characters:
                    found += [Token(letter, start, end) for letter in _letters(word)]
                else:
                    found.append(Token(word, start, end))
    return found


def _pieces(
    chunk: str, offset: int, spell: Callable[[str], str] | None
) -> Iterator[tuple[int, int, str]]:
    """Stretches of a chunk between numbers that are to be spelled, normalised."""
    at = 0
    if spell is not None:
        for number in _NUMBER.finditer(chunk):
            if number.start() > at:
                yield offset + at, offset + number.start(), _normal(chunk[at : number.start()])
            yield offset + number.start(), offset + number.end(), _normal(spell(number.group()))
            at = number.end()
    if at < len(chunk):
        yield offset + at, offset + len(chunk), _normal(chunk[at:])


@lru_cache(maxsize=1 << 16)
def _normal(text: str) -> str:
    if text.isascii() and text.isalnum():
        return text.lower()
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    signs = []
    for place, sign in enumerate(folded):
        category = unicodedata.category(sign)
        if sign in _UNHEARD or sign in _APOSTROPHES:
            continue
        if category[0] in "LMN" or (sign in ".," and _is_between_digits(folded, place)):
            signs.append(sign)
        else:
            signs.append(" ")
    return "".join(signs)


def _is_between_digits(text: str, place: int) -> bool:
    return text[place - 1 : place].isdigit() and text[place + 1 : place + 2].isdigit()


def _letters(word: str) -> list[str]:
    letters: list[str] = []
    for sign in word:
        if letters and unicodedata.category(sign)[0] == "M":
            letters[-1] += sign
        else:
            letters.append(sign)
    return letters


# First and last of each: Thai and Lao, Tibetan, Myanmar, Khmer, kana, Han.
_UNSPACED = ((0x0E00, 0x0EFF), (0x0F00, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF),
             (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))  # fmt: skip


def writes_no_spaces(text: str) -> bool:
    """Whether most letters of a text are of a script that writes no spaces between words."""
    import numpy as np

    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    unspaced = np.zeros(len(points), dtype=bool)
    for first, last in _UNSPACED:
        unspaced |= (points >= first) & (points <= last)
    visible = sum(not sign.isspace() for sign in text[:10_000])
    return visible > 0 and 2 * int(unspaced[:10_000].sum()) > visible


def spell_numbers(language: str) -> Callable[[str], str]:
    """How numbers are said in a language (its two-letter code), by the library num2words.

    Raises:
        ValueError: num2words is not installed, or does not know the language.
    """
    try:
        from num2words import CONVERTER_CLASSES, num2words
    except ImportError as error:
        raise ValueError(
            "to spell numbers needs the library num2words: pip install num2words"
        ) from error
    if language not in CONVERTER_CLASSES:
        known = ", ".join(sorted(CONVERTER_CLASSES))
        raise ValueError(f'num2words does not know the language "{language}"; it knows {known}')

    def spell(number: str) -> str:
        # "1,500" is a number with a group of thousands; "3,5" one with a decimal comma.
        whole = re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", number)
        plain = re.sub(r"[.,]", "", number) if whole else number.replace(",", ".")
        if plain.count(".") > 1:  # a date or version: its parts
            return " ".join(str(num2words(part, lang=language)) for part in plain.split("."))
        return str(num2words(plain, lang=language))

    return spell
