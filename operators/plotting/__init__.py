"""Figures as PNG bytes: arrays in, bytes out, the same bytes for the same arrays."""

from operators.plotting.bars import bars_by_language
from operators.plotting.bead_plot import bead_plot
from operators.plotting.curves import learning_curves
from operators.plotting.histograms import histogram
from operators.plotting.interval_plot import intervals

__all__ = ["bars_by_language", "bead_plot", "histogram", "intervals", "learning_curves"]
