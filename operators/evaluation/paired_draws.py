"""Draws of what other documents and other seeds would have changed in a paired comparison.

Documents and seeds are crossed random effects. Their parts in the variance of a mean are found
apart, and draws of both are added:

- documents are drawn again with replacement, the same ones for all arms (Koehn 2004), each draw
  against its own standard error: the bootstrap-t (Efron and Tibshirani 1993, chapter 12), which
  holds for skewed values and few documents better than percentiles do. Where documents weigh very
  unlike, it is still too narrow, and the draws are spread by what theory says it lacks (Hall 1988);
- the mean of the seeds is drawn from Student's t with S - 1 degrees of freedom.

With normal values the sum of the two is the solution of Behrens and Fisher for two variances that
are not known, a generalised pivot (Weerahandi 1993). It is too wide where three seeds vary little
and documents much: 95 % intervals hold the truth in 97.5 %. So the variances are drawn with the
prior that matches frequencies, proportional to ``(v1 v2)**-1.5 (v1 + v2)`` in the variances of the
two means (Ghosh and Kim 2001): as the documents' share grows, the seeds' draws get S + 1 degrees of
freedom. benchmarks/bootstrap_coverage.py shows what that holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Resamples done at a time hold this many document weights at most (8 bytes each: 32 MB).
_WEIGHTS_AT_A_TIME = 4_000_000


@dataclass(frozen=True, slots=True)
class PairedScores:
    """What was measured of every arm and seed on the same rows.

    A score is pooled: ``sum(value * weight) / sum(weight)`` over the rows. Bits per byte of
    documents, weighted by their bytes, give the bits of all documents per byte of all.

    Attributes:
        values: [arms, seeds, rows], finite.
        weights: >= 0 and not all 0, [rows]; or [arms, seeds, rows] where arms and seeds differ in
            them, which only fixed rows may.
    """

    values: npt.ArrayLike
    weights: npt.ArrayLike


@dataclass(frozen=True, slots=True)
class Parts:
    """Scores and differences of all arms, and how they vary: [.., 2 * arms].

    Attributes:
        by_seed: pooled score of each seed, [seeds, 2 * arms].
        row_draws: what another draw of the rows would have changed, [resamples, 2 * arms].
        row_variance: of the mean, as the rows show it.
        noise: the part of the variance of the mean that both rows and seeds account for.
    """

    by_seed: Array
    row_draws: Array
    row_variance: Array
    noise: Array

    def minus(self, other: Parts) -> Parts:
        """This and then another, on other rows: a difference of differences."""
        return Parts(
            self.by_seed - other.by_seed,
            self.row_draws - other.row_draws,
            self.row_variance + other.row_variance,
            self.noise + other.noise,
        )


def parts_of(
    values: Array,
    weights: Array,
    baseline: int,
    rows: str,
    resamples: int,
    generator: np.random.Generator,
) -> Parts:
    """Scores and differences of a sample, and draws of its rows."""
    # Differences are taken before anything is summed, not between two finished scores: arms with
    # equal values differ by exactly 0 then, and no rounding of a sum can look like a difference.
    arms, seeds, count = values.shape
    nothing = np.zeros(2 * arms)
    if weights.ndim == 3:
        pooled = (values * weights).sum(axis=2) / weights.sum(axis=2)
        by_seed = np.concatenate([pooled, pooled - pooled[baseline]])
        return Parts(by_seed.T, np.zeros((resamples, 2 * arms)), nothing, nothing)
    both = np.concatenate([values, values - values[baseline]])
    by_seed = (both * weights).sum(axis=2) / weights.sum()
    if rows == "fixed" or count == 1:
        return Parts(by_seed.T, np.zeros((resamples, 2 * arms)), nothing, nothing)
    around = both - by_seed.mean(axis=1)[:, None, None]
    draws, variance = _row_draws(around.mean(axis=1), weights, resamples, generator)
    noise = nothing
    if seeds > 1:
        influence = (count * weights / weights.sum()) * around
        influence -= influence.mean(axis=1, keepdims=True)
        influence -= influence.mean(axis=2, keepdims=True)
        noise = (influence**2).sum(axis=(1, 2)) / ((seeds - 1) * (count - 1)) / (seeds * count)
    return Parts(by_seed.T, draws, variance, noise)


def _row_draws(
    around: Array, weights: Array, resamples: int, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Deviations of pooled means by the bootstrap-t, [resamples, means], and their variances.

    Args:
        around: values less their pooled mean, [means, rows].
    """
    count = len(weights)
    weighted = around * weights
    # (n - 1) / n, n being as many rows of one weight as would vary alike.
    lack = 1 - float((weights**2).sum() / weights.sum() ** 2)
    variance = (weighted**2).sum(axis=1) / weights.sum() ** 2 / lack
    sums = np.concatenate([weighted, weighted**2, weighted * weights]).T
    draws = np.empty((resamples, len(around)))
    step = max(1, _WEIGHTS_AT_A_TIME // count)
    for begin in range(0, resamples, step):
        chunk = slice(begin, min(begin + step, resamples))
        drawn = _counts(generator, chunk.stop - begin, weights)
        whole, squares = (drawn @ weights)[:, None], (drawn @ weights**2)[:, None]
        first, second, mixed = np.split(drawn @ sums, 3, axis=1)
        moved = first / whole
        error = np.sqrt(np.maximum(second - 2 * moved * mixed + moved**2 * squares, 0)) / whole
        # Rows that by chance are all the same have no error of their own but what rounding leaves,
        # about the root of a float's precision: they count as they are.
        known = error > 1e-6 * np.sqrt(variance)
        ratio = np.divide(np.sqrt(variance * lack), error, out=np.ones_like(error), where=known)
        draws[chunk] = -moved * ratio
    return _spread(draws, weighted) * math.sqrt(1 / lack), variance


def _spread(draws: Array, influences: Array) -> Array:
    """Draws of the bootstrap-t, spread so that their intervals hold as often as they say.

    The end of the interval at the normal quantile z misses the truth more often than it says by
    ``(k - 1.5 g**2) z (2 z**2 + 1) phi(z) / 6 n``, of n rows with skewness g and excess kurtosis k:
    a sample whose tail is short by chance has too small a standard error, and does not show it
    (Hall 1988, table 1; 1992, section 3.5). So the draw whose rank is that of z goes out by
    ``1 + (k - 1.5 g**2) (2 z**2 + 1) / 6 n``. Values of an exponential need nothing of this, since
    k is 1.5 g**2; sums that a few large documents make up need most.

    Args:
        draws: [resamples, means].
        influences: of the rows on each mean, up to a factor, with sum 0: [means, rows].
    """
    from scipy.special import ndtri

    # Of length 1: their third and fourth powers are g / sqrt(n) and k / n + 3 / n then.
    length = np.linalg.norm(influences, axis=1, keepdims=True)
    shares = np.divide(influences, length, out=np.zeros_like(influences), where=length > 0)
    kurtosis = (shares**4).sum(axis=1) - 3 / influences.shape[1]
    skewness = (shares**3).sum(axis=1)
    # Both moments are those of a sample, and too small where the correction matters. One below 0
    # would make an interval narrower on their word, so there is none.
    lacking = np.maximum(kurtosis - 1.5 * skewness**2, 0)
    middles = (np.arange(len(draws)) + 0.5) / len(draws)
    far = 1 + lacking * (2 * ndtri(middles)[:, None] ** 2 + 1) / 6
    order = np.argsort(draws, axis=0, kind="stable")
    spread = np.empty_like(draws)
    np.put_along_axis(spread, order, np.take_along_axis(draws, order, axis=0) * far, axis=0)
    return spread


def deviations(parts: Parts, resamples: int, stream: tuple[int, ...]) -> Array:
    """What other rows and other seeds would have changed: [resamples, 2 * arms].

    Seeds are drawn for each score and difference by itself. How the effects of a few seeds on
    several arms go together cannot be told from these seeds; to take them as if they did not is on
    the safe side (Sidak 1967).

    Args:
        stream: of the generators; an arm has the same draws whatever other arms there are.
    """
    seeds, scores = parts.by_seed.shape
    if seeds == 1:
        return parts.row_draws
    of_seeds = parts.by_seed.var(axis=0, ddof=1) / seeds
    # What rows vary within a seed is in both parts. It is taken off that of the rows, which are
    # many: the spread of three seeds is known too badly for anything to be taken off it. Seeds that
    # by chance agree better than their rows allow hold no more of it than they show.
    left = np.maximum(parts.row_variance - np.minimum(parts.noise, of_seeds), 0)
    shrunk = np.divide(left, parts.row_variance, out=np.zeros(scores), where=parts.row_variance > 0)
    found: Array = parts.row_draws * np.sqrt(shrunk)
    for score in range(scores):
        whole = left[score] + of_seeds[score]
        if not of_seeds[score] > 0:
            continue
        generator = np.random.default_rng([*stream, score % (scores // 2), score // (scores // 2)])
        square = generator.chisquare(seeds - 1, resamples)
        matched = generator.uniform(size=resamples) < left[score] / whole
        square += np.where(matched, generator.chisquare(2, resamples), 0)
        normal = generator.standard_normal(resamples)
        found[:, score] += normal * np.sqrt(of_seeds[score] * (seeds - 1) / square)
    return found


def _counts(generator: np.random.Generator, draws: int, weights: Array) -> Array:
    """How often each row is drawn in as many draws as there are rows: [draws, rows].

    A draw of nothing but rows without weight has no score; it is drawn again.
    """
    size = len(weights)
    counts = np.empty((draws, size))
    missing = np.arange(draws)
    while len(missing):
        drawn = generator.integers(0, size, (len(missing), size))
        drawn += np.arange(len(missing))[:, None] * size
        found = np.bincount(drawn.ravel(), minlength=len(missing) * size)
        counts[missing] = found.reshape(len(missing), size)
        missing = missing[(counts[missing] @ weights) == 0]
    return counts


def checked(sample: PairedScores, baseline: int, rows: str) -> tuple[Array, Array]:
    """Values and weights of a sample.

    Raises:
        ValueError: they have other shapes, or are not numbers.
    """
    values = np.asarray(sample.values, dtype=np.float64)
    weights = np.asarray(sample.weights, dtype=np.float64)
    if values.ndim != 3 or 0 in values.shape:
        raise ValueError(f"values have shape {values.shape}, but must be [arms, seeds, rows]")
    arms, _, count = values.shape
    if weights.shape != (count,) and not (rows == "fixed" and weights.shape == values.shape):
        raise ValueError(f"weights have shape {weights.shape}, but must be ({count},)")
    if not np.isfinite(values).all():
        arm, row, place = np.argwhere(~np.isfinite(values))[0].tolist()
        raise ValueError(
            f"values are {values[arm, row, place]} for arm {arm}, seed {row}, row {place}"
        )
    if not (np.isfinite(weights) & (weights >= 0)).all() or (weights.sum(axis=-1) <= 0).any():
        raise ValueError("weights must be finite and >= 0, and some > 0: leave empty rows out")
    if not 0 <= baseline < arms:
        raise ValueError(f"baseline is {baseline}, but there are arms 0 to {arms - 1}")
    return values, weights
