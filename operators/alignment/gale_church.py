"""Sentence alignment by length (Gale and Church 1993, "A Program for Aligning Sentences in
Bilingual Corpora", J93-1004)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from operators.alignment.bands import Band, Spans, beside, whole, widened
from operators.alignment.beads import Bead

# (source sentences, target sentences) of a bead -> probability: the paper's values, where a kind
# and its mirror image share one value that, as in nltk, each of them gets. In order of preference.
GALE_CHURCH_PRIORS: Mapping[tuple[int, int], float] = MappingProxyType(
    {(1, 1): 0.89, (2, 1): 0.089, (1, 2): 0.089, (2, 2): 0.011, (1, 0): 0.0099, (0, 1): 0.0099}
)

_EXACT = 2_000_000  # cells that are all looked at
_RADIUS = 100  # sentences to each side of where a place is expected, in longer texts
_FITS = 5


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

    Up to 2 million cells (n·m) all alignments are compared. Beyond that, those within 100
    sentences of the places that are equally far through both texts, and twice as many as long as
    the best of them comes near to an edge: time and memory grow with n + m, the more so the more
    of one text is missing in the other.

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
    from operators.alignment import sentence_kernels

    moves = np.array(list(priors), np.int64)
    penalties = -np.log(np.array(list(priors.values()), np.float64))
    # Total length of the first i sentences, so that a bead's length is one subtraction.
    source = np.concatenate(([0.0], np.cumsum(source_lengths, dtype=np.float64)))
    target = np.concatenate(([0.0], np.cumsum(target_lengths, dtype=np.float64)))
    n, m = len(source) - 1, len(target) - 1

    def search(places: Band) -> Spans | None:
        cost, taken = sentence_kernels.length_path(
            source, target, *places, moves, penalties, ratio, variance
        )
        if not np.isfinite(cost):
            return None
        return np.asarray(sentence_kernels.walk_back(taken, *places, moves, n, m), np.int64)

    def around(radius: int) -> Band:
        if (n + 1) * (m + 1) <= _EXACT:
            return whole(n + 1, m + 1)
        return beside(*_even_path(source, target), m + 1, radius)

    spans = widened(search, around, _RADIUS, n, m)
    if spans is None:
        raise ValueError(f"no alignment of {n} with {m} sentences with beads {list(priors)}")
    i, i_end, j, j_end = spans.T
    costs = match_cost(
        source[i_end] - source[i], target[j_end] - target[j], ratio=ratio, variance=variance
    )
    return [
        Bead(tuple(range(*row[:2])), tuple(range(*row[2:])),
             float(cost - np.log(priors[row[1] - row[0], row[3] - row[2]])))
        for row, cost in zip(spans.tolist(), costs, strict=True)
    ]  # fmt: skip


def length_model(
    beads: Sequence[Bead], source_lengths: Sequence[int], target_lengths: Sequence[int]
) -> tuple[float, float]:
    """Ratio and variance of the beads with both sides, as `align_lengths` takes them.

    The variance is never below the paper's, which fits Indo-European languages with a ratio near
    1, in the scale of this ratio (`usual_variance`): an alignment takes the beads that fit, so
    that what it shows of their spread is too little, and less each time it is fitted again.
    """
    both = [bead for bead in beads if bead.source and bead.target]
    source = np.array([sum(source_lengths[i] for i in bead.source) for bead in both], np.float64)
    target = np.array([sum(target_lengths[j] for j in bead.target) for bead in both], np.float64)
    return fitted_lengths(source, target)


def fitted_lengths(
    source: npt.NDArray[np.float64], target: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """`length_model` of beads whose sides have these lengths."""
    total, other = float(source.sum()), float(target.sum())
    ratio = other / total if total and other else 1.0
    usual = usual_variance(ratio)
    if not len(source):
        return ratio, usual
    mean = np.maximum((source + target / ratio) / 2, 1.0)
    return ratio, max(float(((source * ratio - target) ** 2 / mean).mean()), usual)


def usual_variance(ratio: float) -> float:
    """6.8·c^1.5: the paper's variance for c = 1, and the one scaling with c under which an
    alignment does not depend on which of the two texts is called the source."""
    return float(6.8 * ratio**1.5)


def align_by_length(
    source_lengths: Sequence[int], target_lengths: Sequence[int], *, ratio: float | None = None
) -> list[Bead]:
    """`align_lengths` with the ratio and variance of these very texts.

    They are taken from the totals first, then from the beads found (`length_model`), until the
    beads do not change or 5 times. A given ratio stays.
    """
    beads: list[Bead] = []
    whole_text = [Bead(tuple(range(len(source_lengths))), tuple(range(len(target_lengths))))]
    fitted = length_model(whole_text, source_lengths, target_lengths)[0]
    ratio_now = fitted if ratio is None else ratio
    variance = usual_variance(ratio_now)
    for _ in range(_FITS):
        found = align_lengths(source_lengths, target_lengths, ratio=ratio_now, variance=variance)
        same = [(b.source, b.target) for b in found] == [(b.source, b.target) for b in beads]
        beads = found
        if same:
            break
        fitted, variance = length_model(beads, source_lengths, target_lengths)
        if ratio is None:
            ratio_now = fitted
        else:
            variance = max(variance, usual_variance(ratio))
    return beads


def _even_path(
    source: npt.NDArray[np.float64], target: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The place in the target that is as far through its text as each place in the source."""
    share = source / max(source[-1], 1.0)
    column = np.searchsorted(target, share * target[-1], side="left").astype(np.int64)
    column = np.minimum(column, len(target) - 1)
    first, last = column.copy(), column.copy()
    first[0], last[-1] = 0, len(target) - 1
    return first, last


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
