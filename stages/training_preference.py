"""Train a language model on what is preferred to what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from stages.compute_settings import ComputeSettings
from stages.contract import (
    Artifact,
    Context,
    Field,
    Input,
    Kind,
    Output,
    Sink,
    Stage,
    execution_field,
)
from stages.kinds import DROPPED, METRICS
from stages.tokenizer_files import copy_tokenizer, end_of_text_id, load_tokenizer
from stages.training_pairs import COLUMNS

if TYPE_CHECKING:
    from operators.modeling.preference_recipe import PreferencePairs, PreferenceReport
    from operators.tokenization.byte_tokenizer import ByteTokenizer


class Preference(Stage):
    """Train a model to prefer one response of a prompt to another: DPO, or by token.

    DPO (Rafailov et al. 2023), TDPO 1 and 2 (Zeng et al. 2024), cDPO (Lin et al. 2024). The frozen
    reference is the model as it was given. Pairs that would make the chosen response less likely
    can be left out by CHES (Razin et al. 2025).
    """

    word = "training.preference"
    libraries = ("torch", "transformers")

    class Config(ComputeSettings):
        loss: Literal["dpo", "tdpo1", "tdpo2", "cdpo"] = Field(
            "dpo", description="tdpo1, tdpo2: with the divergence at each token; cdpo: rejected "
            "tokens count by how critical they are, which takes the models positive and negative",
        )  # fmt: skip
        beta: float = Field(
            0.1, gt=0, allow_inf_nan=False, description="how strongly the reference holds"
        )
        alpha: float = Field(
            0.5, ge=0, allow_inf_nan=False, description="tdpo2: of the divergences; 0 is dpo"
        )
        contrast: float = Field(
            1.0, ge=0, allow_inf_nan=False,
            description="cdpo: how strongly the negative model is held against the positive",
        )  # fmt: skip
        ches_keep: float = Field(
            1.0, gt=0, le=1, description="share of the pairs that is kept, those with the lowest "
            "CHES; 1 keeps all and computes none",
        )  # fmt: skip
        ches_length_normalised: bool = Field(
            False, description="CHES of means over the tokens of a response instead of sums"
        )
        max_length: int | None = Field(
            None, ge=3, description="tokens of prompt and response, both ends included; longer "
            "pairs are dropped; default the model's context",
        )  # fmt: skip
        steps: int = Field(100, ge=1, description="optimiser steps")
        batch_size: int = Field(8, ge=1, description="pairs a step")
        learning_rate: float = Field(5e-6, gt=0, allow_inf_nan=False, description="after warm-up")
        warmup_steps: int = Field(10, ge=0, description="steps of the linear warm-up")
        weight_decay: float = Field(0.0, ge=0, description="of AdamW, on matrices only")
        gradient_clip: float = Field(1.0, gt=0, description="largest global gradient norm")
        seed: int = Field(0, ge=0, description="of the order of the pairs")
        log_every: int = execution_field(
            5,
            description="steps between points of the recorded curves",
            why="what is recorded on the way does not touch the weights",
        )

    inputs = {
        "pairs": Input(Kind.DOCUMENTS, "documents with prompt, chosen and rejected"),
        "model": Input(Kind.MODEL, "to go on from, with its tokenizer; also the reference"),
        "positive": Input(
            Kind.MODEL, "cdpo: a model trained on right responses", optional=True
        ),
        "negative": Input(
            Kind.MODEL, "cdpo: a model trained on wrong responses", optional=True
        ),
    }  # fmt: skip
    outputs = {
        "model": Output(Kind.MODEL, "checkpoint with its tokenizer"),
        "history": Output(Kind.METRICS, "loss, margin, accuracy and more at each step"),
        "dropped": Output(Kind.DROPPED, "pairs that were too long, or that CHES left out"),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.modeling import load_model, save_model
        from operators.modeling.preference_training import train_preferences

        config = self.config
        self._check_models(inputs)
        tokenizer = load_tokenizer(inputs["model"])
        folder = str(inputs["model"].folder())
        model = load_model(folder, config.device).float()
        reference = load_model(folder, config.device).float()
        rows, pairs, dropped = self._pairs(inputs["pairs"], tokenizer, _context_length(model))
        if config.ches_keep < 1:
            pairs, displacing = self._least_displacing(reference, rows, pairs)
            dropped += displacing
        outputs["dropped"].write(pa.Table.from_pylist(dropped, DROPPED))
        if config.loss == "cdpo":
            pairs = replace(pairs, critical=self._critical(inputs, pairs))

        def see(report: PreferenceReport) -> None:
            context.progress(report.step, config.steps, "steps")
            if report.step % config.log_every == 0 or report.step in (1, config.steps):
                for name, value in _measures(report).items():
                    context.metric(name, value, report.step)

        reports = train_preferences(model, reference, pairs, _recipe(config), on_step=see)
        outputs["history"].write(
            pa.Table.from_pylist(
                [
                    {"id": str(report.step), "metric": name, "value": value, "weight": 1.0,
                     "group": "step"}
                    for report in reports
                    for name, value in _measures(report).items()
                ],
                METRICS,
            )
        )  # fmt: skip
        made = outputs["model"].folder()
        copy_tokenizer(inputs["model"], made)
        for weights in made.glob("*.safetensors*"):  # of the model as it was
            weights.unlink()
        save_model(model, str(made))
        context.metric("pairs", len(pairs))
        context.metric("dropped_pairs", len(dropped))
        context.metric("epochs", config.steps * config.batch_size / len(pairs))

    def _check_models(self, inputs: Mapping[str, Any]) -> None:
        """Raise ValueError where a model is missing, is not read, or has other tokens."""
        given = [name for name in ("positive", "negative") if name in inputs]
        if self.config.loss != "cdpo":
            if given:
                raise ValueError(f"{given[0]} is read by loss cdpo only, and loss is "
                                 f"{self.config.loss}: leave it out")  # fmt: skip
            return
        if len(given) < 2:
            raise ValueError(
                "loss cdpo contrasts two more models: wire positive, trained on right responses, "
                "and negative, trained on wrong ones"
            )
        tokens = list(load_tokenizer(inputs["model"]).tokens)
        for name in given:
            if list(load_tokenizer(inputs[name]).tokens) != tokens:
                raise ValueError(f"{name} has another vocabulary than the model that is trained")

    def _pairs(
        self, documents: Artifact, tokenizer: ByteTokenizer, context_length: int
    ) -> tuple[list[dict[str, Any]], PreferencePairs, list[dict[str, Any]]]:
        """The rows that fit, as pairs of token sequences, and the rows that do not."""
        end = end_of_text_id(tokenizer)
        longest = min(self.config.max_length or context_length, context_length)
        rows = documents.table().to_pylist()
        prompts, *sides = (
            tokenizer.encode_batch(_texts(documents, rows, column)) for column in COLUMNS
        )
        kept, encoded, dropped = [], [], []
        for row, prompt, chosen, rejected in zip(rows, prompts, *sides, strict=True):
            both = [[end, *prompt, *response, end] for response in (chosen, rejected)]
            length = max(map(len, both))
            if length > longest:
                dropped.append(_dropped(row, "longer_than_max_length", length))
                continue
            kept.append(row)
            encoded.append((len(prompt) + 1, both))
        if not kept:
            raise ValueError(
                f"there is no pair to train on: {len(dropped)} of {len(rows)} are longer than "
                f"{longest} tokens"
            )
        return kept, _as_arrays(encoded), dropped

    def _least_displacing(
        self, model: Any, rows: list[dict[str, Any]], pairs: PreferencePairs
    ) -> tuple[PreferencePairs, list[dict[str, Any]]]:
        import torch

        from operators.modeling.preference_scoring import pair_displacements
        from operators.weighting.ches import least_displacing

        config = self.config
        scores = pair_displacements(
            model,
            pairs,
            length_normalised=config.ches_length_normalised,
            batch_size=config.batch_size,
            device=config.device,
            threads=config.threads,
        )
        keep = least_displacing(torch.from_numpy(scores), config.ches_keep).numpy()
        left = [
            _dropped(row, "ches", score)
            for row, score, kept in zip(rows, scores, keep, strict=True)
            if not kept
        ]
        return _taken(pairs, keep), left

    def _critical(self, inputs: Mapping[str, Any], pairs: PreferencePairs) -> Any:
        from operators.modeling import load_model
        from operators.modeling.preference_scoring import critical_probabilities

        config = self.config
        positive, negative = (
            load_model(str(inputs[name].folder()), config.device).float()
            for name in ("positive", "negative")
        )
        for name, model in (("positive", positive), ("negative", negative)):
            if _context_length(model) < pairs.rejected.shape[1]:
                raise ValueError(
                    f"{name} sees {_context_length(model)} tokens, and there are pairs of "
                    f"{pairs.rejected.shape[1]}: set max_length"
                )
        return critical_probabilities(
            positive,
            negative,
            pairs,
            beta=config.contrast,
            batch_size=config.batch_size,
            device=config.device,
            threads=config.threads,
        )


def _recipe(config: Any) -> Any:
    """The operator's recipe."""
    from operators.modeling.preference_recipe import PreferenceRecipe

    same = (
        "loss", "steps", "batch_size", "learning_rate", "beta", "alpha", "weight_decay",
        "gradient_clip", "seed", "threads", "device",
    )  # fmt: skip
    return PreferenceRecipe(
        **{name: getattr(config, name) for name in same},
        warmup_steps=min(config.warmup_steps, config.steps),
    )


def _measures(report: PreferenceReport) -> dict[str, float]:
    return {name: value for name, value in asdict(report).items() if name != "step"}


def _context_length(model: Any) -> int:
    return int(model.config.get_text_config().max_position_embeddings)


def _dropped(row: Mapping[str, Any], reason: str, value: float) -> dict[str, Any]:
    text = "\n".join(row[column] for column in COLUMNS)
    return {
        "id": row["id"], "source": row["source"], "reason": reason, "value": float(value),
        "text": text,
    }  # fmt: skip


def _texts(documents: Artifact, rows: list[dict[str, Any]], column: str) -> list[str]:
    """A column of texts.

    Raises:
        ValueError: there is no such column, or a row without a text in it.
    """
    names = documents.table().column_names
    if column not in names:
        raise ValueError(
            f'these documents have no column "{column}", only {", ".join(names)}: pairs are '
            f"documents with {', '.join(COLUMNS)}, as training.pairs makes them"
        )
    for row in rows:
        if row[column] is None:
            raise ValueError(f"row {row['id']} has no {column}")
    return [row[column] for row in rows]


def _as_arrays(encoded: list[tuple[int, list[list[int]]]]) -> PreferencePairs:
    """Pairs of (tokens of the prompt, chosen and rejected sequence), padded to one width."""
    from operators.modeling.preference_recipe import PreferencePairs

    width = max(len(sequence) for _, both in encoded for sequence in both)
    padded = np.zeros((2, len(encoded), width), np.int64)
    lengths = np.zeros((2, len(encoded)), np.int64)
    for row, (_, both) in enumerate(encoded):
        for side, sequence in enumerate(both):
            padded[side, row, : len(sequence)] = sequence
            lengths[side, row] = len(sequence)
    return PreferencePairs(
        chosen=padded[0],
        rejected=padded[1],
        prompt_lengths=np.array([prompt for prompt, _ in encoded]),
        chosen_lengths=lengths[0],
        rejected_lengths=lengths[1],
    )


def _taken(pairs: PreferencePairs, keep: Any) -> PreferencePairs:
    """Some of the pairs, with no more padding than they need."""
    lengths = {
        name: getattr(pairs, name)[keep]
        for name in ("prompt_lengths", "chosen_lengths", "rejected_lengths")
    }
    width = max(int(each.max()) for each in lengths.values())
    sides = {name: getattr(pairs, name)[keep, :width] for name in ("chosen", "rejected")}
    return replace(pairs, **lengths, **sides)
