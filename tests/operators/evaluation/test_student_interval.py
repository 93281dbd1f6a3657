"""Student's t interval is scipy's, wide at few values, and claims nothing of one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from operators.evaluation.student_interval import student_interval, student_p_value

VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=8)


def test_three_values_have_the_interval_of_the_tables():
    found = student_interval([1.0, 2.0, 3.0])
    reach = 4.302652729911275 / math.sqrt(3)  # t of two degrees of freedom at 97.5 %
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, 2 - reach, 2 + reach))


@given(VALUES, st.floats(0.5, 0.99))
def test_it_is_the_interval_of_the_one_sample_t_test(values, confidence):
    if np.std(values) < 1e-6:
        return
    expected = ttest_1samp(values, 0.0).confidence_interval(confidence)
    found = student_interval(values, confidence=confidence)
    assert (found.low, found.high) == pytest.approx(tuple(expected), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e-9])
def test_equal_values_have_exactly_themselves_as_the_interval(value):
    found = student_interval([value] * 3)
    assert (found.mean, found.low, found.high) == (value, value, value)


def test_one_value_has_a_mean_and_no_interval():
    found = student_interval([1.5])
    assert found.mean == 1.5
    assert math.isnan(found.low)
    assert math.isnan(found.high)


@pytest.mark.parametrize(("values", "confidence"), [([], 0.95), ([[1.0]], 0.95), ([1.0, 2.0], 1.0)])
def test_what_has_no_interval_is_refused(values, confidence):
    with pytest.raises(ValueError, match="must be"):
        student_interval(values, confidence=confidence)


@given(VALUES)
def test_the_p_value_is_that_of_the_one_sample_t_test(values):
    if np.std(values) < 1e-6:
        return
    assert student_p_value(values) == pytest.approx(ttest_1samp(values, 0.0).pvalue, abs=1e-12)


def test_equal_values_have_p_0_unless_they_are_0_and_one_value_has_none():
    assert student_p_value([0.0, 0.0]) == 1.0
    assert student_p_value([0.1, 0.1, 0.1]) == 0.0
    assert math.isnan(student_p_value([2.0]))
    with pytest.raises(ValueError, match="must be"):
        student_p_value([])
