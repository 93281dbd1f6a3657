"""The text of PDF files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from stages.reading.records import Bad, Limits, Read, too_long
from stages.reading.streams import read_at_most

# How PDFium spells a hyphen that divides a word at the end of a line.
_DIVIDED = re.compile("[\x02\ufffe]\n?")


def pdf_document(
    address: str, stream: Any, limits: Limits, size: int | None = None
) -> Iterator[Read | Bad]:
    """The text layer of a PDF as one document, pages divided by a blank line. No OCR."""
    import pypdfium2

    content, is_whole = read_at_most(stream, limits.max_bytes)
    if not is_whole:
        yield too_long(address, address, address, size, "", limits)
        return
    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        yield Bad(
            address, address, "pdf_encrypted" if locked else "pdf_unreadable",
            f"{address}: is encrypted; remove its password (qpdf --decrypt)" if locked
            else f"{address}: is no PDF that can be read: {error}",
        )  # fmt: skip
        return
    pages: list[str] = []
    try:
        for number in range(len(document)):
            page = document[number]
            text = page.get_textpage()
            pages.append(_tidy(text.get_text_bounded()))
            text.close()
            page.close()
    except pypdfium2.PdfiumError as error:
        yield Bad(address, address, "pdf_unreadable",
                  f"{address}: page {len(pages) + 1} cannot be read: {error}",
                  float(len(pages) + 1))  # fmt: skip
        return
    finally:
        document.close()
    text_of_all = "\n\n".join(page for page in pages if page)
    if not text_of_all:
        yield Bad(
            address, address, "pdf_without_text",
            f"{address}: has no text on {len(pages)} pages; if they are pictures of text, run OCR",
            float(len(pages)),
        )  # fmt: skip
        return
    yield Read(address, text_of_all, address)


def _tidy(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _DIVIDED.sub("", text).replace("\0", "").strip()
