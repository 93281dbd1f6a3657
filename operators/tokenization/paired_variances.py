"""Whether a measure varies less across the same units than before: the test of Pitman and Morgan.

Source: Pitman, "A note on normal correlation" (1939), and Morgan, "A test for the significance of
the difference between the two variances in a sample from a normal bivariate population" (1939).
The F test takes two samples for independent. Where the same languages are measured twice it cannot
see what they have in common, and finds little; this one takes them as pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class PairedVarianceTest:
    """Two variances of the same units, for pairs from a bivariate normal distribution.

    Attributes:
        log_ratio: ln of the variance before over that after; above 0 it fell.
        low: of its interval.
        high: of its interval. It leaves out zero where the p-value is below 1 - confidence.
        correlation: between before and after; at 0 the test is nearly the F test.
        p_value: of variances at least so different where the true ones are equal, two-sided.
    """

    log_ratio: float
    low: float
    high: float
    correlation: float
    p_value: float


def paired_variance_test(
    before: npt.ArrayLike, after: npt.ArrayLike, confidence: float = 0.95
) -> PairedVarianceTest:
    """Test var(before) = var(after) over pairs.

    Sum and difference of a pair are uncorrelated just where the variances are equal, so it is a
    test of that correlation, Student's t with n - 2 degrees of freedom. The interval holds the
    ratios that it does not refuse: F (K +- sqrt(K^2 - 1)) with K = 1 + 2 (1 - r^2) t^2 / (n - 2).

    Args:
        before: a value a unit.
        after: a value of each of the same units, in the same order.
        confidence: of the interval.

    Raises:
        ValueError: for samples of different lengths, fewer than three pairs, values that are not
            finite, or a sample without variance.
    """
    from scipy.stats import t as student

    first, second = (np.asarray(sample, dtype=np.float64).ravel() for sample in (before, after))
    count = len(first)
    if count != len(second):
        raise ValueError(f"{count} values before are no pairs with {len(second)} after")
    if count < 3:
        raise ValueError(f"{count} pairs are too few: variances of pairs need 3 at least")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("a value is not finite")
    variances = float(first.var(ddof=1)), float(second.var(ddof=1))
    if min(variances) == 0:
        raise ValueError("a sample does not vary: its variance has no logarithm")
    log_ratio = float(np.log(variances[0]) - np.log(variances[1]))
    correlation = float(np.corrcoef(first, second)[0, 1])
    # Of what one sample says nothing about the other; rounding takes it below 0 for r = 1.
    unexplained = np.float64(max(0.0, 1 - correlation * correlation))
    quantile = float(student.ppf((1 + confidence) / 2, count - 2))
    half = float(np.arccosh(1 + 2 * unexplained * quantile**2 / (count - 2)))
    # t of the correlation between sums and differences, in terms of the ratio.
    ratio = np.exp(log_ratio / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (ratio - 1 / ratio) / 2 * np.sqrt((count - 2) / unexplained)
    p_value = 1.0 if np.isnan(t) else float(2 * student.sf(abs(t), count - 2))
    return PairedVarianceTest(log_ratio, log_ratio - half, log_ratio + half, correlation, p_value)
