"""One spelling for equal texts: Unicode form, line ends, control characters, white space."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

UnicodeForm = Literal["NFC", "NFKC", "none"]

# Controls that end a line. Dropping them would glue the words on either side together.
_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_THREE_BLANK_LINES = re.compile("\n{4,}")


def normalize_text(text: str, *, form: UnicodeForm = "NFC") -> str:
    """The text in one Unicode form, without the traces of its file format.

    In this order: CRLF and the other characters that end a line become LF; the other control
    characters (category Cc) except tab are dropped; the Unicode form is applied; white space at
    the end of each line is stripped; three or more blank lines in a row become one; both ends
    of the text are stripped. Format characters (joiners, direction marks) are kept: they carry
    meaning in many scripts.

    The function is idempotent. ``form="none"`` leaves the Unicode form as it is.

    Raises:
        ValueError: `form` is not one of NFC, NFKC, none.
    """
    if form not in ("NFC", "NFKC", "none"):
        raise ValueError(f"form must be NFC, NFKC or none, not {form!r}")
    text = _LINE_ENDS.sub("\n", text)
    # Before the Unicode form: a control between a letter and its accent hides that they compose.
    text = _CONTROLS.sub("", text)
    if form != "none":
        text = unicodedata.normalize(form, text)
    # After it: NFKC turns many characters into plain spaces. Line by line, since a pattern for
    # "white space before a line end" takes quadratic time on a long run of spaces.
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return _THREE_BLANK_LINES.sub("\n\n", text).strip()
