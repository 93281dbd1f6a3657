"""Against exposure bias: a model sees its own tokens in training, and is to correct its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import ValidationInfo, field_validator

from stages.contract import Context, Field, Input, Kind, Output, RowStage
from stages.editing_generation import Sampling
from stages.editing_prior import check_known, lists_of, open_prior, with_column
from stages.kinds import TOKENS


class ScheduledSampling(RowStage):
    """Batch-scheduled sampling: the model sees some of its own tokens, and learns the true ones.

    Cen et al. 2025 (arXiv 2410.14655). A column `inputs` holds what is seen: `tokens`, with a share
    of them replaced by the model's own predictions, each in its place. `tokens` stay the targets.
    The share rises over rounds; train on one round, and let that model make the next. Prompts
    (tokens that are not `scored`), first tokens and document boundaries stay true.
    """

    word = "editing.scheduled_sampling"
    libraries = ("torch", "transformers")

    class Config(Sampling):
        rounds: int = Field(4, ge=1, description="rounds of the schedule")
        round: int = Field(0, ge=0, validate_default=True, description="this one, from 0")
        first: float = Field(
            0.0, ge=0, lt=1, description="share of model tokens in round 0; 0 changes nothing"
        )
        last: float = Field(
            0.25, ge=0, le=1, validate_default=True, description="share in the last round"
        )
        passes: int = Field(
            2, ge=1, description="how often the model reads the rows; later passes see its tokens"
        )

        @field_validator("round")
        @classmethod
        def _is_one_of_the_rounds(cls, round: int, info: ValidationInfo) -> int:
            rounds = info.data.get("rounds")
            if rounds is not None and round >= rounds:
                raise ValueError(f"must be below rounds {rounds}: the first is 0")
            return round

        @field_validator("last")
        @classmethod
        def _rises(cls, last: float, info: ValidationInfo) -> float:
            first = info.data.get("first")
            if first is not None and last < first:
                raise ValueError(f"must not be below the first share {first}")
            return last

    inputs = {
        "tokens": Input(Kind.TOKENS, "true sequences"),
        "model": Input(Kind.MODEL, "the model that is to be trained on, as it is now"),
    }
    outputs = {"tokens": Output(Kind.TOKENS, "the same rows, with a column `inputs`")}
    conserves = ("tokens", ("tokens",))

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        from operators.editing.scheduled_sampling import epsilon_of_round

        config = self.config
        self.prior = open_prior(inputs["model"], config.device)
        self.epsilon = epsilon_of_round(config.round, config.rounds, config.first, config.last)

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.editing.row_batches import groups_of_one_length
        from operators.editing.scheduled_sampling import mix_contexts

        prior = self.prior
        true = lists_of(rows, "tokens")
        check_known(true, prior)
        scored = lists_of(rows, "scored") if "scored" in rows.column_names else None
        ids = rows.column("id").to_pylist()
        seen = list(true)
        counts = dict.fromkeys(("tokens", "eligible", "drawn", "changed"), 0)
        for group in groups_of_one_length(true, prior.end_of_text):
            protected = (group.tokens == prior.end_of_text) | ~group.real
            if scored is not None:
                for place, index in enumerate(group.indices):
                    protected[place, : len(true[index])] |= ~scored[index].astype(bool)
            mixed = mix_contexts(
                prior.model,
                group.tokens,
                [ids[index] for index in group.indices],
                epsilon=self.epsilon,
                passes=self.config.passes,
                protected=protected,
                never_drawn=prior.never_drawn,
                context=prior.context,
                **self.config.settings(),
            )
            counts["tokens"] += int(group.real.sum())
            for name in ("eligible", "drawn", "changed"):
                counts[name] += int(getattr(mixed, name).sum())
            for place, index in enumerate(group.indices):
                seen[index] = mixed.inputs[place, : len(true[index])].astype(np.int32)
        for name, amount in counts.items():
            context.count(name, amount)
        return with_column(rows, "inputs", seen, TOKENS.field("tokens").type)

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        tokens = counts.get("tokens", 0)
        if not tokens:
            return {}
        return {f"{name}_share": counts[name] / tokens for name in ("eligible", "drawn", "changed")}


class SelfCorrect(RowStage):
    """Reference-answer-based correction: the model's own answer, a mark, and the true answer.

    Cen et al. 2025 (arXiv 2410.14655). The model writes an answer to the prompt of each row (what
    stands before its first `scored` token); the row becomes prompt, that answer, the mark, and the
    true answer, which alone is scored. `generated` holds the model's answer.
    """

    word = "editing.self_correct"
    libraries = ("torch", "transformers")

    class Config(Sampling):
        correction: Literal["whole", "divergence"] = Field(
            "whole", description="whole: the true answer is given from its beginning; divergence: "
            "from the first token that the model did not write",
        )  # fmt: skip
        mark: str = Field("<correct>", min_length=1, description="stands before the true answer")
        max_tokens: int | None = Field(
            None, ge=1, description="of the model's answer; default as many as the true one has"
        )

    inputs = {
        "tokens": Input(Kind.TOKENS, "prompts with their answers; the answers are `scored`"),
        "model": Input(Kind.MODEL, "the model that is to be trained on, as it is now"),
    }
    outputs = {"tokens": Output(Kind.TOKENS, "the same rows, with the model's answer in them")}
    conserves = ("tokens", ("tokens",))

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        self.prior = open_prior(inputs["model"], self.config.device)
        tokenizer, mark = self.prior.tokenizer, self.config.mark
        spelled = mark.encode()
        whole = [number for number, token in enumerate(tokenizer.tokens) if token == spelled]
        self.mark = whole[:1] or tokenizer.encode(mark)

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.editing.generation import continue_prompts
        from operators.editing.self_correction import correction_sequence

        for name in ("inputs", "reference_losses"):
            if name in rows.column_names:
                raise ValueError(f'the tokens have a column "{name}" that would no longer fit them')
        if "scored" not in rows.column_names:
            raise ValueError(
                'the tokens have no column "scored": what is prompt and what is answer must be '
                "known to correct answers"
            )
        prior, config = self.prior, self.config
        given, scored = lists_of(rows, "tokens"), lists_of(rows, "scored")
        check_known(given, prior)
        ids = rows.column("id").to_pylist()
        begins = [_answer(id_, flags) for id_, flags in zip(ids, scored, strict=True)]
        limits = [
            self._limit(id_, len(row), first)
            for id_, row, first in zip(ids, given, begins, strict=True)
        ]
        written = continue_prompts(
            prior.model,
            [row[:first] for row, first in zip(given, begins, strict=True)],
            ids,
            limits=limits,
            context=prior.context,
            end_of_text=prior.end_of_text,
            never_drawn=prior.never_drawn,
            **config.settings(),
        )
        made = [
            correction_sequence(
                row[:first], new.tokens, self.mark, row[first:],
                scored=flags[first:].astype(bool), correction=config.correction,
            )
            for row, first, new, flags in zip(given, begins, written, scored, strict=True)
        ]  # fmt: skip
        context.count("rows", len(made))
        context.count(
            "right",
            sum(
                one.diverges_at >= len(row) - first - 1
                for one, row, first in zip(made, given, begins, strict=True)
            ),
        )
        lists = TOKENS.field("tokens").type
        rows = with_column(rows, "generated", [n.tokens.astype(np.int32) for n in written], lists)
        rows = with_column(rows, "scored", [one.scored for one in made], pa.list_(pa.bool_()))
        return with_column(rows, "tokens", [one.tokens.astype(np.int32) for one in made], lists)

    def _limit(self, id_: str, length: int, first: int) -> int:
        """Tokens that the model may write for a row."""
        answer = length - first
        room = self.prior.context - length - len(self.mark)
        if room < 1:
            raise ValueError(
                f'row "{id_}" has {length} tokens, which leaves no room for an answer in the '
                f"model's context of {self.prior.context}"
            )
        return min(room, self.config.max_tokens or answer)

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        rows = counts.get("rows", 0)
        return {"right_share": counts["right"] / rows} if rows else {}


def _answer(id_: str, scored: Any) -> int:
    """Where the answer of a row begins; its first token is never a part of it."""
    places = np.flatnonzero(scored)
    if not len(places) or places[-1] == 0:
        raise ValueError(f'row "{id_}" has no scored token: there is no answer to correct')
    return max(1, int(places[0]))
