"""Panels of curves are one PNG, the same for the same values, whatever they hold."""

import math
import struct
import warnings

import numpy as np
import pytest

from operators.plotting.curve_panels import Band, curve_panels


def band(start, steps=(0, 10, 20)):
    values = [start - step / 50 for step in steps]
    return Band(list(steps), values, [v - 0.1 for v in values], [v + 0.1 for v in values])


PAGES = {
    "two panels": {"old loss": {"a": band(3), "b": band(2)}, "new loss": {"a": band(4)}},
    "many arms": {"loss": {f"arm {n}": band(n) for n in range(9)}},
    "three panels": {name: {"a": band(1)} for name in "xyz"},
    "long": {"loss": {"a": Band(np.arange(200), np.ones(200), np.zeros(200), np.ones(200))}},
    "a gap": {"loss": {"a": Band([0, 1, 2], [1.0, math.nan, 2.0], [1, math.nan, 2], [1, 1, 2])}},
    "a panel of nothing": {"loss": {"a": Band([], [], [], [])}, "other": {}},
    "nothing": {},
}


@pytest.mark.parametrize("panels", PAGES.values(), ids=PAGES.keys())
def test_a_page_is_a_png_without_warnings_and_the_same_every_time(panels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png = curve_panels(panels, title="t", xlabel="step", levels={"loss": 1.5})
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert 300 < width < 3000
    assert 150 < height < 2000
    assert curve_panels(panels, title="t", xlabel="step", levels={"loss": 1.5}) == png


def test_a_level_is_drawn_where_it_is_asked_for():
    panels = {"loss": {"a": band(3)}}
    plain = curve_panels(panels, title="t", xlabel="step")
    assert curve_panels(panels, title="t", xlabel="step", levels={}) == plain
    assert curve_panels(panels, title="t", xlabel="step", levels={"loss": 2.9}) != plain


def test_a_band_of_other_length_than_its_line_is_refused():
    with pytest.raises(ValueError, match="2 steps have 2 centers, 1 lows and 2 highs"):
        Band([0, 1], [1.0, 2.0], [1.0], [1.0, 2.0])
