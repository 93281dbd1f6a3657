"""Stages that do nothing, for the overhead of the engine: one row in, one row out."""

import pyarrow as pa

from stages.contract import Field, Input, Kind, Output, RowStage, Stage, StageConfig
from stages.kinds import DOCUMENTS


def row(number: int) -> dict:
    return {"id": f"r{number}", "text": str(number), "language": "eng_Latn", "source": "bench",
            "group": None, "edits": []}  # fmt: skip


class Config(StageConfig):
    number: int = Field(0, description="makes its bytes its own: equal ones would be reused")


class First(Stage):
    """One row."""

    Config = Config
    outputs = {"documents": Output(Kind.DOCUMENTS, "one row")}

    def run(self, inputs, outputs, context):
        outputs["documents"].write(pa.Table.from_pylist([row(self.config.number)], DOCUMENTS))


class Next(First):
    """One row again."""

    inputs = {"documents": Input(Kind.DOCUMENTS, "one row")}


class Shards(Stage):
    """As many shards as asked for, a row each."""

    Config = Config
    outputs = {"documents": Output(Kind.DOCUMENTS, "shards of a row")}

    def run(self, inputs, outputs, context):
        for number in range(self.config.number):
            outputs["documents"].write(pa.Table.from_pylist([row(number)], DOCUMENTS))


class Same(RowStage):
    """The same rows."""

    inputs = {"documents": Input(Kind.DOCUMENTS, "rows")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "the same")}

    def apply(self, rows, context):
        return rows
