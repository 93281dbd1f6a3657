"""What the weighting of tokens needs beforehand: the losses of another model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from stages.compute_settings import ComputeSettings
from stages.contract import Context, Field, Input, Kind, Output, RowStage

COLUMN = "reference_losses"


class ReferenceLosses(RowStage):
    """Stores with each sequence the losses of a model that is not the one in training.

    Rho-1 (Lin et al. 2024) takes those of a model that learnt from clean data, and trains on the
    tokens that exceed them most; ssToken (Qin et al. 2026) those of the model before training.
    Computed once here, they cost the training nothing.
    """

    word = "weighting.reference_losses"
    libraries = ("torch", "transformers")

    class Config(ComputeSettings):
        batch_size: int = Field(
            16, ge=1, description="sequences in a forward pass; in the key because the last bits "
            "of a product depend on its shape",
        )  # fmt: skip

    inputs = {
        "tokens": Input(Kind.TOKENS, "sequences of any lengths"),
        "model": Input(Kind.MODEL, "the reference; its tokenizer made the sequences"),
    }
    outputs = {
        "tokens": Output(Kind.TOKENS, f"the same rows; `{COLUMN}` has the loss of each token")
    }
    conserves = ("tokens", ("tokens",))

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        from operators.modeling import load_model

        self.model = load_model(str(inputs["model"].folder()), device=self.config.device)

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.modeling.reference_losses import reference_losses

        tokens = _lists(rows, "tokens")
        losses = reference_losses(
            self.model,
            tokens,
            _lists(rows, "inputs") if "inputs" in rows.column_names else None,
            context_length=int(self.model.config.get_text_config().max_position_embeddings),
            batch_size=self.config.batch_size,
            device=self.config.device,
            threads=self.config.threads,
        )
        for row_id, of_row in zip(rows.column("id").to_pylist(), losses, strict=True):
            if not np.isfinite(of_row).all():
                at = int(np.flatnonzero(~np.isfinite(of_row))[0])
                raise ValueError(f"row {row_id}: the loss of token {at} is {of_row[at]}")
        scored = [of_row[1:].astype(np.float64) for of_row in losses]
        context.count("tokens_scored", sum(of_row.size for of_row in scored))
        context.count("micronats", sum(round(1e6 * float(of_row.sum())) for of_row in scored))

        offsets = np.cumsum([0, *(len(of_row) for of_row in losses)]).astype(np.int32)
        values = np.concatenate(losses) if losses else np.zeros(0, dtype=np.float32)
        column = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, pa.float32()))
        if COLUMN in rows.column_names:
            return rows.set_column(rows.column_names.index(COLUMN), COLUMN, column)
        return rows.append_column(COLUMN, column)

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        tokens = counts.get("tokens_scored", 0)
        if not tokens:
            return {}
        return {"mean_reference_loss": counts["micronats"] / 1e6 / tokens}


def _lists(rows: pa.Table, name: str) -> list[Any]:
    """The lists of a column as arrays."""
    column = rows.column(name).combine_chunks()
    lengths = column.value_lengths().to_numpy()
    return np.split(column.flatten().to_numpy(), np.cumsum(lengths)[:-1]) if len(lengths) else []
