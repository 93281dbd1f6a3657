"""What reading gives: documents and sentence pairs, and what could not be one, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class Columns:
    """Which fields of a structured row hold what; None where a source has no such field."""

    text: str = "text"
    id: str | None = None
    language: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Limits:
    """What a document may be. A longer one is never in memory whole.

    Attributes:
        max_bytes: of one document, or one line, as UTF-8.
        invalid_utf8: "drop" the document, or "replace" each bad sequence by U+FFFD.
    """

    max_bytes: int = 64 * 2**20
    invalid_utf8: Literal["drop", "replace"] = "drop"


@dataclass(frozen=True)
class Read:
    """A document as read: where from, its text and, where the source says, more."""

    id: str
    text: str
    source: str
    language: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class ReadPair:
    """Two texts that translate each other, as a file of bitext holds them."""

    id: str
    source_text: str
    target_text: str
    source: str


@dataclass(frozen=True)
class Bad:
    """Input that could not be read.

    Attributes:
        reason: a word to count by: invalid_utf8, too_long, ...
        message: a sentence that names file, line, value and cure.
        value: what was measured, where there is a number: the byte, the length.
        text: the beginning of it.
    """

    id: str
    source: str
    reason: str
    message: str
    value: float | None = None
    text: str = ""


def beginning(content: bytes | str) -> str:
    """The first characters of some content, to show."""
    if isinstance(content, bytes):
        content = content[: 4 * SHOWN_CHARACTERS].decode("utf-8", "replace")
    # A lone surrogate, as JSON can spell one, fits in no Arrow string.
    return content[:SHOWN_CHARACTERS].encode("utf-8", "replace").decode()


def from_row(
    place: str, id_: str, address: str, row: Mapping[str, Any], columns: Columns, limits: Limits
) -> Read | Bad:
    """The document of a structured row; `place` is how messages name it, `id_` its default id."""

    def value(field: str | None) -> str | None:
        found = None if field is None else row[field]
        if isinstance(found, bytes):
            return found.decode(
                "utf-8", "replace" if limits.invalid_utf8 == "replace" else "strict"
            )
        return None if found is None else str(found)

    for field in (columns.text, columns.id, columns.language, columns.group):
        if field is not None and field not in row:
            return Bad(
                id_,
                address,
                "missing_field",
                f'{place}: has no field "{field}"; it has {", ".join(map(str, row))}',
                text=beginning(str(dict(row))),
            )
    try:
        text = value(columns.text) or ""
        size = len(text) if text.isascii() else len(text.encode("utf-8"))
        made = Read(
            value(columns.id) or id_, text, address, value(columns.language), value(columns.group)
        )
    except UnicodeError as error:
        return Bad(
            id_,
            address,
            "invalid_utf8",
            f"{place}: its text is no Unicode text ({error})",
            text=beginning(str(row[columns.text])),
        )
    if size > limits.max_bytes:
        return too_long(id_, address, place, size, text[:SHOWN_CHARACTERS], limits)
    return made


def too_long(
    id_: str, address: str, place: str, size: int | None, text: bytes | str, limits: Limits
) -> Bad:
    """A document above the limit."""
    length = "more" if size is None else f"{size} bytes"
    return Bad(
        id_,
        address,
        "too_long",
        f"{place}: has {length}, above max_bytes {limits.max_bytes}; raise max_bytes, or divide it",
        None if size is None else float(size),
        beginning(text),
    )
