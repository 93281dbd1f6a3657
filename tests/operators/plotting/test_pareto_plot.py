"""The Pareto plot is one PNG, whatever it is given."""

import pytest

from operators.plotting.pareto_plot import ParetoPoint, pareto_panels

POINTS = [ParetoPoint("plain", 1e6, 2.1, 2.0, 2.2), ParetoPoint("a$b", 2e6, 1.9, 1.8, 2.0)]


@pytest.mark.parametrize(
    "panels", [{}, {"tokens": POINTS}, {"tokens": POINTS, "FLOPs": POINTS[:1]}, {"tokens": []}]
)
@pytest.mark.parametrize("better", ["lower", "higher"])
def test_it_is_a_png_and_the_same_bytes_each_time(panels, better):
    png, again = (
        pareto_panels(panels, title="Quality", ylabel="bits per byte", better=better)
        for _ in range(2)
    )
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png == again
