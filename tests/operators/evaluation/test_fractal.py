"""Exponents of known series come out, and no measure looks across the end of a document."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.evaluation.fractal import (
    doubling,
    fit,
    h_b,
    holder,
    joseph,
    normalised,
    rescaled_range,
    shuffled,
)

SCALES = doubling(64, 4096)
NOISE = normalised(np.random.default_rng(0).standard_normal(2**15))


def persistent(length, seed):
    """Noise with long memory: a sum of processes that forget at many speeds."""
    chance = np.random.default_rng(seed)
    frequencies = np.fft.rfftfreq(length)
    frequencies[0] = np.inf
    phases = np.exp(2j * np.pi * chance.random(len(frequencies)))
    return np.fft.irfft(phases * frequencies ** (-(2 * 0.8 - 1) / 2), length)  # H = 0.8


def test_the_oracle_independent_gaussian_noise_has_a_hurst_exponent_near_054():
    found = [
        rescaled_range([np.random.default_rng(seed).standard_normal(2**15)], SCALES).exponent
        for seed in range(8)
    ]
    assert np.mean(found) == pytest.approx(0.54, abs=0.015)
    assert all(0.48 < exponent < 0.60 for exponent in found)


def test_shuffling_brings_a_series_with_long_memory_to_the_exponent_of_noise():
    series = normalised(persistent(2**15, 1))
    assert rescaled_range([series], SCALES).exponent > 0.7
    mixed = rescaled_range([shuffled(series, "a", seed=0)], SCALES).exponent
    assert mixed == pytest.approx(0.54, abs=0.05)


def test_the_walk_of_a_walk_would_give_an_exponent_near_one():
    assert rescaled_range([NOISE.cumsum()], SCALES).exponent > 0.9


def test_independent_noise_spreads_with_the_square_root_in_both_other_measures():
    scales = doubling(2, 256)
    assert joseph([NOISE], scales).exponent == pytest.approx(0.5, abs=0.03)
    assert -holder([NOISE], scales).exponent == pytest.approx(0.5, abs=0.07)
    share = holder([NOISE], [16]).values[0]
    assert share == pytest.approx(2 * 0.05 / math.sqrt(2 * math.pi * 16), rel=0.1)


def test_a_walk_with_long_memory_spreads_faster():
    series = normalised(persistent(2**15, 2))
    assert joseph([series], doubling(2, 256)).exponent > 0.65


def test_a_stretch_has_the_range_of_its_running_sum_over_its_spread():
    # 1, -1, 1, 1 less their mean .5: sums .5, -1, -.5, 0; range 1.5; spread sqrt(.75).
    law = rescaled_range([np.array([1.0, -1.0, 1.0, 1.0])], [4])
    assert law.values == pytest.approx([1.5 / math.sqrt(0.75)])


@given(st.floats(-5, 5), st.floats(0.1, 10), st.integers(0, 20))
def test_mean_and_scale_of_a_document_do_not_matter_to_the_rescaled_range(mean, scale, seed):
    series = np.random.default_rng(seed).standard_normal(300)
    law = rescaled_range([series], [8, 16, 32])
    assert rescaled_range([mean + scale * series], [8, 16, 32]).values == pytest.approx(law.values)


@given(st.lists(st.integers(0, 200), min_size=1, max_size=6), st.integers(0, 9))
def test_no_stretch_and_no_step_crosses_the_end_of_a_document(lengths, seed):
    chance = np.random.default_rng(seed)
    documents = [chance.standard_normal(length) for length in lengths]
    moved = [series + 100 * number for number, series in enumerate(documents)]
    one = rescaled_range(documents, [4, 8, 16]).values
    assert rescaled_range(moved, [4, 8, 16]).values == pytest.approx(one)
    backwards = rescaled_range(documents[::-1], [4, 8, 16]).values
    assert backwards == pytest.approx(one)
    stretches = sum(length // 16 for length in lengths)
    assert (16 in rescaled_range(documents, [16]).scales) == bool(stretches)


def test_steps_are_taken_in_documents_that_are_long_enough_only():
    short, long = np.array([1.0, -1.0] * 4), np.array([1.0, -1.0, 2.0, -2.0] * 4)
    assert joseph([short], [2]).scales.size == 0  # 8 tokens, 16 are needed
    assert joseph([short, long], [2]).values == pytest.approx(joseph([long], [2]).values)
    # Exactly at the threshold: 16 tokens are 8 times 2.
    assert joseph([long], [2]).scales.tolist() == [2]
    assert joseph([long[:-1]], [2]).scales.size == 0


def test_a_step_of_exactly_epsilon_counts():
    series = np.array([0.5, -0.5] * 16)
    assert holder([series], [1], epsilon=0.5).values.tolist() == [1.0]
    assert holder([series], [1], epsilon=0.49).scales.size == 0
    with pytest.raises(ValueError, match="epsilon is 0"):
        holder([series], [1], epsilon=0)


def test_a_power_law_comes_back_exactly():
    law = fit([(n, 3.0 * n**0.7) for n in (4, 8, 16, 32)])
    assert law.exponent == pytest.approx(0.7)
    assert law.constant == pytest.approx(3.0)
    assert law.line() == pytest.approx(law.values)


@pytest.mark.parametrize("points", [[], [(4, 2.0)]])
def test_fewer_than_two_scales_make_no_exponent(points):
    assert math.isnan(fit(points).exponent)


def test_documents_are_brought_to_mean_zero_and_variance_one_without_their_beginning():
    series = normalised([99.0, 99.0, 1.0, 2.0, 3.0, 4.0], drop=2)
    assert len(series) == 4
    assert (series.mean(), series.std()) == pytest.approx((0.0, 1.0))


@pytest.mark.parametrize("surprisals", [[], [3.0], [0.1] * 7, [0.0, 0.0]])
def test_a_document_in_which_nothing_varies_gives_nothing(surprisals):
    assert normalised(surprisals).size == 0
    assert normalised([*surprisals], drop=10).size == 0


def test_a_surprisal_that_is_not_finite_is_named():
    with pytest.raises(ValueError, match="token 3 is not finite"):
        normalised([1.0, 2.0, 1.0, np.inf], drop=1)


def test_a_shuffle_follows_from_id_and_seed_and_keeps_the_values():
    series = NOISE[:50]
    mixed = shuffled(series, "a", seed=1)
    assert sorted(mixed) == sorted(series)
    assert np.array_equal(mixed, shuffled(series, "a", seed=1))
    assert not np.array_equal(mixed, shuffled(series, "b", seed=1))
    assert not np.array_equal(mixed, shuffled(series, "a", seed=2))


def test_scales_double_up_to_the_largest_one_included():
    assert doubling(64, 4096) == [64, 128, 256, 512, 1024, 2048, 4096]
    assert doubling(64, 4095)[-1] == 2048
    assert doubling(8, 7) == []
    with pytest.raises(ValueError, match="smallest scale is 1"):
        doubling(1, 8)


def test_h_b_adds_the_hurst_exponent_to_the_inverse_of_bits_per_byte():
    assert h_b(0.8, 0.7) == pytest.approx(1.95)
    with pytest.raises(ValueError, match="must be > 0"):
        h_b(0.0, 0.7)


def test_no_documents_have_no_scales():
    for measure in (rescaled_range, joseph, holder):
        assert measure([], [4, 8]).scales.size == 0
        assert measure([np.empty(0)], [4, 8]).scales.size == 0
