"""Data that a model or a recipe cannot take is named before the first step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from operators.modeling.recipe import TrainingRecipe
from operators.modeling.token_rows import TokenRows


def check_arrays(sequences: NDArray[np.integer[Any]], scored: NDArray[np.bool_] | None) -> None:
    """Raise ValueError for arrays that are no sequences, or a mask that is not theirs."""
    if sequences.ndim != 2 or not np.issubdtype(sequences.dtype, np.integer):
        raise ValueError(
            f"sequences must be integers [n, t], got {sequences.dtype} {sequences.shape}"
        )
    if sequences.shape[0] < 1 or sequences.shape[1] < 2:
        raise ValueError(
            f"sequences {sequences.shape}: at least one row of at least two tokens is needed"
        )
    if scored is not None and (scored.shape != sequences.shape or scored.dtype != np.bool_):
        raise ValueError(
            f"scored must be boolean {sequences.shape}, got {scored.dtype} {scored.shape}"
        )


def check_rows(
    model: torch.nn.Module, sources: Sequence[TokenRows], recipe: TrainingRecipe
) -> None:
    """Raise ValueError for rows that the model, or the recipe, cannot take."""
    if not sources or not any(map(len, sources)):
        raise ValueError("there is not a single row to train on")
    if (
        recipe.sharded
        and recipe.selection == "sstoken"
        and not all("reference_losses" in rows.columns for rows in sources)
    ):
        raise ValueError(
            "sstoken over sharded weights needs stored losses: wire tokens that "
            "weighting.reference_losses made"
        )
    if recipe.future_tokens > 1:
        if recipe.objective != "cross_entropy":
            raise ValueError("future_tokens goes with objective cross_entropy only")
        if any("inputs" in rows.columns for rows in sources):
            raise ValueError("future_tokens goes with sequences that the model sees as they are")
    for number, rows in enumerate(sources):
        where = f"source {number}: " if len(sources) > 1 else ""
        check_fits(model, rows, where)
        unscored = np.flatnonzero(rows.scored_counts() == 0)
        if unscored.size:
            raise ValueError(
                f"{where}row {unscored[0]} has no scored token ({unscored.size} such rows of "
                f"{len(rows)}): it has one token only, or all its labels are masked"
            )
        if recipe.documents_apart and "starts" not in rows.columns:
            raise ValueError(f"{where}documents_apart needs the column starts")
        if recipe.selection == "rho1" and "reference_losses" not in rows.columns:
            raise ValueError(
                f"{where}selection rho1 needs the column reference_losses: wire tokens that "
                "weighting.reference_losses made"
            )


def check_fits(model: torch.nn.Module, rows: TokenRows, where: str = "") -> None:
    """Raise ValueError for rows that the model cannot take; `where` begins the message."""
    config = getattr(model, "config", None)
    # An id outside the vocabulary is a clear error on a CPU but an abort of the process on a GPU.
    vocab_size = getattr(config, "vocab_size", math.inf)
    context = getattr(config, "max_position_embeddings", math.inf)
    if not len(rows):
        raise ValueError(f"{where}there is not a single row to train on")
    lowest, highest = rows.ids()
    if lowest < 0 or highest >= vocab_size:
        raise ValueError(
            f"{where}token ids {lowest} to {highest} for a vocabulary of {vocab_size}: the "
            "tokens were made by another tokenizer than the model's"
        )
    lowest, highest = rows.seen_ids()
    if lowest < 0 or highest >= vocab_size:
        raise ValueError(
            f"{where}inputs have ids {lowest} to {highest}, but the model has rows for "
            f"{vocab_size}: a mask needs a row of its own"
        )
    longest = int(rows.lengths.max())
    if longest > context:
        raise ValueError(
            f"{where}row {int(rows.lengths.argmax())} has {longest} tokens, but the model sees "
            f"{context}: encode with a smaller sequence_length"
        )
