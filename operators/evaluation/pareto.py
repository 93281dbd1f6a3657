"""Which of several results no other one beats in both quality and cost."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt


def pareto_front(
    costs: npt.ArrayLike,
    qualities: npt.ArrayLike,
    *,
    better: Literal["lower", "higher"] = "lower",
) -> list[int]:
    """Indices of the points that no other point dominates, by rising cost.

    A point is dominated by one that is no worse in both and better in one. Of equal points none
    dominates the other: all are on the front, in their order.

    Args:
        costs: [n], less is better.
        qualities: [n].
        better: which way qualities are better.

    Raises:
        ValueError: other lengths, or a value that is no number.
    """
    spent, reached = np.asarray(costs, np.float64), np.asarray(qualities, np.float64)
    if spent.ndim != 1 or spent.shape != reached.shape:
        raise ValueError(f"costs have shape {spent.shape}, qualities {reached.shape}")
    if not (np.isfinite(spent).all() and np.isfinite(reached).all()):
        raise ValueError("costs and qualities must be finite")
    loss = reached if better == "lower" else -reached
    front = [
        index
        for index in range(len(spent))
        if not (
            (spent <= spent[index])
            & (loss <= loss[index])
            & ((spent < spent[index]) | (loss < loss[index]))
        ).any()
    ]
    return sorted(front, key=lambda index: spent[index])
