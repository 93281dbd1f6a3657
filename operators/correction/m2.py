"""M2 files: sentences with the edits that correct them.

The format of the M2 scorer (Dahlmeier and Ng 2012, N12-1067), with the types of ERRANT (Bryant,
Felice and Briscoe 2017, P17-1074).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

NOOP = "noop"
_NOTHING = "-NONE-"
_FIELDS = 6
_MIRRORED = {"M": "U", "U": "M"}  # what is missing on one side is unnecessary on the other


@dataclass(frozen=True, slots=True)
class Edit:
    """Tokens [start, end) become `correction`. With start == end, something is inserted there.

    Attributes:
        start, end: 0-indexed token positions in the sentence.
        correction: the tokens instead; () deletes.
        type: as ERRANT names it, such as "R:VERB:TENSE".
        annotator: whose edit it is.
    """

    start: int
    end: int
    correction: tuple[str, ...]
    type: str = ""
    annotator: int = 0

    def overlaps(self, start: int, end: int) -> bool:
        """Whether the edit and the span [start, end) have a token, or an inner gap, in common.

        An insertion at the border of a span is beside it, not inside.
        """
        if self.start == self.end:
            return start < self.start < end
        return self.start < end and start < self.end


@dataclass(frozen=True, slots=True)
class Sentence:
    """A tokenised sentence and edits of all annotators, in the order of the file.

    Attributes:
        tokens: of the line that begins with S.
        edits: of the lines that begin with A, without those that say "nothing to do".
        annotators: who looked at it, also those who found nothing; (0,) where no line says.
        line: of the S in its file, from 1.
    """

    tokens: tuple[str, ...]
    edits: tuple[Edit, ...] = ()
    annotators: tuple[int, ...] = (0,)
    line: int = 0

    def edits_of(self, annotator: int) -> list[Edit]:
        """By position; an insertion comes before a change of the token it stands at."""
        return in_order(edit for edit in self.edits if edit.annotator == annotator)


def parse_m2(lines: Iterable[str], name: str = "M2") -> Iterator[Sentence]:
    """The sentences of an M2 file.

    A correction that lists several ones ("a||b") is read as the first of them, as the M2 format
    has it.

    Args:
        lines: with or without line ends.
        name: of the file, for errors.

    Raises:
        ValueError: a line that is no M2, an edit outside its sentence, or edits of one annotator
            that overlap; file and line are named.
    """
    tokens: tuple[str, ...] | None = None
    edits: list[Edit] = []
    annotators: dict[int, None] = {}
    first = 0

    def finished() -> Sentence:
        sentence = Sentence(tokens or (), tuple(edits), tuple(annotators) or (0,), first)
        _check_overlaps(sentence, name)
        return sentence

    for number, raw in enumerate(lines, start=1):
        line = raw.rstrip("\r\n")
        place = f"{name}:{number}"
        if line == "S" or line.startswith("S "):
            if tokens is not None:
                yield finished()
            tokens, edits, annotators, first = tuple(line[2:].split()), [], {}, number
        elif line.startswith("A "):
            if tokens is None:
                raise ValueError(f'{place}: an edit comes before any sentence; a line "S …" is due')
            edit = _edit(line[2:], len(tokens), place)
            annotators[edit.annotator] = None
            if edit.start >= 0 and edit.type != NOOP:
                edits.append(edit)
        elif line.strip():
            raise ValueError(
                f'{place}: is no line of an M2 file: "{line[:60]}"; lines begin with "S " or "A "'
            )
    if tokens is not None:
        yield finished()


def format_m2(sentence: Sentence) -> str:
    """The lines of a sentence as an M2 file has them, with the empty line that ends it."""
    lines = [" ".join(["S", *sentence.tokens])]
    for annotator in sentence.annotators:
        of_this = sentence.edits_of(annotator)
        for edit in of_this:
            words = " ".join(edit.correction) if edit.correction else _NOTHING
            lines.append(
                f"A {edit.start} {edit.end}|||{edit.type}|||{words}|||REQUIRED|||-NONE-"
                f"|||{annotator}"
            )
        if not of_this:
            lines.append(f"A -1 -1|||noop|||-NONE-|||REQUIRED|||-NONE-|||{annotator}")
    return "\n".join(lines) + "\n\n"


def apply_edits(tokens: Sequence[str], edits: Iterable[Edit]) -> list[str]:
    """The tokens with all edits made.

    Raises:
        ValueError: two edits overlap, or one lies outside of the tokens.
    """
    made: list[str] = []
    at = 0
    for edit in in_order(edits):
        if edit.start < at or edit.end > len(tokens) or edit.start > edit.end:
            raise ValueError(f"the edit {edit} overlaps another one or lies outside of the tokens")
        made += tokens[at : edit.start]
        made += edit.correction
        at = edit.end
    return [*made, *tokens[at:]]


def invert(sentence: Sentence, annotator: int = 0) -> Sentence:
    """The sentence as an annotator corrects it, with the edits that bring its errors back.

    Types that say what is missing (M) and what is unnecessary (U) change places. Inverting twice
    gives back the sentence with the edits of that annotator.
    """
    edits: list[Edit] = []
    shift = 0
    for edit in sentence.edits_of(annotator):
        start = edit.start + shift
        end = start + len(edit.correction)
        head, colon, rest = edit.type.partition(":")
        kind = _MIRRORED.get(head, head) + colon + rest
        edits.append(
            replace(
                edit,
                start=start,
                end=end,
                correction=tuple(sentence.tokens[edit.start : edit.end]),
                type=kind,
            )
        )
        shift += len(edit.correction) - (edit.end - edit.start)
    corrected = apply_edits(sentence.tokens, sentence.edits_of(annotator))
    return Sentence(tuple(corrected), tuple(edits), (annotator,), sentence.line)


def in_order(edits: Iterable[Edit]) -> list[Edit]:
    """By position, insertions before changes; what is inserted at one place stays as it was."""
    return sorted(edits, key=lambda edit: (edit.start, edit.end))


def _edit(text: str, length: int, place: str) -> Edit:
    fields = text.split("|||")
    span = fields[0].split()
    if len(fields) != _FIELDS or len(span) != 2:
        raise ValueError(
            f'{place}: is no edit: "A {text[:60]}"; it should be '
            '"A START END|||TYPE|||CORRECTION|||REQUIRED|||-NONE-|||ANNOTATOR"'
        )
    try:
        start, end, annotator = int(span[0]), int(span[1]), int(fields[5])
    except ValueError as error:
        raise ValueError(f"{place}: positions and annotator must be numbers: {error}") from error
    if (start, end) != (-1, -1) and not 0 <= start <= end <= length:
        raise ValueError(
            f"{place}: the edit of tokens {start} to {end} lies outside of the sentence, which has "
            f"{length} tokens"
        )
    words = fields[2].split("||")[0]
    correction = () if words == _NOTHING else tuple(words.split())
    return Edit(start, end, correction, fields[1], annotator)


def _check_overlaps(sentence: Sentence, name: str) -> None:
    for annotator in sentence.annotators:
        edits = sentence.edits_of(annotator)
        for before, after in itertools.pairwise(edits):
            if after.start < before.end:
                raise ValueError(
                    f"{name}:{sentence.line}: edits {before.start} {before.end} and {after.start} "
                    f"{after.end} of annotator {annotator} overlap; keep one of them"
                )
