"""Edit tokens: semi-synthetic data from human text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from stages.contract import Context, Field, Input, Kind, Output, RowStage, StageConfig
from stages.kinds import TOKENS
from stages.tokenizer_files import end_of_text_id, load_tokenizer


class Resample(RowStage):
    """ToEdit: tokens that a prior model finds all but certain are drawn again from it.

    Zhu et al. 2025 (arXiv 2412.14689): x'_i = x_i where P(x_i | x_<i) < threshold, else a draw
    from the model's own conditional distribution. Contexts are the original tokens. The first
    token of a sequence and document boundaries are never touched; a sequence longer than the
    prior's context is read in windows that overlap by half. Of the eligible tokens few
    change: a token of probability 0.99 is drawn anew as itself 99 times in 100.
    """

    word = "editing.resample"
    libraries = ("torch", "transformers")

    class Config(StageConfig):
        threshold: float = Field(
            0.99, gt=0, description="tokens of this probability or more (>=) are drawn again; "
            "above 1 nothing is edited",
        )  # fmt: skip
        candidates: int = Field(
            8, ge=1, description="the draw is among so many most probable tokens, and the old one"
        )
        temperature: float = Field(1.0, gt=0, description="of the draw; above 1 is more varied")
        batch_size: int = Field(32, ge=1, description="sequences in a forward pass")
        threads: int = Field(
            1, ge=1, description="CPU threads; in the key because the order of float sums is"
        )
        seed: int = Field(0, description="of the draws; each row has a stream of its own")
        device: Literal["auto", "cpu", "cuda"] = Field(
            "auto", description="auto: a GPU where the task was given one"
        )

    inputs = {
        "tokens": Input(Kind.TOKENS, "sequences of human text"),
        "model": Input(Kind.MODEL, "the prior; its tokenizer made the sequences"),
    }
    outputs = {"tokens": Output(Kind.TOKENS, "the same rows, edited; `edits` says where and what")}
    conserves = ("tokens", ("tokens",))

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        from operators.modeling import load_model

        self.model = load_model(str(inputs["model"].folder()), device=self.config.device)
        self.end_of_text = end_of_text_id(load_tokenizer(inputs["model"]))

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.editing import resample_tokens

        if rows.num_rows == 0:
            return rows
        config = self.config
        before = np.array(rows.column("tokens").to_pylist(), dtype=np.int64)
        result = resample_tokens(
            self.model,
            before,
            rows.column("id").to_pylist(),
            protected=before == self.end_of_text,
            threshold=config.threshold,
            candidates=config.candidates,
            temperature=config.temperature,
            never_drawn=[self.end_of_text],
            seed=config.seed,
            context=int(self.model.config.max_position_embeddings),
            batch_size=config.batch_size,
            device=config.device,
            threads=config.threads,
        )
        context.count("tokens", before.size)
        context.count("eligible", int(result.eligible.sum()))
        context.count("drawn", int(result.drawn.sum()))
        context.count("changed", int(result.changed.sum()))
        edits = [
            [*earlier]
            + [
                {"position": int(at), "before": int(before[row, at]),
                 "after": int(result.sequences[row, at])}
                for at in np.flatnonzero(result.changed[row])
            ]
            for row, earlier in enumerate(rows.column("edits").to_pylist())
        ]  # fmt: skip
        columns = {
            "tokens": pa.array(
                list(result.sequences.astype(np.int32)), TOKENS.field("tokens").type
            ),
            "edits": pa.array(edits, TOKENS.field("edits").type),
        }
        for name, column in columns.items():
            rows = rows.set_column(rows.schema.get_field_index(name), name, column)
        return rows

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        tokens = counts.get("tokens", 0)
        if not tokens:
            return {}
        return {f"{name}_share": counts[name] / tokens for name in ("eligible", "drawn", "changed")}
