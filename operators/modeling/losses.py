"""Next-token losses, in nats, laid out so that a loss stands at the token it belongs to."""

import torch
from torch import Tensor
from torch.nn import functional

_IGNORED = -100


def token_losses(logits: Tensor, input_ids: Tensor, ignore: Tensor | None = None) -> Tensor:
    """Negative log-probability of every token given the tokens before it.

    Element ``[i, j]`` is ``-log p(input_ids[i, j] | input_ids[i, :j])``, read from the logits at
    ``j - 1``. Nothing predicts token 0: its element is 0 and does not count as scored.

    Args:
        logits: ``[b, t, v]``; half precision is widened to float32, float64 is kept.
        input_ids: integer ``[b, t]``; the tokens that were the input of the model.
        ignore: boolean ``[b, t]``, true where a token is not scored (its element is 0). The ids
            there may be anything.

    Returns:
        ``[b, t]`` in nats, differentiable.

    Raises:
        ValueError: shapes that do not belong together.
    """
    if logits.ndim != 3 or logits.shape[:2] != input_ids.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} do not belong to ids {tuple(input_ids.shape)}"
        )
    if ignore is not None and ignore.shape != input_ids.shape:
        raise ValueError(
            f"ignore {tuple(ignore.shape)} does not belong to ids {tuple(input_ids.shape)}"
        )
    if input_ids.numel() == 0:
        return logits.new_zeros(input_ids.shape)
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    targets = input_ids.long()
    if ignore is not None:
        targets = targets.masked_fill(ignore, _IGNORED)
    # The targets are shifted to the logits, not the other way round: logits[:, :-1] would copy
    # the largest tensor of the step. The last logits predict nothing that is known.
    targets = functional.pad(targets[:, 1:], (0, 1), value=_IGNORED)
    losses = functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=_IGNORED, reduction="none"
    ).view_as(targets)
    return functional.pad(losses[:, :-1], (1, 0))


def sample_losses(token_losses: Tensor, scored_mask: Tensor) -> Tensor:
    """Mean loss of each sample over its scored tokens.

    Args:
        token_losses: ``[b, t]`` in nats, as `token_losses` lays them out.
        scored_mask: boolean ``[b, t]``; index 0 is never scored, whatever it says.

    Returns:
        ``[b]`` in nats per token; 0 for a sample without a scored token.

    Raises:
        ValueError: shapes that differ.
    """
    if token_losses.shape != scored_mask.shape or token_losses.ndim != 2:
        raise ValueError(
            f"losses {tuple(token_losses.shape)} and mask {tuple(scored_mask.shape)} must be "
            "one [b, t] shape"
        )
    mask = scored_mask[:, 1:]
    # masked_fill, not a product: an infinite loss where nothing is scored must not become NaN.
    total = token_losses[:, 1:].masked_fill(~mask, 0.0).sum(dim=1)
    return total / mask.sum(dim=1).clamp(min=1)
