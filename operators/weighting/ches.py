"""CHES: which preference pairs are likely to make the chosen response *less* likely.

Source: Razin et al. 2025, "Unintentional Unalignment" (ICLR, arXiv 2410.08847), and the authors'
code. Where the hidden states of a chosen and a rejected response are alike, pushing the one down
takes the other with it (likelihood displacement): such pairs are left out.
"""

import torch
from torch import Tensor

from operators.weighting.token_selection import kept_count


def ches_scores(
    chosen_hidden: Tensor,
    rejected_hidden: Tensor,
    chosen_scored: Tensor,
    rejected_scored: Tensor,
    *,
    length_normalised: bool = False,
) -> Tensor:
    """``<H+, H-> - ||H+||^2`` of each pair; higher is more likely to displace.

    ``H`` sums the hidden states from which the tokens of a response are predicted: from the last
    token of the prompt to the one before the last of the response.

    Args:
        chosen_hidden: ``[n, t, d]``, of the last layer, at each token.
        rejected_hidden: ``[n, u, d]``.
        chosen_scored: boolean ``[n, t]``, the tokens of the response; index 0 is never one of
            them, whatever it says.
        rejected_scored: boolean ``[n, u]``.
        length_normalised: ``<H+, H-> / (|y+| |y-|) - ||H+||^2 / |y+|^2`` instead.

    Returns:
        ``[n]``, float64, without a gradient. A response without tokens has ``H = 0``.

    Raises:
        ValueError: shapes that do not belong together.
    """
    sums, lengths = [], []
    for hidden, scored in ((chosen_hidden, chosen_scored), (rejected_hidden, rejected_scored)):
        if hidden.ndim != 3 or hidden.shape[:2] != scored.shape or scored.dtype != torch.bool:
            raise ValueError(
                f"hidden states {tuple(hidden.shape)} do not belong to a mask "
                f"{tuple(scored.shape)} of {scored.dtype}"
            )
        # Token j is predicted from the state at j - 1.
        mask = scored[:, 1:].unsqueeze(-1)
        states = hidden[:, :-1].detach().double()
        sums.append(states.masked_fill(~mask, 0.0).sum(dim=1))
        lengths.append(mask.sum(dim=(1, 2)).clamp(min=1).double())
    chosen, rejected = sums
    if chosen.shape != rejected.shape:
        raise ValueError(
            f"chosen {tuple(chosen_hidden.shape)} and rejected {tuple(rejected_hidden.shape)} "
            "hidden states are not of the same pairs and width"
        )
    if length_normalised:
        chosen, rejected = chosen / lengths[0].unsqueeze(1), rejected / lengths[1].unsqueeze(1)
    return (chosen * rejected).sum(dim=1) - chosen.square().sum(dim=1)


def least_displacing(scores: Tensor, share: float) -> Tensor:
    """The ``ceil(share * n)`` pairs with the lowest scores; of equal ones the first.

    Args:
        scores: ``[n]``, of `ches_scores`.
        share: in ``(0, 1]``; 1 keeps all. The paper's experiment on safety keeps 0.05.

    Returns:
        Boolean ``[n]``.

    Raises:
        ValueError: scores of another shape or with a NaN, or a share out of range.
    """
    if scores.ndim != 1 or scores.isnan().any():
        raise ValueError(f"scores must be a vector without NaN, got {tuple(scores.shape)}")
    if not 0 < share <= 1:
        raise ValueError(f"share must be > 0 and <= 1, got {share}")
    kept = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    kept[scores.argsort(stable=True)[: kept_count(share, scores.numel())]] = True
    return kept
