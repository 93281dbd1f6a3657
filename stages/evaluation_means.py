"""What rows of scores say as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def weighted_means(
    rows: Sequence[Mapping[str, Any]], *, by_group: bool = False
) -> dict[str, float]:
    """Mean by weight of each metric over all rows; `by_group` also over those of each group.

    The names of the latter are GROUP.METRIC.
    """
    sums: dict[str, list[float]] = {}
    for row in rows:
        names = [row["metric"], *([f"{row['group']}.{row['metric']}"] if by_group else [])]
        for name in names:
            pair = sums.setdefault(name, [0.0, 0.0])
            pair[0] += row["value"] * row["weight"]
            pair[1] += row["weight"]
    return {name: total / weight for name, (total, weight) in sums.items()}
