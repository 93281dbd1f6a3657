"""D3S: fewer rollouts and fewer of their tokens for policy-gradient training (GRPO, GSPO).

Source: "D3S" (ICLR 2026, arXiv 2509.22115). Of all rollouts of a batch those are kept whose
advantages vary most, of their tokens those with the largest ``|A| * H``; first few, later more.
"""

import torch
from torch import Tensor

from operators.weighting.token_selection import Scope, select_tokens


def most_varied(advantages: Tensor, keep: int) -> Tensor:
    """The ``keep`` samples whose advantages have the largest variance together.

    Of a sorted list the best subset of a size is always some of the lowest and some of the highest
    values, so all ways to split ``keep`` between the two ends are tried. Of splits of equal
    variance the one with the fewest low values is taken; of equal advantages the low end takes the
    first and the high end the last.

    Args:
        advantages: ``[n]``, finite: group-relative advantages of all groups of the batch.
        keep: how many, ``1 <= keep``; all of them where ``keep >= n``.

    Returns:
        Boolean ``[n]``.

    Raises:
        ValueError: advantages of another shape or not finite, or ``keep`` below 1.
    """
    if advantages.ndim != 1 or not advantages.isfinite().all():
        raise ValueError(f"advantages must be a finite vector, got {tuple(advantages.shape)}")
    if keep < 1:
        raise ValueError(f"keep must be >= 1, got {keep}")
    n = advantages.numel()
    kept = torch.ones(n, dtype=torch.bool, device=advantages.device)
    if keep >= n:
        return kept
    ordered, order = advantages.detach().double().sort(stable=True)
    ordered = ordered - ordered.mean()  # so that the squares below do not cancel
    low = torch.arange(keep + 1, device=advantages.device)
    high_from = n - keep + low
    variances = _ends(ordered.square(), low, high_from) / keep
    variances -= (_ends(ordered, low, high_from) / keep).square()
    split = int((variances == variances.max()).nonzero()[0])
    kept[order[split : n - keep + split]] = False
    return kept


def _ends(values: Tensor, low: Tensor, high_from: Tensor) -> Tensor:
    """Sum of the first ``low`` values and of those from ``high_from`` on, for each split."""
    sums = torch.cat([values.new_zeros(1), values.cumsum(0)])
    return sums[low] + sums[-1] - sums[high_from]


def informative_tokens(
    advantages: Tensor,
    entropies: Tensor,
    scored: Tensor,
    share: float,
    scope: Scope = "batch",
) -> Tensor:
    """The scored tokens with the largest ``|A_i| * H_ij``: ``ceil(share * n)`` of them.

    Args:
        advantages: ``[n]``, one a sample.
        entropies: ``[n, t]`` in nats, of the distributions that each token was drawn from
            (`policy_entropies`).
        scored: boolean ``[n, t]``, the tokens of the rollouts.
        share: in ``(0, 1]``, as in `operators.weighting.token_selection.select_tokens`.
        scope: what ``share`` is of.

    Returns:
        Boolean ``[n, t]``.

    Raises:
        ValueError: shapes that do not belong together, or a share or scope out of range.
    """
    if advantages.ndim != 1 or advantages.shape != entropies.shape[:1]:
        raise ValueError(
            f"advantages {tuple(advantages.shape)} do not belong to entropies "
            f"{tuple(entropies.shape)}"
        )
    scores = advantages.detach().abs().unsqueeze(1).to(entropies.dtype) * entropies.detach()
    return select_tokens(scores, scored, share, scope)


def policy_entropies(logits: Tensor) -> Tensor:
    """Entropy of the distribution that predicts each token.

    Args:
        logits: ``[b, t, v]`` as the model gives them: row ``j`` predicts token ``j + 1``.

    Returns:
        ``[b, t]`` in nats, float32, without a gradient; at ``j`` that of the distribution which
        predicts token ``j``, and 0 at index 0.
    """
    logs = logits[:, :-1].detach().float().log_softmax(dim=-1)
    # A token of probability 0 adds 0 to the sum, not 0 * -inf.
    terms = torch.where(logs == -torch.inf, 0.0, logs.exp() * logs)
    return torch.nn.functional.pad(-terms.sum(dim=-1), (1, 0))


def scheduled(step: int, steps: int, first: float, last: float) -> float:
    """Linear interpolation from ``first`` at step 0 to ``last`` at ``steps`` and after.

    D3S is aggressive first (small numbers of samples and tokens) and relaxes later. Round a number
    of samples yourself.

    Raises:
        ValueError: ``steps`` below 1, or a step below 0.
    """
    if steps < 1 or step < 0:
        raise ValueError(f"steps must be >= 1 and step >= 0, got {steps} and {step}")
    progress = min(step, steps) / steps
    return first * (1 - progress) + last * progress
