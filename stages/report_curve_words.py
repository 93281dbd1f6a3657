"""What curves of several trainings allow to say, in tables, in sentences and in a figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from operators.evaluation.student_interval import MeanInterval
    from stages.report_curves import Curves, Finding


def numbers(finding: Finding) -> dict[str, float]:
    """What rows of metrics hold of it."""
    told = {
        "first": finding.first[1],
        "lowest": finding.lowest[1],
        "highest": finding.highest[1],
        "last": finding.at_end[1],
        "end": finding.ends,
    }
    if finding.recovered is not None:
        told["recovered"] = finding.recovered
    for name, interval in (("change", finding.change), ("difference", finding.difference)):
        if interval is not None:
            told[name] = interval.mean
            if not math.isnan(interval.low):  # one seed alone has none
                told |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    return told


def table(found: Sequence[Finding], base: str) -> list[list[str]]:
    """One metric of all arms as a table of text, header first."""
    lines = [["arm", "first", "lowest", "highest", "last", "end", "end against first", "interval",
              f"end against {base}", "interval", "verdict"]]  # fmt: skip
    for finding in found:
        difference = finding.difference
        lines.append(
            [
                finding.arm,
                f"{finding.first[1]:.4f}",
                *(f"{value:.4f} at {step}" for step, value in (finding.lowest, finding.highest)),
                f"{finding.at_end[1]:.4f}",
                f"{finding.ends:.4f}",
                f"{finding.change.mean:+.4f} ({finding.change.mean / finding.first[1]:+.1%})",
                _written(finding.change),
                "" if difference is None else f"{difference.mean:+.4f}",
                "" if difference is None else _written(difference),
                finding.verdict,
            ]
        )
    return lines


def _written(interval: MeanInterval) -> str:
    return "" if math.isnan(interval.low) else f"[{interval.low:+.4f}, {interval.high:+.4f}]"


def sentence(finding: Finding, base: str) -> str:
    """What the intervals allow to say of an arm."""
    first, (step, highest) = finding.first[1], finding.highest
    peak = ""
    if finding.recovered is not None:
        peak = (
            f" after a peak of {highest / first - 1:+.1%} at step {step}, of which "
            f"{finding.recovered:.0%} is undone"
        )
    where = finding.change.side
    if where == "undecided":
        said = f"{finding.arm}: no change since its first value can be claimed{peak}"
    else:
        said = (
            f"{finding.arm} ends {abs(finding.change.mean / first):.1%} {where} than it began{peak}"
        )
    if finding.difference is None:
        return said + "."
    if finding.verdict == "undecided":
        return f"{said}; no difference to {base} can be claimed."
    return f"{said}; {abs(finding.difference.mean):.4f} {finding.verdict} than {base}."


def figure(
    gathered: Mapping[str, Mapping[str, Curves]], levels: Mapping[str, float], title: str
) -> bytes:
    """A panel a metric, a line an arm: the mean of the seeds, in a band from lowest to highest."""
    from operators.plotting.curve_panels import Band, curve_panels

    panels = {
        _told(metric): {
            arm: Band(
                curve.steps,
                curve.values.mean(axis=0).tolist(),
                curve.values.min(axis=0).tolist(),
                curve.values.max(axis=0).tolist(),
            )
            for arm, curve in curves.items()
        }
        for metric, curves in gathered.items()
    }
    heights = {_told(metric): height for metric, height in levels.items()}
    return curve_panels(panels, title=title, xlabel="step", levels=heights)


def _told(metric: str) -> str:
    return metric.replace("_", " ")
