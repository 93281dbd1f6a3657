"""MEAP: a share of the input tokens is masked, and the next-token loss stays as it is.

Source: Zhuang et al., "Mask-Enhanced Autoregressive Prediction" (ICML 2025, arXiv 2502.07490), and
the authors' code. Attention stays causal, targets are the true tokens, and no token is weighted.
The mask is an id of its own, whose embedding is trained with the rest.

One deliberate difference: in the authors' code all sequences of a micro-batch are masked at the
same positions, drawn from the step's number. Here each row has positions of its own, drawn from its
id, so that they depend on no batch; `step` gives the authors' scheme.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.editing.row_draws import row_generator

# Shorter (<) answers are not masked in fine-tuning.
SHORTEST_ANSWER = 50


def mask_count(length: int, ratio: float) -> int:
    """max(1, int(length * ratio)), as in the authors' code; but none at a ratio of 0.

    Args:
        length: tokens that the ratio is of.
        ratio: in [0, 1].

    Raises:
        ValueError: a ratio outside of [0, 1].
    """
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio is {ratio}, but must be in [0, 1]")
    return max(1, int(length * ratio)) if ratio > 0 and length > 0 else 0


def mask_positions(
    length: int, name: str, *, ratio: float = 0.15, seed: int = 0, step: int | None = None
) -> NDArray[np.int64]:
    """Positions to mask in a sequence for pre-training: without replacement, in order.

    The last position is never masked: its token is no context of a target. So a sequence of one
    token has none to mask, and at a ratio of 1 all but the last are.

    Args:
        length: tokens of the sequence.
        name: its id.
        ratio: share of the tokens, see `mask_count`.
        seed: of the draws.
        step: the authors' scheme: the same positions for all names, by the number of the step.

    Returns:
        int64 [min(mask_count, length - 1)].
    """
    count = min(mask_count(length, ratio), max(length - 1, 0))
    if not count:
        return np.empty(0, np.int64)
    generator = (
        row_generator(seed, "mask", name)
        if step is None
        else row_generator(seed, "mask of step", str(step))
    )
    return np.sort(generator.choice(length - 1, size=count, replace=False)).astype(np.int64)


def answer_mask_positions(
    scored: NDArray[np.bool_],
    name: str,
    *,
    ratio: float = 0.10,
    shortest: int = SHORTEST_ANSWER,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Positions to mask in the answer of a fine-tuning sample: without replacement, in order.

    The masked copy of the sample has `masked` inputs there, and is scored there only: a loss at
    position j is -log p(token j | inputs before j), which is what the authors' labels come to in a
    model that shifts them.

    Args:
        scored: boolean [t], true at the tokens of the answer; index 0 is never scored.
        name: id of the sample.
        ratio: share of the answer's tokens, see `mask_count`.
        shortest: an answer of fewer (<) tokens is not masked.
        seed: of the draws.
    """
    answer = np.flatnonzero(scored)
    answer = answer[answer > 0]
    count = mask_count(len(answer), ratio) if len(answer) >= shortest else 0
    if not count:
        return np.empty(0, np.int64)
    generator = row_generator(seed, "mask answer", name)
    chosen = generator.choice(len(answer), size=count, replace=False)
    return np.sort(answer[chosen]).astype(np.int64)


def masked_inputs(
    tokens: Sequence[int] | NDArray[np.integer[Any]],
    positions: NDArray[np.int64],
    mask_id: int,
    inputs: Sequence[int] | NDArray[np.integer[Any]] | None = None,
) -> NDArray[np.int32]:
    """int32 [t]: what the model sees instead of the tokens, with the mask at the positions.

    Args:
        tokens: the true ones, which stay the targets.
        positions: to mask.
        mask_id: the id of the mask.
        inputs: what the model saw so far, where that differs from the tokens.

    Raises:
        ValueError: a negative mask id, or one that is among the tokens: the model could not tell
            a masked token from one that is there, and the mask would be a target.
    """
    if mask_id < 0 or (np.asarray(tokens) == mask_id).any():
        raise ValueError(
            f"the mask id {mask_id} must be >= 0 and none of the tokens: choose one that no text "
            "is made of"
        )
    made = np.array(tokens if inputs is None else inputs, dtype=np.int32)
    made[positions] = mask_id
    return made
