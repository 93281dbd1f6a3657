"""Several comparisons in one experiment: what is left of 95 % when there are many chances.

The family-wise error rate is held by the joint distribution of all comparisons, drawn by a
bootstrap: the single-step *min-p* method of Westfall and Young (1993, "Resampling-based multiple
testing"), with the same errors for every comparison as in Beran's balanced simultaneous confidence
sets (1988). Against one baseline this is what Dunnett's test is for normal values: comparisons that
share their baseline, documents and seeds go together, and need less of a correction than Holm's or
Bonferroni's, which must expect the worst. Unlike Holm's, it gives intervals that say the same as
the p values.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def tail_levels(draws: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """How far out in the two tails of its own comparison each draw lies.

    The level of a draw is twice the share of draws on its far side, itself included, at most 1: in
    5 % of the draws it is <= 0.05. Draws that tie share their mean rank, so a comparison that does
    not vary is never far out.

    Args:
        draws: of each comparison, the same draw of all in a row, [draws, comparisons].

    Returns:
        Levels in (0, 1], of the same shape.

    Raises:
        ValueError: there are no draws, or the shape is another.
    """
    given = _two_dimensional(draws)
    from scipy.stats import rankdata

    ranks = rankdata(given, axis=0)
    count = len(given)
    # The largest of n draws has rank n, and one draw (itself) on its far side.
    return np.asarray(np.minimum(1.0, 2 * np.minimum(ranks, count + 1 - ranks) / count))


def joint_level(draws: npt.ArrayLike, error: float) -> float:
    """The level at which each comparison must be judged so that errors in any are `error` together.

    The share `error` of the draws has a comparison at this level or farther out. With one
    comparison it is `error`; with k it lies between `error` / k (Bonferroni) and `error`.

    Args:
        draws: [draws, comparisons]; where there is no comparison the level is `error`.
        error: in (0, 1): 0.05 for simultaneous intervals of 95 %.

    Raises:
        ValueError: settings out of range.
    """
    given = _two_dimensional(draws)
    if not 0 < error < 1:
        raise ValueError(f"error is {error}, but must be > 0 and < 1")
    if given.shape[1] < 2:
        return error
    farthest = tail_levels(given).min(axis=1)
    found = float(np.quantile(farthest, error, method="lower"))
    # Few draws know their own tails badly; what is known without them are the two limits.
    return float(min(error, max(found, error / given.shape[1])))


def joint_p_values(draws: npt.ArrayLike, p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """p values that hold for all comparisons together: how often the luckiest of them is as lucky.

    Args:
        draws: of each comparison around its own mean, [draws, comparisons].
        p_values: of each by itself, [comparisons].

    Returns:
        For each comparison the share of draws in which any lies at its level or farther out: never
        under its own p value, nor above k times it.

    Raises:
        ValueError: other numbers of comparisons.
    """
    given, single = _two_dimensional(draws), np.asarray(p_values, dtype=np.float64)
    if single.shape != given.shape[1:]:
        raise ValueError(f"{given.shape[1]} comparisons have p values of shape {single.shape}")
    count = given.shape[1]
    if count < 2:
        return single.copy()
    farthest = np.sort(tail_levels(given).min(axis=1))
    shares = np.searchsorted(farthest, single, side="right") / len(farthest)
    return np.asarray(np.clip(shares, single, np.minimum(1.0, count * single)))


def _two_dimensional(draws: npt.ArrayLike) -> npt.NDArray[np.float64]:
    given = np.asarray(draws, dtype=np.float64)
    if given.ndim != 2 or not len(given):
        raise ValueError(f"draws have shape {given.shape}, but must be [draws, comparisons]")
    return given
