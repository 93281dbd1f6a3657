"""What a preference training run is, apart from its models: pairs, settings and reports."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

PreferenceLoss = Literal["dpo", "tdpo1", "tdpo2", "cdpo"]
PREFERENCE_LOSSES: tuple[PreferenceLoss, ...] = get_args(PreferenceLoss)


@dataclass(frozen=True)
class PreferencePairs:
    """``n`` prompts with two responses each, padded on the right with any id of the vocabulary.

    Attributes:
        chosen: integer ``[n, t]``, prompt and chosen response.
        rejected: integer ``[n, t]``, the same prompt and the rejected response.
        prompt_lengths: ``[n]``, tokens of the prompt, ``>= 1``.
        chosen_lengths: ``[n]``, tokens of prompt and chosen response, without padding.
        rejected_lengths: ``[n]``.
        critical: ``s_t`` of the rejected tokens, ``[n, t]`` in ``[0, 1]``; cDPO alone needs it
            (`operators.weighting.critical_tokens.contrastive_probabilities`).

    Raises:
        ValueError: arrays that do not belong together, or a response without a token.
    """

    chosen: NDArray[np.integer[Any]]
    rejected: NDArray[np.integer[Any]]
    prompt_lengths: NDArray[np.integer[Any]]
    chosen_lengths: NDArray[np.integer[Any]]
    rejected_lengths: NDArray[np.integer[Any]]
    critical: NDArray[np.floating[Any]] | None = None

    def __post_init__(self) -> None:
        if self.chosen.ndim != 2 or self.chosen.shape != self.rejected.shape:
            raise ValueError(
                f"chosen {self.chosen.shape} and rejected {self.rejected.shape} must be one [n, t] "
                "shape: pad the shorter ones"
            )
        n, t = self.chosen.shape
        for side in ("chosen", "rejected"):
            lengths = getattr(self, f"{side}_lengths")
            if lengths.shape != (n,) or self.prompt_lengths.shape != (n,):
                raise ValueError(f"{n} pairs need as many prompt_lengths and {side}_lengths")
            wrong = np.flatnonzero(
                (self.prompt_lengths < 1) | (lengths <= self.prompt_lengths) | (lengths > t)
            )
            if wrong.size:
                row = wrong[0]
                raise ValueError(
                    f"pair {row}: {side} has {lengths[row]} of at most {t} tokens behind a prompt "
                    f"of {self.prompt_lengths[row]}; both need at least one"
                )
        if self.critical is not None and self.critical.shape != self.rejected.shape:
            raise ValueError(
                f"critical {self.critical.shape} does not belong to rejected {self.rejected.shape}"
            )

    def __len__(self) -> int:
        return len(self.chosen)


@dataclass(frozen=True, kw_only=True)
class PreferenceRecipe:
    """Loss, optimiser and machine settings of `train_preferences`.

    Attributes:
        loss: one of `PREFERENCE_LOSSES` (`operators.weighting.preference` has the formulas).
        steps: optimiser steps, ``>= 1``.
        batch_size: pairs a step.
        learning_rate: after the warm-up.
        warmup_steps: steps of the linear rise to it.
        beta: of the loss, ``> 0``.
        alpha: of TDPO 2, ``>= 0``.
        weight_decay: AdamW's, on parameters of two dimensions or more.
        gradient_clip: largest global gradient norm, ``> 0``.
        seed: decides the order of the pairs (and dropout, in a model that has it).
        threads: CPU threads of torch.
        device: ``"auto"``, or a torch device.
    """

    loss: PreferenceLoss = "dpo"
    steps: int
    batch_size: int
    learning_rate: float = 5e-6
    warmup_steps: int = 0
    beta: float = 0.1
    alpha: float = 0.5
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    seed: int = 0
    threads: int = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        checks = {
            f"loss must be one of {', '.join(PREFERENCE_LOSSES)}": self.loss in PREFERENCE_LOSSES,
            "steps must be >= 1": self.steps >= 1,
            "batch_size must be >= 1": self.batch_size >= 1,
            "learning_rate must be > 0": 0 < self.learning_rate < math.inf,
            "warmup_steps must be >= 0": self.warmup_steps >= 0,
            "beta must be > 0": 0 < self.beta < math.inf,
            "alpha must be >= 0": 0 <= self.alpha < math.inf,
            "weight_decay must be >= 0": self.weight_decay >= 0,
            "gradient_clip must be > 0": self.gradient_clip > 0,
            "threads must be >= 1": self.threads >= 1,
        }
        wrong = [rule for rule, holds in checks.items() if not holds]
        if wrong:
            raise ValueError("; ".join(wrong))


@dataclass(frozen=True)
class PreferenceReport:
    """One step, as it was before its update; log-probabilities are sums over a response, in nats.

    Attributes:
        step: from 1.
        loss: mean over the pairs.
        margin: mean of ``beta * (m_c - m_r)``, the implicit reward's.
        accuracy: share of pairs with a margin above 0.
        chosen_log_probability: mean of ``log pi(chosen)``.
        rejected_log_probability: mean of ``log pi(rejected)``.
        displaced_share: share of pairs whose chosen response is less likely than under the
            reference while their margin is above 0: likelihood displacement.
        gradient_norm: before clipping.
    """

    step: int
    loss: float
    margin: float
    accuracy: float
    chosen_log_probability: float
    rejected_log_probability: float
    displaced_share: float
    gradient_norm: float
