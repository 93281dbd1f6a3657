"""Power laws are drawn on logarithmic axes, and gaps are shown instead of failing."""

import pytest

from operators.plotting.power_laws import Fitted, power_laws

LAW = Fitted([64, 128, 256], [8.0, 11.5, 16.0], [8.0, 11.3, 16.0])
LABELS = {"title": "Surprisals over distance", "xlabel": "tokens"}


@pytest.mark.parametrize(
    "panels",
    [
        {},
        {"empty": {}},
        {"no scale": {"text": Fitted([], [], [])}},
        {"one point": {"text": Fitted([64], [8.0], [])}},
        {"R/S": {"text: H = 0.50": LAW, "shuffled": LAW}, "J": {"text": LAW}},
    ],
)
def test_figures_are_png_and_the_same_every_time(panels):
    made = power_laws(panels, **LABELS)
    assert made.startswith(b"\x89PNG")
    assert power_laws(panels, **LABELS) == made


@pytest.mark.parametrize(("values", "line"), [([1.0], []), ([1.0, 2.0], [1.0])])
def test_points_and_line_that_do_not_fit_are_refused(values, line):
    with pytest.raises(ValueError, match="2 scales have"):
        Fitted([1, 2], values, line)
