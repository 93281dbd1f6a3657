"""Figures for a phone: never wider than one, whatever the names are, and nothing left out."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from operators.plotting.curve_panels import Band, curve_panels
from operators.plotting.interval_plot import intervals
from operators.plotting.pareto_plot import ParetoPoint, pareto_panels

LONG = "an arm with a name that nobody would call short (addition/digits 3/carries 1 and more)"
BAND = Band([0, 10, 20], [3.0, 2.0, 1.0], [2.9, 1.9, 0.9], [3.1, 2.1, 1.1])
POINTS = [ParetoPoint(LONG, 1e6, 2.1, 2.0, 2.2), ParetoPoint("b", 2e6, 1.9, 1.8, 2.0)]
DRAWN = {
    "intervals": lambda: intervals(
        [LONG, "b", "c"], [1, 2, 0], [0.5, 1, 0], [2, 3, 0],
        title=f"Difference to {LONG}", xlabel="bits per byte; left of zero is better",
        narrow=True,
    ),
    "intervals of nothing": lambda: intervals(
        [], [], [], [], title="t", xlabel="x", narrow=True
    ),
    "curves": lambda: curve_panels(
        {f"loss of {LONG}": {LONG: BAND, "b": BAND}, "other": {"b": BAND}},
        title=f"Losses of {LONG}", xlabel="step", narrow=True,
    ),
    "curves of nothing": lambda: curve_panels({}, title="t", xlabel="x", narrow=True),
    "pareto": lambda: pareto_panels(
        {"tokens": POINTS, "FLOPs": POINTS},
        title="Quality against cost", ylabel="difference, bits per byte", better="lower",
        narrow=True,
    ),
}  # fmt: skip


def size(png):
    return Image.open(io.BytesIO(png)).size


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN.keys())
def test_a_narrow_figure_has_the_width_of_a_phone_and_the_same_bytes_each_time(draw):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png = draw()
    assert 500 <= size(png)[0] <= 600  # 3.5 inches at 150 dots and a margin
    assert draw() == png


def test_a_row_more_makes_a_narrow_figure_higher_and_not_wider():
    def drawn(rows):
        return size(
            intervals(
                [f"{LONG} {row}" for row in range(rows)], [1] * rows, [0.5] * rows, [2] * rows,
                title="t", xlabel="x", narrow=True,
            )
        )  # fmt: skip

    (width, height), (wider, higher) = drawn(4), drawn(12)
    assert wider <= width + 2
    assert higher > 2 * height


def test_names_stand_above_their_rows_and_the_axes_take_the_whole_width():
    def width_of_the_row(narrow):
        png = intervals(
            ["from the right (digits 3/carries 1)"], [-1.0], [-2.0], [-0.5],
            title="t", xlabel="x", narrow=narrow,
        )  # fmt: skip
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
        return (np.abs(pixels - (0x00, 0x72, 0xB2)).max(axis=2) < 3).any(axis=0).mean()

    assert width_of_the_row(narrow=True) > 0.6
    assert width_of_the_row(narrow=False) < 0.6
