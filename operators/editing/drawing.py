"""Draw tokens from a model's next-token distribution, each row with random numbers of its own.

A draw is by inverse CDF: the masses of the tokens, in order of their ids, are summed in float64,
and the first token whose running sum exceeds a uniform number in ``[0, 1)`` is taken. Ids and not
probabilities give the order: two tokens that are nearly equal would change places by float noise.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Elements of float64 that are worked on at a time where many rows are drawn from a large
# vocabulary.
_AT_A_TIME = 2**22


@dataclass(frozen=True)
class SamplingRule:
    """Which tokens can be drawn, and in which proportions.

    In this order, as in `transformers`: probabilities to the power of ``1 / temperature``, then
    ``top_k``, then ``top_p``, then the floor; what is left is scaled to a sum of 1.

    Attributes:
        temperature: ``>= 0`` and finite; 1 gives the model's own proportions, above 1 is flatter;
            0 takes the most probable token.
        top_k: this many most probable tokens; None is all.
        top_p: the smallest set of most probable tokens with this mass or more (>=).
        reject_below: draws that the model (at temperature 1) gives less (<) probability are
            rejected and drawn anew, which is to draw from the others. The most probable token is
            never rejected.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    reject_below: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < np.inf:
            raise ValueError(f"temperature must be >= 0 and finite, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be >= 1, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], got {self.top_p}")
        if not 0 <= self.reject_below <= 1:
            raise ValueError(f"reject_below must be in [0, 1], got {self.reject_below}")


def candidate_distribution(
    log_probabilities: NDArray[np.floating[Any]], temperature: float = 1.0
) -> NDArray[np.float64]:
    """``softmax(log_probabilities / temperature)`` over the last axis, in float64.

    Args:
        log_probabilities: ``[..., k]``, natural logs, up to a constant per row; ``-inf`` marks a
            candidate that cannot be drawn.
        temperature: ``> 0`` and finite; 1 gives the model's own proportions, above 1 is flatter.

    Returns:
        ``[..., k]``; each row sums to 1.

    Raises:
        ValueError: a temperature out of range, no candidates, or a row where none can be drawn.
    """
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature must be > 0 and finite, got {temperature}")
    logs = np.asarray(log_probabilities, dtype=np.float64)
    if logs.ndim == 0 or logs.shape[-1] == 0:
        raise ValueError("no candidates")
    highest = logs.max(axis=-1, keepdims=True)
    if not np.isfinite(highest).all():
        raise ValueError("a row holds no candidate that can be drawn, or a NaN")
    masses = np.exp((logs - highest) / temperature)
    return np.asarray(masses / masses.sum(axis=-1, keepdims=True), dtype=np.float64)


def draw_among_candidates(
    logits: Tensor,
    observed: Tensor,
    uniforms: NDArray[np.float64],
    *,
    count: int,
    temperature: float,
    never_drawn: Tensor | None = None,
) -> NDArray[np.int64]:
    """A token for each row, of the ``count`` most probable ones and the observed one.

    Args:
        logits: ``[k, v]``.
        observed: ``[k]``, the token that stands there; a candidate even where it is
            ``never_drawn`` or outside of the most probable ones.
        uniforms: ``[k]``, in ``[0, 1)``.
        count: of the most probable ones.
        temperature: of `candidate_distribution`.
        never_drawn: integer ids that no token may become.
    """
    tokens, logs = _candidates(logits, observed, count, never_drawn)
    cumulative = candidate_distribution(logs, temperature).cumsum(axis=-1)
    cumulative /= cumulative[:, -1:]  # ends at exactly 1, which every uniform is below
    first = (cumulative > uniforms[:, None]).argmax(axis=-1)
    return np.asarray(np.take_along_axis(tokens, first[:, None], axis=-1)[:, 0])


def draw_by_rule(
    logits: Tensor,
    uniforms: Tensor,
    rule: SamplingRule,
    *,
    never_drawn: Tensor | None = None,
    observed: Tensor | None = None,
) -> Tensor:
    """A token for each row of ``logits``, on their device.

    Args:
        logits: ``[k, v]``.
        uniforms: float64 ``[k]``, in ``[0, 1)``.
        rule: which tokens can be drawn.
        never_drawn: integer ids that cannot (special tokens, padded vocabulary rows).
        observed: ``[k]``, a token for each row that can be drawn although it is ``never_drawn``.

    Returns:
        int64 ``[k]``.

    Raises:
        ValueError: no token is left to be drawn.
    """
    if never_drawn is not None and len(set(never_drawn.tolist())) >= logits.shape[-1]:
        raise ValueError("every token of the vocabulary is among those that are never drawn")
    drawn = torch.empty(len(logits), dtype=torch.int64, device=logits.device)
    step = max(1, _AT_A_TIME // max(1, logits.shape[-1]))
    for start in range(0, len(logits), step):
        here = slice(start, start + step)
        own = None if observed is None else observed[here]
        logs = _allowed(logits[here], never_drawn, own)
        if rule.temperature == 0:
            drawn[here] = logs.argmax(dim=-1)
            continue
        cumulative = _truncated(logs, rule).cumsum(dim=-1)
        cumulative /= cumulative[:, -1:].clone()
        places = torch.searchsorted(cumulative, uniforms[here].unsqueeze(-1), right=True)
        drawn[here] = places.squeeze(-1)
    return drawn


def row_uniforms(seed: int, row_id: str, count: int) -> NDArray[np.float64]:
    """``count`` numbers in ``[0, 1)`` of ``Generator(PCG64(blake2b(seed, row id)))``.

    They depend on no other row; the first ones do not depend on how many follow.
    """
    digest = blake2b(f"{seed}\x00{row_id}".encode(), digest_size=16).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
    return generator.random(count)


def _allowed(logits: Tensor, never_drawn: Tensor | None, observed: Tensor | None) -> Tensor:
    """Log-probabilities; ``-inf`` for what cannot be drawn."""
    logs = torch.log_softmax(logits, dim=-1, dtype=torch.float64)
    if never_drawn is None or not len(never_drawn):
        return logs
    own = None if observed is None else logs.gather(-1, observed.unsqueeze(-1))
    logs[:, never_drawn] = -torch.inf
    if own is not None and observed is not None:
        logs.scatter_(-1, observed.unsqueeze(-1), own)
    return logs


def _truncated(logs: Tensor, rule: SamplingRule) -> Tensor:
    """Masses ``[k, v]`` under a rule, up to a constant per row; 0 for what it excludes."""
    masses = torch.softmax(logs / rule.temperature, dim=-1)
    if rule.top_k is not None and rule.top_k < masses.shape[-1]:
        top = masses.topk(rule.top_k, dim=-1)
        masses = torch.zeros_like(masses).scatter_(-1, top.indices, top.values)
    if rule.top_p < 1:
        ranked, order = masses.sort(dim=-1, descending=True, stable=True)
        # Mass of all that is more probable: a token is needed while that is below top_p.
        before = ranked.cumsum(dim=-1) - ranked
        enough = before >= rule.top_p * ranked.sum(dim=-1, keepdim=True)
        ranked = ranked.masked_fill(enough, 0.0)
        masses = torch.zeros_like(masses).scatter_(-1, order, ranked)
    if rule.reject_below > 0:
        # On the logs: the exponential of a logarithm need not be the number it was.
        floor = float(np.log(rule.reject_below))
        rejected = (logs < floor) & (logs < logs.amax(dim=-1, keepdim=True))
        masses = masses.masked_fill(rejected, 0.0)
    return masses


def _candidates(
    logits: Tensor, observed: Tensor, count: int, never_drawn: Tensor | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Candidate tokens and their logits, ``[k, count + 1]``, in order of token ids.

    The last column of the unsorted candidates is the observed token; where it is among the top
    ones already, its second copy has no mass.
    """
    own = logits.gather(-1, observed.unsqueeze(-1))
    if never_drawn is not None and len(never_drawn):
        logits = logits.index_fill(-1, never_drawn, -torch.inf)
    top = logits.topk(min(count, logits.shape[-1]), dim=-1)
    # An observed token that no other may become has lost its mass above; here it gets it back.
    among = (top.indices == observed.unsqueeze(-1)) & torch.isfinite(top.values)
    own = own.masked_fill(among.any(dim=-1, keepdim=True), -torch.inf)
    tokens = torch.cat([top.indices, observed.unsqueeze(-1)], dim=-1)
    masses = torch.cat([top.values, own], dim=-1)
    tokens, order = tokens.sort(dim=-1, stable=True)
    return tokens.cpu().numpy(), masses.gather(-1, order).double().cpu().numpy()
