"""What the intervals of a comparison allow to say, in tables and in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.report_metrics import Measure
from stages.report_scores import Scores

if TYPE_CHECKING:
    from operators.evaluation.bootstrap import ArmComparison

# With fewer (<) trainings the reader sees the difference of each.
FEW_SEEDS = 5
# Of fewer (<) rows alike a skewed value shows too little of its tail.
FEW_ALIKE = 30


@dataclass(frozen=True)
class Findings:
    """A comparison and all that is needed to speak of it.

    Attributes:
        compared: of each group, of each arm.
        names: of the groups that `compared` has; one of "" where nothing is apart.
        contrast: whether the one group is a difference of two, which `names` then says.
        confidence: of the intervals.
        axis: what repeats an arm.
        withheld: why no verdict may be given; empty where one may.
    """

    scores: Scores
    compared: Sequence[Sequence[ArmComparison]]
    names: Sequence[str]
    base: int
    measure: Measure
    contrast: tuple[str, str] | None
    confidence: float
    axis: str
    withheld: str = ""

    @property
    def baseline(self) -> str:
        return self.scores.arms[self.base]

    @property
    def comparisons(self) -> int:
        """How many verdicts are given: the family that is corrected for."""
        return len(self.compared) * (len(self.scores.arms) - 1)

    def verdict(self, comparison: ArmComparison) -> str:
        """better, worse, undecided, or baseline."""
        from operators.evaluation.bootstrap import verdict

        if comparison.arm == self.base:
            return "baseline"
        return "undecided" if self.withheld else verdict(comparison, better=self.measure.better)

    def label(self, group: str, comparison: ArmComparison) -> str:
        """The id of its rows: the arm, and the group where there are several."""
        arm = self.scores.arms[comparison.arm]
        return f"{arm} ({group})" if group else arm

    def by_seed(self, group: int, arm: int) -> list[float]:
        """The differences that each seed shows by itself."""
        pooled = []
        for one in self.scores.groups if self.contrast else [self.scores.groups[group]]:
            both = one.values[[arm, self.base]]
            weights = one.weights if one.weights.ndim == 1 else one.weights[[arm, self.base]]
            sums = (both * weights).sum(axis=2) / weights.sum(axis=-1)
            pooled.append(sums[0] - sums[1])
        found = pooled[0] - pooled[1] if self.contrast else pooled[0]
        return [float(value) for value in found]


def comparison_rows(found: Findings) -> list[dict[str, Any]]:
    """The comparison as rows of metrics: a row an arm, group and number; `group` is the verdict."""
    rows = []
    metric = found.measure.name
    for group, name in enumerate(found.names):
        weight = sum(
            one.weight for one in found.scores.groups[group : None if found.contrast else group + 1]
        )
        for comparison in found.compared[group]:
            verdict = found.verdict(comparison)
            numbers = {
                metric: comparison.score,
                f"{metric}_low": comparison.low,
                f"{metric}_high": comparison.high,
                "difference": comparison.difference,
                "difference_low": comparison.difference_low,
                "difference_high": comparison.difference_high,
                "corrected_low": comparison.corrected_low,
                "corrected_high": comparison.corrected_high,
                "p": comparison.p,
                "corrected_p": comparison.corrected_p,
                "verdict": {"better": 1.0, "worse": -1.0}.get(verdict, 0.0),
            }
            for number, value in numbers.items():
                if not math.isnan(value):  # one seed on fixed rows has no interval
                    # Sums of floats may differ in their last bits between BLAS builds.
                    rows.append({"id": found.label(name, comparison), "metric": number,
                                 "value": round(value, 12), "weight": weight,
                                 "group": verdict})  # fmt: skip
    return rows


def table_lines(found: Findings) -> list[list[str]]:
    """The comparison as a table of text, header first."""
    several = found.comparisons > 1
    header = ["arm", found.measure.title, "difference", "interval"]
    if found.contrast:
        header[1:3] = [f"{found.contrast[0]} against {found.contrast[1]}"]
    if any(found.names) and not found.contrast:
        header.insert(1, "group")
    lines = [[*header, *(["corrected"] if several else []), "p", "verdict"]]
    for group, name in enumerate(found.names):
        for comparison in found.compared[group]:
            is_base = comparison.arm == found.base
            cells = [found.scores.arms[comparison.arm]]
            if any(found.names) and not found.contrast:
                cells.append(name)
            if not found.contrast:
                cells.append(f"{comparison.score:.4f}")
            told = [
                f"{comparison.difference:+.4f}",
                interval(comparison.difference_low, comparison.difference_high),
                *([interval(comparison.corrected_low, comparison.corrected_high)]
                  if several else []),
                "" if math.isnan(comparison.corrected_p) else f"{comparison.corrected_p:.2g}",
            ]  # fmt: skip
            cells += [""] * len(told) if is_base else told
            lines.append([*cells, found.verdict(comparison)])
    return lines


def interval(low: float, high: float) -> str:
    """An interval as a table has it; empty where there is none."""
    return "" if math.isnan(low) else f"[{low:+.4f}, {high:+.4f}]"


def verdicts(found: Findings) -> list[str]:
    """One sentence a comparison, no more than its corrected interval allows to say."""
    return [
        _sentence(found, group, comparison)
        for group in range(len(found.names))
        for comparison in found.compared[group]
        if comparison.arm != found.base
    ]


def _sentence(found: Findings, group: int, comparison: ArmComparison) -> str:
    name, base, seeds = found.scores.arms[comparison.arm], found.baseline, comparison.seeds
    where = f" on {found.names[group]}" if found.names[group] and not found.contrast else ""
    if found.withheld:
        return f"{name}{where}: nothing can be claimed, {found.withheld}."
    if math.isnan(comparison.corrected_low):
        return (
            f"{name}{where}: one {found.axis} shows no spread, nothing can be claimed (the "
            f"difference is {found.measure.difference(comparison.difference)})."
        )
    told = (
        f"{found.confidence:.0%} interval {comparison.corrected_low:+.4f} to "
        f"{found.measure.difference(comparison.corrected_high)}"
    )
    if found.comparisons > 1:
        told += f", corrected for {found.comparisons} comparisons"
    verdict = found.verdict(comparison)
    if verdict == "undecided":
        if found.contrast:
            one, other = found.contrast
            return (
                f"{name}: that its difference to {base} is another on {one} than on {other} "
                f"cannot be claimed ({told})."
            )
        return f"{name}{where}: no difference to {base} can be claimed ({told})."
    each = ""
    if seeds < FEW_SEEDS:
        # So few trainings speak for themselves only; let the reader see each of them.
        shown = ", ".join(f"{value:+.4f}" for value in found.by_seed(group, comparison.arm))
        these = "this 1" if seeds == 1 else f"these {seeds}"
        each = f" on {these} {found.axis}{'s' if seeds > 1 else ''}: {shown}"
    if found.contrast:
        one, other = found.contrast
        return (
            f"{name}, against {base}, is {verdict} on {one} than on {other} by "
            f"{abs(comparison.difference):.4f}{each} ({told})."
        )
    amount = _amount(found, group, comparison)
    return f"{name} is {verdict} than {base}{where} by {amount}{each} ({told})."


def _amount(found: Findings, group: int, comparison: ArmComparison) -> str:
    """How large a difference is: bytes and losses as a share, others as they are."""
    level = found.compared[group][found.base].score
    if not found.measure.unit.startswith(("bits per", "nats a")) or level <= 0:
        return f"{abs(comparison.difference):.4f}".rstrip("0") + (
            f" {found.measure.unit}" if found.measure.unit else ""
        )
    change = abs(comparison.difference / level)
    return f"{change:.2%}" if change >= 0.00005 else "less than 0.01%"


def limits(found: Findings, resamples: int) -> list[str]:
    """What was measured, and what the intervals do not speak of."""
    scores, axis = found.scores, found.axis
    count = len(scores.seeds)
    many = "s" if count != 1 else ""
    rows = sum(len(group.ids) for group in scores.groups)
    weight = sum(group.weight for group in scores.groups)
    size = f" ({weight / 1024:.0f} KiB)" if found.measure.unit == "bits per byte" else ""
    what = "held-out documents" if size else f"rows of {found.measure.name}"
    said = [f"Measured on {rows} {what}{size} with {count} {axis}{many} an arm."]
    if scores.fixed:
        said.append(
            f"So few rows are taken as they are: the intervals are Student's t over {count} "
            f"{axis}{many}, and speak of other trainings, not of other text."
        )
    elif count == 1:
        said.append(
            f"With 1 {axis} the intervals speak of other documents only: they compare these two "
            "models, and cannot say what another training would give."
        )
    if not scores.fixed:
        like = min(group.alike for group in scores.groups)
        if like < FEW_ALIKE:
            said.append(
                f"So few rows, or so uneven ones, weigh as much as {like:.0f} alike: intervals may "
                "be a little too narrow where their values are skewed."
            )
    if 1 < count < FEW_SEEDS:
        from scipy.stats import t

        reach = float(t.ppf((1 + found.confidence) / 2, count - 1))
        said.append(
            f"{count} {axis}s know the spread between trainings badly, and the intervals are "
            f"{reach:.1f} standard errors of it wide to each side: more {axis}s narrow them most."
        )
    if found.comparisons > 1:
        share = f"{found.confidence:.0%}"
        said.append(
            f"{found.comparisons} comparisons were made"
            + (f" ({len(found.names)} groups)" if len(found.names) > 1 else "")
            + f". Verdicts go by the corrected intervals, which hold all together at {share} "
            f"(min-p over {resamples} joint draws); the intervals beside them hold one by one."
        )
        if not scores.fixed and resamples * (1 - found.confidence) / found.comparisons < 20:
            said.append(
                f"{resamples} resamples are few for {found.comparisons} comparisons: the ends of "
                "the corrected intervals are rough."
            )
    return said


def bin_lines(found_in: Sequence[Any], axis: str, arms: Sequence[str]) -> list[list[str]]:
    """Mean loss by token-frequency bin (rows) and arm (columns), over seeds; header first."""
    from stages.report_scores import arm_label

    values: dict[str, dict[str, list[float]]] = {}
    labels: dict[str, set[str]] = {}
    for artifact in found_in:
        arm = arm_label(artifact.cell, axis)
        for row in artifact.table().to_pylist():
            if row["metric"] == "loss_by_frequency":
                values.setdefault(row["id"], {}).setdefault(arm, []).append(row["value"])
                labels.setdefault(row["id"], set()).add(row["group"])
    if not values:
        return []
    lines = [["training frequency", *arms]]
    for name in sorted(values, key=lambda bin_: (len(bin_), bin_)):  # "bin 2" before "bin 10"
        # Arms that were trained on different tokens have bins with different edges.
        label = labels[name].pop() if len(labels[name]) == 1 else name
        means = [values[name].get(arm, []) for arm in arms]
        lines.append([label, *(f"{np.mean(m):.3f}" if m else "" for m in means)])
    return lines
