"""Losses of preference training from per-token log-probabilities: DPO and its token-level kin.

A pair is a prompt with a chosen and a rejected response. What a loss needs of one side are the
log-probabilities of its tokens, ``[n, t]``, laid out as `operators.modeling.losses` lays out losses
(those of token ``j`` at index ``j``), under the policy in training and a frozen reference, and
which of them are of the response. All losses are ``[n]``, one a pair, differentiable in the policy
alone.

With the sums of log-ratios over a response ``m_c``, ``m_r``, DPO (Rafailov et al. 2023) is
``-log sigma(beta * (m_c - m_r))``. The others change what is summed or subtracted:

- TDPO 1 and 2 (Zeng et al. 2024): the KL divergences of all positions of each side;
- cDPO (Lin et al. 2024): the tokens of the rejected side, by how critical each is;
- T-REG (Zhou et al. 2024): a term that regresses the policy's token rewards.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Responses:
    """One side of ``n`` pairs.

    Attributes:
        policy: floating ``[n, t]``, log-probabilities of the tokens under the policy, in nats.
        reference: ``[n, t]``, the same under the reference.
        scored: boolean ``[n, t]``, the tokens of the response; the rest may hold any number.
        divergences: ``[n, t]``, `position_divergences`; TDPO alone needs them.

    Raises:
        ValueError: arrays of different shapes, or a mask that is not boolean.
    """

    policy: Tensor
    reference: Tensor
    scored: Tensor
    divergences: Tensor | None = None

    def __post_init__(self) -> None:
        arrays = [self.policy, self.reference, self.scored]
        arrays += [] if self.divergences is None else [self.divergences]
        if self.policy.ndim != 2 or any(a.shape != self.policy.shape for a in arrays):
            shapes = ", ".join(str(tuple(array.shape)) for array in arrays)
            raise ValueError(f"policy, reference and scored must be one [n, t] shape, got {shapes}")
        if self.scored.dtype != torch.bool:
            raise ValueError(f"scored must be boolean, got {self.scored.dtype}")

    def log_ratios(self) -> Tensor:
        """``log pi(y_t) - log pi_ref(y_t)``, ``[n, t]``; 0 outside of the response."""
        return (self.policy - self.reference.detach()).masked_fill(~self.scored, 0.0)

    def divergence(self) -> Tensor:
        """``[n]``, the divergences summed over the response.

        Raises:
            ValueError: there are none.
        """
        if self.divergences is None:
            raise ValueError(
                "TDPO needs the divergences of each position: give position_divergences"
            )
        return self.divergences.masked_fill(~self.scored, 0.0).sum(dim=1)


def position_divergences(policy_logits: Tensor, reference_logits: Tensor) -> Tensor:
    """``KL(pi_ref || pi)`` of the distributions that predict each token.

    Args:
        policy_logits: ``[n, t, v]`` as the model gives them: row ``j`` predicts token ``j + 1``.
        reference_logits: ``[n, t, v]``.

    Returns:
        ``[n, t]`` in nats, at ``j`` that of the distribution which predicts token ``j``; 0 at
        index 0. Differentiable in the policy.

    Raises:
        ValueError: shapes that differ.
    """
    if policy_logits.shape != reference_logits.shape or policy_logits.ndim != 3:
        raise ValueError(
            f"logits {tuple(policy_logits.shape)} and {tuple(reference_logits.shape)} must be one "
            "[n, t, v] shape"
        )
    policy = policy_logits[:, :-1].float().log_softmax(dim=-1)
    reference = reference_logits[:, :-1].detach().float().log_softmax(dim=-1)
    # What the reference never gives adds 0, also where both logs are infinite.
    differences = (reference - policy).masked_fill(reference == -torch.inf, 0.0)
    return functional.pad((reference.exp() * differences).sum(dim=-1), (1, 0))


def dpo_loss(chosen: Responses, rejected: Responses, beta: float = 0.1) -> Tensor:
    """``-log sigma(beta * (m_c - m_r))``, ``[n]``.

    Args:
        chosen: the responses that should become likelier.
        rejected: the others, of the same prompts in the same order.
        beta: ``> 0``; how strongly the policy is held to the reference.

    Raises:
        ValueError: beta out of range, or sides of different numbers of pairs.
    """
    return _logistic(_margin(chosen, rejected), beta)


def tdpo1_loss(chosen: Responses, rejected: Responses, beta: float = 0.1) -> Tensor:
    """``-log sigma(beta * ((m_c - m_r) - (k_r - k_c)))``, ``[n]``; ``k`` sums the divergences.

    Arguments and errors as in `dpo_loss`; both sides need their divergences.
    """
    difference = rejected.divergence() - chosen.divergence()
    return _logistic(_margin(chosen, rejected) - difference, beta)


def tdpo2_loss(
    chosen: Responses, rejected: Responses, beta: float = 0.1, alpha: float = 0.5
) -> Tensor:
    """``-log sigma(beta * ((m_c - m_r) - alpha * (k_r - stopgrad(k_c))))``, ``[n]``.

    Arguments and errors as in `tdpo1_loss`; ``alpha >= 0``, and 0 is DPO to the bit.
    """
    if not alpha >= 0:
        raise ValueError(f"alpha must be >= 0, got {alpha}")
    margin = _margin(chosen, rejected)
    if alpha == 0:
        return _logistic(margin, beta)
    difference = rejected.divergence() - chosen.divergence().detach()
    return _logistic(margin - alpha * difference, beta)


def cdpo_loss(
    chosen: Responses, rejected: Responses, probabilities: Tensor, beta: float = 0.1
) -> Tensor:
    """DPO with the log-ratio of each rejected token weighted by ``1 - s_t``; chosen ones by 1.

    Args:
        chosen: as in `dpo_loss`.
        rejected: as in `dpo_loss`.
        probabilities: ``s_t`` of the rejected tokens, ``[n, t]`` in ``[0, 1]``
            (`operators.weighting.critical_tokens.contrastive_probabilities`): low is critical and
            counts fully. All 0 is DPO to the bit. No gradient flows through it.
        beta: as in `dpo_loss`.

    Raises:
        ValueError: as in `dpo_loss`, or probabilities of another shape or range.
    """
    if probabilities.shape != rejected.scored.shape:
        raise ValueError(
            f"probabilities {tuple(probabilities.shape)} do not belong to the rejected tokens "
            f"{tuple(rejected.scored.shape)}"
        )
    inside = probabilities.detach().masked_fill(~rejected.scored, 0.0)
    if not ((inside >= 0) & (inside <= 1)).all():
        raise ValueError("probabilities of tokens must be >= 0 and <= 1")
    weighted = (1 - inside) * rejected.log_ratios()
    _check_pairs(chosen, rejected)
    return _logistic(chosen.log_ratios().sum(dim=1) - weighted.sum(dim=1), beta)


def contrastive_rewards(better: Tensor, worse: Tensor) -> Tensor:
    """T-REG's token rewards, ``sigma(log pi(y_t | x+) - log pi(y_t | x-)) - 1/2``.

    Args:
        better: ``[n, t]``, log-probabilities of a response's tokens behind a prompt that asks for
            a better answer (``x+``).
        worse: ``[n, t]``, behind one that asks for a worse answer (``x-``).

    Returns:
        ``[n, t]`` in ``(-1/2, 1/2)``, without a gradient.

    Raises:
        ValueError: shapes that differ.
    """
    if better.shape != worse.shape:
        raise ValueError(f"shapes {tuple(better.shape)} and {tuple(worse.shape)} must be one")
    return torch.sigmoid(better.detach() - worse.detach()) - 0.5


def treg_loss(
    chosen: Responses,
    rejected: Responses,
    chosen_rewards: Tensor,
    rejected_rewards: Tensor,
    beta: float = 0.1,
    alpha: float = 0.1,
) -> Tensor:
    """DPO, and ``alpha`` times the distance of the policy's token rewards from given ones, ``[n]``.

    The policy's own reward of a token is ``beta * log(pi / pi_ref)``; the distance is the mean
    square over all tokens of both responses. (That the rewards are self-generated and regressed is
    the paper's; the exact form of the term is ours.)

    Args:
        chosen: as in `dpo_loss`.
        rejected: as in `dpo_loss`.
        chosen_rewards: `contrastive_rewards` of the chosen tokens, ``[n, t]``.
        rejected_rewards: of the rejected ones.
        beta: as in `dpo_loss`.
        alpha: ``>= 0``; 0 is DPO to the bit.

    Raises:
        ValueError: as in `dpo_loss`, alpha out of range, or rewards of another shape.
    """
    if not alpha >= 0:
        raise ValueError(f"alpha must be >= 0, got {alpha}")
    loss = dpo_loss(chosen, rejected, beta)
    if alpha == 0:
        return loss
    squares, tokens = torch.zeros_like(loss), torch.zeros_like(loss)
    for side, rewards in ((chosen, chosen_rewards), (rejected, rejected_rewards)):
        if rewards.shape != side.scored.shape:
            raise ValueError(
                f"rewards {tuple(rewards.shape)} do not belong to tokens {tuple(side.scored.shape)}"
            )
        wanted = rewards.detach().masked_fill(~side.scored, 0.0)
        squares = squares + (beta * side.log_ratios() - wanted).square().sum(dim=1)
        tokens = tokens + side.scored.sum(dim=1)
    return loss + alpha * squares / tokens.clamp(min=1)


def _margin(chosen: Responses, rejected: Responses) -> Tensor:
    _check_pairs(chosen, rejected)
    return chosen.log_ratios().sum(dim=1) - rejected.log_ratios().sum(dim=1)


def _check_pairs(chosen: Responses, rejected: Responses) -> None:
    if len(chosen.policy) != len(rejected.policy):
        raise ValueError(
            f"{len(chosen.policy)} chosen and {len(rejected.policy)} rejected responses"
        )


def _logistic(margin: Tensor, beta: float) -> Tensor:
    if not 0 < beta < torch.inf:
        raise ValueError(f"beta must be > 0 and finite, got {beta}")
    return -functional.logsigmoid(beta * margin)
