"""The losses of a reference model on given sequences, to be stored with them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from operators.modeling.execution import inference, next_token_logits
from operators.modeling.losses import token_losses
from operators.modeling.windows import Window, sliding_windows


def reference_losses(
    model: torch.nn.Module,
    sequences: Sequence[NDArray[np.integer[Any]]],
    inputs: Sequence[NDArray[np.integer[Any]]] | None = None,
    *,
    context_length: int,
    batch_size: int,
    device: str = "auto",
    threads: int = 1,
) -> list[NDArray[np.float32]]:
    """Negative log-probability of every token of every sequence given what stands before it.

    The sequences are scored as they are, without a BOS put in front, as a trainer sees them. One
    that is longer than the context is read in windows that overlap by half. Every forward pass has
    ``batch_size`` rows, and a width that follows from the length of the window alone (its padding
    is at most a quarter of it, or 7 tokens): the result of a sequence depends neither on its
    neighbours nor on their order.

    Args:
        model: called as `operators.modeling.execution.next_token_logits` says; moved to
            ``device``.
        sequences: the tokens to be scored, each ``[length]``; lengths may differ, and may be 0.
        inputs: what the model sees instead, of the same lengths; None for the tokens themselves.
        context_length: longest window in tokens, ``>= 2``.
        batch_size: windows of one forward pass.
        device: ``"auto"``, or a torch device.
        threads: CPU threads; part of the result's last bits.

    Returns:
        For each sequence float32 losses of its length, in nats; the first, which nothing predicts,
        is 0.

    Raises:
        ValueError: a setting out of range, inputs of other lengths, or an id outside of the
            model's vocabulary.
    """
    if context_length < 2 or batch_size < 1:
        raise ValueError(
            f"context_length must be >= 2 and batch_size >= 1, got {context_length} and "
            f"{batch_size}"
        )
    seen = sequences if inputs is None else inputs
    _check(model, sequences, seen)
    losses = [np.zeros(len(sequence), dtype=np.float32) for sequence in sequences]
    jobs: dict[int, list[tuple[int, Window]]] = {}
    for index, sequence in enumerate(sequences):
        for window in sliding_windows(len(sequence), context_length, max(1, context_length // 2)):
            width = min(_padded(len(window)), context_length)
            jobs.setdefault(width, []).append((index, window))
    with inference(model, device, threads) as target:
        for width, windows in sorted(jobs.items(), reverse=True):  # longest first, to fail early
            for first in range(0, len(windows), batch_size):
                batch = windows[first : first + batch_size]
                shown, targets = np.zeros((2, batch_size, width), dtype=np.int64)
                for row, (index, window) in enumerate(batch):
                    place = slice(window.start, window.end)
                    shown[row, : len(window)] = seen[index][place]
                    targets[row, : len(window)] = sequences[index][place]
                logits = next_token_logits(model, torch.from_numpy(shown).to(target))
                found = token_losses(logits, torch.from_numpy(targets).to(target)).cpu().numpy()
                for row, (index, window) in enumerate(batch):
                    losses[index][window.first_new : window.end] = found[
                        row, window.first_new - window.start : len(window)
                    ]
    return losses


def _padded(length: int) -> int:
    """The next of the widths 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, ..."""
    step = 1 << max(3, (length - 1).bit_length() - 3)
    return -(-length // step) * step


def _check(
    model: torch.nn.Module,
    sequences: Sequence[NDArray[np.integer[Any]]],
    seen: Sequence[NDArray[np.integer[Any]]],
) -> None:
    if [len(sequence) for sequence in sequences] != [len(given) for given in seen]:
        raise ValueError("inputs and sequences must have the same lengths, row by row")
    # An id outside the vocabulary is a clear error on a CPU but an abort of the process on a GPU.
    vocab_size = getattr(getattr(model, "config", None), "vocab_size", None)
    if vocab_size is None:
        return
    for what, rows in (("tokens", sequences), ("inputs", seen)):
        ids = [row for row in rows if len(row)]
        lowest = min((int(row.min()) for row in ids), default=0)
        highest = max((int(row.max()) for row in ids), default=0)
        if lowest < 0 or highest >= vocab_size:
            raise ValueError(
                f"{what} have ids from {lowest} to {highest}, the model a vocabulary of "
                f"{vocab_size}: use a model of the same tokenizer"
            )
