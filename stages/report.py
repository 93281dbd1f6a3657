"""Say what an experiment allows to say: arms side by side, with intervals."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stages.contract import Artifact, Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import METRICS, REPORT

if TYPE_CHECKING:
    from operators.evaluation import ArmComparison

Scalar = str | int | float | bool

# Fewer (<) trainings an arm cannot show how much trainings differ.
FEW_SEEDS = 5


@dataclass(frozen=True)
class Scores:
    """Scores of all arms on the same documents.

    Attributes:
        arms: label of each arm.
        seeds: value of the replicate axis of each repetition.
        ids: of the documents.
        nats: total negative log-likelihood, float64 [arms, seeds, documents].
        utf8_bytes: float64 [documents].
    """

    arms: list[str]
    seeds: list[str]
    ids: list[str]
    nats: Any
    utf8_bytes: Any


class Compare(Stage):
    """Arms against a baseline in bits per byte, with paired bootstrap intervals.

    Documents and seeds are drawn together for all arms, so that what is common to them cancels.
    The verdict is "better" or "worse" only where the interval of the difference leaves out zero.
    """

    word = "report.compare"

    class Config(StageConfig):
        baseline: dict[str, Scalar] = Field(
            description="matrix values of the arm that others are compared with: {arm: baseline}"
        )
        replicate_axis: str = Field(
            "seed", description="the axis that repeats an arm; all others tell arms apart"
        )
        resamples: int = Field(2000, ge=100, description="bootstrap resamples")
        confidence: float = Field(0.95, gt=0, lt=1, description="of the intervals")
        seed: int = Field(0, ge=0, description="of the resampling")
        title: str = Field("Comparison", description="heading of the report")

    inputs = {
        "scores": Input(Kind.METRICS, "scores of every arm and seed", many=True),
        "history": Input(
            Kind.METRICS, "loss curves of every arm and seed", many=True, optional=True
        ),
    }
    outputs = {
        "report": Output(Kind.REPORT, "report.md, report.html and the plots"),
        "comparison": Output(Kind.METRICS, "one row an arm and measure"),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation import paired_bootstrap, verdict

        config = self.config
        axis = config.replicate_axis
        scores = gather_scores(inputs["scores"], axis)
        base = baseline_arm(inputs["scores"], config.baseline, axis, scores.arms)
        compared = paired_bootstrap(
            scores.nats,
            scores.utf8_bytes,
            baseline=base,
            resamples=config.resamples,
            confidence=config.confidence,
            seed=config.seed,
        )
        rows = []
        for comparison, name in zip(compared, scores.arms, strict=True):
            numbers = {
                "bits_per_byte": comparison.bits_per_byte,
                "bits_per_byte_low": comparison.low,
                "bits_per_byte_high": comparison.high,
                "difference": comparison.difference,
                "difference_low": comparison.difference_low,
                "difference_high": comparison.difference_high,
                "share_below_zero": comparison.share_below_zero,
            }
            for metric, value in numbers.items():
                # Sums of floats may differ in their last bits between BLAS builds.
                rows.append({"id": name, "metric": metric, "value": round(value, 12),
                             "weight": float(scores.utf8_bytes.sum()),
                             "group": verdict(comparison)})  # fmt: skip
            context.metric(f"{slug(name)}.bits_per_byte", comparison.bits_per_byte)
            context.metric(f"{slug(name)}.difference", comparison.difference)
        outputs["comparison"].write(pa.Table.from_pylist(rows, METRICS))
        figures = self._figures(scores, compared, base, inputs.get("history", []))
        for figure, png in figures.items():
            context.figure(figure, png)
        page = {
            "title": config.title,
            "lines": table_lines(scores.arms, compared, base),
            "sentences": sentences(scores, compared, base, config.confidence, axis),
            "bins": bin_lines(inputs["scores"], axis, scores.arms),
        }
        markdown = render("report.md.j2", page)
        html = render(
            "report.html.j2",
            page | {"figures": {n: base64.b64encode(png).decode() for n, png in figures.items()}},
        )
        files = [
            ("report.md", "text/markdown", markdown.encode()),
            ("report.html", "text/html", html.encode()),
            *((f"{name}.png", "image/png", png) for name, png in figures.items()),
        ]
        content = [{"id": n, "media_type": t, "content": c} for n, t, c in files]
        outputs["report"].write(pa.Table.from_pylist(content, REPORT))

    def _figures(
        self,
        scores: Scores,
        compared: Sequence[ArmComparison],
        base: int,
        history: Sequence[Artifact],
    ) -> dict[str, bytes]:
        from operators.plotting import intervals, learning_curves

        others = [c for c in compared if c.arm != base]
        figures = {
            "differences": intervals(
                [scores.arms[c.arm] for c in others],
                [c.difference for c in others],
                [c.difference_low for c in others],
                [c.difference_high for c in others],
                title=f"Difference to {scores.arms[base]} ({self.config.confidence:.0%} intervals)",
                xlabel="bits per byte; left of zero is better",
            )
        }
        curves: dict[str, list[Any]] = {}
        for artifact in history:
            table = artifact.table()
            losses = [r["value"] for r in table.to_pylist() if r["metric"] == "loss"]
            label = arm_label(artifact.cell, self.config.replicate_axis)
            curves.setdefault(label, []).append(losses)
        if curves:
            series = {}
            for label, runs in curves.items():
                shortest = min(map(len, runs))
                mean = np.mean([run[:shortest] for run in runs], axis=0)
                width = max(1, shortest // 25)
                smooth = np.convolve(mean, np.ones(width) / width, mode="valid")
                steps = list(range(width, shortest + 1))
                series[label] = (steps, [float(value) for value in smooth])
            figures["learning_curves"] = learning_curves(
                series,
                title="Training loss, mean over seeds, running mean",
                xlabel="step",
                ylabel="nats a token (unweighted)",
            )
        return figures


def arm_label(cell: Mapping[str, Any], replicate_axis: str) -> str:
    """The name of the arm that a matrix cell belongs to: its values off the replicate axis."""
    rest = {axis: value for axis, value in cell.items() if axis != replicate_axis}
    if len(rest) == 1:
        return str(next(iter(rest.values())))
    return ", ".join(f"{axis}={value}" for axis, value in rest.items()) or "all"


def baseline_arm(
    artifacts: Sequence[Artifact],
    wanted: Mapping[str, Scalar],
    replicate_axis: str,
    arms: Sequence[str],
) -> int:
    """Which arm has the matrix values that are wanted of the baseline.

    Raises:
        ValueError: none has them, or several have.
    """
    found = {
        arm_label(artifact.cell, replicate_axis)
        for artifact in artifacts
        if all(str(artifact.cell.get(a)) == str(v) for a, v in wanted.items())
    }
    if len(found) != 1:
        what = "no arm" if not found else f"{len(found)} arms"
        raise ValueError(f"the baseline {dict(wanted)} is {what}; the arms are: {', '.join(arms)}")
    return arms.index(found.pop())


def gather_scores(artifacts: Sequence[Artifact], replicate_axis: str) -> Scores:
    """Bring the scores of all cells into one array.

    Raises:
        ValueError: an arm lacks a seed, or arms were scored on different documents.
    """
    cells: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    for artifact in artifacts:
        table = artifact.table().to_pylist()
        cells[arm_label(artifact.cell, replicate_axis), _replicate(artifact, replicate_axis)] = {
            row["id"]: (row["value"], row["weight"])
            for row in table
            if row["metric"] == "bits_per_byte"
        }
    if not cells:
        raise ValueError("there are no scores to compare")
    arms = list(dict.fromkeys(arm for arm, _ in cells))
    seeds = list(dict.fromkeys(seed for _, seed in cells))
    lacking = [f"{arm} with seed {seed}" for arm in arms for seed in seeds
               if (arm, seed) not in cells]  # fmt: skip
    if lacking:
        raise ValueError(f"arms must share their seeds; missing: {', '.join(lacking)}")
    first = cells[arms[0], seeds[0]]
    ids = sorted(first)
    if not ids:
        raise ValueError("the scores hold no bits_per_byte of a document")
    for (arm, seed), documents in cells.items():
        differing = sorted(documents.keys() ^ first.keys()) or [
            id_ for id_ in ids if documents[id_][1] != first[id_][1]
        ]
        if differing:
            raise ValueError(
                f"{arm} (seed {seed}) was scored on other documents than {arms[0]} "
                f'(seed {seeds[0]}): {len(differing)} differ, such as "{differing[0]}"'
            )
    sizes = np.array([first[id_][1] for id_ in ids])
    nats = np.array(
        [[[cells[arm, seed][id_][0] for id_ in ids] for seed in seeds] for arm in arms]
    ) * (sizes * math.log(2))
    return Scores(arms, seeds, ids, nats, sizes)


def _replicate(artifact: Artifact, axis: str) -> str:
    return str(artifact.cell.get(axis, ""))


def table_lines(
    arms: Sequence[str], compared: Sequence[ArmComparison], base: int
) -> list[list[str]]:
    """The comparison as a table of text, header first."""
    lines = [["arm", "bits per byte", "difference", "interval", "verdict"]]
    for comparison in compared:
        lines.append(
            [
                arms[comparison.arm],
                f"{comparison.bits_per_byte:.4f}",
                "" if comparison.arm == base else f"{comparison.difference:+.4f}",
                ""
                if comparison.arm == base
                else f"[{comparison.difference_low:+.4f}, {comparison.difference_high:+.4f}]",
                "baseline" if comparison.arm == base else _verdict(comparison),
            ]
        )
    return lines


def sentences(
    scores: Scores,
    compared: Sequence[ArmComparison],
    base: int,
    confidence: float,
    replicate_axis: str,
) -> list[str]:
    """What the intervals allow to say, and what limits them."""
    said = []
    baseline = scores.arms[base]
    count = len(scores.seeds)
    pooled = scores.nats.sum(axis=2) / (math.log(2) * scores.utf8_bytes.sum())
    for comparison in compared:
        if comparison.arm == base:
            continue
        name = scores.arms[comparison.arm]
        change = abs(comparison.difference / compared[base].bits_per_byte)
        interval = (
            f"{confidence:.0%} interval {comparison.difference_low:+.4f} to "
            f"{comparison.difference_high:+.4f} bits per byte"
        )
        verdict = _verdict(comparison)
        if verdict == "undecided":
            said.append(f"{name}: no difference to {baseline} can be claimed ({interval}).")
        else:
            amount = f"{change:.2%}" if change >= 0.00005 else "less than 0.01%"
            few = ""
            if count < FEW_SEEDS:
                # So few trainings speak for themselves only; let the reader see each of them.
                each = ", ".join(f"{d:+.4f}" for d in pooled[comparison.arm] - pooled[base])
                few = f" on {'these' if count > 1 else 'this'} {count} {replicate_axis}"
                few += f"{'s' if count > 1 else ''}: {each}"
            said.append(f"{name} is {verdict} than {baseline} by {amount}{few} ({interval}).")
    said.append(
        f"Measured on {len(scores.ids)} held-out documents "
        f"({scores.utf8_bytes.sum() / 1024:.0f} KiB) with {count} "
        f"{replicate_axis}{'s' if count != 1 else ''} an arm."
    )
    if count < FEW_SEEDS:
        said.append(
            f"With {count} {replicate_axis}{'s' if count != 1 else ''} the spread between "
            "trainings is underestimated: read the intervals as too narrow."
        )
    if len(scores.arms) > 2:
        said.append(
            f"{len(scores.arms) - 1} arms were compared with one baseline, without a correction "
            "for many comparisons."
        )
    return said


def bin_lines(
    artifacts: Sequence[Artifact], replicate_axis: str, arms: Sequence[str]
) -> list[list[str]]:
    """Mean loss by token-frequency bin (rows) and arm (columns), over seeds; header first."""
    values: dict[str, dict[str, list[float]]] = {}
    labels: dict[str, set[str]] = {}
    for artifact in artifacts:
        arm = arm_label(artifact.cell, replicate_axis)
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


def _verdict(comparison: ArmComparison) -> str:
    from operators.evaluation import verdict

    return verdict(comparison)


def slug(name: str) -> str:
    """A metric name that MLflow takes."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in name)


def render(template: str, page: Mapping[str, Any]) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    source = (resources.files("stages") / "templates" / template).read_text(encoding="utf-8")
    return environment.from_string(source).render(page)
