"""Pairs of responses, of which one is preferred."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from pydantic import field_validator

from stages.contract import Context, Field, Input, Kind, Output, RowStage, StageConfig
from stages.kinds import DOCUMENTS, DROPPED

COLUMNS = ("prompt", "chosen", "rejected")
PAIRS = pa.schema([*DOCUMENTS, *((name, pa.string()) for name in COLUMNS)])


class Pairs(RowStage):
    """Pairs of a text as it is and as it should be, as preferences: the latter is chosen.

    The prompt asks for it; the rejected response is the text given back as it was. Where both are
    one, nothing is to be preferred, and the pair is dropped.
    """

    word = "training.pairs"

    class Config(StageConfig):
        template: str = Field(
            "Correct the sentence.\n{source}\n", description="the prompt, with the text in {source}"
        )

        @field_validator("template")
        @classmethod
        def _has_a_slot(cls, template: str) -> str:
            if "{source}" not in template:
                raise ValueError("has no {source}: every prompt is the same")
            return template

    inputs = {"bitext": Input(Kind.BITEXT, "texts as they are, and as they should be")}
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "the rows, with prompt, chosen and rejected"),
        "dropped": Output(Kind.DROPPED, "rows whose two texts are the same"),
    }
    conserves = ("bitext", ("documents", "dropped"))

    def apply(self, rows: pa.Table, context: Context) -> Mapping[str, pa.Table]:
        made, dropped = [], []
        for row in rows.to_pylist():
            given, wanted = row["source_text"], row["target_text"]
            if given == wanted:
                dropped.append(
                    {"id": row["id"], "source": row["id"], "reason": "nothing_to_prefer",
                     "value": None, "text": given}
                )  # fmt: skip
                continue
            prompt = self.config.template.replace("{source}", given)
            made.append(
                {"id": row["id"], "text": prompt + wanted, "language": row["target_language"],
                 "source": row["id"], "group": row["group"], "edits": row["edits"],
                 "prompt": prompt, "chosen": wanted, "rejected": given}
            )  # fmt: skip
        context.count("pairs", len(made))
        context.count("dropped", len(dropped))
        return {
            "documents": pa.Table.from_pylist(made, PAIRS),
            "dropped": pa.Table.from_pylist(dropped, DROPPED),
        }
