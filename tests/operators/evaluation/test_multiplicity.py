"""Corrected comparisons lie between no correction and the worst case, and hold together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from operators.evaluation.multiplicity import joint_level, joint_p_values, tail_levels

DRAWS = arrays(np.float64, st.tuples(st.integers(20, 60), st.integers(1, 5)),
               elements=st.floats(-5, 5))  # fmt: skip


def normal(comparisons, draws=4000, share=0.0):
    """Draws that have `share` of their variance in common."""
    chance = np.random.default_rng(0)
    own = chance.normal(size=(draws, comparisons))
    return np.sqrt(1 - share) * own + np.sqrt(share) * chance.normal(size=(draws, 1))


def test_levels_are_uniform_and_smallest_at_both_ends():
    levels = tail_levels(np.arange(100.0)[:, None])[:, 0]
    assert (levels[0], levels[99]) == (0.02, 0.02)
    assert (levels <= 0.05).sum() == 4
    assert levels.max() == 1.0


def test_a_comparison_that_does_not_vary_is_never_far_out():
    draws = np.concatenate([np.zeros((200, 1)), normal(1, 200)], axis=1)
    assert (tail_levels(draws)[:, 0] == 1).all()
    assert joint_level(draws, 0.1) == pytest.approx(0.1, abs=0.01)


@settings(deadline=None)
@given(DRAWS, st.floats(0.02, 0.4))
def test_the_level_lies_between_bonferroni_and_no_correction(draws, error):
    level = joint_level(draws, error)
    assert error / draws.shape[1] <= level <= error
    if draws.shape[1] == 1:
        assert level == error


def test_independent_comparisons_need_the_level_of_sidak():
    assert joint_level(normal(5), 0.05) == pytest.approx(1 - 0.95 ** (1 / 5), rel=0.15)


def test_comparisons_that_go_together_need_less():
    levels = [joint_level(normal(5, share=share), 0.05) for share in (0.0, 0.5, 0.95, 1.0)]
    assert levels == sorted(levels)
    assert levels[-1] == 0.05


def test_against_a_common_control_it_is_the_critical_value_of_dunnett():
    # Dunnett's two-sided critical value for 3 treatments, many degrees of freedom: 2.35.
    from scipy.stats import norm

    level = joint_level(normal(3, draws=40000, share=0.5), 0.05)
    assert norm.isf(level / 2) == pytest.approx(2.35, abs=0.03)


def test_another_scale_of_a_comparison_changes_nothing():
    draws = normal(4, draws=500)
    assert joint_level(draws * [1, 100, 1e-6, 3], 0.05) == joint_level(draws, 0.05)


@settings(deadline=None)
@given(DRAWS, st.integers(0, 99))
def test_corrected_p_values_lie_between_their_own_and_those_of_bonferroni(draws, seed):
    alone = np.random.default_rng(seed).uniform(0, 1, draws.shape[1])
    together = joint_p_values(draws, alone)
    assert (together >= alone).all()
    assert (together <= np.minimum(1, draws.shape[1] * alone)).all()


def test_p_values_of_independent_comparisons_are_those_of_sidak():
    together = joint_p_values(normal(3), [0.01, 0.2, 0.9])
    assert together == pytest.approx([1 - 0.99**3, 1 - 0.8**3, 1 - 0.1**3], rel=0.1)


def test_a_verdict_by_the_level_is_one_by_the_p_value():
    draws = normal(4, draws=1000, share=0.3)
    level = joint_level(draws, 0.05)
    for alone in (level * 0.8, level * 1.2):
        corrected = joint_p_values(draws, [alone, 0.5, 0.5, 0.5])[0]
        assert (corrected < 0.05) == (alone < level)


def test_no_comparison_at_all_needs_no_correction():
    nothing = np.zeros((10, 0))
    assert joint_level(nothing, 0.05) == 0.05
    assert joint_p_values(nothing, []).shape == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tail_levels(np.zeros(5)), "must be"),
        (lambda: tail_levels(np.zeros((0, 2))), "must be"),
        (lambda: joint_level(np.zeros((5, 2)), 0.0), "error is 0.0"),
        (lambda: joint_p_values(np.zeros((5, 2)), [0.5]), "2 comparisons"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
