"""The losses of one optimiser step, weighted over its whole batch, and their gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from operators.modeling.batch_weights import (
    BatchWeights,
    batch_weights,
    follows_losses,
    plain_weights,
)
from operators.modeling.forward_pass import ForwardPass, TokenLosses
from operators.modeling.micro_batches import MicroBatch
from operators.modeling.ranks import Ranks
from operators.modeling.recipe import TrainingRecipe


class StepLosses:
    """Losses of this rank's micro-batches of one step, and their share of the gradient."""

    def __init__(
        self,
        forward: ForwardPass,
        ranks: Ranks,
        recipe: TrainingRecipe,
        micros: list[MicroBatch],
        *,
        step: int,
        first: int,
    ) -> None:
        """Weigh the whole batch.

        Args:
            forward: the model, and what its losses are.
            ranks: this process and its peers.
            recipe: which weights.
            micros: this rank's, all of one size.
            step: the optimiser step, from 1.
            first: number of the first of `micros` in the batch, from 0.
        """
        self._forward, self._ranks = forward, ranks
        self._recipe, self._micros, self._step = recipe, micros, step
        self._first = first
        self.scored = self._ranks.gathered(torch.cat([micro.scored for micro in micros]))
        self._kept: TokenLosses | None = None
        self._sample_losses: list[tuple[Tensor, Tensor]] = []
        if follows_losses(recipe, step):
            self._weights = self._by_losses()
        else:
            self._weights = plain_weights(recipe, self.scored, torch.float32)

    def targets(self) -> Tensor | None:
        """The targets of the whole batch, where something remembers them."""
        if not self._forward.remembers_targets:
            return None
        return self._ranks.gathered(torch.cat([micro.targets for micro in self._micros]))

    def backward(self, number: int) -> None:
        """Add the gradients of one micro-batch to those of the parameters."""
        micro = self._micros[number]
        losses = self._kept if self._kept is not None else self._pass(number)
        size, batch = len(micro.scored), len(self.scored)
        weights = self._weights.share((self._first + number) * size, size)
        trained = _sample_means(losses.trained, weights.tokens)
        # Divided by 1/n as it is rounded: a uniform weight gives the factor exactly 1.
        uniform = torch.full_like(weights.samples, 1.0 / batch)
        loss = (trained * (weights.samples / uniform)).sum() / batch
        (loss * self._forward.loss_factor).backward()  # type: ignore[no-untyped-call]
        plain = _sample_means(losses.plain.detach(), micro.scored.to(losses.plain.dtype))
        self._sample_losses.append((plain, trained.detach()))

    def totals(self) -> tuple[float, float, Tensor, float, int]:
        """Plain loss, weighted loss, weights of the samples, share of tokens selected, tokens."""
        plain, trained = (
            self._ranks.gathered(torch.cat(parts))
            for parts in zip(*self._sample_losses, strict=True)
        )
        batch, tokens = len(plain), int(self.scored.sum())
        alike = plain_weights(self._recipe, self.scored, plain.dtype).samples
        uniform = torch.full_like(alike, 1.0 / batch)
        loss, weighted = (
            float((values * (weights / uniform)).sum() / batch)
            for values, weights in ((plain, alike), (trained, self._weights.samples))
        )
        selected = int((self._weights.tokens > 0).sum()) / max(1, tokens)
        return loss, weighted, self._weights.samples, selected, tokens

    def _by_losses(self) -> BatchWeights:
        """Weights from the losses of the whole optimiser batch.

        One micro-batch a rank is passed once: its graph waits for the weights. More of them are
        passed first without a graph, which takes a third more time and the memory of one.
        """
        with torch.set_grad_enabled(len(self._micros) == 1):
            found = [self._pass(number) for number in range(len(self._micros))]
        if len(found) == 1:
            self._kept = found[0]
        losses = self._gathered([each.plain.detach() for each in found])
        if losses is None or not bool(torch.isfinite(losses).all()):
            # The step will be told of; no weight could be computed.
            return plain_weights(self._recipe, self.scored, torch.float32)
        return batch_weights(
            self._recipe,
            self._step,
            losses,
            self.scored,
            history_losses=self._gathered(
                [self._forward.history_losses(micro) for micro in self._micros]
            ),
            attention=self._gathered([each.attention for each in found]),
        )

    def _gathered(self, parts: Sequence[Tensor | None]) -> Tensor | None:
        there = [part for part in parts if part is not None]
        return self._ranks.gathered(torch.cat(there)) if len(there) == len(parts) else None

    def _pass(self, number: int) -> TokenLosses:
        losses: TokenLosses = self._forward(self._micros[number], self._first + number)
        return losses


def _sample_means(losses: Tensor, factors: Tensor) -> Tensor:
    """[b]: mean of each sample over its factors; 0 where they are all 0."""
    # Not a product alone: an infinite loss where nothing counts must not become NaN.
    total = (losses * factors).masked_fill(factors == 0, 0.0).sum(dim=1)
    factors_total = factors.sum(dim=1)
    return total / torch.where(factors_total > 0, factors_total, torch.ones_like(factors_total))
