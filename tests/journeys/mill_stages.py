"""Stages of the twelve-stage DAG: rows, a model with a curve, scores, a summary."""

import hashlib
import time
from pathlib import Path

import pyarrow as pa

from stages.contract import (
    Field,
    Input,
    Kind,
    Output,
    RowStage,
    Stage,
    StageConfig,
    execution_field,
)
from stages.kinds import METRICS


def digest(*parts):
    return int(hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:8], 16) / 2**32


def measured(id_, value):
    return {"id": id_, "metric": "value", "value": value, "weight": 1.0, "group": None}


class Words(RowStage):
    """Write the words of every text in their order, once each; a shard may take its time."""

    class Config(StageConfig):
        poison: str = Field("none", description="id at which it fails, by its end")
        seconds: float = execution_field(0.0, description="sleep over a shard", why="only sleeps")

    inputs = {"documents": Input(Kind.DOCUMENTS, "texts")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "their words")}

    def apply(self, rows, context):
        time.sleep(self.config.seconds)
        made = []
        for row in rows.to_pylist():
            if row["id"].endswith(self.config.poison):
                raise ValueError("this row is poison")
            words = dict.fromkeys(row["text"].split())
            made.append(row | {"text": " ".join(words), "edits": [*row["edits"], "words"]})
            context.count("words", len(words))
        return pa.Table.from_pylist(made, rows.schema)


class Train(Stage):
    """A model that is a number, with a curve of fifty steps."""

    class Config(StageConfig):
        seed: int = Field(0, description="of the model")
        steps: int = Field(50, description="points of the curve")
        pause: float = execution_field(0.01, description="between steps", why="only sleeps")
        ends_with: str = execution_field(
            "", description="a file without which the last step does not come", why="only waits"
        )

    inputs = {"tokens": Input(Kind.TOKENS, "sequences")}
    outputs = {"model": Output(Kind.MODEL, "a number in a file")}

    def run(self, inputs, outputs, context):
        total = sum(len(row) for row in inputs["tokens"].table().column("tokens").to_pylist())
        loss = 1.0
        for step in range(self.config.steps):
            time.sleep(self.config.pause)
            while step == self.config.steps - 1 and not Path(self.config.ends_with).exists():
                time.sleep(0.1)
            loss = digest(self.config.seed, total, step) / (step + 1)
            context.metric("loss", loss, step=step)
            context.progress(step + 1, self.config.steps, "steps")
        (outputs["model"].folder() / "weights.txt").write_text(f"{self.config.seed} {total} {loss}")


class Score(RowStage):
    """A number a document, by the model."""

    inputs = {
        "documents": Input(Kind.DOCUMENTS, "held-out texts"),
        "model": Input(Kind.MODEL, "a number"),
    }
    outputs = {"metrics": Output(Kind.METRICS, "a row a document")}

    def prepare(self, inputs):
        self.weights = (inputs["model"].folder() / "weights.txt").read_text()

    def apply(self, rows, context):
        return pa.Table.from_pylist(
            [measured(row["id"], digest(self.weights, row["text"])) for row in rows.to_pylist()],
            METRICS,
        )


class Lengths(RowStage):
    """Characters a document."""

    inputs = {"documents": Input(Kind.DOCUMENTS, "texts")}
    outputs = {"metrics": Output(Kind.METRICS, "a row a document")}

    def apply(self, rows, context):
        return pa.Table.from_pylist(
            [measured(row["id"], float(len(row["text"]))) for row in rows.to_pylist()], METRICS
        )


class Summary(Stage):
    """One row an artifact."""

    inputs = {"scores": Input(Kind.METRICS, "of all cells", many=True)}
    outputs = {"metrics": Output(Kind.METRICS, "their sums")}

    def run(self, inputs, outputs, context):
        rows = []
        for index, artifact in enumerate(inputs["scores"]):
            values = artifact.table().column("value").to_pylist()
            rows.append(measured(f"{index} {sorted(artifact.cell.items())}", sum(values)))
        outputs["metrics"].write(pa.Table.from_pylist(rows, METRICS))
