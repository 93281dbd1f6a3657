"""The front holds what nothing else beats in both quality and cost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.evaluation.pareto import pareto_front

POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)


def test_a_point_is_on_the_front_unless_another_is_no_worse_in_both():
    costs, losses = [1, 2, 3, 4, 2], [9.0, 5.0, 6.0, 1.0, 7.0]
    assert pareto_front(costs, losses) == [0, 1, 3]
    assert pareto_front(costs, [-loss for loss in losses], better="higher") == [0, 1, 3]


def test_equal_points_are_both_on_it():
    assert pareto_front([2, 1, 1], [3.0, 3.0, 3.0]) == [1, 2]


def test_at_one_cost_it_is_the_best_and_nothing_else():
    assert pareto_front([7, 7, 7], [3.0, 1.0, 2.0]) == [1]
    assert pareto_front([7, 7, 7], [3.0, 1.0, 2.0], better="higher") == [0]


@given(POINTS)
def test_every_other_point_is_beaten_by_one_on_it(points):
    costs, losses = [c for c, _ in points], [loss for _, loss in points]
    front = pareto_front(costs, losses)
    assert [costs[i] for i in front] == sorted(costs[i] for i in front)
    for index, (cost, loss) in enumerate(points):
        beaten = any(
            costs[i] <= cost and losses[i] <= loss and (costs[i], losses[i]) != (cost, loss)
            for i in front
        )
        assert beaten == (index not in front)


def test_no_points_have_no_front():
    assert pareto_front([], []) == []


@pytest.mark.parametrize(("costs", "losses"), [([1], [1, 2]), ([np.nan], [1]), ([1], [np.inf])])
def test_what_cannot_be_ordered_is_refused(costs, losses):
    with pytest.raises(ValueError, match=r"costs"):
        pareto_front(costs, losses)
