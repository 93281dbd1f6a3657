"""What is minimised at each token, where it is not the cross-entropy alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from operators.modeling.decoder import decoder_of
from operators.modeling.gradient_gating import AppearanceCounts, gated_logits, rare_token_gates
from operators.modeling.loss_variants import emo_losses, number_token_losses
from operators.modeling.losses import token_losses
from operators.modeling.recipe import TrainingRecipe

GATING_MEMORY = 100  # steps whose targets say which tokens are rare
RARE_BELOW = 0.03  # appearances a step, as in the paper


class TokenObjective(Protocol):
    """Losses of one forward pass."""

    def __call__(
        self, call: Any, arguments: dict[str, Any], targets: Tensor, scored: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy and what is minimised, each [b, t], in nats.

        Args:
            call: the model, or what stands for it.
            arguments: to call it with.
            targets: int64 [b, t].
            scored: bool [b, t].
        """
        ...

    def end_step(self, targets: Tensor, scored: Tensor) -> None:
        """Take in the targets of a whole optimiser batch."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        ...


def make_objective(model: nn.Module, recipe: TrainingRecipe) -> TokenObjective | None:
    """The objective of a recipe; None for the cross-entropy."""
    if recipe.objective == "emo":
        return _Emo(model)
    if recipe.objective == "number_tokens":
        return _Numbers(model, recipe)
    if recipe.objective == "gradient_gating":
        return _Gating(model)
    return None


class _Stateless:
    def end_step(self, targets: Tensor, scored: Tensor) -> None:
        """Nothing is remembered."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing was remembered."""


class _Emo(_Stateless):
    """Cross-entropy and earth mover's distance (Ren et al. 2024), mode 1."""

    def __init__(self, model: nn.Module) -> None:
        self._model: Any = model

    def __call__(
        self, call: Any, arguments: dict[str, Any], targets: Tensor, scored: Tensor
    ) -> tuple[Tensor, Tensor]:
        logits = call(**arguments).logits
        embeddings = self._model.get_output_embeddings().weight.detach()
        trained = emo_losses(logits, targets, embeddings, ignore=~scored)
        return token_losses(logits, targets, ~scored), trained


class _Numbers(_Stateless):
    """Cross-entropy and how far predicted numbers are off (Zausinger et al. 2025)."""

    def __init__(self, model: nn.Module, recipe: TrainingRecipe) -> None:
        config: Any = model.config
        self._values = torch.full((config.vocab_size,), torch.nan)
        for token, value in recipe.number_tokens:
            self._values[token] = value
        self._weight = recipe.objective_weight

    def __call__(
        self, call: Any, arguments: dict[str, Any], targets: Tensor, scored: Tensor
    ) -> tuple[Tensor, Tensor]:
        logits = call(**arguments).logits
        plain = token_losses(logits, targets, ~scored)
        distance = number_token_losses(logits, targets, self._values)
        return plain, plain + self._weight * distance.masked_fill(~scored, 0.0)


class _Gating:
    """Cross-entropy that does not push rare tokens apart (Yu et al. 2022)."""

    def __init__(self, model: nn.Module) -> None:
        self._model: Any = model
        config: Any = model.config
        self._counts = AppearanceCounts(config.vocab_size, GATING_MEMORY)
        self._seen = False

    def __call__(
        self, call: Any, arguments: dict[str, Any], targets: Tensor, scored: Tensor
    ) -> tuple[Tensor, Tensor]:
        hidden = decoder_of(call)(**arguments).last_hidden_state
        weight = self._model.get_output_embeddings().weight
        # Before the first step no token has appeared, and none is rarer than another.
        alpha = RARE_BELOW if self._seen else 0.0
        gates = rare_token_gates(self._counts.rates().to(weight.device), alpha)
        logits = gated_logits(hidden, weight, targets, gates)
        losses = token_losses(logits, targets, ~scored)
        return losses, losses

    def end_step(self, targets: Tensor, scored: Tensor) -> None:
        self._counts.update(targets, scored)
        self._seen = True

    def state_dict(self) -> dict[str, Any]:
        return self._counts.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._counts.load_state_dict(state)
        self._seen = bool(state["steps"])
