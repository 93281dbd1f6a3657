"""Pages of web archives: WARC with responses, WET with text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

from stages.reading.records import Bad, Limits, Read, beginning, too_long
from stages.reading.streams import BrokenStreamError
from stages.reading.text import html_read

_HTML = ("text/html", "application/xhtml+xml")


def warc_documents(address: str, stream: Any, limits: Limits) -> Iterator[Read | Bad]:
    """A document a page: HTML and plain-text responses, and the text records of WET files.

    The source of a document is the page's own address. Other records (requests, metadata, images)
    are none and are passed over.
    """
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    wanted = WarcRecordType.response | WarcRecordType.resource | WarcRecordType.conversion
    number = 0
    watched = _Kept(stream)
    try:
        for record in ArchiveIterator(watched, record_types=wanted, parse_http=True):
            number += 1
            yield from _page(address, f"{address}#{number}", record, limits, watched)
    except (OSError, ValueError) as error:
        watched.raise_if_store_failed()
        said = watched.broken or error
        yield Bad(
            f"{address}#{number + 1}", address, "unreadable",
            f"{address}: cannot be read after {number} records: {said}", float(number),
        )  # fmt: skip
        return
    watched.raise_if_store_failed()
    if watched.broken is not None:
        yield Bad(
            f"{address}#{number + 1}", address, "truncated",
            f"{address}: ends within record {max(number, 1)}: {watched.broken}; fetch it again",
            float(number),
        )  # fmt: skip


def _page(
    address: str, id_: str, record: Any, limits: Limits, stream: _Kept
) -> Iterator[Read | Bad]:
    headers = record.headers
    source = headers.get("WARC-Target-URI") or address
    if record.is_http:
        kind, charset = record.http_content_type, record.http_charset
        if record.http_headers is not None and record.http_headers.status_code not in (None, 200):
            return
    else:
        kind = (headers.get("Content-Type") or "").partition(";")[0].strip()
        charset = None
    if kind not in _HTML and kind != "text/plain":
        return
    declared = record.content_length
    content = record.reader.read(limits.max_bytes + 1)
    if len(content) > limits.max_bytes:
        yield too_long(id_, source, id_, declared, content[:1000], limits)
        return
    if len(content) < declared:
        if stream.broken is None and stream.failure is None:
            yield Bad(
                id_, source, "truncated",
                f"{id_}: has {len(content)} of {declared} bytes; fetch the archive again",
                float(len(content)), beginning(content),
            )  # fmt: skip
        return
    text = _decoded(id_, source, content, charset, kind in _HTML, limits)
    if isinstance(text, Bad):
        yield text
    elif kind in _HTML:
        yield html_read(id_, source, text)
    else:
        language = headers.get("WARC-Identified-Content-Language") or ""
        yield Read(id_, text, source, language.partition(",")[0] or None)


def _decoded(
    id_: str, source: str, content: bytes, charset: str | None, is_html: bool, limits: Limits
) -> str | Bad:
    encoding = _known(charset) or (_declared(content) if is_html else None) or "utf-8"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if limits.invalid_utf8 == "replace":
            return content.decode(encoding, "replace")
        return Bad(
            id_, source, "invalid_utf8",
            f"{id_}: is not {encoding} text ({error.reason} at byte {error.start}); "
            "set invalid_utf8: replace to keep such pages",
            float(error.start), beginning(content),
        )  # fmt: skip


def _declared(content: bytes) -> str | None:
    """The encoding that the page says in its head."""
    import re

    found = re.search(rb"<meta[^>]{0,200}?charset=[\"']?([\w-]{1,40})", content[:4096], re.I)
    return _known(found[1].decode("ascii", "replace")) if found else None


def _known(name: str | None) -> str | None:
    if not name:
        return None
    try:
        # A page that says Latin-1 is read as browsers do: as Windows-1252.
        found = codecs.lookup(name).name
    except LookupError:
        return None
    return "cp1252" if found in ("iso8859-1", "ascii") else found


class _Kept:
    """A stream that keeps why it ended early: the library takes every end for the end."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.broken: BrokenStreamError | None = None
        self.failure: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        if self.broken is not None or self.failure is not None:
            return b""
        try:
            return bytes(self._stream.read(size))
        except BrokenStreamError as error:
            self.broken = error
        except Exception as error:  # noqa: BLE001 - raised again, by `raise_if_store_failed`
            self.failure = error
        return b""

    def tell(self) -> int:
        return 0

    def seek(self, place: int, whence: int = 0) -> int:
        raise OSError("an archive is read from its beginning to its end")

    def close(self) -> None:
        pass

    def raise_if_store_failed(self) -> None:
        if self.failure is not None:
            raise self.failure
