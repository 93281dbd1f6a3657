"""How much each sequence, and each token, of an optimiser batch counts."""

from operators.weighting.sample_weights import (
    STRATEGIES,
    Strategy,
    effective_sample_size,
    sample_weights,
    weighted_mean,
)
from operators.weighting.token_selection import excess_losses, select_tokens, sstoken_scores
from operators.weighting.token_weights import focal_factors, rank_factors

__all__ = [
    "STRATEGIES",
    "Strategy",
    "effective_sample_size",
    "excess_losses",
    "focal_factors",
    "rank_factors",
    "sample_weights",
    "select_tokens",
    "sstoken_scores",
    "weighted_mean",
]
