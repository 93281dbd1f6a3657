"""Bars beside their names: a picture, the same for the same counts, also of nothing."""

import io

import matplotlib.image
import pytest

from operators.plotting import tallies


def size(png):
    return matplotlib.image.imread(io.BytesIO(png)).shape[:2]


def test_the_same_counts_give_the_same_bytes():
    counts = {"too_short": 1200, "near_duplicate": 3}
    first = tallies(counts, title="dropped", xlabel="rows")
    assert first.startswith(b"\x89PNG")
    assert tallies(counts, title="dropped", xlabel="rows") == first
    assert tallies({**counts, "too_short": 1201}, title="dropped", xlabel="rows") != first


@pytest.mark.parametrize("names", [0, 1, 24])
def test_a_figure_grows_with_the_names_and_long_ones_have_room(names):
    counts = {f"duplicate_paragraph_character_fraction_too_high_{n}": n for n in range(names)}
    height, width = size(tallies(counts, title="dropped", xlabel="rows"))
    assert 150 < width < 2000
    assert height > 35 * names
