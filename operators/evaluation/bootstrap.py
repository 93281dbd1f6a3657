"""Compare trained models on the same documents, with intervals that hold for few seeds, too.

What makes a comparison uncertain is the documents it was measured on and the seeds the models were
trained with: two crossed random effects, for which no bootstrap is exact (McCullagh 2000). Drawing
both again (Owen 2007, "The pigeonhole bootstrap"; Owen and Eckles 2012) fails for few seeds: draws
of three values have two thirds of their variance and none of their tails. So the two parts are
found apart, each by what it allows, and added draw by draw:

- documents, of which there are many, by a paired bootstrap (Efron and Tibshirani 1993; paired test
  sets: Koehn 2004);
- seeds, of which there are few, by Student's t: draws from the t distribution of their mean.

The sum is a generalised pivot (Weerahandi 1993; for two normal means it is the solution of Behrens
and Fisher): its quantiles are the interval. benchmarks/bootstrap_coverage.py shows how often it
holds the truth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from operators.evaluation.multiplicity import joint_level, joint_p_values
from operators.evaluation.student_interval import student_interval, student_p_value

Verdict = Literal["better", "worse", "undecided"]
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
class ArmComparison:
    """One arm against the baseline; differences are arm - baseline.

    Attributes:
        arm: index of the arm.
        seeds: training seeds behind it.
        rows: rows behind it, such as documents.
        score: mean over seeds of the pooled score.
        low, high: interval of `score`.
        difference: to the baseline; exactly 0.0 for the baseline itself.
        difference_low, difference_high: interval of `difference`, by itself.
        corrected_low, corrected_high: interval of `difference`; those of all comparisons of the
            family hold together.
        p: of no difference, by itself, two-sided.
        corrected_p: of no difference, for the family.

    Ends and p values are NaN where nothing can show a spread: one seed on fixed rows.
    """

    arm: int
    seeds: int
    rows: int
    score: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    corrected_low: float
    corrected_high: float
    p: float
    corrected_p: float


@dataclass(frozen=True, slots=True)
class _Parts:
    """Scores and differences of all arms, and how they vary: [.., 2 * arms].

    Attributes:
        by_seed: pooled score of each seed, [seeds, 2 * arms].
        row_draws: what another draw of the rows would have changed, [resamples, 2 * arms].
        noise: the part of the variance of the mean that is surely both the rows' and the seeds'.
    """

    by_seed: Array
    row_draws: Array
    noise: Array

    def minus(self, other: _Parts) -> _Parts:
        """This and then another, on other rows: a difference of differences."""
        return _Parts(
            self.by_seed - other.by_seed,
            self.row_draws - other.row_draws,
            self.noise + other.noise,
        )


def compare_arms(
    samples: Sequence[PairedScores],
    *,
    baseline: int,
    contrast: bool = False,
    rows: Literal["drawn", "fixed"] = "drawn",
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int,
) -> list[list[ArmComparison]]:
    """Compare every arm with the baseline on each sample, in the order of samples and arms.

    Documents are drawn again with replacement, the same ones for all arms, so that what arms have
    in common cancels. Of the mean over seeds of the scores of each draw the deviation is kept,
    widened for what a draw of n lacks (t with n - 1 degrees of freedom, n being the effective
    number of rows for their weights). To it comes the deviation of the seeds' mean, from Student's
    t with S - 1 degrees of freedom; what documents vary within a seed is part of that, and is taken
    off the documents' variance. Intervals are percentiles.

    All differences are one family: the corrected intervals hold together (see `multiplicity`).

    Limits. One seed shows no spread of trainings: the interval then speaks of other documents for
    these models, and of no other training. Two seeds have one degree of freedom, and intervals that
    are 13 standard errors wide. Seed positions are paired, which helps when seed i fixes the same
    order of the data in all arms and is harmless when it does not.

    Args:
        samples: one, or one a group of rows; arms and seeds are the same in all.
        baseline: index of the arm to compare with.
        contrast: two samples are one comparison: the difference in the first minus that in the
            second, seed by seed. `score` is such a difference, too.
        rows: "drawn" from more of their kind, like documents; or "fixed", like frequency bins, when
            only seeds carry the spread: Student's t over seeds, exactly.
        resamples: >= 1; draws of the distribution.
        confidence: of the intervals, in (0, 1).
        seed: of the draws; the same seed gives the same draws.

    Raises:
        ValueError: for wrong shapes, an empty axis, values that are not finite (named by arm, seed
            and row), weights that cannot be, or settings out of range.
    """
    if contrast and len(samples) != 2:
        raise ValueError(f"a contrast is of 2 samples, not of {len(samples)}")
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}, but must be >= 1")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, but must be > 0 and < 1")
    checked = [_checked(sample, baseline, rows) for sample in samples]
    if not checked or len({values.shape[:2] for values, _ in checked}) > 1:
        raise ValueError("samples must have the same arms and seeds, and there must be one")
    generator = np.random.default_rng(seed)
    arms, seeds, _ = checked[0][0].shape
    # The same draws of seeds for all samples and arms: what they have in common stays in common.
    seed_draws = _student_draws(generator, resamples, seeds)
    found = [
        _parts(values, weights, baseline, rows, resamples, generator) for values, weights in checked
    ]
    counts = [values.shape[2] for values, _ in checked]
    if contrast:
        found, counts = [found[0].minus(found[1])], [sum(counts)]
    draws = [_drawn(parts, seed_draws) for parts in found]
    judges = [_judge(parts, drawn, rows) for parts, drawn in zip(found, draws, strict=True)]
    others = [arm for arm in range(arms) if arm != baseline]
    family = np.concatenate([drawn[:, [arms + arm for arm in others]] for drawn in draws], axis=1)
    alone = np.array([judge.p_value(arms + arm) for judge in judges for arm in others])
    level = joint_level(family, 1 - confidence)
    together = joint_p_values(family, alone).reshape(len(judges), len(others))
    compared = []
    for judge, count, of_sample in zip(judges, counts, together, strict=True):
        corrected_p = dict(zip(others, of_sample, strict=True))
        compared.append(
            [
                _comparison(judge, arm, arms, count, seeds, 1 - confidence, level,
                            float(corrected_p.get(arm, 1.0)))
                for arm in range(arms)
            ]
        )  # fmt: skip
    return compared


def verdict(comparison: ArmComparison, *, better: Literal["lower", "higher"] = "lower") -> Verdict:
    """Whether the corrected interval of the difference leaves 0 out, strictly, and on which side.

    An interval that ends exactly at 0 is undecided, and so is one without ends.
    """
    if comparison.corrected_high < 0:
        return "better" if better == "lower" else "worse"
    if comparison.corrected_low > 0:
        return "worse" if better == "lower" else "better"
    return "undecided"


def _parts(
    values: Array,
    weights: Array,
    baseline: int,
    rows: str,
    resamples: int,
    generator: np.random.Generator,
) -> _Parts:
    # Differences are taken before anything is summed, not between two finished scores: arms with
    # equal values differ by exactly 0 then, and no rounding of a sum can look like a difference.
    arms, seeds, count = values.shape
    if weights.ndim == 3:
        pooled = (values * weights).sum(axis=2) / weights.sum(axis=2)
        by_seed = np.concatenate([pooled, pooled - pooled[baseline]])
        return _Parts(by_seed.T, np.zeros((resamples, 2 * arms)), np.zeros(2 * arms))
    both = np.concatenate([values, values - values[baseline]])
    by_seed = (both * weights).sum(axis=2) / weights.sum()
    if rows == "fixed" or count == 1:
        return _Parts(by_seed.T, np.zeros((resamples, 2 * arms)), np.zeros(2 * arms))
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
        from scipy.stats import f

        influence = (count * weights / weights.sum()) * (both - observed[:, None, None])
        influence -= influence.mean(axis=1, keepdims=True)
        influence -= influence.mean(axis=2, keepdims=True)
        freedom = (seeds - 1) * (count - 1)
        noise = (influence**2).sum(axis=(1, 2)) / freedom / (seeds * count)
        # No more than is certain: its share in the rows' variance, a ratio of mean squares, at the
        # lower end of its one-sided 95 % interval.
        noise /= f.ppf(0.95, freedom, count - 1)
    return _Parts(by_seed.T, draws, noise)


def _student_draws(generator: np.random.Generator, resamples: int, seeds: int) -> Array:
    """Weights of the seeds whose sum over their deviations is t-distributed: [resamples, seeds]."""
    if seeds == 1:
        return np.zeros((resamples, 1))
    normal = generator.standard_normal((resamples, seeds))
    spread = np.sqrt(generator.chisquare(seeds - 1, resamples) / (seeds - 1))
    return np.asarray(normal / spread[:, None] / math.sqrt(seeds * (seeds - 1)))


def _drawn(parts: _Parts, seed_draws: Array) -> Array:
    """Deviations of all scores and differences, [resamples, 2 * arms]."""
    seeds = len(parts.by_seed)
    if seeds == 1:
        return parts.row_draws
    deviations = parts.by_seed - parts.by_seed.mean(axis=0)
    # What rows vary within a seed is in both parts. It is taken off that of the rows, which are
    # many: the spread of three seeds is known too badly for anything to be taken off it.
    variance = parts.row_draws.var(axis=0)
    share = 1 - np.divide(parts.noise, variance, out=np.zeros_like(variance), where=variance > 0)
    return parts.row_draws * np.sqrt(np.maximum(share, 0)) + seed_draws @ deviations


@dataclass(frozen=True, slots=True)
class _Judge:
    """Intervals and p values of the scores and differences of one sample."""

    by_seed: Array
    observed: Array
    draws: Array | None  # None: rows are fixed, and Student's t is exact

    def interval(self, index: int, error: float) -> tuple[float, float]:
        center = float(self.observed[index])
        if self.draws is None:
            found = student_interval(self.by_seed[:, index], confidence=1 - error)
            return found.low, found.high
        low, high = np.quantile(self.draws[:, index], [error / 2, 1 - error / 2])
        return center + float(low), center + float(high)

    def p_value(self, index: int) -> float:
        if self.draws is None:
            return student_p_value(self.by_seed[:, index])
        around = self.observed[index] + self.draws[:, index]
        if not around.any():
            return 1.0
        # The observed value counts as a draw: a p value of 0 is never found by drawing.
        tails = [(1 + int(side.sum())) / (1 + len(around)) for side in (around <= 0, around >= 0)]
        return min(1.0, 2 * min(tails))


def _judge(parts: _Parts, draws: Array, rows: str) -> _Judge:
    return _Judge(parts.by_seed, parts.by_seed.mean(axis=0), None if rows == "fixed" else draws)


def _comparison(
    judge: _Judge,
    arm: int,
    arms: int,
    count: int,
    seeds: int,
    error: float,
    level: float,
    corrected_p: float,
) -> ArmComparison:
    low, high = judge.interval(arm, error)
    difference_low, difference_high = judge.interval(arms + arm, error)
    corrected_low, corrected_high = judge.interval(arms + arm, level)
    return ArmComparison(
        arm=arm,
        seeds=seeds,
        rows=count,
        score=float(judge.observed[arm]),
        low=low,
        high=high,
        difference=float(judge.observed[arms + arm]),
        difference_low=difference_low,
        difference_high=difference_high,
        corrected_low=corrected_low,
        corrected_high=corrected_high,
        p=judge.p_value(arms + arm),
        corrected_p=corrected_p,
    )


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


def _checked(sample: PairedScores, baseline: int, rows: str) -> tuple[Array, Array]:
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
