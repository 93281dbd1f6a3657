"""Infilling: documents rearranged so that a left-to-right model learns to fill a gap.

FIM (Bavarian et al. 2022, arXiv 2207.14255): a document is split at two random characters into
prefix, middle and suffix, and written as ``<PRE>p<SUF>s<MID>m<EOT>`` (PSM) or
``<PRE><SUF>s<MID>pm<EOT>`` (SPM). FIM-SE (Ren et al., ACL 2024, and the authors' code): the model
generates whole lines, so that no token has to begin or end inside of a word; what is known of the
first and the last line is given as hints:
``<PRE>R-Prefix<SUF>R-Suffix<START>L-Prefix<END>F-Suffix<MID>target<EOT>``.

Splits are at code points, before tokens are made of the text; `infill_tokens` splits at tokens. In
the authors' code of FIM-SE the end of text may stand where ``<END>`` is meant; here it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from operators.editing.row_draws import check_names, row_generator

Layout = Literal["psm", "spm"]


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The marks between the parts.

    Attributes:
        prefix, suffix, middle: stand before these parts.
        hint_start, hint_end: stand before L-Prefix and F-Suffix; FIM-SE only.
        end: behind the last part; "" where what packs the documents marks their ends.

    Raises:
        ValueError: one that is empty (but `end`), or that holds another one.
    """

    prefix: str = "<PRE>"
    suffix: str = "<SUF>"
    middle: str = "<MID>"
    hint_start: str = "<START>"
    hint_end: str = "<END>"
    end: str = "<EOT>"

    def __post_init__(self) -> None:
        marks = [self.prefix, self.suffix, self.middle, self.hint_start, self.hint_end]
        if not all(marks):
            raise ValueError(f"a sentinel is empty in {self}; only end may be")
        for one in self.all:
            if sum(one in other for other in self.all) > 1:
                raise ValueError(f"the sentinel {one!r} is part of another one in {self}")

    @property
    def all(self) -> tuple[str, ...]:
        """Those that are not empty."""
        marks = (self.prefix, self.suffix, self.middle, self.hint_start, self.hint_end, self.end)
        return tuple(mark for mark in marks if mark)

    def found_in(self, text: str) -> bool:
        """Whether a text holds one of them: its infilled form could not be told apart."""
        return any(mark in text for mark in self.all)


SENTINELS = Sentinels()


@dataclass(frozen=True, slots=True)
class Infilled:
    """A document, rearranged or not.

    Attributes:
        text: what to train on.
        what: how it was rearranged, with the two places; "" where it was not.
        eligible: it has a character, is not too long and holds no sentinel.
        drawn: the lot fell on it.
    """

    text: str
    what: str
    eligible: bool
    drawn: bool


@dataclass(frozen=True, slots=True)
class LineParts:
    """A document split for FIM-SE; `before + first + middle + last + behind` is the document.

    Attributes:
        before: R-Prefix, the whole lines of the prefix.
        first: L-Prefix, the line that the middle begins in, up to there.
        middle: what is to be found.
        last: F-Suffix, the rest of the line that the middle ends in, with its line end.
        behind: R-Suffix, the whole lines of the suffix.
    """

    before: str
    first: str
    middle: str
    last: str
    behind: str

    @property
    def target(self) -> str:
        """The whole lines that the model generates."""
        return self.first + self.middle + self.last


def fill_in_the_middle(
    document: str, start: int, end: int, *, layout: Layout = "psm", marks: Sentinels = SENTINELS
) -> str:
    """The document with the characters from `start` to `end` as its middle.

    Raises:
        ValueError: places outside of the document or in the wrong order, or another layout.
    """
    _check_places(len(document), start, end)
    prefix, middle, suffix = document[:start], document[start:end], document[end:]
    if layout == "psm":
        parts = (marks.prefix, prefix, marks.suffix, suffix, marks.middle, middle)
    elif layout == "spm":
        parts = (marks.prefix, marks.suffix, suffix, marks.middle, prefix, middle)
    else:
        raise ValueError(f"layout is {layout!r}, but must be psm or spm")
    return "".join((*parts, marks.end))


def line_parts(document: str, start: int, end: int) -> LineParts:
    """The document split for FIM-SE; lines end with a line feed.

    Raises:
        ValueError: as `fill_in_the_middle`.
    """
    _check_places(len(document), start, end)
    line = document.rfind("\n", 0, start) + 1
    line_end = document.find("\n", end) + 1 or len(document)
    return LineParts(
        before=document[:line],
        first=document[line:start],
        middle=document[start:end],
        last=document[end:line_end],
        behind=document[line_end:],
    )


def fill_whole_lines(
    parts: LineParts,
    *,
    first_hint: bool = True,
    last_hint: bool = True,
    marks: Sentinels = SENTINELS,
) -> str:
    """FIM-SE of a split document; a hint that is not given is empty, the target stays whole."""
    return "".join(
        (
            marks.prefix, parts.before, marks.suffix, parts.behind,
            marks.hint_start, parts.first if first_hint else "",
            marks.hint_end, parts.last if last_hint else "",
            marks.middle, parts.target, marks.end,
        )
    )  # fmt: skip


def accepted_middle(output: str, first: str, last: str) -> str:
    """What fills the gap, of lines that a FIM-SE model generated; "" where they must be refused.

    The authors' check: generated lines count only if they begin with L-Prefix and end with
    F-Suffix (which must not overlap).

    Args:
        output: without the end mark.
        first: L-Prefix; "" if no hint was given.
        last: F-Suffix.
    """
    fits = len(output) >= len(first) + len(last)
    if not (fits and output.startswith(first) and output.endswith(last)):
        return ""
    return output[len(first) : len(output) - len(last)]


def infill_texts(
    texts: Sequence[str],
    names: Sequence[str],
    *,
    rate: float,
    whole_lines: bool = False,
    spm: float = 0.5,
    longest: int | None = None,
    marks: Sentinels = SENTINELS,
    seed: int = 0,
) -> list[Infilled]:
    """Rearrange a share of the documents.

    FIM draws two places among all n + 1, equal ones allowed; FIM-SE two different ones, and gives
    both hints, either, or none, with a chance of 1/4 each. A document that is empty or holds a
    sentinel is never rearranged.

    Args:
        texts: whole documents, before they are packed.
        names: of the documents, all different.
        rate: chance that a document is rearranged; 0 changes nothing.
        whole_lines: FIM-SE.
        spm: FIM: chance of SPM, else PSM.
        longest: longer (>) documents are not rearranged; in characters.
        marks: sentinels.
        seed: of the draws; at a higher rate all is still rearranged that was at a lower one.

    Raises:
        ValueError: names that repeat or do not fit, or a chance outside of [0, 1].
    """
    check_names(len(texts), len(names), len(set(names)))
    _check_chances(rate, spm)
    purpose = "fim-se" if whole_lines else "fim"
    made: list[Infilled] = []
    for text, name in zip(texts, names, strict=True):
        generator = row_generator(seed, purpose, name)
        fits = longest is None or len(text) <= longest
        eligible = bool(text) and fits and not marks.found_in(text)
        drawn = eligible and generator.random() < rate
        if not drawn:
            made.append(Infilled(text, "", eligible, False))
        elif whole_lines:
            start, end = _two_places(len(text), generator, different=True)
            # Blank both hints, the first, the last, or neither.
            case = int(generator.integers(4))
            first_hint, last_hint = case in (2, 3), case in (1, 3)
            parts = line_parts(text, start, end)
            edited = fill_whole_lines(
                parts, first_hint=first_hint, last_hint=last_hint, marks=marks
            )
            hints = ("no hint", "last hint", "first hint", "both hints")[case]
            made.append(Infilled(edited, f"fim-se at {start} and {end}, {hints}", True, True))
        else:
            start, end = _two_places(len(text), generator)
            layout: Layout = "spm" if generator.random() < spm else "psm"
            edited = fill_in_the_middle(text, start, end, layout=layout, marks=marks)
            made.append(Infilled(edited, f"{layout} at {start} and {end}", True, True))
    return made


def infill_tokens(
    tokens: Sequence[int],
    name: str,
    *,
    prefix: int,
    suffix: int,
    middle: int,
    end: int,
    rate: float,
    spm: float = 0.5,
    seed: int = 0,
) -> list[int]:
    """FIM of a document that is tokens already, split between them.

    Args:
        tokens: of one document.
        name: its id.
        prefix, suffix, middle, end: ids of the sentinels.
        rate, spm, seed: as `infill_texts`.

    Returns:
        The tokens as they were, or four more.

    Raises:
        ValueError: a chance outside of [0, 1], or a document that holds one of `prefix`, `suffix`
            and `middle`.
    """
    _check_chances(rate, spm)
    generator = row_generator(seed, "fim", name)
    if not len(tokens) or generator.random() >= rate:
        return list(tokens)
    found = {prefix, suffix, middle}.intersection(tokens)
    if found:
        raise ValueError(f"document {name!r} holds the sentinel {min(found)} already")
    first, last = _two_places(len(tokens), generator)
    before, between, behind = tokens[:first], tokens[first:last], tokens[last:]
    if generator.random() < spm:
        return [prefix, suffix, *behind, middle, *before, *between, end]
    return [prefix, *before, suffix, *behind, middle, *between, end]


def _two_places(
    length: int, generator: np.random.Generator, different: bool = False
) -> tuple[int, int]:
    first, last = sorted(generator.choice(length + 1, size=2, replace=not different).tolist())
    return first, last


def _check_places(length: int, start: int, end: int) -> None:
    if not 0 <= start <= end <= length:
        raise ValueError(
            f"the middle from {start} to {end} does not lie in a document of {length} characters"
        )


def _check_chances(rate: float, spm: float) -> None:
    for name, value in (("rate", rate), ("spm", spm)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}, but must be in [0, 1]")
