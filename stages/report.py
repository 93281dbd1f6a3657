"""Say what an experiment allows to say: arms side by side, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, Self

import pyarrow as pa
from pydantic import model_validator

from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import METRICS, REPORT
from stages.report_histories import costs, learning_curves, pareto
from stages.report_metrics import measure_of
from stages.report_page import Figure, report_files, slug
from stages.report_provenance import differences, tokenizers
from stages.report_scores import GroupBy, Scalar, baseline_arm, gather_scores
from stages.report_warnings import (
    arm_cells,
    contamination_warnings,
    tokenizer_warning,
    tokens_warning,
)
from stages.report_words import (
    Findings,
    bin_lines,
    comparison_rows,
    limits,
    table_lines,
    verdicts,
)

# Of each arm, besides its score, in the record of the run.
RECORDED = ("difference", "corrected_low", "corrected_high", "verdict")


class Compare(Stage):
    """Arms against a baseline in one metric, with intervals over documents and seeds.

    Documents are drawn again for all arms together, so that what is common to them cancels; seeds,
    of which there are few, by Student's t. The verdict is "better" or "worse" only where the
    interval of the difference, corrected for all comparisons that are made, leaves out zero. What
    went into the arms differently stands beside it, with warnings where that makes them unlike.
    """

    word = "report.compare"

    class Config(StageConfig):
        baseline: dict[str, Scalar] = Field(
            description="matrix values of the arm that others are compared with: {arm: baseline}"
        )
        metric: str = Field(
            "bits_per_byte", description="of the scores: sum(value * weight) / sum(weight)"
        )
        better: Literal["auto", "lower", "higher"] = Field(
            "auto", description="which way the metric is better; auto: as known of the metric"
        )
        group_by: GroupBy = Field(
            "none",
            description="compare apart: the rows of each `group`, or of each `id` (such as a "
            "frequency bin)",
        )
        groups: list[str] = Field([], description="only these groups; all where empty")
        contrast: list[str] = Field(
            [],
            max_length=2,
            description="two of the groups: does the difference in the first exceed that in the "
            "second?",
        )
        rows: Literal["auto", "drawn", "fixed"] = Field(
            "auto",
            description="drawn: rows are a sample, and drawn again; fixed: only seeds carry the "
            "spread (Student's t); auto: fixed with fewer than 20 rows in a group",
        )
        replicate_axis: str = Field(
            "seed", description="the axis that repeats an arm; all others tell arms apart"
        )
        resamples: int = Field(10_000, ge=100, description="draws of documents and seeds")
        confidence: float = Field(0.95, gt=0, lt=1, description="of the intervals")
        seed: int = Field(0, ge=0, description="of the resampling")
        title: str = Field("Comparison", description="heading of the report")

        @model_validator(mode="after")
        def _groups_are_told(self) -> Self:
            if self.group_by == "none" and (self.groups or self.contrast):
                raise ValueError(
                    "groups and contrast need group_by: group, or id for single rows such as bins"
                )
            if self.contrast and (len(set(self.contrast)) != 2 or self.groups):
                raise ValueError("contrast names two different groups, and groups stays empty")
            return self

    inputs = {
        "scores": Input(Kind.METRICS, "scores of every arm and seed", many=True, provenance=True),
        "history": Input(
            Kind.METRICS, "loss curves of every arm and seed", many=True, optional=True
        ),
        "contamination": Input(
            Kind.DROPPED,
            "training documents that repeat evaluation texts (corpus.decontaminate)",
            many=True,
            optional=True,
        ),
    }
    outputs = {
        "report": Output(Kind.REPORT, "report.md, report.html and the plots"),
        "comparison": Output(
            Kind.METRICS, "a row an arm, group and number; `group` is the verdict"
        ),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        config = self.config
        found = self._findings(inputs)
        rows = comparison_rows(found)
        outputs["comparison"].write(pa.Table.from_pylist(rows, METRICS))
        for row in rows:
            if row["metric"] in (config.metric, *RECORDED):
                context.metric(f"{slug(row['id'])}.{row['metric']}", row["value"])
        figures = self._figures(found, inputs)
        for name, figure in figures.items():
            context.figure(name, figure.wide)
        axis, arms = config.replicate_axis, found.scores.arms
        page = {
            "title": config.title,
            "verdicts": verdicts(found),
            "warnings": self._warnings(found, inputs),
            "lines": table_lines(found),
            "sentences": limits(found, config.resamples),
            "differences": differences(inputs["scores"], arms, axis),
            "bins": bin_lines(inputs["scores"], axis, arms),
        }
        outputs["report"].write(pa.Table.from_pylist(report_files(page, figures), REPORT))

    def _findings(self, inputs: Mapping[str, Any]) -> Findings:
        from operators.evaluation.bootstrap import compare_arms
        from operators.evaluation.paired_draws import PairedScores

        config, axis = self.config, self.config.replicate_axis
        measure = measure_of(config.metric, config.better)
        contrast = (config.contrast[0], config.contrast[1]) if config.contrast else None
        scores = gather_scores(
            inputs["scores"], axis, config.metric,
            group_by=config.group_by, groups=config.contrast or config.groups, rows=config.rows,
        )  # fmt: skip
        base = baseline_arm(inputs["scores"], config.baseline, axis, scores.arms)
        compared = compare_arms(
            [PairedScores(group.values, group.weights) for group in scores.groups],
            baseline=base,
            contrast=contrast is not None,
            rows="fixed" if scores.fixed else "drawn",
            resamples=config.resamples,
            confidence=config.confidence,
            seed=config.seed,
        )
        names = [f"{contrast[0]} - {contrast[1]}"] if contrast else [g.name for g in scores.groups]
        unlike = tokenizer_warning(tokenizers(inputs["scores"], axis), measure)
        return Findings(
            scores, compared, names, base, measure, contrast, config.confidence, axis,
            withheld="the arms have different tokenizers" if unlike and measure.by_token else "",
        )  # fmt: skip

    def _warnings(self, found: Findings, inputs: Mapping[str, Any]) -> list[str]:
        axis = self.config.replicate_axis
        seen = costs(inputs.get("history", []), axis).get("tokens_seen", {})
        said = [
            tokenizer_warning(tokenizers(inputs["scores"], axis), found.measure),
            tokens_warning(seen),
            *contamination_warnings(
                inputs.get("contamination", []), arm_cells(inputs["scores"], axis), axis
            ),
            *found.scores.unlike,
        ]
        return [sentence for sentence in said if sentence]

    def _figures(self, found: Findings, inputs: Mapping[str, Any]) -> dict[str, Figure]:
        from operators.plotting.interval_plot import intervals

        measure, axis = found.measure, self.config.replicate_axis
        shown = [
            (found.label("" if found.contrast else name, comparison), comparison)
            for name, compared in zip(found.names, found.compared, strict=True)
            for comparison in compared
            if comparison.arm != found.base
        ]
        side = "left" if measure.better == "lower" else "right"
        drawn = [c for _, c in shown]
        corrected = ", corrected" if found.comparisons > 1 else ""
        draw = partial(
            intervals,
            [label for label, _ in shown],
            [c.difference for c in drawn],
            [c.corrected_low for c in drawn],
            [c.corrected_high for c in drawn],
            title=f"Difference to {found.baseline} ({found.confidence:.0%} intervals{corrected})",
            xlabel=f"{measure.unit or measure.title}; {side} of zero is better",
            good="below" if measure.better == "lower" else "above",
        )
        figures = {"differences": Figure.drawn(draw)}
        histories = inputs.get("history", [])
        curves = learning_curves(histories, axis)
        if curves is not None:
            figures["learning_curves"] = Figure.drawn(curves)
        if not found.contrast and len(found.names) == 1:
            front = pareto(
                costs(histories, axis),
                {
                    found.scores.arms[c.arm]: (c.difference, c.corrected_low, c.corrected_high)
                    for c in found.compared[0]
                },
                quality=f"difference, {measure.unit or measure.title}",
                better=measure.better,
            )
            if front is not None:
                figures["pareto"] = Figure.drawn(front)
        return figures
