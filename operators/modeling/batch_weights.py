"""How much each sample and each token of an optimiser batch counts, from the losses of all of them.

Everything here sees the whole batch, of all workers and micro-batches, and none of it carries a
gradient. The loss that is minimised is ``sum_i w_i (sum_j s_ij l_ij / sum_j s_ij)`` with factors
``s`` of tokens and weights ``w`` of samples that sum to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from operators.modeling.recipe import TrainingRecipe
from operators.weighting import sample_weights
from operators.weighting.token_selection import (
    excess_losses,
    gamma_at,
    retrospective_excess_losses,
    select_tokens,
    sstoken_scores,
)
from operators.weighting.token_weights import focal_factors, rank_factors


@dataclass(frozen=True)
class BatchWeights:
    """Weights of a batch of ``b`` samples of ``t`` tokens.

    Attributes:
        samples: [b], sum to 1.
        tokens: factors [b, t], 0 where a token does not count.
    """

    samples: Tensor
    tokens: Tensor

    def share(self, first: int, count: int) -> BatchWeights:
        """Those of some samples; their weights need not sum to 1."""
        return BatchWeights(self.samples[first : first + count], self.tokens[first : first + count])


def follows_losses(recipe: TrainingRecipe, step: int) -> bool:
    """Whether the weights of a step (counted from 1) follow from its losses."""
    return step > recipe.reweighting_warmup_steps and (
        recipe.strategy != "uniform" or recipe.selection != "none"
    )


def plain_weights(recipe: TrainingRecipe, scored: Tensor, dtype: torch.dtype) -> BatchWeights:
    """Weights that no loss decides: of each sample, or of each scored token, alike."""
    return _weights(recipe, scored.to(dtype))


def batch_weights(
    recipe: TrainingRecipe,
    step: int,
    losses: Tensor,
    scored: Tensor,
    *,
    history_losses: Tensor | None = None,
    attention: Tensor | None = None,
) -> BatchWeights:
    """Weights by the losses of the batch.

    Args:
        recipe: says by which strategy, or which tokens are selected:

            - "rho1": the share of all scored tokens of the batch with the highest loss above that
              of the reference (Lin et al. 2024);
            - "sstoken": the share of each sample's scored tokens with the highest score out of the
              progress since its history and the attention to the prompt (Qin et al. 2026);
            - "focal": factors (1 - p) ** gamma (Lin et al. 2017);
            - "rank": factors by the rank of the loss.
        step: counted from 1.
        losses: [b, t] in nats, detached.
        scored: bool [b, t].
        history_losses: [b, t] in nats: of the reference, or of the history.
        attention: [b, t]: what each token gives to the prompt.

    Raises:
        ValueError: what the selection compares with is not there.
    """
    if recipe.selection == "none":
        plain = scored.to(losses.dtype)
        means = (losses * plain).sum(1) / plain.sum(1).clamp(min=1)
        return BatchWeights(sample_weights(means, recipe.strategy, recipe.temperature), plain)
    if recipe.selection == "focal":
        return _weights(recipe, focal_factors(losses, scored, recipe.selection_gamma))
    if recipe.selection == "rank":
        return _weights(recipe, rank_factors(losses, scored))
    if history_losses is None:
        raise ValueError(
            f"selection {recipe.selection} compares with stored losses: wire tokens that "
            "weighting.reference_losses made"
        )
    if recipe.selection == "rho1":
        chosen = select_tokens(
            excess_losses(losses, history_losses), scored, recipe.selection_share, scope="batch"
        )
    else:
        scores = sstoken_scores(
            retrospective_excess_losses(losses, history_losses),
            attention,
            scored,
            gamma_at(step, recipe.selection_gamma, recipe.cold_start_steps),
        )
        chosen = select_tokens(scores, scored, recipe.selection_share, scope="sample")
    return _weights(recipe, chosen.to(losses.dtype), by_tokens=True)


def _weights(recipe: TrainingRecipe, factors: Tensor, *, by_tokens: bool = False) -> BatchWeights:
    """Samples alike, or in proportion to the factors of their tokens."""
    totals = factors.sum(dim=1)
    if recipe.reduction == "tokens" or by_tokens:
        return BatchWeights(
            totals / totals.sum().clamp(min=torch.finfo(totals.dtype).tiny), factors
        )
    return BatchWeights(torch.full_like(totals, 1.0 / len(totals)), factors)
