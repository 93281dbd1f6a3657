"""Sentence alignment by length (Gale and Church 1993, "A Program for Aligning Sentences in
Bilingual Corpora", J93-1004)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from operators.alignment.beads import Bead

# (source sentences, target sentences) of a bead -> probability: the paper's values, where a kind
# and its mirror image share one value that, as in nltk, each of them gets. In order of preference.
GALE_CHURCH_PRIORS: Mapping[tuple[int, int], float] = MappingProxyType(
    {(1, 1): 0.89, (2, 1): 0.089, (1, 2): 0.089, (2, 2): 0.011, (1, 0): 0.0099, (0, 1): 0.0099}
)

# Costs closer than this are equal: sums of the same terms in another order differ by rounding,
# and the last bits of the normal tail differ between machines.
_TIE = 1e-9


def align_sentences(
    source: Sequence[str],
    target: Sequence[str],
    *,
    method: Literal["length"] = "length",
    ratio: float | None = None,
) -> list[Bead]:
    """Align the sentences of a document with those of its translation.

    Method "length" is `align_lengths` over lengths in characters, with the paper's variance and
    priors. `ratio` is the expected number of target characters for a source character; None
    takes it from the two texts (total target characters / total source characters), since at a
    ratio of 1 every right bead of a pair such as English-Chinese (about 0.3) looks improbable.
    Texts without characters on one side have a ratio of 1.

    Raises:
        ValueError: `method` is unknown or `ratio` not positive.
    """
    if method != "length":
        raise ValueError(f"method must be 'length', not {method!r}")
    source_lengths, target_lengths = list(map(len, source)), list(map(len, target))
    if ratio is None:
        totals = sum(source_lengths), sum(target_lengths)
        ratio = totals[1] / totals[0] if all(totals) else 1.0
    return align_lengths(source_lengths, target_lengths, ratio=ratio)


def align_lengths(
    source_lengths: Sequence[int],
    target_lengths: Sequence[int],
    *,
    ratio: float = 1.0,
    variance: float = 6.8,
    priors: Mapping[tuple[int, int], float] = GALE_CHURCH_PRIORS,
) -> list[Bead]:
    """The cheapest monotone alignment of two lists of sentence lengths (in characters).

    The cost of a bead is `match_cost` of its two total lengths - log prior; it is the bead's
    score, so lower is better. The beads cover every sentence once, in order. With one side
    empty all beads are 1-0 or 0-1; with both empty there are none. Alignments must not cross
    paragraphs whose correspondence is known: call this once for each pair of them.

    Ties (costs within 1e-9) are decided at the end of the text first: the last bead is the one
    that comes first in `priors` - by default 1-1, then 2-1, 1-2, 2-2, 1-0, 0-1 - then the bead
    before it, and so on.

    Takes O(n·m) time and n·m bytes.

    Args:
        source_lengths: n lengths, >= 0.
        target_lengths: m lengths, >= 0.
        ratio: expected target characters for a source character (c in the paper).
        variance: of that number, for a source character (s² in the paper).
        priors: probability of a bead, by its numbers of source and target sentences. Other
            kinds of bead do not occur.

    Raises:
        ValueError: a negative length; `ratio` or `variance` not positive; an empty, negative or
            impossible entry in `priors`; or no alignment with the beads in `priors`.
    """
    _check(source_lengths, target_lengths, ratio, variance, priors)
    moves = list(priors)
    penalties = -np.log(np.array([priors[move] for move in moves]))
    # Total length of the first i sentences, so that a bead's length is one subtraction.
    source = np.concatenate(([0.0], np.cumsum(source_lengths)))
    target = np.concatenate(([0.0], np.cumsum(target_lengths)))
    n, m = len(source) - 1, len(target) - 1

    # Cell (i, j) holds the cheapest alignment of the first i source and j target sentences. All
    # cells with the same i + j depend on earlier diagonals only and are filled at once.
    # `diagonals[d][i]` is the cost of cell (i, d - i); only the last few are kept.
    reach = max(a + b for a, b in moves)
    diagonals: dict[int, npt.NDArray[np.float64]] = {0: np.full(n + 1, np.inf)}
    diagonals[0][0] = 0.0
    taken = np.zeros((n + 1, m + 1), dtype=np.uint8)
    for d in range(1, n + m + 1):
        low, high = max(0, d - m), min(n, d)
        costs = np.full((len(moves), high - low + 1), np.inf)
        for row, (a, b) in enumerate(moves):
            first, last = max(low, a), min(high, d - b)
            if first > last:
                continue
            # i runs up from first to last while j = d - i runs down.
            source_length = source[first : last + 1] - source[first - a : last + 1 - a]
            target_length = (
                target[d - last : d - first + 1] - target[d - last - b : d - first + 1 - b]
            )
            costs[row, first - low : last - low + 1] = (
                diagonals[d - a - b][first - a : last + 1 - a]
                + match_cost(source_length, target_length[::-1], ratio=ratio, variance=variance)
                + penalties[row]
            )
        # argmax: the first move, in order of preference, that is as cheap as the cheapest.
        choice = (costs <= costs.min(axis=0) + _TIE).argmax(axis=0)
        cells = np.arange(low, high + 1)
        taken[cells, d - cells] = choice
        diagonals[d] = np.full(n + 1, np.inf)
        diagonals[d][low : high + 1] = costs[choice, cells - low]
        diagonals.pop(d - reach, None)

    if not np.isfinite(diagonals[n + m][n]):
        raise ValueError(f"no alignment of {n} with {m} sentences with beads {moves}")
    spans = []
    i, j = n, m
    while i or j:
        a, b = moves[taken[i, j]]
        spans.append((i - a, i, j - b, j))
        i, j = i - a, j - b
    return [
        Bead(
            tuple(range(i0, i1)),
            tuple(range(j0, j1)),
            float(
                match_cost(
                    source[i1] - source[i0], target[j1] - target[j0], ratio=ratio, variance=variance
                )
                - np.log(priors[i1 - i0, j1 - j0])
            ),
        )
        for i0, i1, j0, j1 in reversed(spans)
    ]


def length_deviation(
    source_length: npt.ArrayLike,
    target_length: npt.ArrayLike,
    *,
    ratio: float = 1.0,
    variance: float = 6.8,
) -> npt.NDArray[np.float64]:
    """Standard deviations by which the source is longer than expected; 0 where both are empty.

    delta = (l_s·c - l_t) / sqrt(m·s²) with m = (l_s + l_t/c) / 2, elementwise. The paper has
    l_s in place of the mean m; its C program and nltk use the mean, without which insertions
    (l_s = 0) are impossible.
    """
    source = np.asarray(source_length, dtype=np.float64)
    target = np.asarray(target_length, dtype=np.float64)
    mean = (source + target / ratio) / 2
    # Where the mean is 0 so is the difference; any divisor will do.
    deviation: npt.NDArray[np.float64] = (source * ratio - target) / np.sqrt(
        np.where(mean > 0, mean, 1.0) * variance
    )
    return deviation


def match_cost(
    source_length: npt.ArrayLike,
    target_length: npt.ArrayLike,
    *,
    ratio: float = 1.0,
    variance: float = 6.8,
) -> npt.NDArray[np.float64]:
    """-log P(match), elementwise, with P(match) = 2·(1 - Phi(|delta|)): the probability that a
    translation deviates in length by `length_deviation` or more."""
    from scipy.special import log_ndtr

    deviation = length_deviation(source_length, target_length, ratio=ratio, variance=variance)
    # log Phi(-x) = log(1 - Phi(x)), without cancelling to log 0 for large x.
    cost: npt.NDArray[np.float64] = -(np.log(2.0) + log_ndtr(-np.abs(deviation)))
    return cost


def _check(
    source_lengths: Sequence[int],
    target_lengths: Sequence[int],
    ratio: float,
    variance: float,
    priors: Mapping[tuple[int, int], float],
) -> None:
    if not (ratio > 0 and variance > 0):
        raise ValueError(f"ratio and variance must be positive, not {ratio} and {variance}")
    if any(length < 0 for lengths in (source_lengths, target_lengths) for length in lengths):
        raise ValueError("sentence lengths must not be negative")
    if not priors:
        raise ValueError("priors are empty: there must be some kind of bead")
    for (a, b), prior in priors.items():
        if a < 0 or b < 0 or a + b == 0 or not 0 < prior <= 1:
            raise ValueError(f"prior {prior} for a bead of {a} and {b} sentences makes no sense")
