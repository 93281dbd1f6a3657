"""Sample weighting: how much each sequence of an optimiser batch counts."""

from operators.weighting.sample_weights import (
    STRATEGIES,
    Strategy,
    effective_sample_size,
    sample_weights,
    weighted_mean,
)

__all__ = ["STRATEGIES", "Strategy", "effective_sample_size", "sample_weights", "weighted_mean"]
