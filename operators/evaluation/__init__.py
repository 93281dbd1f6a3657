"""Score language models: in bits per byte, by token frequency, and against each other."""

from operators.evaluation.bits_per_byte import bits_per_byte
from operators.evaluation.bootstrap import ArmComparison, Verdict, paired_bootstrap, verdict
from operators.evaluation.frequency_bins import frequency_bins, loss_by_bin

__all__ = [
    "ArmComparison",
    "Verdict",
    "bits_per_byte",
    "frequency_bins",
    "loss_by_bin",
    "paired_bootstrap",
    "verdict",
]
