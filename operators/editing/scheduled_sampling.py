"""Batch-scheduled sampling: contexts in which some tokens are the model's own.

Source: Cen et al., "Bridging the Training-Inference Gap in LLMs by Leveraging Self-Generated
Tokens" (TMLR 2025, arXiv 2410.14655): inputs are random mixtures of true and generated tokens, the
target is always the next true token. How the mixture comes about is not published in detail; here
it is made in a few parallel passes, not token by token: the model predicts every position in the
present context, tokens drawn from that take the places that were chosen for them, and the next pass
sees them. The first ``passes`` model tokens of a row are what generation token by token would give;
later ones were drawn in a context that may have changed since.

A place is chosen when its number, drawn once for each row, is below ``epsilon``: with a higher
epsilon all is still the model's that was at a lower one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from operators.editing.drawing import SamplingRule, draw_by_rule, row_uniforms
from operators.editing.prior_passes import predictions
from operators.editing.resampling import check_rows
from operators.modeling.execution import inference


@dataclass(frozen=True)
class MixedContexts:
    """What a model is to see instead of the true tokens; all arrays are ``[n, t]``.

    Attributes:
        inputs: true tokens and the model's, each in its place, in the dtype of the input.
        eligible: places that could be the model's: not the first, not protected.
        drawn: places that were chosen.
        changed: where the model's token differs from the true one.
    """

    inputs: NDArray[np.integer[Any]]
    eligible: NDArray[np.bool_]
    drawn: NDArray[np.bool_]
    changed: NDArray[np.bool_]


def epsilon_of_round(index: int, rounds: int, first: float = 0.0, last: float = 0.25) -> float:
    """Share of model tokens in round ``index`` of ``rounds``: linear from ``first`` to ``last``.

    One round alone has ``last``.

    Raises:
        ValueError: a round out of range, shares that are none, or that begin at 1: contexts that
            are the model's alone from the beginning teach it nothing.
    """
    if not 0 <= index < rounds:
        raise ValueError(
            f"round must be in [0, {rounds - 1}] where rounds is {rounds}, got {index}"
        )
    if not 0 <= first < 1 or not first <= last <= 1:
        raise ValueError(
            f"shares must rise from below 1: 0 <= first <= last <= 1, got {first} and {last}"
        )
    return last if rounds == 1 else first + (last - first) * index / (rounds - 1)


def mix_contexts(
    model: torch.nn.Module,
    sequences: NDArray[np.integer[Any]],
    row_ids: Sequence[str],
    *,
    epsilon: float,
    passes: int = 2,
    rule: SamplingRule | None = None,
    protected: NDArray[np.bool_] | None = None,
    never_drawn: Sequence[int] = (),
    seed: int = 0,
    batch_size: int = 16,
    context: int | None = None,
    device: str = "auto",
    threads: int = 1,
) -> MixedContexts:
    """Put the model's own tokens in a share of the places of each row.

    Args:
        model: that is to be trained on the result, in its present state.
        sequences: integer ``[n, t]``, the true tokens.
        row_ids: ``n`` distinct ids, stable over runs.
        epsilon: probability of each place, in [0, 1]. At 0 the contexts are the true tokens and
            the model is not run.
        passes: ``>= 1``. In the first all contexts are true; each later one sees the mixture of
            the pass before. Draws of a place use one number in all passes.
        rule: of the draws; by default the model's own distribution.
        protected: boolean ``[n, t]``, places that stay true (prompts, document starts, padding).
            The first place of a row always does.
        never_drawn: ids that no place may get.
        seed: of places and draws.
        batch_size, context, device, threads: as in `operators.editing.resampling`.

    Raises:
        ValueError: shapes that do not belong together, ids that repeat, or a setting out of
            range.
    """
    check_rows(sequences, row_ids, protected)
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon must be in [0, 1], got {epsilon}")
    for name, value in (("passes", passes), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name} must be >= 1, got {value}")
    if context is not None and context < 2:
        raise ValueError(f"context must be >= 2, got {context}")
    n, t = sequences.shape
    mixed = sequences.copy()
    eligible = np.ones((n, t), dtype=np.bool_) if protected is None else ~protected
    eligible[:, :1] = False
    drawn = np.zeros((n, t), dtype=np.bool_)
    if epsilon == 0 or n == 0 or t < 2:
        return MixedContexts(mixed, eligible, drawn, drawn.copy())

    # Two numbers a place, one after the other: a longer row begins as a shorter one.
    uniforms = np.stack([row_uniforms(seed, row_id, 2 * t).reshape(t, 2) for row_id in row_ids])
    drawn = eligible & (uniforms[:, :, 0] < epsilon)
    if not drawn.any():
        return MixedContexts(mixed, eligible, drawn, drawn.copy())
    rule = SamplingRule() if rule is None else rule
    with inference(model, device, threads) as target:
        barred = torch.tensor(sorted(set(never_drawn)), dtype=torch.int64, device=target)
        for _ in range(passes):
            seen, mixed = mixed, sequences.copy()
            for found in predictions(
                model, seen, batch_size=batch_size, context=context, device=target
            ):
                chosen = drawn[found.here]
                if not chosen.any():
                    continue
                numbers = torch.from_numpy(uniforms[..., 1][found.here][chosen]).to(target)
                mixed[found.here][chosen] = torch.cat(
                    [
                        draw_by_rule(logits, numbers[part], rule, never_drawn=barred)
                        for part, logits, _ in found.at(chosen)
                    ]
                ).cpu()
            if np.array_equal(mixed, seen):
                break
    return MixedContexts(mixed, eligible, drawn, mixed != sequences)
