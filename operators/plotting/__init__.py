"""Figures as PNG bytes: arrays in, bytes out, the same bytes for the same arrays."""

from operators.plotting.bar_panels import bar_panels
from operators.plotting.bars import bars_by_language
from operators.plotting.bead_plot import bead_plot
from operators.plotting.curves import learning_curves
from operators.plotting.densities import histogram_with_density
from operators.plotting.histograms import histogram
from operators.plotting.interval_plot import intervals
from operators.plotting.scatter import scatter_groups
from operators.plotting.spoken import alignment_timeline, kept_and_dropped
from operators.plotting.tallies import tallies
from operators.plotting.vocabularies import before_and_after, size_laws

__all__ = [
    "alignment_timeline",
    "bar_panels",
    "bars_by_language",
    "bead_plot",
    "before_and_after",
    "histogram",
    "histogram_with_density",
    "intervals",
    "kept_and_dropped",
    "learning_curves",
    "scatter_groups",
    "size_laws",
    "tallies",
]
