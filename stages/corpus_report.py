"""What became of a corpus: how many rows went for which reason, and how the signals lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from stages.contract import Artifact, Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import REPORT

MOST_BARS = 24  # reasons a figure has room for


class Report(Stage):
    """Show what was dropped and why, with a histogram of each signal asked for.

    The figures and `report.md` are in the output, and the figures with the run.
    """

    word = "corpus.report"

    class Config(StageConfig):
        signals: list[str] | None = Field(
            None, description="signals to draw; default those that dropped anything"
        )
        bins: int = Field(40, ge=1, description="of each histogram")
        title: str = Field("Corpus", description="heading of the report")

    inputs = {
        "documents": Input(Kind.DOCUMENTS, "what is left at the end"),
        "dropped": Input(Kind.DROPPED, "what every step dropped", many=True),
        "signals": Input(Kind.SIGNALS, "what was measured", many=True, optional=True),
    }
    outputs = {"report": Output(Kind.REPORT, "report.md and a PNG a figure")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.plotting import histogram, tallies

        kept = inputs["documents"].rows
        reasons = count_reasons(inputs["dropped"])
        languages = _counts([inputs["documents"]], "language")
        signals = inputs.get("signals") or []
        files = {
            "dropped.png": tallies(
                dict(reasons.most_common(MOST_BARS)),
                title=f"{sum(reasons.values()):,} rows dropped, {kept:,} kept",
                xlabel="rows dropped by the first rule they broke",
            ),
            "languages.png": tallies(
                dict(languages.most_common(MOST_BARS)),
                title="Languages of what is kept",
                xlabel="rows",
            ),
        }
        for name in self._drawn(signals, reasons):
            values = _column(signals, name)
            finite = values[np.isfinite(values)]
            # A long tail hides where most values lie: it is drawn in the last bin, and said so.
            end = float(np.quantile(finite, 0.99)) if len(finite) else 0.0
            tail = int((finite > end).sum())
            label = name.replace("_", " ") + (
                f" (last bin: {tail:,} above {end:.4g})" if tail else ""
            )
            files[f"{name}.png"] = histogram(
                np.minimum(values, end), bins=self.config.bins, title=name, xlabel=label
            )
        for name, png in files.items():
            context.figure(name, png)
        told = self._told(kept, reasons, languages, list(files))
        rows = [{"id": "report.md", "media_type": "text/markdown", "content": told.encode()}]
        rows += [{"id": name, "media_type": "image/png", "content": png}
                 for name, png in files.items()]  # fmt: skip
        outputs["report"].write(pa.Table.from_pylist(rows, REPORT))
        context.metric("kept", kept)
        context.metric("dropped", sum(reasons.values()))
        for reason, count in sorted(reasons.items()):
            context.metric(f"dropped.{reason}", count)

    def _drawn(self, signals: Sequence[Artifact], reasons: Mapping[str, int]) -> list[str]:
        there = [
            field.name
            for artifact in signals
            for field in _schema(artifact)
            if pa.types.is_floating(field.type)
        ]
        if self.config.signals is None:
            return [n for n in there if {f"{n}_too_low", f"{n}_too_high"} & reasons.keys()]
        for name in self.config.signals:
            if name not in there:
                raise ValueError(
                    f'no signal is called "{name}"; there are {", ".join(there) or "none"}'
                )
        return list(self.config.signals)

    def _told(self, kept: int, reasons: Counter[str], languages: Counter[str],
              figures: Sequence[str]) -> str:  # fmt: skip
        gone = sum(reasons.values())
        lines = [
            f"# {self.config.title}",
            "",
            f"{kept:,} rows are kept, {gone:,} were dropped.",
            "",
        ]
        if reasons:
            lines += ["| dropped because of | rows | share |", "|---|---:|---:|"]
            lines += [
                f"| {reason} | {count:,} | {count / (kept + gone):.2%} |"
                for reason, count in reasons.most_common()
            ]
            lines.append("")
        lines += ["| language kept | rows |", "|---|---:|"]
        lines += [f"| {name} | {count:,} |" for name, count in languages.most_common(MOST_BARS)]
        lines += ["", *(f"![{name}]({name})" for name in figures)]
        return "\n".join(lines) + "\n"


def count_reasons(artifacts: Sequence[Artifact]) -> Counter[str]:
    """Rows by reason; of equally many the first in the alphabet comes first."""
    return _counts(artifacts, "reason")


def _counts(artifacts: Sequence[Artifact], column: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for artifact in artifacts:
        for batch in artifact.batches():
            for pair in batch.column(column).value_counts().to_pylist():
                counts[str(pair["values"])] += pair["counts"]
    return Counter(dict(sorted(counts.items())))


def _schema(artifact: Artifact) -> pa.Schema:
    return artifact.table().schema


def _column(artifacts: Sequence[Artifact], name: str) -> Any:
    """The values of a signal, from the first artifact that has it: float64 [rows]."""
    found = next(artifact for artifact in artifacts if name in _schema(artifact).names)
    pieces = [batch.column(name).to_numpy(zero_copy_only=False) for batch in found.batches()]
    return np.concatenate(pieces) if pieces else np.empty(0)
