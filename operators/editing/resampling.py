"""ToEdit: resample the tokens that a prior language model already finds near certain.

Source: Zhu et al., "How to Synthesize Text Data without Model Collapse?" (ICML 2025, arXiv
2412.14689), and the authors' code. Token ``i`` is kept if ``p(x_i | x_<i) < threshold`` and drawn
again from the model otherwise. The context ``x_<i`` is always the original one, never an edited
one, so every position is independent of every draw.

Two deliberate differences from the authors' code: the test is ``>=`` as in the paper (the code has
``>``), and texts longer than the context are read in overlapping windows (the code cuts them off).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.modeling import Window, inference, next_token_logits, sliding_windows


@dataclass(frozen=True)
class ResampledSequences:
    """Edited sequences and what happened at each position; all arrays are ``[n, t]``.

    Attributes:
        sequences: the edited tokens, in the dtype of the input.
        eligible: the rule holds: not the first token, and ``probabilities >= threshold``.
        drawn: eligible and not protected: a token was drawn here.
        changed: the drawn token differs from the observed one. With temperature 1 a token of
            probability 0.99 changes one time in a hundred: far fewer than were drawn.
        probabilities: float32, model probability of the observed token; NaN at position 0, which
            nothing predicts, and everywhere if the model was not run (threshold > 1).
    """

    sequences: NDArray[np.integer[Any]]
    eligible: NDArray[np.bool_]
    drawn: NDArray[np.bool_]
    changed: NDArray[np.bool_]
    probabilities: NDArray[np.float32]


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


def resample_tokens(
    model: torch.nn.Module,
    sequences: NDArray[np.integer[Any]],
    row_ids: Sequence[str],
    *,
    protected: NDArray[np.bool_] | None = None,
    threshold: float = 0.99,
    candidates: int = 8,
    temperature: float = 1.0,
    never_drawn: Sequence[int] = (),
    seed: int = 0,
    batch_size: int = 16,
    context: int | None = None,
    device: str = "auto",
    threads: int = 1,
) -> ResampledSequences:
    """Draw again every unprotected token with ``p >= threshold``; keep all others.

    A draw is by inverse CDF: candidates are put in order of their token ids, their masses are
    summed in float64, and the first whose running sum exceeds a uniform number in ``[0, 1)`` is
    taken. The uniforms of a row (one for every position, used or not) come from
    ``Generator(PCG64(blake2b(seed, row id)))``: they depend on no other row, on no order and on no
    worker count, and raising the threshold changes no draw that is still made.

    Args:
        model: the prior, called as `operators.modeling.next_token_logits` says; moved to
            ``device``.
        sequences: integer ``[n, t]``, token ids.
        row_ids: ``n`` distinct ids, stable over runs.
        protected: boolean ``[n, t]``, positions that are never edited (document starts, special
            tokens, padding, code). The first position of a row never is.
        threshold: on the probability, ``>=``, compared in float32, the precision it is reported
            in. Above 1 nothing is edited and the model is not run.
        candidates: draws are among this many most probable tokens, and the observed one.
        temperature: of `candidate_distribution`.
        never_drawn: token ids that no token may become (special tokens, padded vocabulary rows).
            One that was observed may stay.
        seed: of the draws.
        batch_size: rows of one forward pass. Every pass has this many (the last is filled up), so
            that all matrix products have one shape and a row's result does not depend on the
            rows beside it.
        context: longest input of the model in tokens, ``>= 2``; ``None`` is ``t``. Longer
            sequences are read in windows that overlap by half.
        device: ``"auto"``, or a torch device.
        threads: CPU threads; part of the last bits of the probabilities.

    Raises:
        ValueError: shapes that do not belong together, ids that repeat, or a setting out of
            range.
    """
    _check(sequences, row_ids, protected)
    for name, value, least in (("candidates", candidates, 1), ("batch_size", batch_size, 1)):
        if value < least:
            raise ValueError(f"{name} must be >= {least}, got {value}")
    if context is not None and context < 2:
        raise ValueError(f"context must be >= 2, got {context}")
    if not threshold >= 0:
        raise ValueError(f"threshold must be >= 0, got {threshold}")
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature must be > 0 and finite, got {temperature}")

    n, t = sequences.shape
    edited = sequences.copy()
    probabilities = np.full((n, t), np.nan, dtype=np.float32)
    eligible = np.zeros((n, t), dtype=np.bool_)
    drawn = np.zeros((n, t), dtype=np.bool_)
    if threshold > 1 or n == 0 or t < 2:
        return ResampledSequences(edited, eligible, drawn, drawn.copy(), probabilities)

    free = np.ones((n, t), dtype=np.bool_) if protected is None else ~protected
    uniforms = np.stack([_uniforms(seed, row_id, t) for row_id in row_ids])
    span = t if context is None else min(context, t)
    windows = sliding_windows(t, span, max(1, span // 2))
    with inference(model, device, threads) as target:
        for first in range(0, n, batch_size):
            rows = np.arange(first, first + batch_size).clip(max=n - 1)
            for window in windows:
                ids = torch.from_numpy(sequences[rows, window.start : window.end].astype(np.int64))
                logits, observed = _predictions(model, ids.to(target), window)
                here = np.s_[first : first + batch_size, window.first_new : window.end]
                real = len(eligible[here])  # rows that fill up the last batch are cut off again
                logits, observed = logits[:real], observed[:real]
                probabilities[here] = _observed_probabilities(logits, observed)
                eligible[here] = probabilities[here] >= np.float32(threshold)
                drawn[here] = eligible[here] & free[here]
                chosen = drawn[here]
                if chosen.any():
                    mask = torch.from_numpy(chosen).to(target)
                    tokens, logs = _candidates(
                        logits[mask], observed[mask], candidates, never_drawn
                    )
                    masses = candidate_distribution(logs, temperature)
                    edited[here][chosen] = _draw(tokens, masses, uniforms[here][chosen])
    return ResampledSequences(edited, eligible, drawn, edited != sequences, probabilities)


def _predictions(
    model: torch.nn.Module, input_ids: Tensor, window: Window
) -> tuple[Tensor, Tensor]:
    """Float64 logits ``[b, m, v]`` for the ``m`` new tokens of a window, and those tokens."""
    new = window.first_new - window.start
    logits = next_token_logits(model, input_ids)[:, new - 1 : -1].double()
    return logits, input_ids[:, new:]


def _observed_probabilities(logits: Tensor, observed: Tensor) -> NDArray[np.float32]:
    masses = torch.softmax(logits, dim=-1).gather(-1, observed.unsqueeze(-1)).squeeze(-1)
    return np.asarray(masses.cpu().numpy(), dtype=np.float32)


def _candidates(
    logits: Tensor, observed: Tensor, count: int, never_drawn: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Candidate tokens and their log-probabilities, ``[k, count + 1]``, in order of token ids.

    The last column of the unsorted candidates is the observed token; where it is among the top
    ones already, its second copy has no mass.
    """
    logs = torch.log_softmax(logits, dim=-1)
    own = logs.gather(-1, observed.unsqueeze(-1))
    if never_drawn:
        logs = logs.clone()
        logs[:, torch.tensor(sorted(set(never_drawn)), device=logs.device)] = -torch.inf
    top = logs.topk(min(count, logs.shape[-1]), dim=-1)
    # An observed token that no other may become has lost its mass above; here it gets it back.
    among = (top.indices == observed.unsqueeze(-1)) & torch.isfinite(top.values)
    own = own.masked_fill(among.any(dim=-1, keepdim=True), -torch.inf)
    tokens = torch.cat([top.indices, observed.unsqueeze(-1)], dim=-1)
    masses = torch.cat([top.values, own], dim=-1)
    # Not in order of probability: two that are nearly equal would change places by float noise.
    tokens, order = tokens.sort(dim=-1, stable=True)
    return tokens.cpu().numpy(), masses.gather(-1, order).cpu().numpy()


def _draw(
    tokens: NDArray[np.int64], masses: NDArray[np.float64], uniforms: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The first token of each row ``[k, c]`` whose cumulative mass exceeds its uniform ``[k]``."""
    cumulative = masses.cumsum(axis=-1)
    cumulative /= cumulative[:, -1:]  # ends at exactly 1, which every uniform is below
    first = (cumulative > uniforms[:, None]).argmax(axis=-1)
    return np.asarray(np.take_along_axis(tokens, first[:, None], axis=-1)[:, 0])


def _uniforms(seed: int, row_id: str, count: int) -> NDArray[np.float64]:
    digest = blake2b(f"{seed}\x00{row_id}".encode(), digest_size=16).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
    return generator.random(count)


def _check(
    sequences: NDArray[np.integer[Any]],
    row_ids: Sequence[str],
    protected: NDArray[np.bool_] | None,
) -> None:
    if sequences.ndim != 2 or not np.issubdtype(sequences.dtype, np.integer):
        raise ValueError(
            f"sequences must be integers [n, t], got {sequences.dtype} {sequences.shape}"
        )
    if len(row_ids) != len(sequences) or len(set(row_ids)) != len(row_ids):
        raise ValueError(
            f"{len(sequences)} rows need as many distinct ids, got {len(row_ids)} with "
            f"{len(set(row_ids))} distinct"
        )
    if protected is not None and (
        protected.shape != sequences.shape or protected.dtype != np.bool_
    ):
        raise ValueError(
            f"protected must be boolean {sequences.shape}, got {protected.dtype} {protected.shape}"
        )
