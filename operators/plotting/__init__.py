"""Figures as PNG bytes: arrays in, bytes out, the same bytes for the same arrays."""

from operators.plotting.bars import bars_by_language
from operators.plotting.curves import learning_curves
from operators.plotting.histograms import histogram
from operators.plotting.interval_plot import intervals
from operators.plotting.spoken import alignment_timeline, kept_and_dropped

__all__ = [
    "alignment_timeline",
    "bars_by_language",
    "histogram",
    "intervals",
    "kept_and_dropped",
    "learning_curves",
]
