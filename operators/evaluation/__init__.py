"""Score language models: in bits per byte, by token frequency, and against each other."""

from operators.evaluation.bits_per_byte import bits_per_byte
from operators.evaluation.bootstrap import ArmComparison, Verdict, compare_arms, verdict
from operators.evaluation.frequency_bins import frequency_bins, loss_by_bin
from operators.evaluation.paired_draws import PairedScores

__all__ = [
    "ArmComparison",
    "PairedScores",
    "Verdict",
    "bits_per_byte",
    "compare_arms",
    "frequency_bins",
    "loss_by_bin",
    "verdict",
]
