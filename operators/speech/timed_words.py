"""Words with the times at which they were spoken, and the files that recognisers write them to."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# "<sil>", "[NOISE]", "++UH++", "!SIL": what recognisers write where nobody said a word.
_NO_WORD = re.compile(r"<[^>]*>|\[[^\]]*\]|\+\+.*\+\+|!SIL|<eps>", re.IGNORECASE)
# "and(2)": the second way in the dictionary to say it.
_VARIANT = re.compile(r"\(\d+\)$")


@dataclass(frozen=True)
class TimedWord:
    """A recognised word.

    Attributes:
        text: as the recogniser writes it.
        start, end: in seconds from the beginning of the recording.
        confidence: of the recogniser, 0 to 1; 1 where it has none.
    """

    text: str
    start: float
    end: float
    confidence: float = 1.0


def clean_word(text: str) -> str:
    """A recogniser's word without the number of its pronunciation; "" for silence and noise."""
    text = text.strip()
    return "" if _NO_WORD.fullmatch(text) else _VARIANT.sub("", text)


def check_timed_words(words: Sequence[TimedWord]) -> None:
    """Raises ValueError where times are missing, negative, or run backwards; the word is named."""
    before = 0.0
    for number, word in enumerate(words):
        if not (math.isfinite(word.start) and math.isfinite(word.end)):
            raise ValueError(f'word {number} ("{word.text}") has no times')
        if not before <= word.start <= word.end:
            raise ValueError(
                f'word {number} ("{word.text}", {word.start:g}-{word.end:g} s) is out of order: '
                f"words must begin at >= {before:g} s and end after they begin"
            )
        before = word.start


def read_timed_words(name: str, text: str) -> list[TimedWord]:
    """The words of a file, in the order of their times.

    By the ending of `name`:

    - `.json`: a list of words, or an object with such a list as `words` or `w`. A word is an
      object; its text is `text`, `word` or `t`, its times `start` and `end`, or `b` and `d`
      (duration), its confidence `confidence`, `conf`, `probability` or `p`.
    - `.csv`: with a header; the same names.
    - `.ctm`: recording, channel, start, duration, word, and perhaps confidence, divided by blanks.

    Silence and noise are left out.

    Raises:
        ValueError: the file is not of its format; it is named with the line or word.
    """
    ending = name.rpartition(".")[2].lower()
    readers = {"json": _read_json, "csv": _read_csv, "ctm": _read_ctm}
    if ending not in readers:
        raise ValueError(f"{name}: words with times are read from {', '.join(sorted(readers))}")
    found = [word for word in readers[ending](name, text) if word.text]
    found.sort(key=lambda word: (word.start, word.end))
    try:
        check_timed_words(found)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return found


def _read_json(name: str, text: str) -> Iterable[TimedWord]:
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{name}:{error.lineno}: is not valid JSON: {error.msg}") from error
    if isinstance(given, dict):
        given = given.get("words", given.get("w"))
    if not isinstance(given, list):
        raise ValueError(f'{name}: has no list of words; it should be "words"')
    for number, entry in enumerate(given):
        yield _from_fields(f"{name}: word {number}", entry)


def _read_csv(name: str, text: str) -> Iterable[TimedWord]:
    for number, entry in enumerate(csv.DictReader(io.StringIO(text)), start=2):
        yield _from_fields(f"{name}:{number}", entry)


def _read_ctm(name: str, text: str) -> Iterable[TimedWord]:
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split()
        if not fields or fields[0].startswith(";;"):
            continue
        if len(fields) < 5:
            raise ValueError(
                f"{name}:{number}: has {len(fields)} fields; a line is recording, channel, start, "
                "duration, word"
            )
        start, duration = _number(name, number, fields[2]), _number(name, number, fields[3])
        confidence = _number(name, number, fields[5]) if len(fields) > 5 else 1.0
        yield TimedWord(clean_word(fields[4]), start, start + duration, confidence)


def _number(name: str, line: int, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f'{name}:{line}: "{text}" is no number') from None


def _from_fields(place: str, entry: Any) -> TimedWord:
    if not isinstance(entry, dict):
        raise ValueError(f"{place}: is no object with the fields of a word")

    def value(*names: str) -> Any:
        return next((entry[name] for name in names if entry.get(name) is not None), None)

    text, start, end = value("text", "word", "t"), value("start", "b"), value("end")
    try:
        if end is None and start is not None:
            end = float(start) + float(value("duration", "d"))
        confidence = value("confidence", "conf", "probability", "p")
        return TimedWord(
            clean_word(str(text)) if text is not None else _missing(),
            float(start),
            float(end),
            1.0 if confidence is None else float(confidence),
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{place}: needs text, start and end (or duration), as numbers; it has "
            f"{', '.join(map(str, entry))}"
        ) from error


def _missing() -> str:
    raise TypeError("no text")
