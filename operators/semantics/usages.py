"""Where words are used: whole words in a text, with their surroundings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """A word in its surroundings.

    Attributes:
        word: the target word, as it was asked for.
        start: of the match in the text, in characters.
        context: the surroundings, white space made single.
        at, to: of the match in the context, in characters.
    """

    word: str
    start: int
    context: str
    at: int
    to: int

    @property
    def form(self) -> str:
        """The word as it is written here."""
        return self.context[self.at : self.to]


def usage_pattern(
    words: Sequence[str],
    variants: Mapping[str, Sequence[str]] | None = None,
    *,
    ignore_case: bool = True,
) -> tuple[re.Pattern[str], dict[str, str]]:
    """What finds words and their variants as whole words, and the word that each form stands for.

    A whole word has no letter, digit or underscore beside it. Inflected forms are no variants
    unless they are named as such.

    Raises:
        ValueError: no words, an empty one, or a form that stands for two words.
    """
    forms: dict[str, str] = {}
    for word in words:
        for form in [word, *((variants or {}).get(word, ()))]:
            key = form.casefold() if ignore_case else form
            if not form.strip():
                raise ValueError("a word, or a variant of one, is empty")
            if forms.setdefault(key, word) != word:
                raise ValueError(f'"{form}" stands for "{forms[key]}" and for "{word}"')
    unknown = sorted(set(variants or {}) - set(words))
    if unknown:
        raise ValueError(f'there are variants of "{unknown[0]}", which is not among the words')
    if not forms:
        raise ValueError("there are no words to look for")
    # Longer forms first: an alternative that is the beginning of another would win over it.
    either = "|".join(re.escape(form) for form in sorted(forms, key=lambda f: (-len(f), f)))
    flags = re.IGNORECASE if ignore_case else 0
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)", flags), forms


def find_usages(
    text: str, pattern: re.Pattern[str], forms: Mapping[str, str], *, reach: int
) -> Iterator[Usage]:
    """All usages in a text, in order, with `reach` characters on either side, cut at spaces.

    Args:
        pattern, forms: as from `usage_pattern`.
    """
    for match in pattern.finditer(text):
        begin, end = max(0, match.start() - reach), min(len(text), match.end() + reach)
        left, right = text[begin : match.start()], text[match.end() : end]
        if begin and not text[begin - 1].isspace():
            # A word cut in two; in a text without spaces there is no better place to cut.
            left = left[_first_space(left) :]
        if end < len(text) and not text[end].isspace():
            right = right[: len(right) - _first_space(right[::-1])]
        before = " ".join(left.split()) + (" " if left[-1:].isspace() else "")
        before = before.lstrip()
        after = (" " if right[:1].isspace() else "") + " ".join(right.split())
        key = match[0] if match[0] in forms else match[0].casefold()
        yield Usage(
            word=forms.get(key, match[0]),
            start=match.start(),
            context=before + match[0] + after.rstrip(),
            at=len(before),
            to=len(before) + len(match[0]),
        )


def _first_space(text: str) -> int:
    for position, character in enumerate(text):
        if character.isspace():
            return position
    return 0


class HashSample:
    """A random sample of rows that come one by one, of any size up to a limit.

    Rows are ranked by a hash of the seed and their id: neither their order nor other rows change
    which come first, so the sample of a part is a part of the sample.
    """

    def __init__(self, limit: int, seed: int) -> None:
        self.limit, self.seed = limit, seed
        self.seen = 0
        self._kept: list[tuple[bytes, str, Any]] = []

    def add(self, row_id: str, row: Any) -> None:
        """One row more; `row_id` tells it from all others."""
        digest = blake2b(f"{self.seed}\x00{row_id}".encode(), digest_size=16).digest()
        self.seen += 1
        self._kept.append((digest, row_id, row))
        if len(self._kept) >= 4 * self.limit:
            self._prune(self.limit)

    def chosen(self, size: int) -> list[Any]:
        """The first `size` rows of the ranking (`limit` at most), by id."""
        self._prune(self.limit)
        return [row for _, _, row in sorted(self._kept[:size], key=lambda kept: kept[1])]

    def _prune(self, size: int) -> None:
        self._kept = sorted(self._kept, key=lambda kept: kept[:2])[:size]
