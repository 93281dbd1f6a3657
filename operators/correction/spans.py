"""Which tokens of a sentence are said in the other language (Chan et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from operators.correction.m2 import Edit
from operators.correction.phrases import Phrase

Span = tuple[int, int]

METHODS = (
    "ratio-token", "cont-token", "rand-phrase", "ratio-phrase", "overlap-phrase", "noun-token",
)  # fmt: skip
PHRASE_METHODS = frozenset({"rand-phrase", "ratio-phrase", "overlap-phrase"})
_NOUNS = frozenset({"NOUN", "PROPN", "NN", "NNS", "NNP", "NNPS"})
_OVERLAP_RATIO = 0.15  # of the sentence, where there is no edit to keep clear of


def share_of_sentence(ratio: float, length: int) -> int:
    """`ratio` of `length` tokens, rounded down; a product such as 0.15 x 20 is not cut short."""
    return int(ratio * length + 1e-9)


def candidate_spans(
    method: str,
    length: int,
    *,
    ratio: float,
    phrases: Sequence[Phrase] = (),
    edits: Sequence[Edit] = (),
    generator: np.random.Generator,
    begin: int = 0,
) -> Iterator[list[Span]]:
    """Selections in the order in which they are to be tried: the first that can be translated wins.

    - "ratio-token": one selection, of all tokens in random order; take the first
      `share_of_sentence(ratio, length)` that can be translated.
    - "cont-token": spans of max(1, share) tokens, at random places.
    - "rand-phrase": phrases in random order.
    - "ratio-phrase": phrases by how far they are from ratio · length tokens, ties at random.
    - "overlap-phrase": phrases by how many tokens of edits they hold, fewest first, then longest
      first, then at random; without edits as "ratio-phrase" with a ratio of 0.15.
    - "noun-token": nouns, one at a time, in random order.

    A ratio of 0 selects nothing, whatever the method.

    Args:
        length: tokens of the sentence, or of the piece of one that starts at `begin`.
        ratio: share of the tokens, in [0, 1].
        phrases: of the sentence; those of "noun-token" are the parts of speech.
        edits: of the sentence.
        generator: of the random order.
        begin: where the piece starts; phrases and edits outside of it are no part of it.

    Raises:
        ValueError: an unknown method, or a ratio outside of [0, 1].
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio must be between 0 and 1, not {ratio}")
    if ratio == 0 or length == 0:
        return
    end = begin + length
    inside = [p for p in phrases if begin <= p.start and p.end <= end]
    if method == "ratio-token":
        yield [(begin + int(at), begin + int(at) + 1) for at in generator.permutation(length)]
        return
    if method == "cont-token":
        width = max(1, share_of_sentence(ratio, length))
        for at in generator.permutation(length - width + 1):
            yield [(begin + int(at), begin + int(at) + width)]
        return
    if method == "noun-token":
        inside = [p for p in inside if p.label in _NOUNS and p.end - p.start == 1]
    else:
        inside = [p for p in inside if p.end - p.start < length]
    # A stable sort of a random order: ties are at random.
    order = [inside[int(at)] for at in generator.permutation(len(inside))]
    if method == "overlap-phrase" and edits:
        order.sort(key=lambda p: (_shared(p, edits), p.start - p.end))
    elif method in ("ratio-phrase", "overlap-phrase"):
        wanted = (ratio if method == "ratio-phrase" else _OVERLAP_RATIO) * length
        order.sort(key=lambda p: abs(p.end - p.start - wanted))
    for phrase in order:
        yield [(phrase.start, phrase.end)]


def _shared(phrase: Phrase, edits: Sequence[Edit]) -> int:
    """Tokens of edits in a phrase; an insertion inside counts as one."""
    return sum(
        max(1, min(phrase.end, edit.end) - max(phrase.start, edit.start))
        for edit in edits
        if edit.overlaps(phrase.start, phrase.end)
    )
