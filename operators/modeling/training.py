"""Train a causal language model on packed sequences, with weighted or plain losses.

On a CPU the trained weights are a function of the initial weights, the data and the recipe, to the
bit (for one build of torch on one kind of processor); on a GPU they are so up to float noise.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.modeling.batches import batch_rows
from operators.modeling.execution import cpu_threads, next_token_logits, resolve_device
from operators.modeling.losses import sample_losses, token_losses
from operators.modeling.recipe import TrainingRecipe, learning_rate_at
from operators.modeling.reports import StepReport, TrainingSummary
from operators.weighting import effective_sample_size, sample_weights, weighted_mean


def train(
    model: torch.nn.Module,
    sequences: NDArray[np.integer[Any]],
    scored: NDArray[np.bool_] | None,
    recipe: TrainingRecipe,
    *,
    on_step: Callable[[StepReport], None] | None = None,
) -> TrainingSummary:
    """Train ``model`` in place; it ends up on the recipe's device, in the mode it came in.

    Each step takes the mean loss of every sample over its scored tokens, weighs the samples over
    the whole optimiser batch, and minimises the weighted mean.

    Args:
        model: called as `operators.modeling.execution.next_token_logits` says.
        sequences: integer ``[n, t]``, token ids, ``t >= 2``. Only the rows of the current batch
            are copied: a memory map will do.
        scored: boolean ``[n, t]``, true where a token is a target. ``None`` scores every token;
            the first of a sequence never is.
        recipe: everything else.
        on_step: called after every step.

    Raises:
        ValueError: shapes or ids that do not fit, or a sequence without a scored token.
        FloatingPointError: the loss or the gradient of a step is not finite; names the step. The
            model then holds the weights from before that step.
    """
    _check(model, sequences, scored)
    device = resolve_device(recipe.device)
    was_training = model.training
    model.to(device)
    model.train()
    optimizer = _adamw(model, recipe)
    rows_of_batches = batch_rows(len(sequences), recipe.batch_size, recipe.steps, recipe.seed)
    reports: list[StepReport] = []
    tokens_seen = 0
    started = time.perf_counter()
    try:
        # The global random state is used by dropout only, and given back as it was.
        with (
            cpu_threads(recipe.threads),
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        ):
            torch.manual_seed(recipe.seed)
            for step, rows in enumerate(rows_of_batches, start=1):
                step_started = time.perf_counter()
                input_ids = torch.from_numpy(sequences[rows].astype(np.int64)).to(device)
                mask = _scored_mask(scored, rows, input_ids)
                loss, weighted_loss, weights = _losses(model, input_ids, mask, step, recipe)
                gradient_norm = _update(model, optimizer, weighted_loss, step, recipe)
                tokens = int(mask[:, 1:].sum())
                tokens_seen += tokens
                report = StepReport(
                    step=step,
                    loss=loss,
                    weighted_loss=float(weighted_loss.detach()),
                    learning_rate=learning_rate_at(step, recipe),
                    gradient_norm=gradient_norm,
                    tokens_seen=tokens_seen,
                    effective_sample_size=effective_sample_size(weights),
                    tokens_per_second=tokens / (time.perf_counter() - step_started),
                )
                reports.append(report)
                if on_step is not None:
                    on_step(report)
    finally:
        model.train(was_training)
    seconds = time.perf_counter() - started
    return TrainingSummary(
        steps=recipe.steps,
        tokens_seen=tokens_seen,
        epochs=recipe.steps * recipe.batch_size / len(sequences),
        first_loss=reports[0].loss,
        final_loss=reports[-1].loss,
        smallest_effective_sample_size=min(report.effective_sample_size for report in reports),
        seconds=seconds,
        tokens_per_second=tokens_seen / seconds,
        device=str(device),
    )


def _losses(
    model: torch.nn.Module, input_ids: Tensor, mask: Tensor, step: int, recipe: TrainingRecipe
) -> tuple[float, Tensor, Tensor]:
    """Unweighted loss, weighted loss (with gradient) and weights ``[b]`` of one batch."""
    autocast = torch.autocast(
        input_ids.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"
    )
    with autocast:
        logits = next_token_logits(model, input_ids)
    losses = sample_losses(token_losses(logits, input_ids, ~mask), mask)
    loss = float(losses.detach().mean())
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"step {step}: the loss is {loss} (learning rate {learning_rate_at(step, recipe):g})"
        )
    warm = step > recipe.reweighting_warmup_steps
    weights = sample_weights(losses, recipe.strategy if warm else "uniform", recipe.temperature)
    return loss, weighted_mean(losses, weights), weights


def _update(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Tensor,
    step: int,
    recipe: TrainingRecipe,
) -> float:
    """One optimiser step; returns the gradient norm before clipping."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_clip))
    if not math.isfinite(norm):
        raise FloatingPointError(f"step {step}: the gradient norm is {norm}")
    for group in optimizer.param_groups:
        group["lr"] = learning_rate_at(step, recipe)
    optimizer.step()
    return norm


def _adamw(model: torch.nn.Module, recipe: TrainingRecipe) -> torch.optim.AdamW:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas)


def _scored_mask(
    scored: NDArray[np.bool_] | None, rows: NDArray[np.int64], input_ids: Tensor
) -> Tensor:
    if scored is None:
        return torch.ones_like(input_ids, dtype=torch.bool)
    return torch.from_numpy(scored[rows].astype(np.bool_)).to(input_ids.device)


def _check(
    model: torch.nn.Module,
    sequences: NDArray[np.integer[Any]],
    scored: NDArray[np.bool_] | None,
) -> None:
    if sequences.ndim != 2 or not np.issubdtype(sequences.dtype, np.integer):
        raise ValueError(
            f"sequences must be integers [n, t], got {sequences.dtype} {sequences.shape}"
        )
    if sequences.shape[0] < 1 or sequences.shape[1] < 2:
        raise ValueError(
            f"sequences {sequences.shape}: at least one row of at least two tokens is needed"
        )
    # An id outside the vocabulary is a clear error on a CPU but an abort of the process on a GPU.
    vocab_size = getattr(getattr(model, "config", None), "vocab_size", math.inf)
    lowest, highest = int(sequences.min()), int(sequences.max())
    if lowest < 0 or highest >= vocab_size:
        raise ValueError(f"token ids {lowest} to {highest} for a vocabulary of {vocab_size}")
    if scored is not None:
        if scored.shape != sequences.shape or scored.dtype != np.bool_:
            raise ValueError(
                f"scored must be boolean {sequences.shape}, got {scored.dtype} {scored.shape}"
            )
        unscored = np.flatnonzero(~scored[:, 1:].any(axis=1))
        if unscored.size:
            raise ValueError(f"row {unscored[0]} has no scored token ({unscored.size} such rows)")
