"""Which tokens lie in spans of text that no editor may touch: numbers, code, URLs, names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHAIN = r"(?<!\w)(?<!\w\.)\w++(?:\.\w++)*+"

# Bounded repetitions, possessive ones and look-behinds keep each search linear.
SPANS: dict[str, str] = {
    "numbers": r"(?<![\p{L}\p{M}\d])[\p{L}\p{M}]*+\d(?:[\p{L}\p{M}\d]|[.,:/-](?=\d))*+%?",
    "urls": r"(?:\p{L}[\p{L}\d+.-]{0,20}://|www\.)\S+|[^\s@<>]{1,64}@[^\s@<>]+\.[^\s@<>]+",
    "code": "|".join(
        (
            r"(?s:```.*?(?:```|\Z))",  # a fenced block
            r"`[^`\n]+`",  # in a line
            r"</?\p{L}[^<>\n]{0,200}>",  # tags
            r"\\\p{L}+",  # LaTeX commands
            _CHAIN + r"(?:::|->)\S+",  # scopes and members
            _CHAIN + r"\([^\s()]*\)",  # calls
            r"\w*_\w*",  # snake_case
            r"\p{Ll}+\p{Lu}\w*",  # camelCase
            r"(?<![\w/-])(?:[\w-]*+/)++[\w-]*+\.\w+",  # paths
        )
    ),
    # Capitalised words, but for one that begins a sentence or a line: every word does that there.
    "names": "|".join(
        (
            r"(?<!\w)\p{Lu}[\p{L}\p{M}'’-]++(?:\s\p{Lu}[\p{L}\p{M}'’-]++)+",  # two or more
            r"(?<!\w)(?<![.!?:]['\"’”)\]]?\s)(?<![\n\r])(?<!\A)\p{Lu}[\p{L}\p{M}'’-]++",
            r"(?<!\w)\p{Lu}{2,}(?!\w)",  # NATO
        )
    ),
}


def protected_positions(
    rows: Sequence[NDArray[np.integer[Any]]],
    tokens: Sequence[bytes],
    spans: Sequence[str],
    special_ids: Collection[int] = (),
) -> list[NDArray[np.bool_]]:
    """For each row, the tokens of which at least one byte lies in a span.

    The text of a row is the bytes of its tokens; bytes that are no UTF-8 (half a character at the
    beginning of a packed row) are characters of their own that no letter or digit matches. A
    special token ends a text, so that no span reaches from one document into the next.

    Args:
        rows: token ids.
        tokens: the bytes of each id; an id beyond them has none.
        spans: keys of `SPANS`, or regexes of the package `regex`.
        special_ids: ids that stand for no text.

    Raises:
        ValueError: a span that is neither a key nor a regex.
    """
    if not spans:
        return [np.zeros(len(row), dtype=np.bool_) for row in rows]
    pattern = span_pattern(tuple(spans))
    special = frozenset(special_ids)
    return [_of_row(row.tolist(), tokens, pattern, special) for row in rows]


@lru_cache(maxsize=16)
def span_pattern(spans: tuple[str, ...]) -> Any:
    """One pattern of all spans, compiled.

    Raises:
        ValueError: naming what is neither a key of `SPANS` nor a regex.
    """
    import regex

    for span in spans:
        try:
            regex.compile(SPANS.get(span, span))
        except regex.error as error:
            raise ValueError(
                f"protected {span!r} is neither one of {', '.join(SPANS)} nor a regex: {error}"
            ) from error
    return regex.compile("|".join(f"(?:{SPANS.get(span, span)})" for span in spans))


def _of_row(
    row: list[int], tokens: Sequence[bytes], pattern: Any, special: frozenset[int]
) -> NDArray[np.bool_]:
    found = np.zeros(len(row), dtype=np.bool_)
    for first, end in _pieces(row, special):
        parts = [tokens[token] if token < len(tokens) else b"" for token in row[first:end]]
        ends = np.cumsum([len(part) for part in parts])
        text = b"".join(parts).decode("utf-8", "surrogateescape")
        # Where each character begins in the bytes; a lone byte was decoded to a surrogate.
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        escaped = (codes >= 0xDC80) & (codes <= 0xDCFF)
        sizes = 1 + (codes >= 0x80) + (codes >= 0x800) + (codes >= 0x10000)
        begins = np.concatenate([[0], np.cumsum(np.where(escaped, 1, sizes))])
        for match in pattern.finditer(text):
            start, stop = begins[match.start()], begins[match.end()]
            if stop > start:
                # From the first token that ends behind the start to that which holds the last byte.
                here = int(np.searchsorted(ends, start, side="right"))
                there = int(np.searchsorted(ends, stop, side="left"))
                found[first + here : first + there + 1] = True
    return found


def _pieces(row: list[int], special: frozenset[int]) -> Iterator[tuple[int, int]]:
    """Begin and end of what stands between special tokens."""
    first = 0
    for place, token in enumerate(row):
        if token in special:
            if place > first:
                yield first, place
            first = place + 1
    if len(row) > first:
        yield first, len(row)
