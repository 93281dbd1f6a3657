"""How well transcripts were found, to read and to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stages.contract import (
    Context,
    Field,
    Input,
    Kind,
    Output,
    Sink,
    Stage,
    StageConfig,
)
from stages.kinds import REPORT

if TYPE_CHECKING:
    pass


class Report(Stage):
    """Say how well transcripts were found: counts and reasons, scores, a recording over time."""

    word = "speech.report"

    class Config(StageConfig):
        recording: str | None = Field(
            None, description="id of the recording to draw; default the one with most sentences"
        )
        title: str = Field("Mined speech", description="heading of the report")

    inputs = {
        "speech": Input(Kind.SPEECH, "the sentences that were found"),
        "dropped": Input(Kind.DROPPED, "the sentences that were not"),
        "recordings": Input(Kind.RECORDINGS, "the recognised words, to be drawn", optional=True),
    }
    outputs = {"report": Output(Kind.REPORT, "report.md and the plots")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.plotting import alignment_timeline, kept_and_dropped

        kept = inputs["speech"].table()
        dropped = inputs["dropped"].table()
        if dropped.num_rows and "score" not in dropped.column_names:
            raise ValueError(
                "the dropped rows have no scores: wire the output `dropped` of speech.align"
            )
        columns = ["audio", "sentence", "start", "end", "score"]
        # An output without rows has the columns of its kind alone.
        sides = [
            side.select(columns).to_pylist() if side.num_rows else [] for side in (kept, dropped)
        ]
        figures = {
            "scores.png": kept_and_dropped(
                *([row["score"] for row in side] for side in sides),
                title="Scores of sentences",
                xlabel="share of characters that agree (0: not spoken)",
            )
        }
        name = self._recording(sides)
        spans = [
            (row["sentence"], row["start"], row["end"], is_kept)
            for side, is_kept in zip(sides, (True, False), strict=True)
            for row in side
            if row["audio"] == name and row["start"] is not None
        ]
        figures["timeline.png"] = alignment_timeline(
            spans,
            list(_word_times(inputs.get("recordings"), name)),
            title=PurePosixPath(name).name if name else "no recording",
        )
        seconds = sum(row["end"] - row["start"] for row in sides[0])
        reasons: dict[str, int] = {}
        for reason in dropped.column("reason").to_pylist():
            reasons[reason] = reasons.get(reason, 0) + 1
        page = _page(self.config.title, len(sides[0]), seconds, reasons)
        for figure, png in figures.items():
            context.figure(figure, png)
        content = {"report.md": ("text/markdown", page.encode()),
                   **{figure: ("image/png", png) for figure, png in figures.items()}}  # fmt: skip
        rows = [{"id": id_, "media_type": media_type, "content": bytes_}
                for id_, (media_type, bytes_) in content.items()]  # fmt: skip
        outputs["report"].write(pa.Table.from_pylist(rows, REPORT))
        context.metric("kept", len(sides[0]))
        context.metric("dropped", len(sides[1]))
        context.metric("kept_hours", seconds / 3600)

    def _recording(self, sides: Sequence[Sequence[Mapping[str, Any]]]) -> str | None:
        counts: dict[str, int] = {}
        for side in sides:
            for row in side:
                counts[row["audio"]] = counts.get(row["audio"], 0) + 1
        wanted = self.config.recording
        if wanted is not None and wanted not in counts:
            raise ValueError(
                f'there is no recording "{wanted}"; there is: {", ".join(sorted(counts)[:20])}'
            )
        return wanted or min(counts, key=lambda name: (-counts[name], name), default=None)


def _page(title: str, kept: int, seconds: float, reasons: Mapping[str, int]) -> str:
    total = kept + sum(reasons.values())
    lines = [
        f"# {title}",
        "",
        f"{kept} of {total} sentences were kept, {seconds / 60:.1f} minutes.",
    ]
    if reasons:
        lines += ["", "| dropped because | sentences |", "|---|---|"]
        ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        lines += [f"| {reason} | {count} |" for reason, count in ordered]
    lines += ["", "![Scores](scores.png)", "", "![One recording](timeline.png)", ""]
    return "\n".join(lines)


def _word_times(recordings: Any, name: str | None) -> Iterator[tuple[float, float]]:
    if recordings is None:
        return
    for row in recordings.table().select(["audio", "words"]).to_pylist():
        if row["audio"] == name:
            yield from ((word["start"], word["end"]) for word in row["words"] or ())
