"""How far the mean of a few repetitions can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class MeanInterval:
    """A mean with its interval; the ends are NaN where one value alone gives none."""

    mean: float
    low: float
    high: float

    @property
    def side(self) -> Literal["lower", "higher", "undecided"]:
        """On which side of 0 it lies, strictly; one that ends at 0, or nowhere, on none."""
        if self.high < 0:
            return "lower"
        return "higher" if self.low > 0 else "undecided"


def student_interval(values: npt.ArrayLike, *, confidence: float = 0.95) -> MeanInterval:
    """Student's t interval of the mean of independent values, ``n - 1`` degrees of freedom.

    For two arms that share their seeds, give the differences seed by seed: what a seed does to both
    cancels (the paired t test). With three to five values a bootstrap is far too narrow, since it
    can only draw what it was given; t is exact where the values are normal, and wide: 4.30 standard
    errors at three values.

    Args:
        values: [n], n >= 1, a repetition each.
        confidence: in (0, 1).

    Raises:
        ValueError: no value, or settings out of range.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or not len(given):
        raise ValueError(f"values have shape {given.shape}, but must be [n] with n >= 1")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, but must be > 0 and < 1")
    mean = float(given.mean())
    if len(given) == 1:
        return MeanInterval(mean, math.nan, math.nan)
    if (given == given[0]).all():  # a sum of equal floats may round, and look like a spread
        return MeanInterval(float(given[0]), float(given[0]), float(given[0]))
    from scipy.stats import t

    error = float(given.std(ddof=1)) / math.sqrt(len(given))
    reach = float(t.ppf((1 + confidence) / 2, len(given) - 1)) * error
    return MeanInterval(mean, mean - reach, mean + reach)


def student_p_value(values: npt.ArrayLike) -> float:
    """Two-sided p of a mean of 0, by Student's t; NaN for one value alone.

    Equal values have no spread: 1 where they are 0, else 0.

    Args:
        values: [n], n >= 1, a repetition each.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or not len(given):
        raise ValueError(f"values have shape {given.shape}, but must be [n] with n >= 1")
    if len(given) == 1:
        return math.nan
    if (given == given[0]).all():
        return 1.0 if given[0] == 0 else 0.0
    from scipy.stats import t

    error = float(given.std(ddof=1)) / math.sqrt(len(given))
    return float(2 * t.sf(abs(float(given.mean())) / error, len(given) - 1))
