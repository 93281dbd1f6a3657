"""Compare trained models on the same documents, with honest intervals.

A paired hierarchical bootstrap (Efron and Tibshirani 1993; for paired test sets Koehn 2004): the
uncertainty of a comparison comes from the documents it was measured on and from the seeds the
models were trained with, and both are drawn again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Verdict = Literal["better", "worse", "undecided"]

# Resamples done at a time hold this many document weights at most (8 bytes each: 32 MB).
_WEIGHTS_AT_A_TIME = 4_000_000


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """One arm against the baseline. All scores are bits per byte; differences are arm - baseline.

    Attributes:
        arm: index of the arm.
        seeds: training seeds behind it: with 2 or 3, read the intervals as too narrow.
        documents: documents behind it.
        bits_per_byte: mean over seeds of the pooled bits per byte.
        low, high: interval of `bits_per_byte`.
        difference: to the baseline; exactly 0.0 for the baseline itself.
        difference_low, difference_high: interval of `difference`.
        share_below_zero: share of resamples with a difference < 0, in [0, 1].
    """

    arm: int
    seeds: int
    documents: int
    bits_per_byte: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    share_below_zero: float


def paired_bootstrap(
    nats: npt.ArrayLike,
    utf8_bytes: npt.ArrayLike,
    *,
    baseline: int,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int,
) -> list[ArmComparison]:
    """Compare every arm with the baseline, in the order of the arms.

    Each resample draws documents and seed positions with replacement, the same ones for all arms.
    Its statistic is, for each seed drawn, the pooled bits per byte of the documents drawn, and
    the mean of these over the seeds. Intervals are percentiles of the resamples.

    Limits. With few seeds the seeds' part of the variance is underestimated: drawing S of S
    values gives (S - 1)/S of it (half for 2 seeds, none at all for 1, when the interval speaks of
    documents only), and a handful of values cannot show the tails of their distribution. More
    seeds cure this, more resamples do not. Arms are compared one by one, without a correction for
    many comparisons. Seed positions are paired, which helps when seed i fixes the same data order
    in all arms and is harmless when it does not.

    Args:
        nats: loss of each document, [arms, seeds, documents], finite.
        utf8_bytes: bytes of each document, > 0, [documents].
        baseline: index of the arm to compare with.
        resamples: >= 1.
        confidence: share of the resamples inside the interval, 0 < confidence < 1.
        seed: of the resampling; the same seed draws the same resamples.

    Raises:
        ValueError: for wrong shapes, an empty axis, losses that are not finite (named by arm,
            seed and document), documents without bytes, or settings out of range.
    """
    losses = np.asarray(nats, dtype=np.float64)
    sizes = np.asarray(utf8_bytes, dtype=np.float64)
    _check(losses, sizes, baseline=baseline, resamples=resamples, confidence=confidence)
    arms, seeds, documents = losses.shape

    # Differences are taken before anything is summed, not between two finished scores: arms with
    # equal losses differ by exactly 0 then, and no rounding of a sum can look like a difference.
    values = np.concatenate([losses, losses - losses[baseline]]).reshape(2 * arms * seeds, -1)
    bits = math.log(2) * sizes
    generator = np.random.default_rng(seed)
    seed_weights = _draws(generator, resamples, seeds) / seeds
    scores = np.empty((resamples, 2 * arms))
    step = max(1, _WEIGHTS_AT_A_TIME // documents)
    for begin in range(0, resamples, step):
        chunk = slice(begin, min(begin + step, resamples))
        weights = _draws(generator, chunk.stop - begin, documents)
        pooled = (weights @ values.T) / (weights @ bits)[:, None]
        scores[chunk] = np.einsum(
            "ras,rs->ra", pooled.reshape(-1, 2 * arms, seeds), seed_weights[chunk]
        )

    observed = (values.sum(axis=1) / bits.sum()).reshape(2 * arms, seeds).mean(axis=1)
    tail = (1 - confidence) / 2
    lows, highs = np.quantile(scores, [tail, 1 - tail], axis=0)
    below = (scores[:, arms:] < 0).mean(axis=0)
    return [
        ArmComparison(
            arm=arm,
            seeds=seeds,
            documents=documents,
            bits_per_byte=float(observed[arm]),
            low=float(lows[arm]),
            high=float(highs[arm]),
            difference=float(observed[arms + arm]),
            difference_low=float(lows[arms + arm]),
            difference_high=float(highs[arms + arm]),
            share_below_zero=float(below[arm]),
        )
        for arm in range(arms)
    ]


def verdict(comparison: ArmComparison, *, better: Literal["lower", "higher"] = "lower") -> Verdict:
    """Whether the interval of the difference leaves 0 out, strictly, and on which side.

    An interval that ends exactly at 0 is undecided.
    """
    if comparison.difference_high < 0:
        return "better" if better == "lower" else "worse"
    if comparison.difference_low > 0:
        return "worse" if better == "lower" else "better"
    return "undecided"


def _draws(generator: np.random.Generator, rows: int, size: int) -> npt.NDArray[np.float64]:
    """How often each of `size` things is drawn in `size` draws, `rows` times: [rows, size]."""
    drawn = generator.integers(0, size, (rows, size))
    drawn += np.arange(rows)[:, None] * size
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float64)


def _check(
    losses: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.float64],
    *,
    baseline: int,
    resamples: int,
    confidence: float,
) -> None:
    if losses.ndim != 3 or 0 in losses.shape:
        raise ValueError(f"nats have shape {losses.shape}, but must be [arms, seeds, documents]")
    arms, _, documents = losses.shape
    if sizes.shape != (documents,):
        raise ValueError(f"utf8_bytes have shape {sizes.shape}, but must be ({documents},)")
    if not np.isfinite(losses).all():
        arm, row, document = np.argwhere(~np.isfinite(losses))[0].tolist()
        raise ValueError(
            f"nats are {losses[arm, row, document]} for arm {arm}, seed {row}, document {document}"
        )
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        raise ValueError("utf8_bytes must be finite and > 0: leave empty documents out")
    if not 0 <= baseline < arms:
        raise ValueError(f"baseline is {baseline}, but there are arms 0 to {arms - 1}")
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}, but must be >= 1")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, but must be > 0 and < 1")
