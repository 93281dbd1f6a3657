"""Bitext: a score a pair for each way of being no translation, and thresholds upon them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from stages.alignment_words import lexicons, rows_by_languages, with_columns
from stages.contract import Context, Field, Input, Kind, Output, RowStage, Sink, Stage, StageConfig
from stages.kinds import DROPPED

SCORES = ("length_ratio", "letters", "identical", "numbers", "repeated", "coverage")


class Score(Stage):
    """Score each sentence pair for length, letters, numbers, repetition, and by a lexicon.

    Nothing is dropped: the scores are columns, and `alignment.filter` sets thresholds upon them,
    which can be moved without scoring again.
    """

    word = "alignment.score"

    inputs = {
        "bitext": Input(Kind.BITEXT, "sentence pairs"),
        "lexicon": Input(Kind.LEXICON, "what translates what, for `coverage`", optional=True),
    }
    outputs = {"bitext": Output(Kind.BITEXT, f"the same rows, with {', '.join(SCORES)}")}
    conserves = ("bitext", ("bitext",))

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.alignment import score_bitext
        from operators.plotting import histogram

        table = inputs["bitext"].table()
        known = lexicons(inputs.get("lexicon"))
        columns = {name: [0.0] * table.num_rows for name in SCORES}
        for languages, rows in sorted(rows_by_languages(table).items()):
            sides = [table.column(f"{side}_text").take(rows).to_pylist()
                     for side in ("source", "target")]  # fmt: skip
            scores = score_bitext(list(zip(*sides, strict=True)), lexicon=known.get(languages))
            for name, values in scores.columns().items():
                for row, value in zip(rows, values.tolist(), strict=True):
                    columns[name][row] = value
        arrays = {name: pa.array(values, pa.float64()) for name, values in columns.items()}
        outputs["bitext"].write(with_columns(table, arrays))
        for name in ("length_ratio", "coverage"):
            png = histogram(columns[name], bins=40, title=name.replace("_", " "), xlabel=name)
            context.figure(name, png)


class Filter(RowStage):
    """Drop sentence pairs by the scores of `alignment.score`, each row by itself.

    What is not kept is in `dropped`, with the first rule that it fails and the score.
    """

    word = "alignment.filter"

    class Config(StageConfig):
        min_score: float | None = Field(
            None, description="smaller (<) scores of the miner are dropped"
        )
        max_cost: float | None = Field(
            None, description="greater (>) scores of alignment.sentences, its costs, are dropped"
        )
        max_length_ratio: float | None = Field(
            1.0, ge=0, description="further (>) from the usual ratio of lengths, as a logarithm"
        )
        min_letters: float | None = Field(
            0.5, ge=0, le=1, description="fewer (<) letters among the visible characters"
        )
        drop_identical: bool = Field(True, description="drop pairs with the same text twice")
        min_numbers: float | None = Field(
            0.5, ge=0, le=1, description="fewer (<) of the numbers on both sides"
        )
        drop_repeated: bool = Field(True, description="drop pairs that came before")
        min_coverage: float | None = Field(
            None, ge=0, le=1, description="fewer (<) of the known words explained by the lexicon"
        )

    inputs = {"bitext": Input(Kind.BITEXT, "sentence pairs with the scores of alignment.score")}
    outputs = {
        "bitext": Output(Kind.BITEXT, "the rows that are kept"),
        "dropped": Output(Kind.DROPPED, "the rows that are not, with the reason"),
    }

    def apply(self, rows: pa.Table, context: Context) -> Mapping[str, pa.Table]:
        missing = [name for name in SCORES if name not in rows.column_names]
        if missing:
            raise ValueError(
                f"the bitext has no column {', '.join(missing)}; let alignment.score come before"
            )
        verdicts = [self._verdict(row) for row in rows.select([*SCORES, "score"]).to_pylist()]
        kept = rows.filter(pa.array([verdict is None for verdict in verdicts], pa.bool_()))
        return {"bitext": kept, "dropped": _dropped(rows, verdicts)}

    def _verdict(self, row: Mapping[str, float]) -> tuple[str, float] | None:
        config = self.config
        least = (("score", config.min_score), ("letters", config.min_letters),
                 ("numbers", config.min_numbers), ("coverage", config.min_coverage))  # fmt: skip
        most = (
            ("identical", 0 if config.drop_identical else None),
            ("repeated", 0 if config.drop_repeated else None),
            ("score", config.max_cost),
            ("length_ratio", config.max_length_ratio),
        )
        for name, limit in most:
            if limit is not None and row[name] > limit:
                return name, row[name]
        for name, limit in least:
            if limit is not None and row[name] < limit:
                return name, row[name]
        return None


def _dropped(rows: pa.Table, verdicts: Sequence[tuple[str, float] | None]) -> pa.Table:
    names = ("id", "group", "source_text", "target_text")
    found = [
        {"id": row["id"], "source": row["group"], "reason": verdict[0], "value": verdict[1],
         "text": f"{row['source_text']}\t{row['target_text']}"}
        for row, verdict in zip(rows.select(list(names)).to_pylist(), verdicts, strict=True)
        if verdict is not None
    ]  # fmt: skip
    return pa.Table.from_pylist(found, DROPPED)
