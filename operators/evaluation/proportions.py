"""Shares of rows that are right, how sure they are, and how far two of them lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class ProportionDifference:
    """The first share minus the second, both in 0..1, with the interval of the difference.

    The difference and its ends are NaN where one side has no rows.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float


def wilson_interval(
    successes: int, trials: int, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Both ends of Wilson's score interval of a share (Wilson 1927); [0, 1] without trials.

    Raises:
        ValueError: more successes than trials, a negative number, confidence out of (0, 1).
    """
    if not 0 <= successes <= trials:
        raise ValueError(
            f"{successes} of {trials} is no share: it must be 0 <= successes <= trials"
        )
    z2 = _normal_quantile(confidence) ** 2
    if not trials:
        return 0.0, 1.0
    share = successes / trials
    center = share + z2 / (2 * trials)
    reach = math.sqrt(z2 * (share * (1 - share) / trials + z2 / (4 * trials**2)))
    low, high = ((center + side * reach) / (1 + z2 / trials) for side in (-1, 1))
    # At 0 and 1 the end is exact, which rounding would miss.
    return (0.0 if successes == 0 else low), (1.0 if successes == trials else high)


def proportion_difference(
    successes: tuple[int, int], trials: tuple[int, int], *, confidence: float = 0.95
) -> ProportionDifference:
    """Difference of the shares of two groups of independent rows, first minus second.

    The interval joins Wilson's intervals of both shares: method 10 of Newcombe 1998 (Statistics in
    Medicine 17, 873-890), whose coverage holds for small groups and for shares of 0 and 1.

    Args:
        successes: in the first group, in the second.
        trials: rows of the first group, of the second.
        confidence: in (0, 1).

    Raises:
        ValueError: more successes than trials, a negative number, confidence out of (0, 1).
    """
    (low1, high1), (low2, high2) = (
        wilson_interval(s, n, confidence=confidence) for s, n in zip(successes, trials, strict=True)
    )
    first, second = (
        s / n if n else math.nan for s, n in zip(successes, trials, strict=True)
    )  # fmt: skip
    difference = first - second
    return ProportionDifference(
        first, second, difference,
        difference - math.hypot(first - low1, high2 - second),
        difference + math.hypot(high1 - first, second - low2),
    )  # fmt: skip


def clustered_difference(
    right: npt.ArrayLike,
    first: npt.ArrayLike,
    clusters: Sequence[str],
    *,
    confidence: float = 0.95,
) -> ProportionDifference:
    """Share of right rows in the first group minus that in the second, for rows that err together.

    Sentences of one document are right or wrong together, and their number says too much. So the
    variance is that between clusters: of the difference of two ratios, linearised, with Student's t
    of one degree of freedom less than there are clusters (Cochran 1977, Sampling Techniques,
    section 11.8 and chapter 6). Where the interval of independent rows (`proportion_difference`) is
    wider at an end, its end is taken: clusters without any error show no variance at all.

    Args:
        right: bool [rows].
        first: bool [rows], whether a row is of the first group; the others are of the second.
        clusters: [rows], what each row belongs to, such as its document.
        confidence: in (0, 1).

    Raises:
        ValueError: the lengths differ, or confidence is out of (0, 1).
    """
    good, group = (np.asarray(values, dtype=bool) for values in (right, first))
    if not good.shape == group.shape == (len(clusters),):
        raise ValueError(
            f"right has shape {good.shape}, first {group.shape}, and there are {len(clusters)} "
            "clusters; all three need one value a row"
        )
    rows = int(group.sum()), int((~group).sum())
    found = int(good[group].sum()), int(good[~group].sum())
    alone = proportion_difference(found, rows, confidence=confidence)
    names, numbers = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    if not all(rows) or len(names) < 2:
        return alone
    # What each row adds to the difference, beyond what a row of its group adds on average.
    parts = np.where(
        group, (good - alone.first) / rows[0], -(good - alone.second) / rows[1]
    )  # fmt: skip
    sums = np.bincount(numbers, weights=parts, minlength=len(names))
    error = math.sqrt(len(names) / (len(names) - 1) * float((sums**2).sum()))
    from scipy.stats import t

    reach = float(t.ppf((1 + confidence) / 2, len(names) - 1)) * error
    # No difference of two shares lies beyond -1 and 1.
    return ProportionDifference(
        alone.first, alone.second, alone.difference,
        max(-1.0, min(alone.low, alone.difference - reach)),
        min(1.0, max(alone.high, alone.difference + reach)),
    )  # fmt: skip


def _normal_quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, but must be > 0 and < 1")
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + confidence) / 2)
