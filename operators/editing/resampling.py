"""ToEdit: resample the tokens that a prior language model already finds near certain.

Source: Zhu et al., "How to Synthesize Text Data without Model Collapse?" (ICML 2025, arXiv
2412.14689), and the authors' code. Token ``i`` is kept if ``p(x_i | x_<i) < threshold`` and drawn
again from the model otherwise. The context ``x_<i`` is always the original one, never an edited
one, so every position is independent of every draw. Two variants of the authors drop the tokens of
very low probability: as well ("low drop, up revise"), or alone ("filtering", a threshold above 1).

Two deliberate differences from the authors' code: the test is ``>=`` as in the paper (the code has
``>``, which is ``strict``), and texts longer than the context are read in overlapping windows (the
code cuts them off).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from operators.editing.drawing import (
    SamplingRule,
    candidate_distribution,
    draw_among_candidates,
    draw_by_rule,
    row_uniforms,
)
from operators.editing.prior_passes import Predictions, observed_probabilities, predictions
from operators.modeling.execution import inference

__all__ = ["ResampledSequences", "Sampling", "candidate_distribution", "resample_tokens"]

Sampling = Literal["candidates", "top_k", "top_p", "rejection"]


@dataclass(frozen=True)
class ResampledSequences:
    """Edited sequences and what happened at each position; all arrays are ``[n, t]``.

    Attributes:
        sequences: the edited tokens, in the dtype of the input. A dropped token still stands here.
        eligible: the rule holds: not the first token, and ``probabilities >= threshold`` (``>`` if
            strict).
        drawn: eligible and not protected: a token was drawn here.
        changed: the drawn token differs from the observed one. With temperature 1 a token of
            probability 0.99 changes one time in a hundred: far fewer than were drawn.
        dropped: not the first token, not protected, and ``probabilities < drop_below``: the token
            is to be taken out.
        probabilities: float32, model probability of the observed token; NaN at position 0, which
            nothing predicts, and everywhere if the model was not run (nothing can be edited).
            Rounded from float64 where a threshold is met or near, from float32 elsewhere.
    """

    sequences: NDArray[np.integer[Any]]
    eligible: NDArray[np.bool_]
    drawn: NDArray[np.bool_]
    changed: NDArray[np.bool_]
    dropped: NDArray[np.bool_]
    probabilities: NDArray[np.float32]


def resample_tokens(
    model: torch.nn.Module,
    sequences: NDArray[np.integer[Any]],
    row_ids: Sequence[str],
    *,
    protected: NDArray[np.bool_] | None = None,
    threshold: float = 0.99,
    strict: bool = False,
    sampling: Sampling = "candidates",
    candidates: int = 8,
    top_p: float = 0.9,
    reject_below: float = 0.001,
    temperature: float = 1.0,
    drop_below: float = 0.0,
    never_drawn: Sequence[int] = (),
    seed: int = 0,
    batch_size: int = 16,
    context: int | None = None,
    device: str = "auto",
    threads: int = 1,
) -> ResampledSequences:
    """Draw again every unprotected token with ``p >= threshold``; keep (or drop) all others.

    Draws are those of `operators.editing.drawing`. The uniforms of a row (one for every position,
    used or not) follow from the seed and its id: they depend on no other row, on no order and on
    no worker count, and raising the threshold changes no draw that is still made.

    The kinds of sampling, the draw being in proportion to ``p ** (1 / temperature)`` among

    - "candidates": the ``candidates`` most probable tokens and the observed one (the authors'
      code);
    - "top_k": the ``candidates`` most probable tokens;
    - "top_p": the smallest set of most probable tokens that holds a mass of ``top_p`` or more, of
      the distribution at this temperature;
    - "rejection": all tokens; a draw with ``p < reject_below`` is rejected and made again. The
      paper does not say what its rejection tests; this is ours.

    Args:
        model: the prior, called as `operators.modeling.execution.next_token_logits` says; moved
            to ``device``.
        sequences: integer ``[n, t]``, token ids.
        row_ids: ``n`` distinct ids, stable over runs.
        protected: boolean ``[n, t]``, positions that are never edited (document starts, special
            tokens, padding, code). The first position of a row never is.
        threshold: on the probability, ``>=``, compared in float32, the precision it is reported
            in. Above 1 nothing is drawn.
        strict: the test is ``>``.
        sampling: see above.
        candidates: of "candidates" and "top_k".
        top_p: of "top_p".
        reject_below: of "rejection".
        temperature: of the draw, ``> 0``.
        drop_below: tokens with ``p < drop_below``, compared in float32, are dropped; 0 drops none.
        never_drawn: token ids that no token may become (special tokens, padded vocabulary rows).
            One that was observed may stay.
        seed: of the draws.
        batch_size: rows of one forward pass, as `operators.editing.prior_passes.predictions` says.
        context: longest input of the model in tokens, ``>= 2``; ``None`` is ``t``. Longer
            sequences are read in windows that overlap by half.
        device: ``"auto"``, or a torch device.
        threads: CPU threads; part of the last bits of the probabilities.

    Raises:
        ValueError: shapes that do not belong together, ids that repeat, or a setting out of
            range.
    """
    check_rows(sequences, row_ids, protected)
    if sampling not in get_args(Sampling):
        raise ValueError(f"sampling is {sampling!r}, but must be one of {get_args(Sampling)}")
    for name, value, least in (("candidates", candidates, 1), ("batch_size", batch_size, 1)):
        if value < least:
            raise ValueError(f"{name} must be >= {least}, got {value}")
    if context is not None and context < 2:
        raise ValueError(f"context must be >= 2, got {context}")
    if not threshold >= 0:
        raise ValueError(f"threshold must be >= 0, got {threshold}")
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature must be > 0 and finite, got {temperature}")
    if not 0 <= drop_below <= min(threshold, 1):
        raise ValueError(
            f"drop_below must be in [0, 1] and no more than the threshold {threshold}, "
            f"got {drop_below}"
        )
    rule = SamplingRule(
        temperature=temperature,
        top_k=candidates if sampling == "top_k" else None,
        top_p=top_p if sampling == "top_p" else 1.0,
        reject_below=reject_below if sampling == "rejection" else 0.0,
    )

    n, t = sequences.shape
    edited = sequences.copy()
    probabilities = np.full((n, t), np.nan, dtype=np.float32)
    eligible, drawn, dropped = (np.zeros((n, t), dtype=np.bool_) for _ in range(3))
    free = np.ones((n, t), dtype=np.bool_) if protected is None else ~protected
    uniforms: NDArray[np.float64] | None = None

    def draw(found: Predictions) -> None:
        nonlocal uniforms
        if uniforms is None:
            uniforms = np.stack([row_uniforms(seed, row_id, t) for row_id in row_ids])
        chosen = drawn[found.here]
        numbers = uniforms[found.here][chosen]
        tokens = np.empty(len(numbers), dtype=np.int64)
        barred = torch.tensor(
            sorted(set(never_drawn)), dtype=torch.int64, device=found.logits.device
        )
        for part, logits, observed in found.at(chosen):
            if sampling == "candidates":
                tokens[part] = draw_among_candidates(
                    logits, observed, numbers[part], count=candidates, temperature=temperature,
                    never_drawn=barred,
                )  # fmt: skip
            else:
                tokens[part] = draw_by_rule(
                    logits, torch.from_numpy(numbers[part]).to(logits.device), rule,
                    never_drawn=barred, observed=observed,
                ).cpu()  # fmt: skip
        edited[found.here][chosen] = tokens

    if threshold <= 1 or drop_below > 0:
        with inference(model, device, threads) as target:
            for found in predictions(
                model, sequences, batch_size=batch_size, context=context, device=target
            ):
                here = found.here
                probabilities[here] = observed_probabilities(found, threshold, drop_below)
                limit, floor = np.float32(threshold), np.float32(drop_below)
                masses = probabilities[here]
                eligible[here] = masses > limit if strict else masses >= limit
                drawn[here] = eligible[here] & free[here]
                dropped[here] = (masses < floor) & free[here]
                if drawn[here].any():
                    draw(found)
    return ResampledSequences(edited, eligible, drawn, edited != sequences, dropped, probabilities)


def check_rows(
    sequences: NDArray[np.integer[Any]],
    row_ids: Sequence[str],
    protected: NDArray[np.bool_] | None,
) -> None:
    """Raise a ValueError where rows, their ids and what is protected do not belong together."""
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
