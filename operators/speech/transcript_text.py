"""The text of a transcript as sentences need it: whole words, whole paragraphs."""

from __future__ import annotations

import re

# A word that a line end divides: "tran-\nscript".
_DIVIDED = re.compile(r"(?<=[^\W\d_])-\n(?=[^\W\d_])")
# A line end inside a paragraph; an empty line ends one.
_WRAPPED = re.compile(r"(?<!\n)\n(?!\n)")


def unwrap_lines(text: str) -> str:
    """Text of pages, its lines joined to paragraphs and divided words made whole."""
    lines = "\n".join(line.rstrip() for line in text.split("\n"))
    return _WRAPPED.sub(" ", _DIVIDED.sub("", lines)).strip()
