"""What happens on the way: curves of several trainings in one figure, and how they end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from stages.contract import Artifact, Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import METRICS, REPORT
from stages.report_curve_words import figure, numbers, sentence, table
from stages.report_page import render, slug
from stages.report_scores import Scalar, arm_label, baseline_arm
from stages.report_steps import Reached, steps_to_end

if TYPE_CHECKING:
    from operators.evaluation.student_interval import MeanInterval


@dataclass(frozen=True)
class Curves:
    """One metric of one arm.

    Attributes:
        steps: ascending, [points].
        values: of each repetition, float64 [seeds, points].
    """

    steps: list[int]
    values: Any

    def ends(self, last: int) -> Any:
        """Mean over the last points, of each repetition, [seeds]."""
        return self.values[:, -last:].mean(axis=1)


@dataclass(frozen=True)
class Finding:
    """How one metric of one arm went.

    Attributes:
        first, lowest, highest, at_end: of the mean over the seeds; step and value.
        ends: mean over the last points.
        change: of each seed's end against its first value.
        difference: of the end to the baseline's, seed by seed; None for the baseline.
    """

    arm: str
    first: tuple[int, float]
    lowest: tuple[int, float]
    highest: tuple[int, float]
    at_end: tuple[int, float]
    ends: float
    change: MeanInterval
    difference: MeanInterval | None

    @property
    def recovered(self) -> float | None:
        """Share of the rise from the first value to the highest that is undone at the end."""
        rise = self.highest[1] - self.first[1]
        return (self.highest[1] - self.ends) / rise if rise > 0 else None

    @property
    def verdict(self) -> str:
        """Where the end lies to the baseline's; claimed only where the interval leaves out 0."""
        return "baseline" if self.difference is None else self.difference.side


class CurvesReport(Stage):
    """Metrics by step of several arms in one figure, and how each arm ends against a baseline.

    A line is the mean over the seeds, its band reaches from the lowest to the highest seed. The end
    is the mean of the last points, as single points are noisy (Ibrahim et al. 2024). Differences
    are taken seed by seed; their intervals are Student's t over the seeds. The verdict is "lower"
    or "higher" only where the interval leaves out zero.
    """

    word = "report.curves"

    class Config(StageConfig):
        metrics: list[str] = Field(
            ["loss"], min_length=1, description="metrics of the histories, a panel each"
        )
        baseline: dict[str, Scalar] = Field(
            description="matrix values of the arm that others are compared with: {arm: baseline}"
        )
        replicate_axis: str = Field(
            "seed", description="the axis that repeats an arm; all others tell arms apart"
        )
        last: int = Field(5, ge=1, description="points at the end of a curve whose mean is its end")
        confidence: float = Field(0.95, gt=0, lt=1, description="of the intervals")
        steps_to: bool = Field(
            False,
            description="tell after how many steps each arm is where the baseline ends, and the "
            "ratio to the baseline's own steps",
        )
        level: Literal["none", "first"] = Field(
            "none", description="a dotted line in the figure: where the baseline began"
        )
        title: str = Field("Curves", description="heading of the report")

    inputs = {
        "history": Input(Kind.METRICS, "histories of every arm and seed", many=True),
    }
    outputs = {
        "report": Output(Kind.REPORT, "report.md and curves.png"),
        "summary": Output(Kind.METRICS, "one row an arm and measure of a metric"),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        config = self.config
        gathered = {
            metric: gather_curves(inputs["history"], metric, config.replicate_axis)
            for metric in config.metrics
        }
        arms = list(next(iter(gathered.values())))
        base = baseline_arm(inputs["history"], config.baseline, config.replicate_axis, arms)
        found = {
            metric: findings(curves, arms[base], config.last, config.confidence)
            for metric, curves in gathered.items()
        }
        reached: dict[str, list[Reached]] = {
            metric: steps_to_end(curves, arms[base], config.last, config.confidence)
            if config.steps_to
            else []
            for metric, curves in gathered.items()
        }
        rows: list[dict[str, Any]] = []
        for metric, of_arms in found.items():
            weight = float(len(gathered[metric][arms[base]].values))
            told = [(finding.arm, numbers(finding), finding.verdict) for finding in of_arms]
            told += [(there.arm, there.numbers(), there.verdict) for there in reached[metric]]
            for arm, of_arm, verdict in told:
                for name, value in of_arm.items():
                    # Sums of floats may differ in their last bits between BLAS builds.
                    rows.append({"id": arm, "metric": f"{metric}.{name}", "weight": weight,
                                 "value": round(value, 12), "group": verdict})  # fmt: skip
            for finding in of_arms:
                context.metric(f"{slug(finding.arm)}.{slug(metric)}", finding.ends)
        outputs["summary"].write(pa.Table.from_pylist(rows, METRICS))
        levels = {}
        if config.level == "first":
            levels = {metric: of_arms[base].first[1] for metric, of_arms in found.items()}
        drawn = figure(gathered, levels, config.title)
        context.figure("curves", drawn)
        markdown = render("curves.md.j2", self._page(gathered, found, reached, arms[base]))
        files = [
            {"id": "report.md", "media_type": "text/markdown", "content": markdown.encode()},
            {"id": "curves.png", "media_type": "image/png", "content": drawn},
        ]
        outputs["report"].write(pa.Table.from_pylist(files, REPORT))

    def _page(
        self,
        gathered: Mapping[str, Mapping[str, Curves]],
        found: Mapping[str, Sequence[Finding]],
        reached: Mapping[str, Sequence[Reached]],
        base: str,
    ) -> dict[str, Any]:
        config, axis = self.config, self.config.replicate_axis
        seeds = len(next(iter(gathered.values()))[base].values)
        many = "s" if seeds != 1 else ""
        limits = [
            f"End: the mean of the last {config.last} points. Intervals: {config.confidence:.0%}, "
            f"Student's t over {seeds} {axis}{many}, differences taken {axis} by {axis}; they "
            "speak of trainings, not of other text."
        ]
        if seeds == 1:
            limits.append(f"One {axis} an arm has no spread: nothing can be claimed.")
        compared = len(found) * (len(next(iter(found.values()))) - 1) * (1 + config.steps_to)
        if compared > 1:
            limits.append(f"{compared} comparisons were made, without a correction for many.")
        tables = [
            {
                "metric": metric,
                "lines": table(of_arms, base),
                "sentences": [sentence(finding, base) for finding in of_arms]
                + [there.sentence(base, axis, config.confidence) for there in reached[metric]],
            }
            for metric, of_arms in found.items()
        ]
        return {"title": config.title, "tables": tables, "limits": limits}


def gather_curves(
    artifacts: Sequence[Artifact], metric: str, replicate_axis: str
) -> dict[str, Curves]:
    """The curves of a metric by arm.

    Raises:
        ValueError: a history without the metric, an arm that lacks a seed, or seeds of an arm that
            were measured at other steps.
    """
    cells: dict[str, dict[str, dict[int, float]]] = {}
    for artifact in artifacts:
        table = artifact.table()
        arm = arm_label(artifact.cell, replicate_axis)
        seed = str(artifact.cell.get(replicate_axis, ""))
        points = {
            int(row["id"]): float(row["value"])
            for row in table.to_pylist()
            if row["metric"] == metric
        }
        if not points:
            there = ", ".join(sorted(set(table.column("metric").to_pylist()))) or "none"
            raise ValueError(
                f'the history of {arm} ({replicate_axis} {seed}) has no metric "{metric}"; it has: '
                f"{there}"
            )
        cells.setdefault(arm, {})[seed] = points
    if not cells:
        raise ValueError("there are no histories to draw")
    seeds = list(dict.fromkeys(seed for of_arm in cells.values() for seed in of_arm))
    gathered = {}
    for arm, of_arm in cells.items():
        lacking = [seed for seed in seeds if seed not in of_arm]
        if lacking:
            raise ValueError(
                f"arms must share their seeds; {arm} lacks {replicate_axis} {', '.join(lacking)}"
            )
        steps = sorted(of_arm[seeds[0]])
        for seed in seeds:
            if sorted(of_arm[seed]) != steps:
                raise ValueError(
                    f"{metric} of {arm} was measured at other steps with {replicate_axis} {seed} "
                    f"than with {seeds[0]}: the repetitions of an arm need the same settings"
                )
        gathered[arm] = Curves(
            steps, np.array([[of_arm[seed][step] for step in steps] for seed in seeds])
        )
    return gathered


def findings(
    curves: Mapping[str, Curves], baseline: str, last: int, confidence: float
) -> list[Finding]:
    """How the metric of each arm went, in the order of the arms."""
    from operators.evaluation.student_interval import student_interval

    found = []
    for arm, curve in curves.items():
        mean = curve.values.mean(axis=0)
        low, high = int(mean.argmin()), int(mean.argmax())
        first, lowest, highest, at_end = (
            (curve.steps[index], float(mean[index])) for index in (0, low, high, -1)
        )
        ends = curve.ends(last)
        found.append(
            Finding(
                arm, first, lowest, highest, at_end, float(ends.mean()),
                student_interval(ends - curve.values[:, 0], confidence=confidence),
                None if arm == baseline else student_interval(
                    ends - curves[baseline].ends(last), confidence=confidence
                ),
            )
        )  # fmt: skip
    return found
