"""Next-token losses straight from hidden states, without the logits of all tokens at once.

For a vocabulary of 50,000 the logits of 32,000 tokens are 6 GB in float32, and their gradient
as much again; nothing else in a step is as large. Here the logits exist for a few rows at a time,
once in the forward pass and once more in the backward pass.

They are computed twice because the gradient of the unembedding is a sum over tokens in which every
token has its weight, and a trainer that weighs losses by the losses knows the weights only after
the forward pass. What is not scored is never computed, and a token with weight 0 (token selection)
costs nothing in the backward pass.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

# Logits that exist at a time: on a CPU few enough for its cache, on a GPU enough to keep it busy.
_CPU_LOGITS = 2**21
_GPU_LOGITS = 2**27
# Each chunk reads the unembedding and writes its gradient once; with fewer rows that is the most of
# the work (on one CPU core and 32,768 tokens, 8 rows took 5 times as long as 512).
_FEWEST_ROWS = 128


def chunked_token_losses(
    hidden: Tensor,
    unembedding: Tensor,
    input_ids: Tensor,
    ignore: Tensor | None = None,
    *,
    ahead: int = 1,
    chunk_tokens: int | None = None,
) -> Tensor:
    """`operators.modeling.losses.token_losses` of ``hidden @ unembedding.T``, in little memory.

    Element ``[i, j]`` is ``-log p(input_ids[i, j])`` as the hidden state at ``j - ahead`` has it.
    Nothing predicts the first ``ahead`` tokens: their elements are 0.

    Args:
        hidden: ``[b, t, d]``, what the model hands to its unembedding (after the last norm).
        unembedding: ``[v, d]``, the weight of the output layer, of the same dtype. Under autocast
            both are cast first, as that layer would do.
        input_ids: integer ``[b, t]``.
        ignore: boolean ``[b, t]``, true where a token is not scored (its element is 0). The ids
            there may be anything.
        ahead: which token a state predicts: 1 is the next one, ``>= 1``.
        chunk_tokens: rows of logits at a time; ``None`` picks a number that suits the device. The
            losses do not depend on it, but for the last bits of the sums in the gradients.

    Returns:
        ``[b, t]`` in nats, differentiable once, for any gradient that comes back to it. Half
        precision is widened to float32, as in `token_losses`; float64 is kept.

    Raises:
        ValueError: shapes or dtypes that do not belong together.
    """
    _check(hidden, unembedding, input_ids, ignore)
    if ahead < 1 or (chunk_tokens is not None and chunk_tokens < 1):
        raise ValueError(f"ahead and chunk_tokens must be >= 1, got {ahead} and {chunk_tokens}")
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        hidden, unembedding = hidden.to(dtype), unembedding.to(dtype)
    if hidden.dtype != unembedding.dtype:
        raise ValueError(
            f"hidden states are {hidden.dtype} and the unembedding {unembedding.dtype}; they must "
            "be one"
        )
    scored = torch.ones_like(input_ids, dtype=torch.bool) if ignore is None else ~ignore
    # The state at j - ahead predicts token j.
    scored, targets = scored[:, ahead:], input_ids[:, ahead:]
    predicting = functional.pad(scored, (0, input_ids.shape[1] - scored.shape[1]))
    if chunk_tokens is None:
        logits = _CPU_LOGITS if device == "cpu" else _GPU_LOGITS
        chunk_tokens = max(_FEWEST_ROWS, logits // max(1, unembedding.shape[0]))
    with torch.autocast(device, enabled=False):
        losses: Tensor = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
            hidden[predicting], unembedding, targets[scored].long(), chunk_tokens
        )
    laid_out = losses.new_zeros(scored.shape).masked_scatter(scored, losses)
    return functional.pad(laid_out, (input_ids.shape[1] - scored.shape[1], 0))


class _LinearCrossEntropy(torch.autograd.Function):
    """Losses ``[n]`` of states ``[n, d]``, a weight ``[v, d]`` and targets ``[n]``."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, states: Tensor, weight: Tensor, targets: Tensor, chunk: int
    ) -> Tensor:
        wide = _wide(states.dtype)
        normalizers = torch.empty(len(states), dtype=wide, device=states.device)
        chosen = torch.empty_like(normalizers)
        for start in range(0, len(states), chunk):
            rows = slice(start, start + chunk)
            logits = (states[rows] @ weight.T).to(wide)
            torch.logsumexp(logits, dim=-1, out=normalizers[rows])
            chosen[rows] = logits.gather(-1, targets[rows, None]).squeeze(-1)
        ctx.save_for_backward(states, weight, targets, normalizers)
        ctx.chunk = chunk  # type: ignore[attr-defined]
        return normalizers - chosen

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        states, weight, targets, normalizers = ctx.saved_tensors
        of_states, of_weight = ctx.needs_input_grad[:2]
        # Only tokens that count: the gradient of the others is 0.
        counted = upstream.nonzero().squeeze(-1)
        if len(counted) < len(states):
            chosen_states = states[counted]
            targets, normalizers, upstream = (
                targets[counted],
                normalizers[counted],
                upstream[counted],
            )
        else:
            chosen_states = states
        states_gradient = torch.empty_like(chosen_states) if of_states else None
        weight_gradient = (
            torch.zeros(weight.shape, dtype=normalizers.dtype, device=weight.device)
            if of_weight
            else None
        )
        for start in range(0, len(chosen_states), ctx.chunk):
            rows = slice(start, start + ctx.chunk)
            # (softmax - one-hot) times the gradient of the loss, in place of the logits.
            slope = (chosen_states[rows] @ weight.T).to(normalizers.dtype)
            slope.sub_(normalizers[rows, None]).exp_()
            slope.scatter_add_(-1, targets[rows, None], slope.new_full((len(slope), 1), -1.0))
            slope = slope.mul_(upstream[rows, None]).to(states.dtype)
            if states_gradient is not None:
                torch.mm(slope, weight, out=states_gradient[rows])
            if weight_gradient is not None:
                if weight.dtype == weight_gradient.dtype:
                    weight_gradient.addmm_(slope.T, chosen_states[rows])
                else:  # summed wide: many small chunks in half precision would lose their tails
                    weight_gradient += slope.T @ chosen_states[rows]
        if states_gradient is not None and len(counted) < len(states):
            states_gradient = torch.zeros_like(states).index_copy_(0, counted, states_gradient)
        if weight_gradient is not None:
            weight_gradient = weight_gradient.to(weight.dtype)
        return states_gradient, weight_gradient, None, None


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def _check(hidden: Tensor, unembedding: Tensor, input_ids: Tensor, ignore: Tensor | None) -> None:
    if hidden.ndim != 3 or hidden.shape[:2] != input_ids.shape:
        raise ValueError(
            f"hidden states {tuple(hidden.shape)} do not belong to ids {tuple(input_ids.shape)}"
        )
    if unembedding.ndim != 2 or unembedding.shape[1] != hidden.shape[2]:
        raise ValueError(
            f"unembedding {tuple(unembedding.shape)} does not belong to hidden states "
            f"{tuple(hidden.shape)}"
        )
    if ignore is not None and ignore.shape != input_ids.shape:
        raise ValueError(
            f"ignore {tuple(ignore.shape)} does not belong to ids {tuple(input_ids.shape)}"
        )
