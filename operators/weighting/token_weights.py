"""Baselines that weigh tokens by their losses alone: focal, and by rank.

A factor says how much a token counts beside the others of its batch: the loss is
``sum_ij w_ij l_ij`` with ``w = factors / sum factors`` over the whole optimiser batch. Factors are
``[b, t]``, ``>= 0``, 0 where nothing is scored, without a gradient; permuting the samples permutes
them, to the bit.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

Unit = Literal["token", "sample"]
UNITS: tuple[Unit, ...] = get_args(Unit)


def focal_factors(losses: Tensor, scored: Tensor, gamma: float = 2.0) -> Tensor:
    """``(1 - p)^gamma`` of the probability ``p = exp(-loss)`` that each token was given.

    Lin et al. 2017, "Focal Loss for Dense Object Detection": what the model is sure of counts
    little. (There the factor carries a gradient; here it is a weight, as all others are.)

    Args:
        losses: floating ``[b, t]`` in nats, ``>= 0`` where scored.
        scored: boolean ``[b, t]``.
        gamma: ``>= 0`` and finite; 0 gives every scored token the factor 1 exactly.

    Raises:
        ValueError: shapes that differ, a mask that is not boolean, or gamma out of range.
    """
    _check(losses, scored)
    if not 0 <= gamma < torch.inf:
        raise ValueError(f"gamma must be >= 0 and finite, got {gamma}")
    # -expm1(-l) is 1 - p without the cancellation; a loss below 0 is rounding.
    doubt = -torch.expm1(-losses.detach().clamp(min=0.0))
    return doubt.pow(gamma).masked_fill(~scored, 0.0)


def rank_factors(
    losses: Tensor, scored: Tensor, exponent: float = 1.0, unit: Unit = "token"
) -> Tensor:
    """``u^exponent``, where ``u`` is how far up a loss stands among all losses of the batch.

    Of ``n`` losses the one with ``k`` lower ones has ``u = (k + 1/2) / n``, in ``(0, 1)``; equal
    losses share the mean of their ranks. So only the order of the losses counts: no outlier, and
    no change of their scale, moves a factor. The rule is ours; it is the plainest that a cleverer
    weighting by losses has to beat.

    Args:
        losses: floating ``[b, t]`` in nats; infinite losses are the highest.
        scored: boolean ``[b, t]``.
        exponent: finite; 0 gives every scored token the factor 1 exactly, 1 grows with the rank,
            below 0 the lowest losses count most.
        unit: what is ranked: each ``"token"``, or each ``"sample"`` by the mean loss of its scored
            tokens (all of them then have its factor; a sample without any is not ranked).

    Raises:
        ValueError: shapes that differ, a mask that is not boolean, an exponent or unit out of
            range, or a loss of NaN.
    """
    _check(losses, scored)
    if not -torch.inf < exponent < torch.inf:
        raise ValueError(f"exponent must be finite, got {exponent}")
    if unit not in UNITS:
        raise ValueError(f"unknown unit {unit!r}; one of {', '.join(UNITS)}")
    values = losses.detach()
    factors = torch.zeros_like(values)
    if unit == "token":
        factors[scored] = _relative_ranks(values[scored]).pow(exponent)
        return factors
    counts = scored.sum(dim=1)
    ranked = counts > 0
    means = values.masked_fill(~scored, 0.0).sum(dim=1)[ranked] / counts[ranked]
    of_sample = values.new_zeros(len(values))
    of_sample[ranked] = _relative_ranks(means).pow(exponent)
    return of_sample.unsqueeze(1).expand_as(values).masked_fill(~scored, 0.0)


def _relative_ranks(values: Tensor) -> Tensor:
    """``(lower + half of the equal) / n`` of each of ``values`` ``[n]``."""
    if values.isnan().any():
        raise ValueError("a loss of a scored token is NaN")
    ordered = values.sort().values
    lower = torch.searchsorted(ordered, values)
    not_higher = torch.searchsorted(ordered, values, right=True)
    return ((lower + not_higher) / (2 * max(values.numel(), 1))).to(values.dtype)


def _check(losses: Tensor, scored: Tensor) -> None:
    if losses.ndim != 2 or losses.shape != scored.shape:
        raise ValueError(
            f"losses {tuple(losses.shape)} and scored {tuple(scored.shape)} must be one [b, t] "
            "shape"
        )
    if scored.dtype != torch.bool or not losses.is_floating_point():
        raise ValueError(
            f"losses must be floating and scored boolean, got {losses.dtype} and {scored.dtype}"
        )
