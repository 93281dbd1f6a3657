"""Minimal pairs: does a model find the good sentence more probable than the bad one?

The measure of BLiMP (Warstadt et al. 2020, TACL): sums of log-probabilities are compared, never
means over tokens. `lm_eval` takes the first of equally probable sentences, and its BLiMP tasks put
the good one first, so that a tie counts as right there; here it is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class PairAccuracy:
    """Shares of pairs whose good sentence is strictly more probable.

    Attributes:
        by_paradigm: accuracy of each paradigm, in alphabetical order.
        macro: mean over paradigms; what BLiMP reports.
        micro: share of all pairs.
        ties: pairs whose sentences are equally probable; they count as wrong.
    """

    by_paradigm: Mapping[str, float]
    macro: float
    micro: float
    ties: int


def pair_accuracy(
    good: npt.ArrayLike, bad: npt.ArrayLike, paradigms: Sequence[str]
) -> PairAccuracy:
    """Accuracy on minimal pairs.

    Args:
        good: log-probability of each good sentence, summed over its tokens, [n], n >= 1.
        bad: of the bad ones, [n].
        paradigms: of each pair, [n].

    Raises:
        ValueError: different lengths, no pair, or a NaN.
    """
    better = np.asarray(good, dtype=np.float64)
    worse = np.asarray(bad, dtype=np.float64)
    if better.ndim != 1 or not better.shape == worse.shape == (len(paradigms),) or not len(better):
        raise ValueError(
            f"{better.shape} good and {worse.shape} bad sentences of {len(paradigms)} paradigms: "
            "needed is one each for every pair, and a pair"
        )
    if np.isnan(better).any() or np.isnan(worse).any():
        at = int(np.argmax(np.isnan(better) | np.isnan(worse)))
        raise ValueError(f"a log-probability of pair {at} is NaN")
    right = better > worse
    names = np.asarray(paradigms)
    by_paradigm = {str(name): float(right[names == name].mean()) for name in np.unique(names)}
    return PairAccuracy(
        by_paradigm,
        float(np.mean(list(by_paradigm.values()))),
        float(right.mean()),
        int((better == worse).sum()),
    )
