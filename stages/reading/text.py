"""Files that are one document: plain text, Markdown, HTML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stages.reading.records import Bad, Limits, Read, beginning, too_long
from stages.reading.streams import Line, read_at_most

LOOKED_AT = 8192  # bytes in which a NUL tells a binary file, as git does
BOM = b"\xef\xbb\xbf"


def text_document(
    address: str, stream: Any, limits: Limits, size: int | None = None
) -> Iterator[Read | Bad]:
    """A file of UTF-8 text as one document."""
    content, is_whole = read_at_most(stream, limits.max_bytes)
    if not is_whole:
        yield too_long(address, address, address, size, content[:LOOKED_AT], limits)
        return
    text = decoded(address, content, limits)
    yield text if isinstance(text, Bad) else Read(address, text, address)


def html_document(
    address: str, stream: Any, limits: Limits, size: int | None = None
) -> Iterator[Read | Bad]:
    """The main text of a page."""
    for page in text_document(address, stream, limits, size):
        yield page if isinstance(page, Bad) else html_read(address, address, page.text)


def html_read(id_: str, source: str, html: str) -> Read | Bad:
    """The document of a page; bad where it has no text, or none that can be found."""
    from operators.corpus import html_text

    try:
        text = html_text(html)
    except Exception as error:  # noqa: BLE001 - parsers of wild HTML fail in as many ways
        return Bad(
            id_, source, "html_unreadable",
            f"{id_}: its HTML cannot be read: {type(error).__name__}: {error}",
            text=beginning(html),
        )  # fmt: skip
    if not text:
        return Bad(id_, source, "no_text", f"{id_}: the page has no text", text=beginning(html))
    return Read(id_, text, source)


def decoded(address: str, content: bytes, limits: Limits) -> str | Bad:
    """The text of a whole file."""
    binary = binary_fault(address, content)
    if binary is not None:
        return binary
    content = content.removeprefix(BOM)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if limits.invalid_utf8 == "replace":
            return content.decode("utf-8", "replace")
        line = content[: error.start].count(b"\n") + 1
        return _invalid(address, address, line, error.start, error.reason, content, error.start)


def decoded_line(address: str, line: Line, limits: Limits) -> str | Bad:
    """The text of a line of a file of lines."""
    content = line.content.removeprefix(BOM) if line.number == 1 else line.content
    id_ = f"{address}#{line.number}"
    if not line.is_whole:
        return too_long(id_, address, f"{address}:{line.number}", line.length, line.content, limits)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if limits.invalid_utf8 == "replace":
            return content.decode("utf-8", "replace")
        at = line.offset + error.start
        return _invalid(id_, address, line.number, at, error.reason, content, error.start)


def binary_fault(address: str, content: bytes) -> Bad | None:
    """What is wrong with a file that is no text, by its first bytes; None for text."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Bad(
            address, address, "not_utf8",
            f"{address}: is UTF-16 text; convert it to UTF-8 (iconv -f utf-16 -t utf-8)",
            text=content[: 2 * LOOKED_AT].decode("utf-16", "replace")[:200],
        )  # fmt: skip
    at = content.find(b"\0", 0, LOOKED_AT)
    if at < 0:
        return None
    return Bad(
        address, address, "binary",
        f"{address}: is a binary file, not UTF-8 text (byte {at} is 0); leave it out, or name it "
        "by its format",
        float(at), beginning(content),
    )  # fmt: skip


def _invalid(id_: str, address: str, line: int, at: int, reason: str, content: bytes,
             start: int) -> Bad:  # fmt: skip
    return Bad(
        id_, address, "invalid_utf8",
        f"{address}:{line}: is not UTF-8 text ({reason}: 0x{content[start]:02x} at byte {at}); "
        "convert it to UTF-8, or set invalid_utf8: replace",
        float(at), beginning(content[max(0, start - 80) :]),
    )  # fmt: skip
