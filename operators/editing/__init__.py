"""Token-level editing of training data."""

from operators.editing.resampling import (
    ResampledSequences,
    candidate_distribution,
    resample_tokens,
)

__all__ = ["ResampledSequences", "candidate_distribution", "resample_tokens"]
