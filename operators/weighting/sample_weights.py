"""Loss-based sample weights for one optimiser batch.

Source: Sow et al., "Dynamic Loss-Based Sample Reweighting for Improved Large Language Model
Pretraining" (ICLR 2025, arXiv 2502.06733), and the authors' training code.

Guarantees:

- weights sum to 1 over the batch they were computed for, and carry no gradient;
- permuting the losses permutes the weights, to the bit;
- uniform weights (strategy, temperature or equal losses) are exactly ``1/n`` to the bit, and
  `weighted_mean` with them is `torch.Tensor.mean` to the bit, in value and in gradient.
"""

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

Strategy = Literal["uniform", "linupper", "quadratic", "extremes"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

# Losses closer together than this (in nats) are one value and noise: stretching the noise to
# [-delta, delta] would hand out weights by rounding error.
SMALLEST_SPREAD = 1e-6

_PREFERENCES: dict[Strategy, Callable[[Tensor, float], Tensor]] = {
    # Lowers the weight of low losses; all losses from the middle of the range up count alike.
    "linupper": lambda h, delta: torch.clamp(h + delta, max=delta),
    # Favours the middle of the range.
    "quadratic": lambda h, delta: 1.0 - h.square() / delta**2,
    # Favours both ends of the range.
    "extremes": lambda h, delta: h.abs(),
}


def sample_weights(
    losses: Tensor, strategy: Strategy = "linupper", temperature: float = 1.0, delta: float = 1.0
) -> Tensor:
    """Weights of the samples of one whole optimiser batch, from their mean losses.

    The losses are stretched to ``h`` in ``[-delta, delta]`` (lowest to highest of the batch), a
    preference ``f(h)`` is read off, and the weights are ``softmax(f / temperature)``:

    - ``linupper``: ``f = min(h + delta, delta)``. In the authors' second code base this function
      is called "upper"; in their first, "upper" is another one (a straight line).
    - ``quadratic``: ``f = 1 - h^2 / delta^2``.
    - ``extremes``: ``f = |h|``.
    - ``uniform``: every weight ``1/n``.

    Args:
        losses: floating ``[n]``, mean token losses in nats. Only their order and spacing matter.
            Normalisation is over exactly these: pass the losses of all ranks and micro-batches
            of the optimiser step, or the weights mean something else.
        strategy: one of `STRATEGIES`.
        temperature: ``> 0``; ``inf`` is allowed and gives uniform weights to the bit, as does
            any value so large that every exponential rounds to 1. Small values are peaky.
        delta: half the range of ``h``, ``> 0`` and finite.

    Returns:
        ``[n]``, dtype and device of ``losses``, no gradient. Computed in float64, whatever the
        input. A batch whose losses lie less than 1e-6 nats apart (also ``n == 1``) is uniform.

    Raises:
        ValueError: empty or not one-dimensional or not floating losses, a loss that is not
            finite, an unknown strategy, or temperature or delta out of range.
    """
    if losses.ndim != 1 or losses.numel() == 0 or not losses.is_floating_point():
        raise ValueError(
            f"losses must be a non-empty floating vector, got {losses.dtype} {tuple(losses.shape)}"
        )
    if strategy not in STRATEGIES:
        raise ValueError(f"unknown strategy {strategy!r}; one of {', '.join(STRATEGIES)}")
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
    if not 0 < delta < math.inf:
        raise ValueError(f"delta must be > 0 and finite, got {delta}")

    values = losses.detach().to(torch.float64)
    lowest, highest = values.min().item(), values.max().item()  # a NaN anywhere shows in both
    spread = highest - lowest
    if not math.isfinite(spread):
        raise ValueError(f"losses must be finite, they range from {lowest} to {highest}")

    uniform = torch.full_like(losses, 1.0 / losses.numel(), requires_grad=False)
    if strategy == "uniform" or spread < SMALLEST_SPREAD:
        return uniform

    # The paper's h = (2 l - (max + min)) * delta / spread, measured from the lowest loss: the same
    # number, without the difference of two large ones, and exactly -delta and delta at the ends.
    h = delta * (2.0 * (values - lowest) / spread - 1.0)
    logits = _PREFERENCES[strategy](h, delta) / temperature
    unnormalised = torch.exp(logits - logits.max())
    # Summed in sorted order, so that the order of the batch does not move the last bit. Where every
    # exponential is 1, the sum is n and each weight the same rounded 1/n as in `uniform`.
    return (unnormalised / unnormalised.sort().values.sum()).to(losses.dtype)


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """``sum_i w_i l_i`` for weights that sum to 1, with the gradient through the losses only.

    Computed as the plain mean of ``l_i * (w_i / u)``, where ``u`` is ``1/n`` rounded to the dtype:
    a uniform weight gives the factor exactly 1, so that uniform weights give ``losses.mean()`` to
    the bit, in value and in gradient. (``w_i * n`` would not do: ``(1/49) * 49`` is not 1.)

    Args:
        losses: ``[n]`` in nats.
        weights: ``[n]``, same dtype and device.

    Returns:
        A scalar in nats.

    Raises:
        ValueError: shapes that differ, or nothing to average.
    """
    if losses.shape != weights.shape or losses.ndim != 1 or losses.numel() == 0:
        raise ValueError(
            "losses and weights must be non-empty vectors of one length, got "
            f"{tuple(losses.shape)} and {tuple(weights.shape)}"
        )
    # Divided by a tensor, not by a number: on CUDA a division by a number is a multiplication with
    # its rounded reciprocal, and u * (1/u) is not always 1.
    uniform = torch.full_like(weights, 1.0 / weights.numel(), requires_grad=False)
    return (losses * (weights.detach() / uniform)).mean()


def effective_sample_size(weights: Tensor) -> float:
    """``1 / sum w_i^2`` for weights ``[n]`` that sum to 1: between 1 and ``n`` samples.

    Below half the batch size the weights are too peaky for the batch (raise the temperature).

    Raises:
        ValueError: no weights.
    """
    if weights.numel() == 0:
        raise ValueError("no weights")
    return 1.0 / weights.detach().to(torch.float64).square().sum().item()
