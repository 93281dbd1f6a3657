"""Compare trained models on the same documents, with intervals that hold for few seeds, too.

What makes a comparison uncertain is the documents it was measured on and the seeds the models were
trained with: two crossed random effects, for which no bootstrap is exact (McCullagh 2000). Drawing
both again (Owen 2007, "The pigeonhole bootstrap"; Owen and Eckles 2012) fails for few seeds: draws
of three values have two thirds of their variance and none of their tails. So the many documents are
drawn again, and the few seeds by Student's t; `paired_draws` has the method and its sources.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from operators.evaluation.multiplicity import joint_level, joint_p_values
from operators.evaluation.paired_draws import (
    Array,
    PairedScores,
    Parts,
    checked,
    deviations,
    parts_of,
)
from operators.evaluation.student_interval import student_interval, student_p_value

Verdict = Literal["better", "worse", "undecided"]


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
    in common cancels, and the mean of the seeds is drawn from Student's t: see `paired_draws`.
    Intervals are percentiles of the sum; their ends lie as far out as drawing leaves uncertain.

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
    given = [checked(sample, baseline, rows) for sample in samples]
    if not given or len({values.shape[:2] for values, _ in given}) > 1:
        raise ValueError("samples must have the same arms and seeds, and there must be one")
    generator = np.random.default_rng(seed)
    arms, seeds, _ = given[0][0].shape
    found = [
        parts_of(values, weights, baseline, rows, resamples, generator) for values, weights in given
    ]
    counts = [values.shape[2] for values, _ in given]
    if contrast:
        found, counts = [found[0].minus(found[1])], [sum(counts)]
    draws = [deviations(parts, resamples, (seed, number)) for number, parts in enumerate(found)]
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
        # Percentiles of draws are off by chance: a standard error of their level goes to the safe
        # side.
        tail = error / 2
        tail = max(tail - math.sqrt(tail * (1 - tail) / len(self.draws)), 0.0)
        low, high = np.quantile(self.draws[:, index], [tail, 1 - tail])
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


def _judge(parts: Parts, draws: Array, rows: str) -> _Judge:
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
