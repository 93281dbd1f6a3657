"""Which character of a transcript stands opposite of which recognised one, in bounded time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from operators.speech.anchors import anchors
from operators.speech.needleman_wunsch import Codes, Scoring, align_codes, codes

# Up to as many cells nothing is left out; beyond, anchors divide the texts.
EXACT_CELLS = 4_000_000
# Characters on each side of a piece between anchors: what is cut at an anchor is not looked at
# again, so pieces need not be smaller than what costs little.
_PIECE = 400
# Texts that share no anchor at all are looked at in a band of so many cells.
_BAND_CELLS = 200_000_000


@dataclass(frozen=True)
class Spelled:
    """Words as one row of characters, with `separator` between them.

    Attributes:
        text: of all words.
        points: code points of `text`, int64 [characters].
        starts: where each word begins in `text`, and one past the end as if a word followed;
            int64 [words + 1].
        word: of each character, -1 for a separator; int64 [characters].
    """

    text: str
    points: Codes
    starts: npt.NDArray[np.int64]
    word: npt.NDArray[np.int64]


def spell_out(words: Sequence[str], separator: str) -> Spelled:
    """The words in a row."""
    text = separator.join(words)
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    starts = np.concatenate(([0], np.cumsum(lengths + len(separator))))
    word = np.full(len(text), -1, np.int64)
    if len(words):
        owner = np.repeat(np.arange(len(words)), lengths)
        word[np.arange(len(owner)) + owner * len(separator)] = owner
    return Spelled(text, codes(text), starts, word)


def link_characters(
    reference: Spelled,
    heard: Spelled,
    reference_words: Sequence[str],
    heard_words: Sequence[str],
    *,
    scoring: Scoring,
    exact_cells: int = EXACT_CELLS,
) -> npt.NDArray[np.int64]:
    """For each character of the reference the one opposite of it, or -1; int64 [characters].

    What comes before the first and after the last pair costs nothing on either side.
    """
    n, m = len(reference.points), len(heard.points)
    links = np.full(n, -1, np.int64)
    if not n or not m:
        return links
    pieces = [(0, len(reference_words), 0, len(heard_words))]
    if n * m > exact_cells:
        numbers: dict[str, int] = {}
        sides = [
            np.array([numbers.setdefault(word, len(numbers)) for word in words], np.int64)
            for words in (reference_words, heard_words)
        ]
        cuts = _far_apart(anchors(*sides), reference.starts, heard.starts)
        edges = [(0, 0), *cuts, (len(reference_words), len(heard_words))]
        pieces = [(i, k, j, m) for (i, j), (k, m) in itertools.pairwise(edges)]
    for number, piece in enumerate(pieces):
        i, k = (min(int(reference.starts[w]), n) for w in piece[:2])
        j, stop = (min(int(heard.starts[w]), m) for w in piece[2:])
        if i == k or j == stop:
            continue
        cells = (k - i) * (stop - j)
        band = None
        if cells > _BAND_CELLS:
            band = max(_PIECE, _BAND_CELLS // (2 * (k - i)))
        is_first, is_last = number == 0, number + 1 == len(pieces)
        _, found = align_codes(
            reference.points[i:k],
            heard.points[j:stop],
            scoring,
            free_a=(is_first, is_last),
            free_b=(is_first, is_last),
            band=band,
        )
        links[i:k] = np.where(found >= 0, found + j, -1)
    return links


def _far_apart(
    found: Sequence[tuple[int, int]],
    starts: npt.NDArray[np.int64],
    heard_starts: npt.NDArray[np.int64],
) -> list[tuple[int, int]]:
    cuts: list[tuple[int, int]] = []
    i = j = 0
    for a, b in found:
        if starts[a] - i >= _PIECE and heard_starts[b] - j >= _PIECE:
            cuts.append((a, b))
            i, j = int(starts[a]), int(heard_starts[b])
    return cuts
