"""Bitext held against hand-made beads: what is right, and whether scores and filters know it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from stages.alignment import gold_file, read_gold
from stages.content_hash import hash_content
from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import METRICS, REPORT

if TYPE_CHECKING:
    from operators.evaluation.proportions import ProportionDifference

# The id that alignment.sentences and alignment.mine give: DOCUMENT:SENTENCE|DOCUMENT:SENTENCE.
_ID = re.compile(r"(?s)(.*):\d+\|(.*):\d+")


@dataclass(frozen=True)
class _Judged:
    """A row of the bitext, and whether gold has it."""

    id: str
    language: str
    document: str
    score: float
    right: bool


class Judge(Stage):
    """Hold bitext against hand-made beads, and ask whether its scores and its filter tell errors.

    A row is right if gold has exactly this bead; one whose documents are no versions of each other
    is wrong; one on which gold is silent is left out. The rows with the best scores are compared
    with the rest (Gale and Church 1993), and those of `kept` with those that were dropped, by
    intervals that know that the rows of a document err together.
    """

    word = "alignment.judge"

    class Config(StageConfig):
        source_language: str = Field("eng_Latn", description="language on the source side")
        gold: str = Field(
            description="hand-made beads: a .jsonl file with group, source_language, "
            "target_language, beads; or sample://parallel"
        )
        best_share: float = Field(
            0.8,
            gt=0,
            lt=1,
            description="share of a language's rows that counts as its best, by score",
        )
        better: Literal["lower", "higher"] = Field(
            "lower",
            description="which scores are better: lower, costs of alignment.sentences; higher, "
            "margins of alignment.mine",
        )

    inputs = {
        "bitext": Input(Kind.BITEXT, "beads or pairs, before any filter"),
        "documents": Input(Kind.DOCUMENTS, "its documents, in the groups that gold speaks of"),
        "kept": Input(Kind.BITEXT, "the rows that a filter has kept", optional=True),
    }
    outputs = {
        "scores": Output(Kind.METRICS, "precision by language; differences with their intervals"),
        "report": Output(Kind.REPORT, "report.md and the differences as a plot"),
    }

    def sources(self) -> Mapping[str, str]:
        return {self.config.gold: hash_content(gold_file(self.config.gold).read_bytes())}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.proportions import clustered_difference

        rows = self._judged(inputs["bitext"].table(), inputs["documents"].table())
        scores: list[dict[str, Any]] = []

        def measure(id_: str, metric: str, value: float, weight: int) -> None:
            if math.isnan(value):  # of a group that has no rest
                return
            scores.append({"id": id_, "metric": metric, "value": value, "weight": float(weight),
                           "group": self.config.source_language})  # fmt: skip

        for language in (*sorted({row.language for row in rows}), "all"):
            own = [row.right for row in rows if language in ("all", row.language)]
            if own:
                measure(language, "precision", sum(own) / len(own), len(own))
        groups = {"best": self._best(rows)}
        if "kept" in inputs:
            groups["kept"] = set(inputs["kept"].table().column("id").to_pylist())
        found = {
            name: clustered_difference(
                [row.right for row in rows],
                [row.id in group for row in rows],
                [row.document for row in rows],
            )
            for name, group in groups.items()
        }
        for name, result in found.items():
            size = sum(row.id in groups[name] for row in rows)
            measure(name, "precision", result.first, size)
            measure(name, "precision_of_the_rest", result.second, len(rows) - size)
            measure(name, "difference", result.difference, len(rows))
            measure(name, "difference_low", result.low, len(rows))
            measure(name, "difference_high", result.high, len(rows))
        outputs["scores"].write(pa.Table.from_pylist(scores, METRICS))
        context.metric("judged_rows", len(rows))
        context.metric("wrong_rows", sum(not row.right for row in rows))
        plot = self._plot(found)
        context.figure("differences", plot)
        page = _page(scores, self._labels(found), found)
        report = [
            {"id": "report.md", "media_type": "text/markdown", "content": page.encode()},
            {"id": "differences.png", "media_type": "image/png", "content": plot},
        ]
        outputs["report"].write(pa.Table.from_pylist(report, REPORT))

    def _judged(self, bitext: pa.Table, documents: pa.Table) -> list[_Judged]:
        gold = read_gold(self.config.gold, self.config.source_language)
        columns = (documents.column(name).to_pylist() for name in ("id", "group"))
        groups = dict(zip(*columns, strict=True))
        rows = []
        for row in bitext.to_pylist():
            sides = _ID.fullmatch(row["id"])
            if sides is None or not all(side in groups for side in sides.groups()):
                raise ValueError(
                    f'the bitext has a row "{row["id"]}", whose documents are not among '
                    "`documents`: wire the documents that it was made of"
                )
            ours, theirs = (groups[side] for side in sides.groups())
            beads = gold.get((ours, row["target_language"]))
            if beads is None or row["source_language"] != self.config.source_language:
                continue
            bead = (tuple(row["source_sentences"]), tuple(row["target_sentences"]))
            rows.append(_Judged(row["id"], row["target_language"], sides[1], row["score"],
                                ours == theirs and bead in beads))  # fmt: skip
        if not rows:
            raise ValueError(f"{self.config.gold} has no beads for any of these documents")
        return rows

    def _best(self, rows: Sequence[_Judged]) -> set[str]:
        # Scores of different languages are not on one scale: each has its own best ones.
        sign = 1 if self.config.better == "lower" else -1
        best: set[str] = set()
        for language in {row.language for row in rows}:
            own = [row for row in rows if row.language == language]
            own.sort(key=lambda row: (sign * row.score, row.id))
            best |= {row.id for row in own[: round(self.config.best_share * len(own))]}
        return best

    def _labels(self, found: Mapping[str, Any]) -> dict[str, str]:
        best = f"best {100 * self.config.best_share:g} % by score, against the rest"
        labels = {"best": best, "kept": "kept by the filter, against dropped"}
        return {name: labels[name] for name in found}

    def _plot(self, found: Mapping[str, ProportionDifference]) -> bytes:
        from operators.plotting import intervals

        drawn = {name: r for name, r in found.items() if not math.isnan(r.difference)}
        labels = self._labels(drawn)
        return intervals(
            [labels[name] for name in drawn],
            [result.difference for result in drawn.values()],
            [result.low for result in drawn.values()],
            [result.high for result in drawn.values()],
            title="What scores and filter know of errors",
            xlabel="difference of precision, 95 % interval; right of zero is better",
            good="above",
        )


def _page(
    scores: Sequence[Mapping[str, Any]],
    labels: Mapping[str, str],
    found: Mapping[str, ProportionDifference],
) -> str:
    precision = [s for s in scores if s["metric"] == "precision" and s["id"] not in labels]
    lines = ["# Bitext against hand-made beads", "", "| language | rows | right |", "|---|---|---|"]
    lines += [f"| {s['id']} | {s['weight']:.0f} | {s['value']:.3f} |" for s in precision]
    lines += [
        "",
        "| rows | right | of the rest | difference | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {labels[name]} | {r.first:.3f} | {r.second:.3f} | {r.difference:+.3f} "
        f"| {r.low:+.3f} to {r.high:+.3f} |"
        for name, r in found.items()
        if not math.isnan(r.difference)
    ]
    return "\n".join([*lines, "", "![Differences](differences.png)", ""])
