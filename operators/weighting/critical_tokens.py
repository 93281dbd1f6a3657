"""Critical tokens: where a wrong solution goes wrong, estimated from two models.

Source: Lin et al. 2024, "Critical Tokens Matter" (arXiv 2411.19943), and the authors' code. A
*positive* model is fine-tuned on correct solutions and a *negative* one on incorrect ones. A token
of a wrong solution that the contrast of the two finds improbable is critical: what follows it is
hardly ever correct. `operators.weighting.preference.cdpo_loss` uses the estimate.
"""

import torch
from torch import Tensor
from torch.nn import functional


def contrastive_probabilities(
    positive_logits: Tensor, negative_logits: Tensor, input_ids: Tensor, beta: float = 1.0
) -> Tensor:
    """``s_t``: each token's probability under ``softmax((1 + beta) * pos - beta * neg)``.

    Args:
        positive_logits: ``[b, t, v]`` as the model gives them: row ``j`` predicts token ``j + 1``.
        negative_logits: ``[b, t, v]``.
        input_ids: integer ``[b, t]``, the tokens of the solutions.
        beta: ``>= 0``; 0 is the positive model alone. The authors take 1: twice the one minus once
            the other.

    Returns:
        ``[b, t]`` in ``[0, 1]``, without a gradient; at ``j`` the probability of token ``j``, low
        where it is critical. Index 0, which nothing predicts, is 0.

    Raises:
        ValueError: shapes that do not belong together, or beta out of range.
    """
    if positive_logits.shape != negative_logits.shape or positive_logits.ndim != 3:
        raise ValueError(
            f"logits {tuple(positive_logits.shape)} and {tuple(negative_logits.shape)} must be one "
            "[b, t, v] shape"
        )
    if positive_logits.shape[:2] != input_ids.shape:
        raise ValueError(
            f"logits {tuple(positive_logits.shape)} do not belong to ids {tuple(input_ids.shape)}"
        )
    if not 0 <= beta < torch.inf:
        raise ValueError(f"beta must be >= 0 and finite, got {beta}")
    if input_ids.numel() == 0:
        return torch.zeros(input_ids.shape, device=positive_logits.device)
    positive = positive_logits[:, :-1].detach().float()
    negative = negative_logits[:, :-1].detach().float()
    probabilities = torch.softmax((1 + beta) * positive - beta * negative, dim=-1)
    of_tokens = probabilities.gather(-1, input_ids[:, 1:].long().unsqueeze(-1)).squeeze(-1)
    return functional.pad(of_tokens, (1, 0))
