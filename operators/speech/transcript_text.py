"""The text of a transcript from the bytes of its file: plain text or PDF."""

from __future__ import annotations

import io
import logging
import re

TRANSCRIPT_ENDINGS = (".txt", ".pdf")

# A word that a line end divides: "tran-\nscript".
_DIVIDED = re.compile(r"(?<=[^\W\d_])-\n(?=[^\W\d_])")
# A line end inside a paragraph; an empty line ends one.
_WRAPPED = re.compile(r"(?<!\n)\n(?!\n)")


def transcript_text(name: str, content: bytes) -> str:
    """What a transcript says, by the ending of its name.

    The lines of a PDF are those of the page: they are joined to paragraphs, and words that a line
    end divides are made whole. Text is taken as it is.

    Raises:
        ValueError: the content is not what the ending says.
    """
    if name.lower().endswith(".pdf"):
        return _pdf_text(content)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line} is not UTF-8 text ({error.reason})") from error


def _pdf_text(content: bytes) -> str:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    # It tells of every oddity of a file on the error log; what matters comes as an exception.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(io.BytesIO(content))
        pages = [page.extract_text() for page in reader.pages]
    except (PyPdfError, ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        raise ValueError(f"is no PDF that can be read: {error}") from error
    lines = "\n\n".join(page.strip() for page in pages)
    lines = "\n".join(line.rstrip() for line in lines.split("\n"))
    return _WRAPPED.sub(" ", _DIVIDED.sub("", lines)).strip()
