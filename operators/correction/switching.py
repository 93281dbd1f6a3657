"""Synthetic code-switched data for grammatical error correction (Chan et al. 2024, LREC-COLING).

A span of the correct sentence is said in another language; then the errors are put back, except
those that the translated span has swallowed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np

from operators.correction.m2 import Edit, Sentence, apply_edits
from operators.correction.phrases import Phrase
from operators.correction.spans import (
    PHRASE_METHODS,
    Span,
    candidate_spans,
    share_of_sentence,
)

Translate = Callable[[Sequence[str]], Sequence[str] | None]


@dataclass(frozen=True, slots=True)
class Switched:
    """A sentence pair in two languages.

    Attributes:
        incorrect, correct: tokens; a token of the other language may hold a whole phrase.
        is_switched: for each token of `correct`, whether it is of the other language.
        spans: translated tokens [start, end) of the correct sentence as it was, by position.
        translations: what stands for each of them.
        positions: tokens [start, end) of `correct` that each of them became.
        kept: error edits made again, in positions of the correct sentence as it was.
        dropped: error edits that a span overlaps, or whose type is not wanted.
        is_eligible: whether there was anything to translate.
        drawn: selections tried; 0 where there was none.
    """

    incorrect: tuple[str, ...]
    correct: tuple[str, ...]
    is_switched: tuple[bool, ...]
    spans: tuple[Span, ...]
    translations: tuple[tuple[str, ...], ...]
    positions: tuple[Span, ...]
    kept: tuple[Edit, ...]
    dropped: tuple[Edit, ...]
    is_eligible: bool
    drawn: int


def switch_language(
    correct: Sentence,
    translate: Translate,
    *,
    method: str = "cont-token",
    ratio: float = 0.15,
    phrases: Sequence[Phrase] = (),
    dropped_types: AbstractSet[str] = frozenset({"Um"}),
    longest: int = 100,
    attempts: int = 20,
    generator: np.random.Generator,
) -> Switched:
    """Say a span of the correct sentence in another language and put the other errors back.

    Selections are tried in the order of `candidate_spans` until `translate` knows one. A sentence
    of more (>) than `longest` tokens is taken in pieces that end with ".", each with a selection of
    its own; phrases of it are chosen at random ("rand-phrase"), as the authors do. Neighbouring
    tokens that "ratio-token" selects become one span, unless only their words can be translated.

    With nothing translated, errors are put back as they were, but for those of `dropped_types`.

    Args:
        correct: the correct sentence, with the edits that make its errors (`m2.invert`).
        translate: tokens -> tokens of the other language, or None where it cannot.
        method, ratio, phrases: as in `candidate_spans`.
        dropped_types: error types never put back ("Um": the meaning is unclear).
        attempts: selections tried in a sentence or piece before it is left as it is.
        generator: of the random choices.

    Raises:
        ValueError: as `candidate_spans`, or edits that overlap.
    """
    edits = list(correct.edits_of(correct.annotators[0]))
    chosen: dict[Span, tuple[str, ...]] = {}
    drawn, eligible = 0, False
    pieces = [(0, len(correct.tokens))]
    if len(correct.tokens) > longest:
        pieces = _pieces(correct.tokens)
        method = "rand-phrase" if method in PHRASE_METHODS else method
    for begin, end in pieces:
        selections = candidate_spans(
            method, end - begin, ratio=ratio, phrases=phrases, edits=edits,
            generator=generator, begin=begin,
        )  # fmt: skip
        for tried, spans in enumerate(selections):
            if tried == attempts:
                break
            eligible = True
            drawn += 1
            if method == "ratio-token":
                count = share_of_sentence(ratio, end - begin)
                found = _words(correct.tokens, spans, count, translate)
            else:
                found = _span(correct.tokens, spans[0], translate)
            if found:
                chosen.update(found)
                break
    spans = sorted(chosen)
    kept: list[Edit] = []
    dropped: list[Edit] = []
    for edit in edits:
        swallowed = edit.type in dropped_types or any(edit.overlaps(*span) for span in spans)
        (dropped if swallowed else kept).append(edit)
    return _made(correct.tokens, chosen, kept, dropped, eligible=eligible, drawn=drawn)


def _made(
    tokens: Sequence[str],
    chosen: dict[Span, tuple[str, ...]],
    kept: Sequence[Edit],
    dropped: Sequence[Edit],
    *,
    eligible: bool,
    drawn: int,
) -> Switched:
    substitutions = [Edit(start, end, words) for (start, end), words in sorted(chosen.items())]
    positions: list[Span] = []
    shift = 0
    for edit in substitutions:
        start = edit.start + shift
        positions.append((start, start + len(edit.correction)))
        shift += len(edit.correction) - (edit.end - edit.start)
    switched = apply_edits(tokens, substitutions)
    # An error beside a span that is put in at its end comes after it: the order of edits says so.
    plain = [replace(edit, annotator=0) for edit in kept]
    return Switched(
        incorrect=tuple(apply_edits(tokens, [*substitutions, *plain])),
        correct=tuple(switched),
        is_switched=tuple(
            any(start <= at < end for start, end in positions) for at in range(len(switched))
        ),
        spans=tuple(sorted(chosen)),
        translations=tuple(words for _, words in sorted(chosen.items())),
        positions=tuple(positions),
        kept=tuple(kept),
        dropped=tuple(dropped),
        is_eligible=eligible,
        drawn=drawn,
    )


def _span(tokens: Sequence[str], span: Span, translate: Translate) -> dict[Span, tuple[str, ...]]:
    words = translate(tokens[slice(*span)])
    return {span: tuple(words)} if words else {}


def _words(
    tokens: Sequence[str], spans: Sequence[Span], count: int, translate: Translate
) -> dict[Span, tuple[str, ...]]:
    """The first `count` single tokens that can be translated; neighbours together, where known."""
    single: dict[Span, tuple[str, ...]] = {}
    for span in spans:
        if len(single) == count:
            break
        single.update(_span(tokens, span, translate))
    runs: list[list[Span]] = []
    for span in sorted(single):
        if runs and runs[-1][-1][1] == span[0]:
            runs[-1].append(span)
        else:
            runs.append([span])
    found: dict[Span, tuple[str, ...]] = {}
    for run in runs:
        whole = (run[0][0], run[-1][1])
        words = translate(tokens[slice(*whole)])
        found[whole] = tuple(words) if words else sum((single[span] for span in run), ())
    return found


def _pieces(tokens: Sequence[str]) -> list[Span]:
    ends = [at + 1 for at, token in enumerate(tokens) if token == "."]
    if not ends or ends[-1] < len(tokens):
        ends.append(len(tokens))
    return list(zip([0, *ends], ends, strict=False))
