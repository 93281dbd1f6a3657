"""Adaptive gradient gating: rare tokens are not pushed together by all that is not their target.

Source: Yu et al. 2022, "Rare Tokens Degenerate All Tokens" (ACL). A row of the output embeddings is
pulled where its token is the target and pushed away everywhere else. A rare token is pushed nearly
always, and all rare ones in the same direction. The pushes of rare rows are scaled down, by a
factor that depends on the row and on the target; everything else is untouched.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


class AppearanceCounts:
    """How often each token was a target in the last steps."""

    def __init__(self, vocab_size: int, memory: int) -> None:
        """
        Args:
            vocab_size: tokens of the vocabulary.
            memory: steps that are remembered; the paper takes those of one epoch.

        Raises:
            ValueError: either below 1.
        """
        if vocab_size < 1 or memory < 1:
            raise ValueError(f"vocab_size and memory must be >= 1, got {vocab_size} and {memory}")
        self.memory = memory
        self._totals = torch.zeros(vocab_size, dtype=torch.long)
        self._steps: deque[tuple[Tensor, Tensor]] = deque()

    def update(self, input_ids: Tensor, scored: Tensor) -> None:
        """Take in the targets of one more step, of all micro-batches and ranks.

        Args:
            input_ids: integer ``[b, t]``, ids within the vocabulary where scored.
            scored: boolean ``[b, t]``, the tokens that are targets.
        """
        tokens, counts = torch.unique(input_ids[scored].long().cpu(), return_counts=True)
        self._steps.append((tokens, counts))
        self._totals[tokens] += counts
        if len(self._steps) > self.memory:
            tokens, counts = self._steps.popleft()
            self._totals[tokens] -= counts

    def rates(self) -> Tensor:
        """``[v]``, float32: appearances a step, over the steps remembered; 0 before the first."""
        return self._totals.float() / max(len(self._steps), 1)

    def state_dict(self) -> dict[str, Any]:
        """All that a checkpoint must hold."""
        return {"totals": self._totals.clone(), "steps": list(self._steps)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            ValueError: the state of another vocabulary.
        """
        if state["totals"].shape != self._totals.shape:
            raise ValueError(
                f"counts of {len(state['totals'])} tokens for a vocabulary of {len(self._totals)}"
            )
        self._totals = state["totals"].clone()
        self._steps = deque(state["steps"])


@dataclass(frozen=True)
class RareTokenGates:
    """Factors of the pushes of rare rows.

    Attributes:
        rare: integer ``[r]``, the rare tokens in ascending order.
        common_target: float ``[r]``, ``g1``: of the push where the target is not rare.
        rare_target: float ``[r]``, ``g2``: of the push where the target is another rare token.
        is_rare: boolean ``[v]``.
    """

    rare: Tensor
    common_target: Tensor
    rare_target: Tensor
    is_rare: Tensor


def rare_token_gates(rates: Tensor, alpha: float = 0.03) -> RareTokenGates:
    """The rare tokens, ``rate < alpha``, with ``g1 = rate`` and ``g2 = min(rate / mean rate, 1)``.

    The mean is over the rare tokens. Where none of them has appeared, their pushes stop.

    Args:
        rates: ``[v]``, appearances a step (`AppearanceCounts.rates`).
        alpha: in ``[0, 1]``; 0 makes no token rare. The paper takes 0.03; how many tokens that
            are depends on the tokens of a step.

    Raises:
        ValueError: alpha out of range, or rates of another shape.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be >= 0 and <= 1, got {alpha}")
    if rates.ndim != 1:
        raise ValueError(f"rates must be a vector, got {tuple(rates.shape)}")
    is_rare = rates < alpha
    rare = is_rare.nonzero().squeeze(1)
    own = rates[rare]
    mean = own.mean() if len(rare) and own.any() else own.new_ones(())
    return RareTokenGates(rare, own, (own / mean).clamp(max=1.0), is_rare)


def gated_logits(
    hidden: Tensor, weight: Tensor, input_ids: Tensor, gates: RareTokenGates
) -> Tensor:
    """The logits of a model, with the gradient of its output embeddings gated.

    ``g * W h + (1 - g) * stopgrad(W) h``, where ``g`` belongs to a row of ``W`` and to the target
    at a position: 1 for the target's own row and for every row that is not rare. The value is
    ``W h`` to the bit, and so is the gradient of the hidden states.

    Args:
        hidden: floating ``[b, t, d]``, of the last layer.
        weight: ``[v, d]``, the output embeddings.
        input_ids: integer ``[b, t]``, tokens; the target at ``j`` is token ``j + 1``. At the last
            position, which has none, nothing is gated.
        gates: of `rare_token_gates`, on the device of the weight.

    Returns:
        ``[b, t, v]``.

    Raises:
        ValueError: shapes that do not belong together.
    """
    if hidden.shape[:2] != input_ids.shape or weight.shape != (
        len(gates.is_rare),
        hidden.shape[-1],
    ):
        raise ValueError(
            f"hidden {tuple(hidden.shape)}, weight {tuple(weight.shape)}, ids "
            f"{tuple(input_ids.shape)} and a vocabulary of {len(gates.is_rare)} do not belong "
            "together"
        )
    targets = input_ids[:, 1:].long()
    factors = torch.where(
        gates.is_rare[targets].unsqueeze(-1), gates.rare_target, gates.common_target
    )
    factors = factors.masked_fill(targets.unsqueeze(-1) == gates.rare, 1.0)
    factors = torch.nn.functional.pad(factors, (0, 0, 0, 1), value=1.0)
    logits: Tensor = _GatedProjection.apply(hidden, weight, gates.rare, factors)  # type: ignore[no-untyped-call]
    return logits


class _GatedProjection(torch.autograd.Function):
    """``W h``, whose gradient reaches the rows ``rare`` of ``W`` scaled by ``factors`` [b, t, r].

    The formula with stopgrad would project twice; the gradient can be scaled where it arises.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, rare: Tensor, factors: Tensor) -> Tensor:
        ctx.save_for_backward(hidden, weight, rare, factors)
        return torch.nn.functional.linear(hidden, weight)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden, weight, rare, factors = ctx.saved_tensors
        of_hidden = (upstream @ weight.to(upstream.dtype)).to(hidden.dtype)
        gated = upstream.clone()
        gated[..., rare] *= factors.to(upstream.dtype)
        of_weight = gated.flatten(0, 1).T @ hidden.flatten(0, 1).to(upstream.dtype)
        return of_hidden, of_weight.to(weight.dtype), None, None


def isotropy(weight: Tensor) -> float:
    """``I(W) = min_a Z(a) / max_a Z(a)`` with ``Z(a) = sum_v exp(<w_v, a>)``, in ``[0, 1]``.

    ``a`` runs over the eigenvectors of ``W^T W`` (Mu & Viswanath 2018). 1 is isotropic; gating is
    to raise it.

    Args:
        weight: ``[v, d]``, embeddings.

    Raises:
        ValueError: a weight of another shape, or empty.
    """
    if weight.ndim != 2 or weight.numel() == 0:
        raise ValueError(f"weight must be a matrix that is not empty, got {tuple(weight.shape)}")
    rows = weight.detach().double()
    directions = torch.linalg.eigh(rows.T @ rows).eigenvectors
    # The sign of an eigenvector is arbitrary, so both are looked at.
    along = rows @ torch.cat([directions, -directions], dim=1)
    logs = along.logsumexp(dim=0)
    return float((logs.min() - logs.max()).exp())
