"""Which tokens of a batch are trained on: Rho-1, ssToken, and the selection both share.

All arrays are ``[b, t]`` and lie as `operators.modeling.losses` lays them out: what belongs to
token ``j`` stands at index ``j``, whatever logits it was read from. Nothing here carries a
gradient.

Sources: Lin et al. 2024, "Rho-1: Not All Tokens Are What You Need" (arXiv 2404.07965); Qin et al.
2026, "ssToken" (arXiv 2510.18250), and the authors' code. The two want opposite signs of nearly the
same difference: Rho-1 keeps tokens at which the model is still *worse* than its reference (to be
learnt), ssToken those at which it has become *better* than its own history.
"""

import math
from fractions import Fraction
from typing import Literal, TypeVar, get_args

import torch
from torch import Tensor

Scope = Literal["batch", "sample"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

# Keeps the min-max of a response whose excess losses are all the same from dividing by zero.
SMALLEST_RANGE = 1e-8

_Count = TypeVar("_Count", int, Tensor)


def select_tokens(scores: Tensor, scored: Tensor, share: float, scope: Scope = "batch") -> Tensor:
    """The scored tokens with the highest scores: ``ceil(share * n)`` of ``n``.

    ``n`` is the number of scored tokens of the whole batch (``scope="batch"``, as in Rho-1) or of
    each sample by itself (``"sample"``, as in ssToken). The last score that is kept is kept as
    often as the count allows: of equal scores the first win, in the order of rows and then of
    positions. Permuting the samples permutes the result, but for equal scores in different samples
    at the threshold.

    Args:
        scores: floating ``[b, t]``; infinities are allowed. What stands where nothing is scored
            is not looked at.
        scored: boolean ``[b, t]``, the tokens to choose from; all of it is taken at its word,
            index 0 as well.
        share: in ``(0, 1]``; 1 keeps exactly what is scored. Read as the nearest fraction with a
            denominator of at most a million, so that 0.7 of 10 are 7, and not 8 by the rounding
            of a product.
        scope: what ``share`` is of.

    Returns:
        Boolean ``[b, t]``: at least one token wherever there is one to choose from.

    Raises:
        ValueError: shapes that differ, a mask that is not boolean, a share or scope out of range,
            or a score of NaN.
    """
    _check_pair("scores", scores, scored)
    if not 0 < share <= 1:
        raise ValueError(f"share must be > 0 and <= 1, got {share}")
    if scope not in SCOPES:
        raise ValueError(f"unknown scope {scope!r}; one of {', '.join(SCOPES)}")
    if share == 1 or scores.numel() == 0:
        return scored.clone()
    values = scores.detach()
    if scope == "batch":
        return _of_the_batch(values, scored, share)
    return _of_each_sample(values, scored, share)


def _of_the_batch(scores: Tensor, scored: Tensor, share: float) -> Tensor:
    values = scores[scored]
    if values.numel() == 0:
        return scored.clone()
    _check_numbers(values)
    count = kept_count(share, values.numel())
    # Only the values of topk are used: which of equal elements it finds is not defined.
    threshold = values.topk(count, sorted=False).values.min()
    kept = values >= threshold
    surplus = int(kept.sum()) - count
    if surplus:
        equal = values == threshold
        kept &= ~equal | (equal.cumsum(0) <= equal.sum() - surplus)
    chosen = torch.zeros_like(scored)
    chosen[scored] = kept
    return chosen


def _of_each_sample(scores: Tensor, scored: Tensor, share: float) -> Tensor:
    values = scores.masked_fill(~scored, -torch.inf)
    _check_numbers(values)
    count = kept_count(share, scored.sum(dim=1, keepdim=True))
    last_kept = (count - 1).clamp(min=0)
    threshold = values.sort(dim=1, descending=True).values.gather(1, last_kept)
    above = (values > threshold) & scored
    equal = (values == threshold) & scored
    places = count - above.sum(dim=1, keepdim=True)
    return above | (equal & (equal.cumsum(dim=1) <= places))


def kept_count(share: float, n: _Count) -> _Count:
    """``ceil(share * n)`` without rounding error, and at least 1 where ``n`` is; ``n`` may be
    integers of a tensor. See `select_tokens` for how ``share`` is read."""
    fraction = max(Fraction(share).limit_denominator(1_000_000), Fraction(1, 1_000_000))
    return (n * fraction.numerator + (fraction.denominator - 1)) // fraction.denominator


def excess_losses(losses: Tensor, reference_losses: Tensor) -> Tensor:
    """Rho-1's score: how much worse the model is than its reference, ``L_theta - L_ref``.

    Args:
        losses: ``[b, t]`` in nats, of the model that is trained.
        reference_losses: ``[b, t]`` in nats, of a model that learnt from the data one wants.

    Returns:
        ``[b, t]`` in nats, without a gradient.

    Raises:
        ValueError: shapes that differ.
    """
    if losses.shape != reference_losses.shape:
        raise ValueError(
            f"losses {tuple(losses.shape)} and reference losses {tuple(reference_losses.shape)} "
            "must have one shape"
        )
    return losses.detach() - reference_losses.detach()


def retrospective_excess_losses(losses: Tensor, history_losses: Tensor) -> Tensor:
    """ssToken's REL: how much better the model is than its history, ``L_hist - L_theta``.

    Arguments, result and errors as in `excess_losses`.
    """
    return excess_losses(history_losses, losses)


def within_response(values: Tensor, scored: Tensor) -> Tensor:
    """Min-max of each sample over its scored tokens: the lowest is 0, the highest 1.

    Args:
        values: floating ``[b, t]``, finite where scored.
        scored: boolean ``[b, t]``, the response.

    Returns:
        ``[b, t]`` in ``[0, 1]``: ``(x - min) / (max - min + 1e-8)``, and 0 where nothing is
        scored. A response whose values are all the same (or of one token) is 0 throughout.

    Raises:
        ValueError: shapes that differ, or a mask that is not boolean.
    """
    _check_pair("values", values, scored)
    if values.numel() == 0:
        return values.detach().clone()
    values = values.detach()
    lowest = values.masked_fill(~scored, torch.inf).amin(dim=1, keepdim=True)
    highest = values.masked_fill(~scored, -torch.inf).amax(dim=1, keepdim=True)
    return ((values - lowest) / (highest - lowest + SMALLEST_RANGE)).masked_fill(~scored, 0.0)


def sstoken_scores(
    excess: Tensor | None, attention: Tensor | None, scored: Tensor, gamma: float = 0.5
) -> Tensor:
    """ssToken's score, ``gamma * minmax(REL) + (1 - gamma) * Attn``.

    Args:
        excess: `retrospective_excess_losses`, ``[b, t]``; not needed, and not looked at, at
            ``gamma = 0``.
        attention: ``[b, t]``, the attention that each token pays to the prompt
            (`operators.modeling.attention_to_prompt`); not needed at ``gamma = 1``.
        scored: boolean ``[b, t]``, the response.
        gamma: in ``[0, 1]``; the authors take 0.5.

    Returns:
        ``[b, t]`` in ``[0, 1]``, 0 where nothing is scored.

    Raises:
        ValueError: gamma out of range, a term that is needed and missing, or shapes that differ.
    """
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma must be >= 0 and <= 1, got {gamma}")
    terms = []
    if gamma > 0:
        if excess is None:
            raise ValueError(f"gamma {gamma} needs the excess losses; give them or take gamma 0")
        terms.append(gamma * within_response(excess, scored))
    if gamma < 1:
        if attention is None:
            raise ValueError(f"gamma {gamma} needs the attention; give it or take gamma 1")
        _check_pair("attention", attention, scored)
        terms.append((1 - gamma) * attention.detach().masked_fill(~scored, 0.0))
    return terms[0] if len(terms) == 1 else terms[0] + terms[1]


def gamma_at(step: int, gamma: float, cold_start_steps: int) -> float:
    """ssToken's ``gamma`` at an optimiser step, counted from 1: 0 for the cold start, then itself.

    At first the model is its own history and their difference is noise. The authors' code counts
    rows of the data instead, which means something only if they are not shuffled.
    """
    return 0.0 if step <= cold_start_steps else gamma


def prompt_positions(scored: Tensor) -> Tensor:
    """The tokens of each row before its first scored one, boolean ``[b, t]``.

    Of a dialogue of several turns that is the first prompt. (The authors' code counts the tokens
    that are not scored, wherever they stand: right only if all stand in front.)
    """
    return scored.cumsum(dim=1) == 0


def _check_pair(name: str, values: Tensor, scored: Tensor) -> None:
    if values.ndim != 2 or values.shape != scored.shape:
        raise ValueError(
            f"{name} {tuple(values.shape)} and scored {tuple(scored.shape)} must be one [b, t] "
            "shape"
        )
    if scored.dtype != torch.bool or not values.is_floating_point():
        raise ValueError(
            f"{name} must be floating and scored boolean, got {values.dtype} and {scored.dtype}"
        )


def _check_numbers(values: Tensor) -> None:
    # One pass: a maximum is NaN if anything is.
    if math.isnan(values.max().item()):
        raise ValueError("a score of a scored token is NaN: look at the losses it was made of")
