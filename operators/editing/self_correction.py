"""Reference-answer-based correction: a model's own answer, a mark, and the answer as it should be.

Source: Cen et al. (TMLR 2025, arXiv 2410.14655): a model is trained to bring what it generated back
to the reference. The published description leaves the form open; here a sequence is ``x, y^,
<correct>, y``, with the loss on ``y`` alone: a loss on ``y^`` would teach the model its errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Correction = Literal["whole", "divergence"]


@dataclass(frozen=True)
class CorrectionSequence:
    """A sequence to train on.

    Attributes:
        tokens: int64, prompt, generated answer, mark, reference.
        scored: boolean, the tokens that are targets: of the reference only.
        diverges_at: the first token of the reference that was not generated; the length of the
            reference where all were.
    """

    tokens: NDArray[np.int64]
    scored: NDArray[np.bool_]
    diverges_at: int


def divergence(reference: Sequence[int], generated: Sequence[int]) -> int:
    """How many tokens the two begin with in common."""
    return next(
        (
            place
            for place, (one, other) in enumerate(zip(reference, generated, strict=False))
            if one != other
        ),
        min(len(reference), len(generated)),
    )


def correction_sequence(
    prompt: Sequence[int] | NDArray[np.integer[Any]],
    generated: Sequence[int] | NDArray[np.integer[Any]],
    mark: Sequence[int],
    reference: Sequence[int] | NDArray[np.integer[Any]],
    *,
    scored: Sequence[bool] | NDArray[np.bool_] | None = None,
    correction: Correction = "whole",
) -> CorrectionSequence:
    """``prompt, generated, mark, reference`` with the loss on the reference.

    Args:
        prompt: tokens that the answer belongs to; may be empty.
        generated: the model's answer; may be empty.
        mark: what stands for "<correct>"; one token or more.
        reference: the answer as it should be; one token or more.
        scored: which tokens of the reference are targets; by default all.
        correction: "whole", or from the "divergence": the reference begins with its first token
            that was not generated, and never later than with its last, so that a model that was
            right learns to say so by ending.

    Raises:
        ValueError: an empty mark or reference, lengths that differ, or an unknown correction.
    """
    if correction not in get_args(Correction):
        raise ValueError(f"correction is {correction!r}, but must be one of {get_args(Correction)}")
    if not len(mark) or not len(reference):
        raise ValueError("the mark and the reference must each have one token or more")
    targets = np.ones(len(reference), dtype=np.bool_) if scored is None else np.asarray(scored)
    if len(targets) != len(reference):
        raise ValueError(f"scored has {len(targets)} values for {len(reference)} reference tokens")
    place = divergence([int(t) for t in reference], [int(t) for t in generated])
    first = 0 if correction == "whole" else min(place, len(reference) - 1)
    context = [np.asarray(part, dtype=np.int64) for part in (prompt, generated, mark)]
    tokens = np.concatenate([*context, np.asarray(reference, dtype=np.int64)[first:]])
    flags = np.concatenate([np.zeros(sum(map(len, context)), dtype=np.bool_), targets[first:]])
    return CorrectionSequence(tokens, flags, place)
