"""Points of groups, and a distribution beside a density."""

import numpy as np
import pytest

from operators.plotting import histogram_with_density, scatter_groups

LABELS = {"title": "t", "xlabel": "x"}


def scatter(points, groups, kinds):
    return scatter_groups(points, groups, kinds, ylabel="y", **LABELS)


def density(values):
    return histogram_with_density(values, lambda x: 2 * x, bins=10, label="target", **LABELS)


@pytest.mark.parametrize("size", [0, 1, 40])
def test_figures_are_png_and_the_same_every_time(size):
    points = np.random.default_rng(0).normal(size=(size, 2))
    groups, kinds = [f"group {k % 2}" for k in range(size)], [k % 10 for k in range(size)]
    for make in (lambda: scatter(points, groups, kinds), lambda: density(abs(points[:, 0]) % 1)):
        assert make() == make()
        assert make().startswith(b"\x89PNG")


def test_a_point_without_a_group_is_refused():
    with pytest.raises(ValueError, match="2 points, 1 groups"):
        scatter([[0, 0], [1, 1]], ["a"], [0, 0])
