"""What a training run is, apart from its model and its data."""

import math
from dataclasses import dataclass
from typing import Literal

from operators.weighting import STRATEGIES, Strategy

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """Optimiser, schedule, weighting and machine settings of `operators.modeling.train`.

    Attributes:
        steps: optimiser steps, ``>= 1``.
        batch_size: sequences per step.
        learning_rate: the peak.
        warmup_steps: steps of the linear rise to the peak, ``<= steps``.
        min_learning_rate_ratio: where the cosine ends, as a share of the peak, in ``[0, 1]``.
        weight_decay: AdamW's decoupled decay; parameters with one dimension (norms, biases) are
            not decayed.
        betas: AdamW's averaging factors.
        gradient_clip: largest global gradient norm, ``> 0``; ``inf`` clips nothing.
        strategy: how samples are weighted (`operators.weighting.sample_weights`).
        temperature: of the weighting; ``inf`` is uniform.
        reweighting_warmup_steps: first steps that use uniform weights, since early losses say
            more about the model than about the data (the authors use 1,000 of 20,000).
        seed: decides the order of the data (and dropout, in a model that has it).
        threads: CPU threads of torch. The order of float sums depends on it: two runs are equal
            to the bit only with the same number.
        device: ``"auto"``, or a torch device.
        precision: ``"bfloat16"`` runs the forward pass under autocast; weights stay float32.
    """

    steps: int
    batch_size: int
    learning_rate: float = 1e-3
    warmup_steps: int = 0
    min_learning_rate_ratio: float = 0.1
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    gradient_clip: float = 1.0
    strategy: Strategy = "uniform"
    temperature: float = 1.0
    reweighting_warmup_steps: int = 0
    seed: int = 0
    threads: int = 1
    device: str = "auto"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        checks = {
            "steps must be >= 1": self.steps >= 1,
            "batch_size must be >= 1": self.batch_size >= 1,
            "learning_rate must be > 0": 0 < self.learning_rate < math.inf,
            "warmup_steps must be >= 0 and <= steps": 0 <= self.warmup_steps <= self.steps,
            "min_learning_rate_ratio must be in [0, 1]": 0 <= self.min_learning_rate_ratio <= 1,
            "weight_decay must be >= 0": self.weight_decay >= 0,
            "betas must be in [0, 1)": all(0 <= beta < 1 for beta in self.betas),
            "gradient_clip must be > 0": self.gradient_clip > 0,
            f"strategy must be one of {', '.join(STRATEGIES)}": self.strategy in STRATEGIES,
            "temperature must be > 0": self.temperature > 0,
            "reweighting_warmup_steps must be >= 0": self.reweighting_warmup_steps >= 0,
            "seed must be >= 0": self.seed >= 0,
            "threads must be >= 1": self.threads >= 1,
            "precision must be float32 or bfloat16": self.precision in ("float32", "bfloat16"),
        }
        wrong = [rule for rule, holds in checks.items() if not holds]
        if wrong:
            raise ValueError("; ".join(wrong))


def learning_rate_at(step: int, recipe: TrainingRecipe) -> float:
    """Learning rate of a step (counted from 1): linear warm-up, then half a cosine.

    The peak is reached at ``warmup_steps`` exactly and the minimum at the last step exactly.
    """
    if step <= recipe.warmup_steps:
        return recipe.learning_rate * step / recipe.warmup_steps
    progress = (step - recipe.warmup_steps) / (recipe.steps - recipe.warmup_steps)
    floor = recipe.min_learning_rate_ratio
    return recipe.learning_rate * (floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2)
