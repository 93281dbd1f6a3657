"""How soon an arm comes to where the baseline ends: steps, and their ratio over the seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from operators.evaluation.student_interval import MeanInterval


@dataclass(frozen=True)
class Reached:
    """When the trainings of an arm came to the baseline's end.

    Attributes:
        arm: its label.
        steps: of each seed the step at which it was there, None where it never was.
        logarithm: of the ratio of these steps to the baseline's own, its mean over the seeds; None
            where a seed never was there.
    """

    arm: str
    steps: list[int | None]
    logarithm: MeanInterval | None

    @property
    def verdict(self) -> str:
        """fewer, more, or undecided; a ratio is claimed only where the interval leaves out 1."""
        side = "undecided" if self.logarithm is None else self.logarithm.side
        return {"lower": "fewer", "higher": "more"}.get(side, "undecided")

    def _ratios(self) -> tuple[float, float, float]:
        """The geometric mean of the ratios and the ends of its interval; NaN where it has none."""
        found = self.logarithm
        if found is None:
            return math.nan, math.nan, math.nan
        return math.exp(found.mean), math.exp(found.low), math.exp(found.high)

    def numbers(self) -> dict[str, float]:
        """What rows of metrics hold."""
        there = [step for step in self.steps if step is not None]
        ratio, low, high = self._ratios()
        numbers = {
            "steps_to_share": len(there) / len(self.steps),
            "steps_to": float(np.mean(there)) if len(there) == len(self.steps) else math.nan,
            "steps_ratio": ratio,
            "steps_ratio_low": low,
            "steps_ratio_high": high,
        }
        return {name: value for name, value in numbers.items() if not math.isnan(value)}

    def sentence(self, base: str, axis: str, confidence: float) -> str:
        """What may be said of it."""
        there = [step for step in self.steps if step is not None]
        if len(there) < len(self.steps):
            return (
                f"{self.arm} comes to where {base} ends with {len(there)} of {len(self.steps)} "
                f"{axis}s: no number of steps can be given."
            )
        ratio, low, high = self._ratios()
        told = (
            f"{self.arm} is where {base} ends after {np.mean(there):.0f} steps, {ratio:.2f} times "
            f"those of {base}"
        )
        if math.isnan(low):
            return f"{told}; one {axis} has no spread."
        told += f" ({confidence:.0%} interval {low:.2f} to {high:.2f})"
        if self.verdict == "undecided":
            return f"{told}: fewer or more steps cannot be claimed."
        return f"{told}: {self.verdict} steps."


def steps_to_end(
    curves: Mapping[str, Any], baseline: str, last: int, confidence: float
) -> list[Reached]:
    """When each other arm came to the baseline's end, seed by seed, in the order of the arms.

    Points are noisy, so a curve is where the mean of its `last` points is, as its end is. The
    baseline comes to its own end by the same rule, often before its last step: a ratio of 1 is what
    an arm like it has. Ratios are compared as logarithms, by Student's t over the seeds.

    Args:
        curves: `stages.report_curves.Curves` by arm.
        last: points that are averaged.
    """
    from operators.evaluation.student_interval import student_interval

    base = _means(curves[baseline].values, last)
    ends = base[:, -1]
    falling = bool(ends.mean() <= base[:, 0].mean())
    of = _first(base, ends, curves[baseline].steps, last, falling=falling)
    found = []
    for arm, curve in curves.items():
        if arm == baseline:
            continue
        steps = _first(_means(curve.values, last), ends, curve.steps, last, falling=falling)
        logs = [math.log(a / b) for a, b in zip(steps, of, strict=True) if a and b]
        whole = len(logs) == len(of)
        found.append(
            Reached(arm, steps, student_interval(logs, confidence=confidence) if whole else None)
        )
    return found


def _means(values: Any, last: int) -> Any:
    """Running means of the `last` points, [seeds, points - last + 1]."""
    width = min(last, values.shape[1])
    sums = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    return (sums[:, width:] - sums[:, :-width]) / width


def _first(
    means: Any, ends: Any, steps: Sequence[int], last: int, *, falling: bool
) -> list[int | None]:
    """The step of the first mean that is no farther from the goal than `ends`, of each seed."""
    width = min(last, len(steps))
    found: list[int | None] = []
    for of_seed, end in zip(means, ends, strict=True):
        # Sums of floats may round: what is there but for that is there.
        near = 1e-9 * max(1.0, abs(float(end)))
        there = np.flatnonzero(of_seed <= end + near if falling else of_seed >= end - near)
        found.append(int(steps[width - 1 + int(there[0])]) if len(there) else None)
    return found
