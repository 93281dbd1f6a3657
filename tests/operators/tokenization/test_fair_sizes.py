"""The power law of token counts, the sizes it gives, and the test of their variance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.tokenization.fair_sizes import (
    choose_target,
    fair_sizes,
    fit_power_law,
    variance_test,
)

SIZES = [8192, 16384, 32768, 65536]


def counts(b=-0.12, at_first=100_000):
    return {size: at_first * (size / 8192) ** b for size in SIZES}


def test_power_law_oracle():
    law = fit_power_law(SIZES, list(counts().values()))
    assert law.a == pytest.approx(294853.84, abs=0.01)
    assert law.b == pytest.approx(-0.12)
    assert law.r_squared == pytest.approx(1)
    assert law.vocab_size(80_000) == pytest.approx(52598.5, abs=0.1)
    assert law.tokens(52598.5) == pytest.approx(80_000, abs=0.1)


@given(st.floats(1, 1e6), st.floats(-1, -0.01), st.integers(300, 10**6))
def test_size_and_tokens_are_inverse(at_first, b, size):
    law = fit_power_law(SIZES, list(counts(b, at_first).values()))
    assert law.vocab_size(law.tokens(size)) == pytest.approx(size, rel=1e-6)


def test_the_fit_is_least_squares_in_logarithms():
    generator = np.random.default_rng(0)
    tokens = np.array(list(counts().values())) * generator.uniform(0.9, 1.1, len(SIZES))
    law = fit_power_law(SIZES, tokens)
    b, intercept = np.polyfit(np.log(SIZES), np.log(tokens), 1)
    assert (law.b, math.log(law.a)) == pytest.approx((b, intercept))
    assert 0 < law.r_squared < 1


@pytest.mark.parametrize(
    ("sizes", "tokens", "message"),
    [
        ([8192], [10], "lat: a law needs two different sizes"),
        ([8192, 8192], [10, 9], "two different sizes"),
        ([], [], "two different sizes"),
        ([8192, 16384], [10, 11], r"do not fall with the vocabulary size \(b = 0.1375"),
        ([8192, 16384], [10, 10], "do not fall"),
        ([8192, 16384], [10, 0], "must be > 0"),
        ([8192, 16384], [10, math.nan], "must be > 0"),
        ([0, 16384], [10, 9], "must be > 0"),
        ([8192], [10, 9], "1 sizes have 2 token counts"),
    ],
)
def test_counts_without_a_law_are_refused_by_language(sizes, tokens, message):
    with pytest.raises(ValueError, match=message):
        fit_power_law(sizes, tokens, "lat")


# --- sizes --------------------------------------------------------------------------------------


def test_fair_sizes_oracle():
    (fair,) = fair_sizes({"lat": counts()}, 80_000).values()
    assert fair.vocab_size == 52599  # of 52598.503
    assert fair.wanted == pytest.approx(52598.5, abs=0.1)
    assert fair.expected_tokens == pytest.approx(80_000, rel=1e-5)
    assert not fair.clamped
    assert not fair.extrapolated


def test_every_language_reaches_the_target_at_its_own_size():
    tokens = {"a": counts(-0.1), "b": counts(-0.2, 130_000), "c": counts(-0.05, 85_000)}
    chosen = fair_sizes(tokens, 84_000, largest=10**9)
    assert list(chosen) == ["a", "b", "c"]
    assert len({fair.vocab_size for fair in chosen.values()}) == 3
    for fair in chosen.values():
        assert fair.expected_tokens == pytest.approx(84_000, rel=1e-3)


@pytest.mark.parametrize(
    ("target", "size", "clamped", "extrapolated"),
    [(1, 262_144, True, True), (1e9, 257, True, True), (100_000, 8192, False, False),
     (95_000, 12_561, False, False), (1e-300, 262_144, True, True)],
)  # fmt: skip
def test_sizes_are_clamped_and_say_so(target, size, clamped, extrapolated):
    (fair,) = fair_sizes({"lat": counts()}, target).values()
    assert (fair.vocab_size, fair.clamped, fair.extrapolated) == (size, clamped, extrapolated)


def test_sizes_are_rounded_to_multiples_within_the_bounds():
    options = {"smallest": 1000, "multiple_of": 512}
    (fair,) = fair_sizes({"lat": counts()}, 80_000, **options).values()
    assert fair.vocab_size == 103 * 512  # 52598.5 is 102.7 of them
    assert not fair.clamped
    (lowest,) = fair_sizes({"lat": counts()}, 1e9, **options).values()
    assert lowest.vocab_size == 1024
    (highest,) = fair_sizes({"lat": counts()}, 1, largest=10_000, **options).values()
    assert highest.vocab_size == 19 * 512


def test_each_language_may_have_its_own_largest_size():
    tokens = {"a": counts(), "b": counts()}
    chosen = fair_sizes(tokens, 1, largest={"a": 20_000, "b": 30_000})
    assert [fair.vocab_size for fair in chosen.values()] == [20_000, 30_000]


def test_a_nearly_flat_law_is_clamped_not_an_overflow():
    (fair,) = fair_sizes({"lat": counts(-1e-6)}, 50_000).values()
    assert fair.wanted == math.inf
    assert fair.vocab_size == 262_144


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 0}, "target of 0 tokens"), ({"target": math.nan}, "target of nan"),
        ({"multiple_of": 0}, "multiple_of is 0"),
        ({"smallest": 300, "largest": 299}, "lat: no multiple of 1"),
        ({"smallest": 513, "largest": 1000, "multiple_of": 512}, "no multiple of 512"),
    ],
)  # fmt: skip
def test_bounds_and_targets_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        fair_sizes({"lat": counts()}, **({"target": 80_000} | options))


def test_a_rising_language_is_named():
    with pytest.raises(ValueError, match="fin: token counts do not fall"):
        fair_sizes({"lat": counts(), "fin": counts(0.1)}, 80_000)


def test_targets():
    tokens = {"a": 30.0, "eng_Latn": 10.0, "b": 40.0}
    assert choose_target(tokens, "median", "eng_Latn") == 30
    assert choose_target(tokens, "reference", "eng_Latn") == 10
    assert choose_target(tokens, 17, "eng_Latn") == 17


@pytest.mark.parametrize(
    ("tokens", "target", "message"),
    [({}, "median", "no language"), ({"a": 1.0}, "reference", "'eng_Latn' is not among"),
     ({"a": 1.0}, "mean", "target is 'mean'"), ({"a": 1.0}, 0, "target is 0")],
)  # fmt: skip
def test_targets_that_cannot_be_chosen_are_refused(tokens, target, message):
    with pytest.raises(ValueError, match=message):
        choose_target(tokens, target, "eng_Latn")


# --- variance -----------------------------------------------------------------------------------


def test_the_f_test_of_the_paper():
    """F(96, 96) = 1.125 has p = 0.565 (Arnett et al. 2025), so it is two-sided."""
    generator = np.random.default_rng(0)
    after = generator.normal(size=97)
    before = math.sqrt(1.125) * after
    test = variance_test(before, after)
    assert test.f == pytest.approx(1.125)
    assert test.degrees_of_freedom == (96, 96)
    assert test.p_value == pytest.approx(0.565, abs=5e-4)
    turned = variance_test(after, before)
    assert turned.f == pytest.approx(1 / 1.125)
    assert turned.p_value == pytest.approx(test.p_value)


def test_a_variance_that_fell_a_lot_is_significant():
    spread = np.arange(20.0)
    test = variance_test(spread * 10, spread)
    assert test.f == pytest.approx(100)
    assert test.p_value < 1e-9
    assert test.variance_after == pytest.approx(35.0)


@pytest.mark.parametrize("ratio", [0.5, 0.9, 1.0, 1.3, 1.5, 4.0])
def test_the_interval_of_the_log_ratio_says_what_the_p_value_says(ratio):
    spread = np.random.default_rng(0).normal(size=61)
    test = variance_test(math.sqrt(ratio) * spread, spread)
    for confidence in (0.8, 0.95, 0.99):
        low, high = test.log_interval(confidence)
        assert low < math.log(test.f) < high
        assert (low > 0 or high < 0) == (test.p_value < 1 - confidence)


def test_equal_variances_have_p_1_and_none_left_has_p_0():
    assert variance_test([1, 2, 3], [5, 6, 7]).p_value == pytest.approx(1)
    gone = variance_test([1, 2, 3], [5, 5, 5])
    assert (gone.f, gone.p_value) == (math.inf, 0.0)


@pytest.mark.parametrize(
    ("before", "after"), [([1], [1, 2]), ([], []), ([1, math.nan], [1, 2]), ([1, 1], [2, 2])]
)
def test_samples_without_a_variance_are_refused(before, after):
    with pytest.raises(ValueError, match=r"variance|finite"):
        variance_test(before, after)
