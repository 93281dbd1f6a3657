"""Mined speech held against a list of what was read: is it kept, and the rest dropped?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from stages.content_hash import hash_content
from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import METRICS, REPORT
from stages.spoken_samples import SCHEME, spoken_file


class Judge(Stage):
    """Compare how often sentences that were read are kept with how often others are.

    Gold names the sentences that were read, recording by recording; recordings that it does not
    name are left out, and where it names none there is nothing to judge: `scores` has no rows.
    """

    word = "speech.judge"

    class Config(StageConfig):
        gold: str = Field(
            description="what was read: a .jsonl file with recording (the name of its file without "
            "ending), sentences (how many the transcript has), read (their numbers from 0); or "
            "sample://speech"
        )

    inputs = {
        "speech": Input(Kind.SPEECH, "the sentences that were found"),
        "dropped": Input(Kind.DROPPED, "the sentences that were not"),
    }
    outputs = {
        "scores": Output(Kind.METRICS, "share kept of what was read and of what was not"),
        "report": Output(Kind.REPORT, "report.md and both shares as a plot"),
    }

    def sources(self) -> Mapping[str, str]:
        return {self.config.gold: hash_content(_gold_file(self.config.gold).read_bytes())}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.proportions import proportion_difference

        counts = self._counts(inputs["speech"].table(), inputs["dropped"].table())
        scores: list[dict[str, Any]] = []
        if all(n for _, n in counts):
            (kept, read), (let_in, unread) = counts
            result = proportion_difference((kept, let_in), (read, unread))
            measured = [
                ("kept_of_read", result.first, read),
                ("kept_of_unread", result.second, unread),
                ("difference", result.difference, read + unread),
                ("difference_low", result.low, read + unread),
                ("difference_high", result.high, read + unread),
            ]
            scores = [{"id": "read", "metric": metric, "value": value, "weight": float(weight),
                       "group": None} for metric, value, weight in measured]  # fmt: skip
            for metric, value, _ in measured[:2]:
                context.metric(metric, value)
        outputs["scores"].write(pa.Table.from_pylist(scores, METRICS))
        plot = _plot(counts)
        context.figure("kept", plot)
        report = [
            {"id": "report.md", "media_type": "text/markdown",
             "content": _page(counts, scores, self.config.gold).encode()},
            {"id": "kept.png", "media_type": "image/png", "content": plot},
        ]  # fmt: skip
        outputs["report"].write(pa.Table.from_pylist(report, REPORT))

    def _counts(self, kept: pa.Table, dropped: pa.Table) -> list[tuple[int, int]]:
        """Sentences kept and sentences in all: of those read, and of the others."""
        if dropped.num_rows and "sentence" not in dropped.column_names:
            raise ValueError(
                "the dropped rows have no sentences: wire the output `dropped` of speech.align"
            )
        gold = read_gold(self.config.gold)
        # What is said of the samples is not said of a recording that has the name of one.
        of_samples = self.config.gold.startswith(SCHEME)
        found: dict[str, dict[int, bool]] = {}
        for table, is_kept in ((kept, True), (dropped, False)):
            # An output without rows has the columns of its kind alone.
            rows = table.select(["audio", "sentence"]).to_pylist() if table.num_rows else []
            for row in rows:
                name = PurePosixPath(row["audio"]).stem
                if of_samples and not row["audio"].startswith(SCHEME):
                    continue
                if name in gold:
                    found.setdefault(name, {})[row["sentence"]] = is_kept
        counts = [[0, 0], [0, 0]]
        for name, sentences in found.items():
            expected, read = gold[name]
            if len(sentences) != expected:
                raise ValueError(
                    f'{self.config.gold} says that the transcript of "{name}" has {expected} '
                    f"sentences, but speech.align found {len(sentences)}: count them as it does, "
                    "with the same setting `sentences`"
                )
            for number, is_kept in sentences.items():
                side = counts[0 if number in read else 1]
                side[0] += is_kept
                side[1] += 1
        return [(side[0], side[1]) for side in counts]


def read_gold(address: str) -> dict[str, tuple[int, frozenset[int]]]:
    """Name of a recording -> sentences of its transcript, and the numbers of those that were read.

    Raises:
        ValueError: a line says something else.
    """
    gold: dict[str, tuple[int, frozenset[int]]] = {}
    lines = _gold_file(address).read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            name, sentences, read = row["recording"], int(row["sentences"]), frozenset(row["read"])
            if not all(isinstance(n, int) and 0 <= n < sentences for n in read):
                raise ValueError(f"read must be numbers from 0 to {sentences - 1}")
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{address}:{number}: does not say what was read: {error!r}"
            ) from error
        gold[name] = sentences, read
    return gold


def _gold_file(address: str) -> Path:
    if address.startswith(SCHEME):
        return spoken_file(f"{address.rstrip('/')}/gold.jsonl")
    return Path(address)


def _plot(counts: Sequence[tuple[int, int]]) -> bytes:
    from operators.evaluation.proportions import wilson_interval
    from operators.plotting import intervals

    names = ("read", "not read")
    drawn = [(f"{name} ({n})", k / n, *wilson_interval(k, n))
             for name, (k, n) in zip(names, counts, strict=True) if n]  # fmt: skip
    columns = list(zip(*drawn, strict=True)) or [(), (), (), ()]
    return intervals(
        *columns,
        title="Sentences that were kept",
        xlabel="share, 95 % interval (Wilson)",
        zero_line=False,
    )


def _page(counts: Sequence[tuple[int, int]], scores: Sequence[Mapping[str, Any]], gold: str) -> str:
    lines = ["# Mined speech against what was read", ""]
    if not scores:
        lines += [
            "Nothing was judged: of these recordings, "
            f"{gold} has none with sentences that were read and sentences that were not."
        ]
    else:
        value = {row["metric"]: row["value"] for row in scores}
        lines += ["| sentences | there are | kept |", "|---|---|---|"]
        lines += [f"| {name} | {n} | {k} |"
                  for name, (k, n) in zip(("read", "not read"), counts, strict=True)]  # fmt: skip
        difference, low, high = (value[f"difference{end}"] for end in ("", "_low", "_high"))
        lines += [
            "",
            f"Difference of shares: {difference:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}.",
        ]
    return "\n".join([*lines, "", "![Kept](kept.png)", ""])
