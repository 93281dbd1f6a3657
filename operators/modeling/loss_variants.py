"""Losses that know more than right or wrong: EMO, the number-token loss; and the mask of GRIFFIN.

Losses are ``[b, t]`` and laid out as `operators.modeling.losses` lays them out: that of token ``j``
at index ``j``, read from the logits at ``j - 1``; index 0 is 0. (MEAP changes inputs, not losses.)
"""

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from operators.modeling.losses import token_losses

EmoMode = Literal[1, 2]

NumberDistance = Literal["squared", "absolute", "cumulative"]
NUMBER_DISTANCES: tuple[NumberDistance, ...] = get_args(NumberDistance)

# Of the authors: keeps the ratio of two losses finite where one is 0.
_SMALLEST = 1e-10


def earth_mover_losses(logits: Tensor, input_ids: Tensor, embeddings: Tensor) -> Tensor:
    """Upper bound of the earth mover's distance between prediction and token.

    ``sum_v q_v * (1 - cos(E_v, E_y))`` for the observed token ``y`` and the predicted distribution
    ``q``: moving mass to a token costs little from tokens whose embeddings are like its own.
    Computed as ``1 - <E_y, sum_v q_v E_v>`` of row-normalised embeddings.

    Args:
        logits: ``[b, t, v]``; half precision is widened to float32.
        input_ids: integer ``[b, t]``, token ids within the vocabulary.
        embeddings: ``[v, d]``, the output embeddings; no gradient flows into them.

    Returns:
        ``[b, t]`` in ``[0, 2]``, differentiable in the logits.

    Raises:
        ValueError: shapes that do not belong together.
    """
    if logits.ndim != 3 or logits.shape[:2] != input_ids.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} do not belong to ids {tuple(input_ids.shape)}"
        )
    if embeddings.ndim != 2 or len(embeddings) != logits.shape[-1]:
        raise ValueError(
            f"embeddings {tuple(embeddings.shape)} do not belong to a vocabulary of "
            f"{logits.shape[-1]}"
        )
    wide = torch.float64 if logits.dtype == torch.float64 else torch.float32
    if input_ids.numel() == 0:
        return logits.new_zeros(input_ids.shape, dtype=wide)
    directions = functional.normalize(embeddings.detach().to(wide), dim=1)
    predicted = logits[:, :-1].to(wide).softmax(dim=-1) @ directions
    cosines = (predicted * directions[input_ids[:, 1:].long()]).sum(dim=-1)
    return functional.pad((1 - cosines).clamp(min=0.0), (1, 0))


def emo_losses(
    logits: Tensor,
    input_ids: Tensor,
    embeddings: Tensor,
    mode: EmoMode = 1,
    ignore: Tensor | None = None,
) -> Tensor:
    """EMO (Ren et al. 2024, arXiv 2310.04691): cross-entropy and earth mover's distance together.

    With ``MLE`` the cross-entropy and ``EMD`` of `earth_mover_losses`, token by token, as in the
    authors' code (one of their files also subtracts the detached ``q_y`` from the distance inside
    the ratio; the gradient of the distance is the same):

    - mode 1: ``(MLE + stopgrad(MLE / EMD) * EMD) / 2``: its value is the cross-entropy, and both
      pull with the same force;
    - mode 2: ``EMD + stopgrad(EMD / MLE) * MLE``: in the scale of the distance.

    Args:
        logits: as in `earth_mover_losses`.
        input_ids: as in `earth_mover_losses`; where ``ignore`` is true any id.
        embeddings: as in `earth_mover_losses`.
        mode: 1 or 2.
        ignore: boolean ``[b, t]``, true where a token is not scored (its element is 0).

    Raises:
        ValueError: shapes that do not belong together, or another mode.
    """
    if mode not in get_args(EmoMode):
        raise ValueError(f"unknown mode {mode!r}; 1 or 2")
    likelihood = token_losses(logits, input_ids, ignore)
    known = input_ids if ignore is None else input_ids.masked_fill(ignore, 0)
    distance = earth_mover_losses(logits, known, embeddings)
    if ignore is not None:
        distance = distance.masked_fill(ignore, 0.0)
    if mode == 1:
        return 0.5 * (likelihood + (likelihood / (distance + _SMALLEST)).detach() * distance)
    return distance + (distance / (likelihood + _SMALLEST)).detach() * likelihood


def number_token_losses(
    logits: Tensor, input_ids: Tensor, values: Tensor, distance: NumberDistance = "absolute"
) -> Tensor:
    """How far a predicted number is from the right one (Zausinger et al. 2025, arXiv 2411.02083).

    The softmax ``q`` is over number tokens alone, and only tokens that are numbers have a loss.
    It is added to the cross-entropy; the authors take 0.3 of it.

    - ``"squared"`` (NTL-MSE): ``(sum_v q_v v - y)^2``. Mass on 3 and on 5 is right for 4: its
      known flaw.
    - ``"absolute"`` (NTL-WAS): ``sum_v q_v |v - y|``, the Wasserstein-1 distance to ``y``.
    - ``"cumulative"``: ``sum_k |CDF_q(k) - CDF_y(k)|`` over the distinct values in order, so that
      a distance counts the values between. For digits the same as ``"absolute"``.

    Args:
        logits: ``[b, t, v]``; half precision is widened to float32.
        input_ids: integer ``[b, t]``, token ids within the vocabulary.
        values: floating ``[v]``, the number that each token is, NaN where it is none.
        distance: which of the three.

    Returns:
        ``[b, t]``, 0 where the token is no number, differentiable. Not masked by anything else.

    Raises:
        ValueError: shapes that do not belong together, or another distance.
    """
    if logits.ndim != 3 or logits.shape[:2] != input_ids.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} do not belong to ids {tuple(input_ids.shape)}"
        )
    if values.shape != logits.shape[-1:]:
        raise ValueError(
            f"values {tuple(values.shape)} do not belong to a vocabulary of {logits.shape[-1]}"
        )
    if distance not in NUMBER_DISTANCES:
        raise ValueError(f"unknown distance {distance!r}; one of {', '.join(NUMBER_DISTANCES)}")
    wide = torch.float64 if logits.dtype == torch.float64 else torch.float32
    losses = logits.new_zeros(input_ids.shape, dtype=wide)
    if input_ids.numel() == 0:
        return losses
    values = values.to(device=logits.device, dtype=wide)
    numbers = values.isnan().logical_not().nonzero().squeeze(1)
    truth = values[input_ids[:, 1:].long()]
    are_numbers = ~truth.isnan()
    q = logits[:, :-1][are_numbers][:, numbers].to(wide).softmax(dim=-1)
    at, y = values[numbers], truth[are_numbers].unsqueeze(1)
    if distance == "squared":
        found = ((q * at).sum(dim=1, keepdim=True) - y).square().squeeze(1)
    elif distance == "absolute":
        found = (q * (at - y).abs()).sum(dim=1)
    else:
        places, place = torch.unique(at, return_inverse=True)
        masses = q.new_zeros(len(q), len(places)).index_add(1, place, q)
        found = (masses.cumsum(dim=1) - (places >= y).to(wide)).abs().sum(dim=1)
    return losses.masked_scatter(functional.pad(are_numbers, (1, 0)), found)


def griffin_mask(candidates: Tensor, following: Tensor, previous: Tensor | None = None) -> Tensor:
    """Where the next pass of a draft model is trained (GRIFFIN, arXiv 2502.11018).

    A draft model is trained in several passes, each on what the one before it made. A position
    counts in a pass if the true next token was among the draft's ``k`` candidates there in the
    pass before, and if the position before it counted in that pass.

    Args:
        candidates: integer ``[b, t, k]``, the draft's top-k of the pass before, at the position
            that predicts (not at the token, as losses lie). The authors take k = 3.
        following: integer ``[b, t]``, the true next token of each position.
        previous: boolean ``[b, t]``, what this function gave for the pass before; None after the
            first pass, which counts everywhere.

    Returns:
        Boolean ``[b, t]``. Restrict it to the response (``& response``) for the loss, but hand it
        on without that, as the authors do. The first position has none before it.

    Raises:
        ValueError: shapes that do not belong together.
    """
    if candidates.ndim != 3 or candidates.shape[:2] != following.shape:
        raise ValueError(
            f"candidates {tuple(candidates.shape)} do not belong to tokens {tuple(following.shape)}"
        )
    hits = (candidates == following.unsqueeze(-1)).any(dim=-1)
    if previous is None:
        return hits
    if previous.shape != following.shape or previous.dtype != torch.bool:
        raise ValueError(
            f"previous must be boolean {tuple(following.shape)}, got {previous.dtype} "
            f"{tuple(previous.shape)}"
        )
    return hits & functional.pad(previous[:, :-1], (1, 0), value=True)
