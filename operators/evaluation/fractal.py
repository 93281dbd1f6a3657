"""Fractal measures of language: how the surprisals of a text hang together over long distances.

Alabdulmohsin et al. 2024 (arXiv 2402.01825). The surprisals of a document's tokens are brought to
mean 0 and variance 1, and their running sum is a walk. How it spreads with distance n or tau is a
power law, whose exponents are read off a line through logarithms (least squares):

- Hurst, H: rescaled range of a stretch of n, ~ n**H (the paper, on text: 0.70);
- Joseph, J: standard deviation of the walk's steps over tau, ~ tau**J (0.49);
- Hölder, S: share of steps over tau that end where they began, ~ tau**-S (0.59).

Independent surprisals have 1/2 in all three, in the limit: over stretches of 64 to 4,096 tokens
their H is 0.54. So H is told beside that of the same surprisals shuffled. No stretch and no step
crosses the end of a document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from operators.editing.row_draws import row_generator

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """A value at several scales, and the line through their logarithms.

    Attributes:
        scales: ascending, int64 [k].
        values: > 0, [k].
        exponent: slope of log(value) over log(scale); NaN where fewer than two scales have a value.
        constant: value at scale 1 on that line.
    """

    scales: npt.NDArray[np.int64]
    values: Floats
    exponent: float
    constant: float

    def line(self) -> Floats:
        """The fitted values, [k]."""
        return np.asarray(self.constant * self.scales.astype(np.float64) ** self.exponent)


def doubling(smallest: int, largest: int) -> list[int]:
    """`smallest`, twice that, ... as long as it is not above `largest`.

    Raises:
        ValueError: a smallest one below 2.
    """
    if smallest < 2:
        raise ValueError(f"the smallest scale is {smallest}, but must be >= 2")
    scales = []
    while smallest <= largest:
        scales.append(smallest)
        smallest *= 2
    return scales


def normalised(surprisals: npt.ArrayLike, *, drop: int = 0) -> Floats:
    """Surprisals of one document without its first `drop`, at mean 0 and variance 1. Empty where
    none are left, or all are equal.

    Args:
        surprisals: [tokens], in bits or nats.
        drop: tokens at the beginning, which have too little context to be what the text is like.

    Raises:
        ValueError: a surprisal that is not finite.
    """
    kept = np.asarray(surprisals, dtype=np.float64)[drop:]
    if not np.isfinite(kept).all():
        place = int(np.argmax(~np.isfinite(kept))) + drop
        raise ValueError(f"the surprisal of token {place} is not finite")
    spread = kept.std() if len(kept) else 0.0
    # Equal values have a spread of rounding errors, which must not be blown up.
    if not len(kept) or spread <= 1e-12 * np.abs(kept).max():
        return np.empty(0)
    return np.asarray((kept - kept.mean()) / spread)


def shuffled(series: Floats, name: str, *, seed: int) -> Floats:
    """The same values in an order that follows from the document's id and the seed."""
    return row_generator(seed, "shuffled surprisals", name).permutation(series)


def rescaled_range(documents: Sequence[Floats], scales: Sequence[int]) -> PowerLaw:
    """Mean of R/S over all stretches of n tokens; its exponent is the Hurst parameter.

    A document is cut into stretches of n from its beginning; what is left over is not used. Of a
    stretch R is the range of its running sum around its own mean, S its (population) standard
    deviation; one whose values are all equal is left out. Not the walk is cut but the series: the
    range of a walk of a walk gives an exponent near 1, whatever the text.

    Args:
        documents: of `normalised`; any scale and mean of a document give the same.
        scales: n, ascending. One that no document is long enough for is left out.
    """
    found: list[tuple[int, float]] = []
    for size in scales:
        total, count = 0.0, 0
        for series in documents:
            stretches = series[: len(series) // size * size].reshape(-1, size)
            deviations = stretches - stretches.mean(axis=1, keepdims=True)
            spreads = np.sqrt((deviations**2).mean(axis=1))
            walks = deviations.cumsum(axis=1)  # each ends at 0, so 0 is within its range
            ranges = walks.max(axis=1, initial=0.0) - walks.min(axis=1, initial=0.0)
            usable = spreads > 1e-9
            total += float((ranges[usable] / spreads[usable]).sum())
            count += int(usable.sum())
        if count:
            found.append((size, total / count))
    return fit(found)


def joseph(documents: Sequence[Floats], scales: Sequence[int]) -> PowerLaw:
    """Standard deviation of the walk's steps over tau; its exponent is the Joseph parameter.

    Only documents of at least `SHORTEST` tau are used at a scale: the walk of a normalised document
    ends where it began, so its steps over a large part of it are too small.

    Args:
        documents: of `normalised`.
        scales: tau, ascending. One that no document is long enough for is left out.
    """
    found: list[tuple[int, float]] = []
    for size in scales:
        steps = _steps(documents, size)
        if len(steps) and steps.std() > 0:
            found.append((size, float(steps.std())))
    return fit(found)


def holder(
    documents: Sequence[Floats], scales: Sequence[int], *, epsilon: float = 0.05
) -> PowerLaw:
    """Share of the walk's steps over tau that are no longer (<=) than epsilon. The exponent is that
    of the share, -S: the Hölder parameter S is `-law.exponent`.

    Args:
        documents, scales: as for `joseph`.
        epsilon: > 0, small against 1, the spread of a single step; larger ones count more steps.

    Raises:
        ValueError: an epsilon that is not > 0.
    """
    if not epsilon > 0:
        raise ValueError(f"epsilon is {epsilon}, but must be > 0")
    found: list[tuple[int, float]] = []
    for size in scales:
        steps = _steps(documents, size)
        share = float((np.abs(steps) <= epsilon).mean()) if len(steps) else 0.0
        if share:
            found.append((size, share))
    return fit(found)


# Of a document, in multiples of tau.
SHORTEST = 8


def _steps(documents: Sequence[Floats], size: int) -> Floats:
    """All steps of the walks over `size` tokens."""
    steps = [np.empty(0)]
    for series in documents:
        if len(series) >= SHORTEST * size:
            walk = np.concatenate([[0.0], series.cumsum()])
            steps.append(walk[size:] - walk[:-size])
    return np.concatenate(steps)


def fit(points: Sequence[tuple[int, float]]) -> PowerLaw:
    """The power law through points (scale, value), by least squares of the logarithms."""
    scales = np.array([scale for scale, _ in points], dtype=np.int64)
    values = np.array([value for _, value in points], dtype=np.float64)
    if len(points) < 2:
        return PowerLaw(scales, values, float("nan"), float("nan"))
    x, y = np.log(scales), np.log(values)
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    return PowerLaw(scales, values, slope, float(np.exp(y.mean() - slope * x.mean())))


def h_b(bits_per_byte: float, hurst: float) -> float:
    """H_B = 1 / BPB + H, which predicts what a model can do better than either (the paper).

    Raises:
        ValueError: bits per byte that are not > 0.
    """
    if not bits_per_byte > 0:
        raise ValueError(f"bits_per_byte is {bits_per_byte}, but must be > 0")
    return 1.0 / bits_per_byte + hurst
