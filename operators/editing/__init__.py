"""Token-level editing of training data."""

from operators.editing.drawing import SamplingRule, candidate_distribution
from operators.editing.resampling import ResampledSequences, resample_tokens

__all__ = ["ResampledSequences", "SamplingRule", "candidate_distribution", "resample_tokens"]
