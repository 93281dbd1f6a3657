"""The test of Pitman and Morgan: its correlation, its interval, and what it must not say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from operators.tokenization.fair_sizes import variance_test
from operators.tokenization.paired_variances import paired_variance_test

pairs = st.builds(
    lambda seed, count, common, scale: (
        (x := np.random.default_rng(seed).normal(size=(count, 3)))[:, 0] + common * x[:, 2],
        scale * (x[:, 1] + common * x[:, 2]),
    ),
    st.integers(0, 1000), st.integers(4, 40), st.floats(0, 5), st.floats(0.2, 5),
)  # fmt: skip


@given(pairs)
def test_it_is_the_test_of_the_correlation_between_sums_and_differences(
    sample: tuple[np.ndarray, np.ndarray],
) -> None:
    before, after = sample
    expected = stats.pearsonr(before + after, before - after).pvalue
    assert paired_variance_test(before, after).p_value == pytest.approx(expected, rel=1e-6)


@given(pairs, st.floats(0.5, 0.99))
def test_the_interval_leaves_out_zero_just_where_the_p_value_says_so(
    sample: tuple[np.ndarray, np.ndarray], confidence: float
) -> None:
    test = paired_variance_test(*sample, confidence)
    assert (test.low > 0 or test.high < 0) == (test.p_value < 1 - confidence)
    turned = paired_variance_test(*reversed(sample), confidence)
    assert (turned.low, turned.high) == pytest.approx((-test.high, -test.low))


def test_the_interval_holds_the_true_ratio_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(2000):
        common = generator.normal(size=20)
        before = 3 * (common + 0.3 * generator.normal(size=20))
        after = common + 0.3 * generator.normal(size=20)
        test = paired_variance_test(before, after)
        held += test.low <= math.log(9) <= test.high
    # Three standard errors of 2,000 trials.
    assert abs(held / 2000 - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 2000)


def test_pairs_that_have_much_in_common_show_what_the_f_test_cannot() -> None:
    generator = np.random.default_rng(2)
    before = generator.normal(100, 20, size=40)
    after = 100 + 0.8 * (before - 100) + generator.normal(size=40)
    assert variance_test(before, after).p_value > 0.05
    test = paired_variance_test(before, after)
    assert test.p_value < 1e-9
    assert test.low < 2 * math.log(1 / 0.8) < test.high


def test_the_same_values_twice_are_no_difference() -> None:
    test = paired_variance_test([1, 2, 4], [1, 2, 4])
    assert (test.log_ratio, test.low, test.high) == pytest.approx((0, 0, 0), abs=1e-6)
    assert test.p_value == 1


def test_twice_the_same_values_differ_for_certain() -> None:
    test = paired_variance_test([2, 4, 8], [1, 2, 4])
    assert test.log_ratio == pytest.approx(math.log(4))
    assert test.p_value == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ([1, 2, 3], [1, 2], "no pairs"),
        ([1, 2], [1, 2], "too few"),
        ([1, 2, math.nan], [1, 2, 3], "not finite"),
        ([1, 2, 3], [5, 5, 5], "does not vary"),
    ],
)
def test_what_is_no_sample_of_pairs_is_refused(
    before: list[float], after: list[float], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        paired_variance_test(before, after)
