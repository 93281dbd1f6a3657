"""What a model predicts for every token of rows of one length: passes, windows, probabilities."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.modeling.execution import next_token_logits
from operators.modeling.windows import sliding_windows

# Logits that a softmax is taken of at a time: on a CPU so few that they stay in its cache.
_CPU_ELEMENTS = 2**18
_GPU_ELEMENTS = 2**26


@dataclass(frozen=True)
class Predictions:
    """Logits for tokens ``columns`` of rows ``rows``: ``[r, m, v]``, and those tokens ``[r, m]``.

    ``logits[i, j]`` predicts ``observed[i, j]``.
    """

    rows: slice
    columns: slice
    logits: Tensor
    observed: Tensor

    @property
    def here(self) -> tuple[slice, slice]:
        """Where the predicted tokens stand in the array of rows."""
        return self.rows, self.columns

    def at(self, chosen: NDArray[np.bool_]) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Logits ``[k, v]`` and observed tokens ``[k]`` where ``chosen``, a few rows at a time.

        The slice says which of the chosen places, in order, they are.
        """
        rows, columns = torch.from_numpy(np.argwhere(chosen).T).to(self.logits.device)
        step = _rows_at_a_time(self.logits)
        for start in range(0, len(rows), step):
            here = slice(start, start + step)
            places = rows[here], columns[here]
            yield here, self.logits[places], self.observed[places]


def predictions(
    model: torch.nn.Module,
    sequences: NDArray[np.integer[Any]],
    *,
    batch_size: int,
    context: int | None,
    device: torch.device,
) -> Iterator[Predictions]:
    """Predict every token of each row but its first, exactly once.

    Args:
        model: called as `operators.modeling.execution.next_token_logits` says.
        sequences: integer ``[n, t]``.
        batch_size: rows of one forward pass. Every pass has this many (the last is filled up), so
            that all matrix products have one shape and a row's result does not depend on the
            rows beside it.
        context: longest input in tokens; None is ``t``. Longer rows are read in windows that
            overlap by half.
        device: where the model is.
    """
    n, t = sequences.shape
    if n == 0 or t < 2:
        return
    span = t if context is None else min(context, t)
    windows = sliding_windows(t, span, max(1, span // 2))
    for first in range(0, n, batch_size):
        rows = np.arange(first, first + batch_size).clip(max=n - 1)
        real = min(batch_size, n - first)  # what fills up the last batch is cut off again
        for window in windows:
            ids = torch.from_numpy(sequences[rows, window.start : window.end].astype(np.int64))
            ids = ids.to(device)
            new = window.first_new - window.start
            logits = next_token_logits(model, ids)[:real, new - 1 : -1]
            yield Predictions(
                slice(first, first + real),
                slice(window.first_new, window.end),
                logits,
                ids[:real, new:],
            )


def observed_probabilities(
    found: Predictions, at_least: float = 0.0, at_most: float = 0.0
) -> NDArray[np.float64]:
    """``p(observed)``, ``[r, m]``: exact where it matters, to some 1e-6 of itself elsewhere.

    A softmax in float64 takes as long as a small model. It is taken where the probability, in
    float32, is ``at_least`` or above or ``at_most`` or below, or within a thousandth of either,
    which is far more than float32 may be wrong by; at other places float32 is enough.

    Args:
        found: logits and observed tokens.
        at_least: the exact value is wanted from here up; 0 is everywhere.
        at_most: and from here down.
    """
    logits, observed = found.logits, found.observed
    exact = at_least <= 0 or logits.dtype is torch.float64
    precision = torch.float64 if exact else torch.float32
    step = _rows_at_a_time(logits)
    parts = [
        torch.softmax(rows[start : start + step], dim=-1, dtype=precision)
        .gather(-1, ids[start : start + step].unsqueeze(-1))
        .squeeze(-1)
        # Row by row: a reshape of all would copy the largest tensor there is.
        for rows, ids in zip(logits, observed, strict=True)
        for start in range(0, max(1, len(rows)), step)
    ]
    told = np.asarray(torch.cat(parts).view(observed.shape).cpu().numpy(), dtype=np.float64)
    if not exact:
        unsure = (told >= at_least * (1 - 1e-3)) | (told <= at_most * (1 + 1e-3))
        again = [
            torch.softmax(rows, dim=-1, dtype=torch.float64).gather(-1, ids.unsqueeze(-1))
            for _, rows, ids in found.at(unsure)
        ]
        if again:
            told[unsure] = torch.cat(again).squeeze(-1).cpu().numpy()
    return told


def _rows_at_a_time(logits: Tensor) -> int:
    elements = _GPU_ELEMENTS if logits.is_cuda else _CPU_ELEMENTS
    return max(1, elements // max(1, logits.shape[-1]))
