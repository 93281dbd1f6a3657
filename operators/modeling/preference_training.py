"""Train a language model on pairs of a chosen and a rejected response: DPO, TDPO, cDPO.

On a CPU the trained weights are a function of the initial weights, the reference, the pairs and the
recipe, to the bit (for one build of torch on one kind of processor).
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.modeling.batches import batch_rows
from operators.modeling.execution import cpu_threads, next_token_logits, resolve_device
from operators.modeling.losses import token_losses
from operators.modeling.preference_recipe import (
    PreferencePairs,
    PreferenceRecipe,
    PreferenceReport,
)
from operators.weighting.preference import (
    Responses,
    cdpo_loss,
    dpo_loss,
    position_divergences,
    tdpo1_loss,
    tdpo2_loss,
)


def train_preferences(
    model: torch.nn.Module,
    reference: torch.nn.Module,
    pairs: PreferencePairs,
    recipe: PreferenceRecipe,
    *,
    on_step: Callable[[PreferenceReport], None] | None = None,
) -> list[PreferenceReport]:
    """Train ``model`` in place with AdamW.

    Args:
        model: the policy, called as `operators.modeling.execution.next_token_logits` says.
        reference: a model of the same vocabulary, another object; it is run in evaluation mode
            without gradients and not changed.
        pairs: the data; every epoch is a fresh permutation.
        recipe: everything else.
        on_step: called after every step.

    Returns:
        The report of every step.

    Raises:
        ValueError: no pairs, cDPO without critical probabilities, or a reference that is the model
            itself.
        FloatingPointError: the loss or the gradient of a step is not finite; names the step. The
            model then holds the weights from before that step.
    """
    if len(pairs) == 0:
        raise ValueError("there is no pair to train on")
    if recipe.loss == "cdpo" and pairs.critical is None:
        raise ValueError("cdpo needs the probabilities `critical` of the rejected tokens")
    if reference is model:
        raise ValueError("the reference is the model itself: give a copy that stays as it is")
    device = resolve_device(recipe.device)
    modes = model.training, reference.training
    model.to(device).train()
    reference.to(device).eval()
    optimizer = _adamw(model, recipe)
    reports = []
    try:
        with (
            cpu_threads(recipe.threads),
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        ):
            torch.manual_seed(recipe.seed)
            order = batch_rows(len(pairs), recipe.batch_size, recipe.steps, recipe.seed)
            for step, rows in enumerate(order, start=1):
                report = _step(model, reference, pairs, rows, optimizer, step, recipe, device)
                reports.append(report)
                if on_step is not None:
                    on_step(report)
    finally:
        model.train(modes[0])
        reference.train(modes[1])
    return reports


def _step(
    model: torch.nn.Module,
    reference: torch.nn.Module,
    pairs: PreferencePairs,
    rows: NDArray[np.int64],
    optimizer: torch.optim.Optimizer,
    step: int,
    recipe: PreferenceRecipe,
    device: torch.device,
) -> PreferenceReport:
    chosen, rejected = _sides(model, reference, pairs, rows, recipe, device)
    if recipe.loss == "dpo":
        losses = dpo_loss(chosen, rejected, recipe.beta)
    elif recipe.loss == "tdpo1":
        losses = tdpo1_loss(chosen, rejected, recipe.beta)
    elif recipe.loss == "tdpo2":
        losses = tdpo2_loss(chosen, rejected, recipe.beta, recipe.alpha)
    else:
        assert pairs.critical is not None
        critical = torch.from_numpy(pairs.critical[rows]).to(device, rejected.policy.dtype)
        losses = cdpo_loss(chosen, rejected, critical, recipe.beta)
    loss = losses.mean()
    if not torch.isfinite(loss):
        raise FloatingPointError(f"step {step}: the loss is {float(loss.detach())}")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_clip))
    if not math.isfinite(norm):
        raise FloatingPointError(f"step {step}: the gradient norm is {norm}")
    rise = min(1.0, step / recipe.warmup_steps) if recipe.warmup_steps else 1.0
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * rise
    optimizer.step()

    with torch.no_grad():
        of_chosen, of_rejected = (side.log_ratios().sum(dim=1) for side in (chosen, rejected))
        margins = recipe.beta * (of_chosen - of_rejected)
        likelihoods = [
            side.policy.masked_fill(~side.scored, 0.0).sum(dim=1).mean()
            for side in (chosen, rejected)
        ]
    return PreferenceReport(
        step=step,
        loss=float(loss.detach()),
        margin=float(margins.mean()),
        accuracy=float((margins > 0).float().mean()),
        chosen_log_probability=float(likelihoods[0]),
        rejected_log_probability=float(likelihoods[1]),
        displaced_share=float(((of_chosen < 0) & (margins > 0)).float().mean()),
        gradient_norm=norm,
    )


def _sides(
    model: torch.nn.Module,
    reference: torch.nn.Module,
    pairs: PreferencePairs,
    rows: NDArray[np.int64],
    recipe: PreferenceRecipe,
    device: torch.device,
) -> tuple[Responses, Responses]:
    """Both sides of a batch, from one forward pass of each model over all of their sequences."""
    sequences = np.concatenate([pairs.chosen[rows], pairs.rejected[rows]]).astype(np.int64)
    ends = np.concatenate([pairs.chosen_lengths[rows], pairs.rejected_lengths[rows]])
    starts = np.concatenate([pairs.prompt_lengths[rows]] * 2)
    places = np.arange(sequences.shape[1])
    within = (places >= starts[:, None]) & (places < ends[:, None])
    ids, scored = torch.from_numpy(sequences).to(device), torch.from_numpy(within).to(device)

    logits = next_token_logits(model, ids)
    with torch.no_grad():
        reference_logits = next_token_logits(reference, ids)
    policy = -token_losses(logits, ids, ~scored)
    fixed = -token_losses(reference_logits, ids, ~scored)
    divergences: Tensor | None = None
    if recipe.loss in ("tdpo1", "tdpo2"):
        divergences = position_divergences(logits, reference_logits)
    n = len(rows)
    chosen, rejected = (
        Responses(
            policy[half],
            fixed[half],
            scored[half],
            None if divergences is None else divergences[half],
        )
        for half in (slice(None, n), slice(n, None))
    )
    return chosen, rejected


def _adamw(model: torch.nn.Module, recipe: PreferenceRecipe) -> torch.optim.AdamW:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)
