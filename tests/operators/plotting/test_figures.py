"""Figures must be PNGs, the same for the same arrays, whatever the data hold."""

import io
import math
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from operators.plotting import (
    alignment_timeline,
    bars_by_language,
    histogram,
    intervals,
    kept_and_dropped,
    learning_curves,
)
from operators.plotting.canvas import COLOURS

REPOSITORY = Path(__file__).parents[3]
NAN = math.nan

FIGURES = {
    "bars": lambda: bars_by_language(
        {"eng_Latn": 1.0, "deu_Latn": 2.1, "mya_Mymr": NAN},
        title="t", ylabel="y", reference_line=1,
    ),
    "bars_below_zero": lambda: bars_by_language({"en": -1.0, "de": 2.0}, title="t", ylabel="y"),
    "bars_of_nan_only": lambda: bars_by_language({"en": NAN}, title="t", ylabel="y"),
    "bars_of_many": lambda: bars_by_language(
        {f"language_{i}": i for i in range(80)}, title="t", ylabel="y"
    ),
    "bars_of_none": lambda: bars_by_language({}, title="t", ylabel="y", reference_line=1),
    "intervals": lambda: intervals(
        ["base", "a", "b"], [0, -2, 3], [0, -3, -1], [0, -1, 4], title="t", xlabel="x"
    ),
    "intervals_without_zero": lambda: intervals(
        ["a"], [1.0], [0.9], [1.1], title="t", xlabel="x", zero_line=False
    ),
    "scores": lambda: kept_and_dropped([1.0, 0.9, NAN], [0.1], title="t", xlabel="x"),
    "scores_of_none": lambda: kept_and_dropped([], [NAN], title="t", xlabel="x"),
    "timeline": lambda: alignment_timeline(
        [(0, 0.0, 1.5, True), (3, 2.0, 3.0, False)], [(0.0, 0.4), (2.0, 2.2)], title="t"
    ),
    "timeline_of_words_only": lambda: alignment_timeline([], [(0.0, 0.4)], title="t"),
    "timeline_of_none": lambda: alignment_timeline([], [], title="t"),
    "intervals_of_none": lambda: intervals([], [], [], [], title="t", xlabel="x"),
    "curves": lambda: learning_curves(
        {f"arm {i}": ([0, 10, 20], [3.0, NAN, 1.0 + i]) for i in range(9)},
        title="t", xlabel="x", ylabel="y",
    ),
    "curves_of_arrays": lambda: learning_curves(
        {"a": (np.arange(100), np.ones(100)), "b": ([], [])}, title="t", xlabel="x", ylabel="y"
    ),
    "curves_of_none": lambda: learning_curves({}, title="t", xlabel="x", ylabel="y"),
    "histogram": lambda: histogram(np.arange(50.0), bins=10, title="t", xlabel="x"),
    "histogram_log": lambda: histogram([1, 1, 1, 9], bins=4, title="t", xlabel="x", log=True),
    "histogram_of_one_value": lambda: histogram([3, 3], bins=4, title="t", xlabel="x"),
    "histogram_with_infinity": lambda: histogram([1, math.inf, NAN], bins=4, title="", xlabel="x"),
    "histogram_of_none": lambda: histogram([], bins=4, title="t", xlabel="x"),
}  # fmt: skip


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES.keys())
def test_a_figure_is_a_png_without_warnings_and_the_same_every_time(draw):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png = draw()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert 300 < width < 3000
    assert 150 < height < 2000
    assert draw() == png


def test_a_png_must_not_name_the_version_that_drew_it():
    png = FIGURES["curves"]()
    assert b"Software" not in png
    assert b"matplotlib" not in png.lower()


def test_different_values_give_different_figures():
    one = bars_by_language({"en": 1.0}, title="t", ylabel="y")
    assert bars_by_language({"en": 2.0}, title="t", ylabel="y") != one


def test_a_dollar_in_a_name_starts_no_formula():
    # As a formula, this one could not be parsed.
    intervals(["$\\frac{$", "b"], [1, 2], [0, 1], [2, 3], title="$\\x$", xlabel="$")


def test_the_users_style_must_not_change_a_figure_nor_the_figure_the_users_style():
    import matplotlib as mpl

    plain = FIGURES["intervals"]()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert FIGURES["intervals"]() == plain
        assert mpl.rcParams["font.size"] == 30


def test_drawing_must_not_load_pyplot():
    script = (
        "import sys; from operators.plotting import histogram;"
        "assert 'matplotlib' not in sys.modules;"
        "histogram([1, 2], bins=2, title='', xlabel='');"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: intervals(["a"], [1], [1], [], title="", xlabel=""), "0 highs"),
        (lambda: intervals(["a"], [1], [2], [0], title="", xlabel=""), "'a' runs from 2 down to 0"),
        (lambda: learning_curves({"a": ([1], [])}, title="", xlabel="", ylabel=""), "'a' has 1"),
        (lambda: histogram([1], bins=0, title="", xlabel=""), "bins is 0"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_what_is_better_is_blue_on_either_side_of_zero():
    def drawn(low, high, good):
        return intervals(["a"], [(low + high) / 2], [low], [high], title="", xlabel="", good=good)

    def has(png, colour):
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)
        wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        return bool((np.abs(pixels.astype(int) - wanted).max(axis=1) < 3).any())

    blue, vermilion = COLOURS[:2]
    for low, high, good, colour in (
        (-2, -1, "below", blue), (1, 2, "below", vermilion),
        (-2, -1, "above", vermilion), (1, 2, "above", blue),
    ):  # fmt: skip
        assert has(drawn(low, high, good), colour)
    assert not any(has(drawn(-1, 1, "above"), colour) for colour in (blue, vermilion))
