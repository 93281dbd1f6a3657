"""What a training run is, apart from its model and its data."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from operators.modeling.schedules import Cosine, Schedule
from operators.weighting import STRATEGIES, Strategy

Precision = Literal["float32", "bfloat16", "pure_bfloat16"]
Selection = Literal["none", "rho1", "sstoken", "focal", "rank"]
Objective = Literal["cross_entropy", "emo", "number_tokens", "gradient_gating"]
OnSpike = Literal["stop", "skip", "roll_back"]


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """Optimiser, schedule, weighting and machine settings of `operators.modeling.train`.

    Attributes:
        steps: optimiser steps, ``>= 1``.
        batch_size: sequences per step.
        micro_batch_size: sequences of one forward pass, a divisor of ``batch_size``; None takes
            the whole batch. It decides the order of float sums, so results depend on it, and not
            on how many workers share the micro-batches of a step.
        learning_rate: the peak.
        warmup_steps: steps of the linear rise to the peak, ``<= steps``.
        min_learning_rate_ratio: where the cosine ends, as a share of the peak, in ``[0, 1]``.
        schedule: another schedule than that cosine; the three settings above are then not read.
        weight_decay: AdamW's decoupled decay; parameters with one dimension (norms, biases) are
            not decayed.
        betas: AdamW's averaging factors.
        gradient_clip: largest global gradient norm, ``> 0``; ``inf`` clips nothing.
        reduction: what the loss is the mean of: "samples" counts every sequence alike, "tokens"
            every scored token of the optimiser batch alike.
        strategy: how samples are weighted (`operators.weighting.sample_weights`).
        temperature: of the weighting; ``inf`` is uniform.
        reweighting_warmup_steps: first steps that use uniform weights and select no token, since
            early losses say more about the model than about the data (Sow et al. use 1,000 of
            20,000).
        selection: which tokens count, and how much: see `operators.modeling.batch_weights`.
        selection_share: of the scored tokens, for "rho1" (of the optimiser batch) and "sstoken" (of
            each sample); 1 selects all, to the bit.
        selection_gamma: "sstoken": share of the loss term in the score; "focal": the exponent.
        history_decay: "sstoken" without stored losses: of the moving average of the weights that
            is its history.
        cold_start_steps: "sstoken": first steps that select by attention alone, since the model is
            its own history then.
        objective: what is minimised at a token: see `operators.modeling.objectives`.
        objective_weight: of the number-token loss.
        number_tokens: "number_tokens": (token id, value) of each number token.
        documents_apart: whether attention stays within each packed document.
        future_tokens: tokens that each position predicts (Gloeckle et al. 2024); 1 is the next.
        ltd_min_tokens: Random-LTD (Yao et al. 2022): positions that middle layers see at first;
            None: all.
        ltd_steps: Random-LTD: steps until they see all.
        ltd_increment: Random-LTD: the number of positions is a multiple of it.
        activation_checkpointing: compute activations anew in the backward pass: less memory.
        compile: run the model through ``torch.compile``.
        sharded: shard weights, gradients and optimiser over the workers (FSDP2). Bits then depend
            on how many there are.
        on_spike: what a loss that is not finite, or far above those before, does: "stop", "skip"
            the step, or "roll_back" to the last snapshot and go on behind the batch.
        spike_deviations: a loss is a spike if it is more than so many median absolute deviations
            above the median of the last ``spike_window`` losses; ``inf``: only what is not finite.
        spike_window: losses that are looked back at.
        snapshot_every: "roll_back": steps between snapshots in memory.
        seed: decides the order of the data (and dropout, in a model that has it).
        threads: CPU threads of torch. The order of float sums depends on it: two runs are equal
            to the bit only with the same number.
        device: ``"auto"``, or a torch device.
        precision: "bfloat16" runs the forward pass under autocast, weights stay float32;
            "pure_bfloat16" keeps weights, gradients and optimiser in bfloat16 and rounds updates
            stochastically.
    """

    steps: int
    batch_size: int
    micro_batch_size: int | None = None
    learning_rate: float = 1e-3
    warmup_steps: int = 0
    min_learning_rate_ratio: float = 0.1
    schedule: Schedule | None = None
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    gradient_clip: float = 1.0
    reduction: Literal["samples", "tokens"] = "samples"
    strategy: Strategy = "uniform"
    temperature: float = 1.0
    reweighting_warmup_steps: int = 0
    selection: Selection = "none"
    selection_share: float = 0.6
    selection_gamma: float = 0.5
    history_decay: float = 0.99
    cold_start_steps: int = 0
    objective: Objective = "cross_entropy"
    objective_weight: float = 0.3
    number_tokens: tuple[tuple[int, float], ...] = ()
    documents_apart: bool = False
    future_tokens: int = 1
    ltd_min_tokens: int | None = None
    ltd_steps: int = 0
    ltd_increment: int = 16
    activation_checkpointing: bool = False
    compile: bool = False
    sharded: bool = False
    on_spike: OnSpike = "stop"
    spike_deviations: float = math.inf
    spike_window: int = 64
    snapshot_every: int = 100
    seed: int = 0
    threads: int = 1
    device: str = "auto"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        micro = self.micro_batch_size
        checks = {
            "steps must be >= 1": self.steps >= 1,
            "batch_size must be >= 1": self.batch_size >= 1,
            f"micro_batch_size must divide batch_size {self.batch_size}": micro is None
            or (micro >= 1 and self.batch_size % micro == 0),
            "learning_rate must be > 0": 0 < self.learning_rate < math.inf,
            "the schedule must be as long as the run": self.schedule is None
            or self.schedule.steps == self.steps,
            "warmup_steps must be >= 0 and <= steps": 0 <= self.warmup_steps <= self.steps,
            "min_learning_rate_ratio must be in [0, 1]": 0 <= self.min_learning_rate_ratio <= 1,
            "weight_decay must be >= 0": self.weight_decay >= 0,
            "betas must be in [0, 1)": all(0 <= beta < 1 for beta in self.betas),
            "gradient_clip must be > 0": self.gradient_clip > 0,
            f"strategy must be one of {', '.join(STRATEGIES)}": self.strategy in STRATEGIES,
            "temperature must be > 0": self.temperature > 0,
            "reweighting_warmup_steps must be >= 0": self.reweighting_warmup_steps >= 0,
            f"selection must be one of {', '.join(get_args(Selection))}": self.selection
            in get_args(Selection),
            "weigh samples by a strategy or select tokens, not both": self.strategy == "uniform"
            or self.selection == "none",
            "selection_share must be in (0, 1]": 0 < self.selection_share <= 1,
            "selection_gamma must be >= 0": self.selection_gamma >= 0,
            "history_decay must be in [0, 1)": 0 <= self.history_decay < 1,
            f"objective must be one of {', '.join(get_args(Objective))}": self.objective
            in get_args(Objective),
            "objective number_tokens needs number_tokens": self.objective != "number_tokens"
            or len(self.number_tokens) > 0,
            "future_tokens must be >= 1": self.future_tokens >= 1,
            "ltd_min_tokens must be >= 1": self.ltd_min_tokens is None or self.ltd_min_tokens >= 1,
            "spike_window must be >= 2": self.spike_window >= 2,
            "snapshot_every must be >= 1": self.snapshot_every >= 1,
            "seed must be >= 0": self.seed >= 0,
            "threads must be >= 1": self.threads >= 1,
            f"precision must be one of {', '.join(get_args(Precision))}": self.precision
            in get_args(Precision),
        }
        wrong = [rule for rule, holds in checks.items() if not holds]
        if wrong:
            raise ValueError("; ".join(wrong))

    @property
    def micro_batches(self) -> int:
        """Forward passes of one optimiser step, over all workers."""
        return self.batch_size // (self.micro_batch_size or self.batch_size)

    def differs_from(self, other: dict[str, Any]) -> list[str]:
        """Settings that are not those of another recipe, given by `settings`, as sentences."""
        mine = self.settings()
        return [
            f"{name} is {mine.get(name)} here and {other.get(name)} there"
            for name in sorted({*mine, *other})
            if mine.get(name) != other.get(name)
        ]

    def settings(self) -> dict[str, Any]:
        """All settings that results depend on, as plain values."""
        return {
            field.name: _plain(getattr(self, field.name))
            for field in fields(self)
            if field.name != "device"
        }


def schedule_of(recipe: TrainingRecipe) -> Schedule:
    """The schedule of a recipe: its own, or linear warm-up and half a cosine.

    The peak is reached at ``warmup_steps`` exactly and the minimum at the last step exactly.
    """
    if recipe.schedule is not None:
        return recipe.schedule
    return Cosine(
        steps=recipe.steps,
        peak=recipe.learning_rate,
        warmup_steps=recipe.warmup_steps,
        end_ratio=recipe.min_learning_rate_ratio,
    )


def learning_rate_at(step: int, recipe: TrainingRecipe) -> float:
    """Learning rate of a step, counted from 1."""
    return schedule_of(recipe).at(step)


def _plain(value: Any) -> Any:
    """A value as JSON has it, so that it can be compared with one that was read."""
    if isinstance(value, Schedule):
        return {"kind": type(value).__name__, **asdict(value)}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value
