from operators.plotting.scatter import scatter_groups
from operators.plotting.tallies import tallies

__all__ = [
    "bars_by_language",
    "histogram",
    "histogram_with_density",
    "intervals",
    "learning_curves",
    "scatter_groups",
    "tallies",
]
