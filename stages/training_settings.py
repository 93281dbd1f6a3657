"""The settings of `training.language_model`, and the recipe that they make."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ValidationInfo, field_validator

from stages.compute_settings import ComputeSettings
from stages.contract import Field, StageConfig, execution_field

# Settings of a fresh model -> what they are called in the configuration of one that exists.
SHAPE = {
    "hidden_size": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "intermediate_size": "intermediate_size",
}


class ModelSettings(StageConfig):
    """The shape of a fresh model."""

    hidden_size: int = Field(128, ge=8, description="width of the residual stream")
    layers: int = Field(2, ge=1, description="transformer blocks")
    heads: int = Field(
        4, ge=1, validate_default=True,
        description="attention heads; hidden_size / heads must be even",
    )  # fmt: skip
    kv_heads: int | None = Field(
        None, ge=1, description="key-value heads (grouped-query attention); default heads"
    )
    intermediate_size: int | None = Field(
        None, ge=8, description="width of the MLP; default 8/3 of hidden_size"
    )

    @field_validator("heads")
    @classmethod
    def _divides_the_width(cls, heads: int, info: ValidationInfo) -> int:
        width = info.data.get("hidden_size")
        if width is not None and width % (2 * heads):
            raise ValueError(f"must divide hidden_size {width} into even parts")
        return heads

    @field_validator("kv_heads")
    @classmethod
    def _divides_the_heads(cls, kv_heads: int | None, info: ValidationInfo) -> int | None:
        heads = info.data.get("heads")
        if kv_heads is not None and heads is not None and heads % kv_heads:
            raise ValueError(f"must divide heads {heads}")
        return kv_heads


class OptimizerSettings(StageConfig):
    """Steps, batches, and the learning rate of each step."""

    steps: int = Field(200, ge=1, description="optimiser steps")
    batch_size: int = Field(16, ge=1, description="sequences a step")
    micro_batch_size: int | None = Field(
        None, ge=1, validate_default=True,
        description="sequences of one forward pass, a divisor of batch_size; default all. Less "
        "memory, and what workers share; in the key because the order of float sums is",
    )  # fmt: skip
    learning_rate: float = Field(3e-3, gt=0, description="the peak, after a linear warm-up")
    schedule: Literal["cosine", "wsd", "infinite", "constant"] = Field(
        "cosine",
        description="cosine; wsd: the peak until the last decay_steps; infinite: cool down to a "
        "constant rate that can be gone on from, and anneal (Ibrahim et al. 2024)",
    )
    warmup_steps: int = Field(20, ge=0, description="steps of the linear warm-up")
    min_learning_rate_ratio: float = Field(
        0.1, ge=0, le=1, description="where the rate ends, as a share of the peak"
    )
    decay_steps: int = Field(
        0, ge=0, description="wsd, infinite: the last steps, in which the rate falls"
    )
    decay_shape: Literal["linear", "sqrt", "cosine"] = Field("sqrt", description="wsd: of the fall")
    cooldown_steps: int = Field(0, ge=0, description="infinite: from the peak to the constant rate")
    constant_ratio: float = Field(
        0.55, gt=0, le=1, description="infinite: the constant rate as a share of the peak"
    )
    weight_decay: float = Field(0.1, ge=0, description="of AdamW, on matrices only")
    betas: tuple[float, float] = Field((0.9, 0.95), description="of AdamW")
    gradient_clip: float = Field(1.0, gt=0, description="largest global gradient norm")
    seed: int = Field(0, ge=0, description="of initial weights and the order of the data")

    @field_validator("micro_batch_size")
    @classmethod
    def _divides_the_batch(cls, size: int | None, info: ValidationInfo) -> int | None:
        batch = info.data.get("batch_size")
        if size is not None and batch is not None and batch % size:
            raise ValueError(f"must divide batch_size {batch}")
        return size


class LossSettings(StageConfig):
    """What is minimised, and what counts how much."""

    reduction: Literal["samples", "tokens"] = Field(
        "samples", description="every sequence counts alike, or every scored token of the batch"
    )
    weighting: Literal["uniform", "linupper", "quadratic", "extremes"] = Field(
        "uniform", description="how samples are weighted by their losses"
    )
    temperature: float = Field(
        1.0, gt=0, description="of the weights; small is peaky, .inf is uniform"
    )
    weighting_warmup_steps: int = Field(
        20, ge=0, description="first steps, with uniform weights and no selection"
    )
    selection: Literal["none", "rho1", "sstoken", "focal", "rank"] = Field(
        "none", validate_default=True,
        description="which tokens count: rho1 (Lin et al. 2024; needs reference_losses), sstoken "
        "(Qin et al. 2026), focal and rank as factors",
    )  # fmt: skip
    selection_share: float = Field(
        0.6, gt=0, le=1, description="rho1, sstoken: of the scored tokens; 1 selects all"
    )
    selection_gamma: float = Field(
        0.5, ge=0, description="sstoken: share of the progress in the score, the rest is attention "
        "to the prompt; focal: the exponent",
    )  # fmt: skip
    history_decay: float = Field(
        0.99, ge=0, lt=1,
        description="sstoken without reference_losses: of the moving average that is its history",
    )  # fmt: skip
    cold_start_steps: int = Field(
        0, ge=0, description="sstoken: first steps that select by attention alone"
    )
    objective: Literal["cross_entropy", "emo", "number_tokens", "gradient_gating"] = Field(
        "cross_entropy",
        description="emo (Ren et al. 2024), number_tokens (Zausinger et al. 2025: tokens that are "
        "digits), gradient_gating (Yu et al. 2022)",
    )
    objective_weight: float = Field(
        0.3, ge=0, description="number_tokens: of the number-token loss"
    )
    documents_apart: bool = Field(
        False, description="attention stays within each document of a sequence"
    )
    pad: bool = Field(
        False,
        description="sequences of different lengths are padded; those with `scored` always are",
    )
    future_tokens: int = Field(
        1, ge=1, description="tokens that each position predicts (Gloeckle et al. 2024); the heads "
        "beyond the first are not kept",
    )  # fmt: skip
    ltd_min_tokens: int | None = Field(
        None, ge=1,
        description="Random-LTD (Yao et al. 2022): positions that middle layers see at first",
    )  # fmt: skip
    ltd_steps: int = Field(0, ge=0, description="Random-LTD: steps until they see all")
    ltd_increment: int = Field(16, ge=1, description="Random-LTD: positions grow by so many")
    replay_share: float = Field(
        0.25, ge=0, lt=1, description="with `replay` wired: its share of the tokens trained on"
    )

    @field_validator("selection")
    @classmethod
    def _selects_or_weighs(cls, selection: str, info: ValidationInfo) -> str:
        if selection != "none" and info.data.get("weighting") not in (None, "uniform"):
            raise ValueError(f"goes with weighting uniform, not {info.data['weighting']}")
        return selection


class MachineSettings(ComputeSettings):
    """How it is computed, saved and told."""

    precision: Literal["float32", "bfloat16", "pure_bfloat16"] = Field(
        "float32", description="bfloat16: of the forward pass, weights stay float32; "
        "pure_bfloat16: of everything, updates rounded stochastically",
    )  # fmt: skip
    workers: int = execution_field(
        1,
        description="processes that share the micro-batches of a step: 1, 2, 4, ...; each takes "
        "the stage's resources",
        why="gradients of micro-batches are added in one order, however many workers there are",
    )
    sharded_over: int | None = Field(
        None, ge=2, description="shard weights and optimiser over so many workers (FSDP2); in the "
        "key because the order of float sums is",
    )  # fmt: skip
    activation_checkpointing: bool = Field(
        False, description="compute activations anew in the backward pass: less memory, more time"
    )
    compile: bool = Field(False, description="run the model through torch.compile")
    on_spike: Literal["stop", "skip", "roll_back"] = Field(
        "stop", description="what a loss that is not finite, or a spike, does: roll_back goes back "
        "to a snapshot and on behind the batch",
    )  # fmt: skip
    spike_deviations: float = Field(
        float("inf"), gt=0,
        description="a spike is so many median absolute deviations above the median; .inf: only "
        "what is not finite",
    )  # fmt: skip
    lora_rank: int = Field(
        0, ge=0, description="train adapters of this rank (LoRA, with peft) instead of all "
        "weights; they are merged into the model at the end",
    )  # fmt: skip
    lora_alpha: float = Field(16.0, gt=0, description="LoRA: scale of the adapters")
    checkpoint_every: int | None = execution_field(
        None,
        description="steps between checkpoints, from which a killed run goes on; default a "
        "tenth of the run, at most 500",
        why="training goes on from a checkpoint to the bit",
    )
    validate_every: int = Field(
        50, ge=1, description="steps between points of the validation curves, where wired"
    )
    log_every: int = execution_field(
        5,
        description="steps between points of the recorded curves",
        why="what is recorded on the way does not touch the weights",
    )


class Settings(MachineSettings, LossSettings, ModelSettings, OptimizerSettings):
    """Everything that `training.language_model` can be told."""

    def recipe(self, number_tokens: tuple[tuple[int, float], ...] = ()) -> Any:
        """The operator's recipe; a warm-up longer than the training is cut to it.

        Raises:
            ValueError: phases of the schedule longer than the run.
        """
        from operators.modeling.recipe import TrainingRecipe

        same = (
            "steps", "batch_size", "micro_batch_size", "learning_rate", "min_learning_rate_ratio",
            "weight_decay", "betas", "gradient_clip", "reduction", "temperature", "selection",
            "selection_share", "selection_gamma", "history_decay", "cold_start_steps", "objective",
            "objective_weight", "documents_apart", "future_tokens", "ltd_min_tokens", "ltd_steps",
            "ltd_increment", "activation_checkpointing", "compile", "on_spike", "spike_deviations",
            "seed", "threads", "device", "precision",
        )  # fmt: skip
        warmup = min(self.warmup_steps, self.steps)
        return TrainingRecipe(
            **{name: getattr(self, name) for name in same},
            warmup_steps=warmup,
            schedule=self._schedule(warmup),
            strategy=self.weighting,
            reweighting_warmup_steps=self.weighting_warmup_steps,
            sharded=self.sharded_over is not None,
            number_tokens=number_tokens,
            snapshot_every=max(1, min(100, self.steps // 10)),
        )

    def _schedule(self, warmup: int) -> Any:
        """Another schedule than the cosine, or None."""
        from operators.modeling.schedules import Constant, Infinite, WarmupStableDecay

        length = {"steps": self.steps, "peak": self.learning_rate, "warmup_steps": warmup}
        if self.schedule == "constant":
            return Constant(**length)  # type: ignore[arg-type]
        if self.schedule == "wsd":
            return WarmupStableDecay(
                **length,  # type: ignore[arg-type]
                decay_steps=self.decay_steps,
                end_ratio=self.min_learning_rate_ratio,
                decay=self.decay_shape,
            )
        if self.schedule == "infinite":
            return Infinite(
                **length,  # type: ignore[arg-type]
                cooldown_steps=self.cooldown_steps,
                anneal_steps=self.decay_steps,
                constant_ratio=self.constant_ratio,
                end_ratio=self.min_learning_rate_ratio,
            )
        return None
