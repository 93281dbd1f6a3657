"""Edit tokens: semi-synthetic data from human text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import ValidationInfo, field_validator

from stages.compute_settings import ComputeSettings
from stages.contract import Context, Field, Input, Kind, Output, RowStage
from stages.editing_prior import check_known, lists_of, open_prior, with_column
from stages.kinds import TOKENS

# What `edits` gives as the token after, where a token was dropped.
DROPPED_TOKEN = -1

# Columns with a value for each token that goes with it, and those that no longer fit afterwards.
_GOES_ALONG = ("scored",)
_STALE = ("inputs", "reference_losses")


class Resample(RowStage):
    """ToEdit: tokens that a prior model finds all but certain are drawn again from it.

    Zhu et al. 2025 (arXiv 2412.14689): x'_i = x_i where P(x_i | x_<i) < threshold, else a draw
    from the model's own conditional distribution. Contexts are the original tokens. The first
    token of a sequence and document boundaries are never touched; a sequence longer than the
    prior's context is read in windows that overlap by half. Of the eligible tokens few
    change: a token of probability 0.99 is drawn anew as itself 99 times in 100. With `drop_below`
    tokens that the prior finds all but impossible are taken out, and rows become shorter.
    """

    word = "editing.resample"
    libraries = ("torch", "transformers")

    class Config(ComputeSettings):
        threshold: float = Field(
            0.99, gt=0, description="tokens of this probability or more (>=) are drawn again; "
            "above 1 none is",
        )  # fmt: skip
        strict: bool = Field(False, description="the test is > instead, as in the authors' code")
        sampling: Literal["candidates", "top_k", "top_p", "rejection"] = Field(
            "candidates", description="what is drawn among: the most probable tokens and the old "
            "one; top_k: without the old one; top_p: those that hold the mass `top_p`; rejection: "
            "all of probability `reject_below` or more",
        )  # fmt: skip
        candidates: int = Field(
            8, ge=1, description="the draw is among so many most probable tokens, and the old one"
        )
        top_p: float = Field(0.9, gt=0, le=1, description="mass of what is drawn among; top_p")
        reject_below: float = Field(
            0.001, ge=0, le=1, description="less probable (<) draws are made again; rejection"
        )
        temperature: float = Field(1.0, gt=0, description="of the draw; above 1 is more varied")
        drop_below: float = Field(
            0.0, ge=0, le=1, validate_default=True,
            description="tokens of less probability (<) are dropped; 0 drops none",
        )  # fmt: skip
        protected: tuple[str, ...] = Field(
            (), description="spans that are never touched: numbers, code, urls, names, or regexes"
        )
        batch_size: int = Field(32, ge=1, description="sequences in a forward pass")
        seed: int = Field(0, description="of the draws; each row has a stream of its own")

        @field_validator("drop_below")
        @classmethod
        def _below_the_threshold(cls, drop_below: float, info: ValidationInfo) -> float:
            threshold = info.data.get("threshold")
            if threshold is not None and drop_below > threshold:
                raise ValueError(f"must not be above the threshold {threshold}")
            return drop_below

        @field_validator("protected")
        @classmethod
        def _compiles(cls, protected: tuple[str, ...]) -> tuple[str, ...]:
            from operators.editing.protected_spans import span_pattern

            span_pattern(protected)
            return protected

    inputs = {
        "tokens": Input(Kind.TOKENS, "sequences of human text"),
        "model": Input(Kind.MODEL, "the prior; its tokenizer made the sequences"),
    }
    outputs = {"tokens": Output(Kind.TOKENS, "the same rows, edited; `edits` says where and what")}
    conserves = ("tokens", ("tokens",))

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        self.prior = open_prior(inputs["model"], self.config.device)

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.editing.protected_spans import protected_positions
        from operators.editing.resampling import resample_tokens
        from operators.editing.row_batches import groups_of_one_length

        if rows.num_rows == 0:
            return rows
        for name in _STALE:
            if name in rows.column_names:
                raise ValueError(
                    f'the tokens have a column "{name}" that would no longer belong to them: '
                    "resample first, then make it"
                )
        config, prior = self.config, self.prior
        before = lists_of(rows, "tokens")
        check_known(before, prior)
        ids = rows.column("id").to_pylist()
        spans = protected_positions(
            before, prior.tokenizer.tokens, config.protected, prior.tokenizer.special_ids
        )
        after = list(before)
        dropped = [np.zeros(len(row), dtype=bool) for row in before]
        counts = dict.fromkeys(("tokens", "eligible", "drawn", "changed", "dropped"), 0)
        for group in groups_of_one_length(before, prior.end_of_text):
            protected = (group.tokens == prior.end_of_text) | ~group.real
            for place, index in enumerate(group.indices):
                protected[place, : len(before[index])] |= spans[index]
            result = resample_tokens(
                prior.model,
                group.tokens,
                [ids[index] for index in group.indices],
                protected=protected,
                threshold=config.threshold,
                strict=config.strict,
                sampling=config.sampling,
                candidates=config.candidates,
                top_p=config.top_p,
                reject_below=config.reject_below,
                temperature=config.temperature,
                drop_below=config.drop_below,
                never_drawn=prior.never_drawn,
                seed=config.seed,
                context=prior.context,
                batch_size=config.batch_size,
                device=config.device,
                threads=config.threads,
            )
            counts["tokens"] += int(group.real.sum())
            counts["eligible"] += int((result.eligible & group.real).sum())
            for name in ("drawn", "changed", "dropped"):
                counts[name] += int(getattr(result, name).sum())
            for place, index in enumerate(group.indices):
                length = len(before[index])
                after[index] = result.sequences[place, :length].astype(np.int32)
                dropped[index] = result.dropped[place, :length]
        for name, amount in counts.items():
            context.count(name, amount)
        edits = [
            [*earlier, *_edits(*row)]
            for earlier, *row in zip(
                rows.column("edits").to_pylist(), before, after, dropped, strict=True
            )
        ]
        rows = with_column(rows, "edits", edits, TOKENS.field("edits").type)
        if not counts["dropped"]:
            return with_column(rows, "tokens", after, TOKENS.field("tokens").type)
        return _without(rows, after, dropped)

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        tokens = counts.get("tokens", 0)
        if not tokens:
            return {}
        told = ["eligible", "drawn", "changed"]
        if self.config.drop_below:
            told.append("dropped")
        return {f"{name}_share": counts[name] / tokens for name in told}


def _edits(before: Any, after: Any, dropped: Any) -> list[dict[str, int]]:
    return [
        {"position": int(at), "before": int(before[at]),
         "after": DROPPED_TOKEN if dropped[at] else int(after[at])}
        for at in np.flatnonzero((before != after) | dropped)
    ]  # fmt: skip


def _without(rows: pa.Table, tokens: list[Any], dropped: list[Any]) -> pa.Table:
    """The rows without their dropped tokens; pieces begin where they now do."""
    kept = [~gone for gone in dropped]
    columns = {"tokens": tokens} | {
        name: lists_of(rows, name) for name in _GOES_ALONG if name in rows.column_names
    }
    for name, values in columns.items():
        shorter = [row[stays] for row, stays in zip(values, kept, strict=True)]
        rows = with_column(rows, name, shorter, rows.schema.field(name).type)
    starts = [
        [int(stays[:start].sum()) for start in begins]
        for begins, stays in zip(rows.column("starts").to_pylist(), kept, strict=True)
    ]
    return with_column(rows, "starts", starts, TOKENS.field("starts").type)
