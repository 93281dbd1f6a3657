"""Draws of what other documents and other seeds would have changed in a paired comparison.

Documents and seeds are crossed random effects. Their parts in the variance of a mean are found
apart, and draws of both are added:

- documents are drawn again with replacement, the same ones for all arms (Efron and Tibshirani 1993;
  Koehn 2004), and the deviations widened for what a draw of n lacks;
- the mean of the seeds is drawn from Student's t with S - 1 degrees of freedom.

The sum of the two is the solution of Behrens and Fisher for two variances that are not known, a
generalised pivot (Weerahandi 1993). It is too wide where three seeds vary little and documents
much: 95 % intervals hold the truth in 97.5 %. The prior that matches frequencies, proportional to
``(v1 v2)**-1.5 (v1 + v2)`` in the variances of the two means (Ghosh and Kim 2001), turns draws of
the seeds to S + 1 degrees of freedom as the documents' share grows, and is a little too narrow:
93.5 % where both count. Three draws in four are by it; benchmarks/bootstrap_coverage.py shows what
that holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# How many of the draws are by the matching prior, where all of the variance is the rows'.
MATCHED = 0.75

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
        noise: the part of the variance of the mean that both rows and seeds account for.
    """

    by_seed: Array
    row_draws: Array
    noise: Array

    def minus(self, other: Parts) -> Parts:
        """This and then another, on other rows: a difference of differences."""
        return Parts(
            self.by_seed - other.by_seed,
            self.row_draws - other.row_draws,
            self.noise + other.noise,
        )


@dataclass(frozen=True, slots=True)
class SeedDraws:
    """Weights of the seeds, the same for all arms and samples: what these share stays shared.

    Their sum over the deviations of the seeds' scores is a draw of the deviation of their mean.

    Attributes:
        wide: t-distributed with S - 1 degrees of freedom, [resamples, seeds].
        narrow: the same draws with a variance that has S + 1.
        which: in [0, 1), [resamples]: lets a comparison choose between the two.
    """

    wide: Array
    narrow: Array
    which: Array


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
    if weights.ndim == 3:
        pooled = (values * weights).sum(axis=2) / weights.sum(axis=2)
        by_seed = np.concatenate([pooled, pooled - pooled[baseline]])
        return Parts(by_seed.T, np.zeros((resamples, 2 * arms)), np.zeros(2 * arms))
    both = np.concatenate([values, values - values[baseline]])
    by_seed = (both * weights).sum(axis=2) / weights.sum()
    if rows == "fixed" or count == 1:
        return Parts(by_seed.T, np.zeros((resamples, 2 * arms)), np.zeros(2 * arms))
    mean = both.mean(axis=1)
    observed = by_seed.mean(axis=1)
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    draws = np.empty((resamples, 2 * arms))
    step = max(1, _WEIGHTS_AT_A_TIME // count)
    for begin in range(0, resamples, step):
        chunk = slice(begin, min(begin + step, resamples))
        drawn = _counts(generator, chunk.stop - begin, weights)
        draws[chunk] = (drawn @ (mean * weights).T) / (drawn @ weights)[:, None] - observed
    # A draw has (n - 1) / n of the variance, and not the tails of what n values tell of it.
    freedom = max(effective - 1, 0.5)
    draws *= np.sqrt((freedom + 1) / generator.chisquare(freedom, resamples))[:, None]
    noise = np.zeros(2 * arms)
    if seeds > 1:
        influence = (count * weights / weights.sum()) * (both - observed[:, None, None])
        influence -= influence.mean(axis=1, keepdims=True)
        influence -= influence.mean(axis=2, keepdims=True)
        noise = (influence**2).sum(axis=(1, 2)) / ((seeds - 1) * (count - 1)) / (seeds * count)
    return Parts(by_seed.T, draws, noise)


def seed_draws(generator: np.random.Generator, resamples: int, seeds: int) -> SeedDraws:
    """Draws of what another set of seeds would have changed."""
    if seeds == 1:
        nothing = np.zeros((resamples, 1))
        return SeedDraws(nothing, nothing, np.zeros(resamples))
    normal = generator.standard_normal((resamples, seeds)) / math.sqrt(seeds)
    square = generator.chisquare(seeds - 1, resamples)
    more = square + generator.chisquare(2, resamples)
    wide, narrow = (normal / np.sqrt(found)[:, None] for found in (square, more))
    return SeedDraws(wide, narrow, generator.uniform(size=resamples))


def deviations(parts: Parts, draws: SeedDraws) -> Array:
    """What other rows and other seeds would have changed: [resamples, 2 * arms]."""
    seeds = len(parts.by_seed)
    if seeds == 1:
        return parts.row_draws
    around = parts.by_seed - parts.by_seed.mean(axis=0)
    of_rows, of_seeds = parts.row_draws.var(axis=0), around.var(axis=0, ddof=1) / seeds
    # What rows vary within a seed is in both parts. It is taken off that of the rows, which are
    # many: the spread of three seeds is known too badly for anything to be taken off it. Seeds that
    # by chance agree better than their rows allow hold no more of it than they show.
    both = np.minimum(parts.noise, of_seeds)
    left = 1 - np.divide(both, of_rows, out=np.zeros_like(of_rows), where=of_rows > 0)
    left = np.sqrt(np.maximum(left, 0))
    of_rows = of_rows * left**2
    whole = of_rows + of_seeds
    share = np.divide(of_rows, whole, out=np.zeros_like(whole), where=whole > 0)
    narrow = draws.which[:, None] < MATCHED * share
    of_mean = np.where(narrow, draws.narrow @ around, draws.wide @ around)
    return np.asarray(parts.row_draws * left + of_mean)


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
