"""What models say of preference pairs before they are trained on: CHES, and cDPO's ``s_t``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.modeling.decoder import decoder_of
from operators.modeling.execution import inference, next_token_logits
from operators.modeling.preference_recipe import PreferencePairs
from operators.weighting.ches import ches_scores
from operators.weighting.critical_tokens import contrastive_probabilities


def pair_displacements(
    model: torch.nn.Module,
    pairs: PreferencePairs,
    *,
    length_normalised: bool = False,
    batch_size: int = 16,
    device: str = "auto",
    threads: int = 1,
) -> NDArray[np.float64]:
    """CHES of each pair, ``[n]``: how likely training on it makes the chosen response less likely.

    Args:
        model: the one that is to be trained, before its training: a causal language model of
            `transformers`, whose last hidden states are taken as they go into the unembedding.
        pairs: the pairs.
        length_normalised: see `operators.weighting.ches.ches_scores`.
        batch_size: pairs in a forward pass.
        device: ``"auto"``, or a torch device.
        threads: CPU threads of torch.
    """
    found: list[Tensor] = []
    with inference(model, device, threads) as place:
        for rows in _batches(len(pairs), batch_size):
            states, masks = [], []
            for side in ("chosen", "rejected"):
                ids, scored = _side(pairs, side, rows, place)
                states.append(decoder_of(model)(input_ids=ids, use_cache=False).last_hidden_state)
                masks.append(scored)
            found.append(ches_scores(*states, *masks, length_normalised=length_normalised).cpu())
    return torch.cat(found).numpy() if found else np.zeros(0)


def critical_probabilities(
    positive: torch.nn.Module,
    negative: torch.nn.Module,
    pairs: PreferencePairs,
    *,
    beta: float = 1.0,
    batch_size: int = 16,
    device: str = "auto",
    threads: int = 1,
) -> NDArray[np.float32]:
    """``s_t`` of the rejected tokens, ``[n, t]``: low where a token is critical.

    Args:
        positive: a model that was trained on right responses, called as
            `operators.modeling.execution.next_token_logits` says.
        negative: one of the same vocabulary, trained on wrong ones.
        pairs: the pairs.
        beta: of the contrast, see `operators.weighting.critical_tokens`.
        batch_size: pairs in a forward pass.
        device: ``"auto"``, or a torch device.
        threads: CPU threads of torch.
    """
    made = np.zeros(pairs.rejected.shape, np.float32)
    with inference(positive, device, threads) as place, inference(negative, device, threads):
        for rows in _batches(len(pairs), batch_size):
            ids, _ = _side(pairs, "rejected", rows, place)
            better, worse = next_token_logits(positive, ids), next_token_logits(negative, ids)
            made[rows] = contrastive_probabilities(better, worse, ids, beta).cpu().numpy()
    return made


def _batches(count: int, size: int) -> Iterator[slice]:
    yield from (slice(first, first + size) for first in range(0, count, size))


def _side(
    pairs: PreferencePairs, side: str, rows: slice, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Ids of one side of some pairs, and which of them are of the response."""
    ids = getattr(pairs, side)[rows].astype(np.int64)
    places = np.arange(ids.shape[1])
    ends = getattr(pairs, f"{side}_lengths")[rows, None]
    scored = (places >= pairs.prompt_lengths[rows, None]) & (places < ends)
    return torch.from_numpy(ids).to(device), torch.from_numpy(scored).to(device)
