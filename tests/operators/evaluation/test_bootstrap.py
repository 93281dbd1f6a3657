"""A comparison must see a real difference, and must not see one that is not there."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kurtosis, norm, skew, ttest_rel

from operators.evaluation import paired_draws
from operators.evaluation.bits_per_byte import bits_per_byte
from operators.evaluation.bootstrap import ArmComparison, compare_arms, verdict
from operators.evaluation.paired_draws import PairedScores

DOCUMENTS = 60
NUMBERS = ("score", "low", "high", "difference", "difference_low", "difference_high",
           "corrected_low", "corrected_high")  # fmt: skip


def measurements(arms=3, seeds=3, documents=DOCUMENTS, *, seed=0):
    """Losses of equal models: noise by document (shared), by seed and by both."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(200, 2000, documents)
    values = (
        0.7
        + 0.1 * generator.standard_normal((1, 1, documents))
        + 0.002 * generator.standard_normal((arms, seeds, 1))
        + 0.01 * generator.standard_normal((arms, seeds, documents))
    )
    return values, sizes


def compare(values, weights, **settings):
    settings = {"baseline": 0, "resamples": 300, "seed": 0, **settings}
    (compared,) = compare_arms([PairedScores(values, weights)], **settings)
    return compared


# --- differences ----------------------------------------------------------------------------------


def test_the_baseline_against_itself_is_exactly_0_and_undecided():
    baseline = compare(*measurements(), baseline=1)[1]
    assert baseline.difference == baseline.difference_low == baseline.difference_high == 0.0
    assert baseline.p == baseline.corrected_p == 1.0
    assert verdict(baseline) == "undecided"


def test_an_arm_with_the_values_of_the_baseline_is_exactly_0_and_undecided():
    values, sizes = measurements(arms=5)
    values[4] = values[2]
    twin = compare(values, sizes, baseline=2)[4]
    assert twin.difference_low == twin.difference_high == 0.0
    assert twin.corrected_low == twin.corrected_high == 0.0
    assert twin.p == twin.corrected_p == 1.0
    assert verdict(twin) == "undecided"


def test_a_clear_shift_is_seen_with_its_sign():
    values, sizes = measurements(seeds=5)
    values[1], values[2] = values[0] - 0.05, values[0] + 0.05
    _, lower, higher = compare(values, sizes)
    assert (verdict(lower), verdict(higher)) == ("better", "worse")
    assert verdict(lower, better="higher") == "worse"
    assert verdict(higher, better="higher") == "better"
    assert max(lower.p, higher.p) < 0.02


def test_pairing_sees_what_separate_intervals_hide():
    values, sizes = measurements(arms=2)
    values[1] = values[0] - 0.01
    base, arm = compare(values, sizes)
    assert arm.high > base.low  # the two intervals overlap
    assert verdict(arm) == "better"


@settings(max_examples=25, deadline=None)
@given(st.floats(-0.5, 0.5), st.integers(0, 1000))
def test_a_constant_shift_moves_the_difference_by_exactly_it(shift, seed):
    values, sizes = measurements(arms=2, seeds=2, documents=20)
    before = compare(values, sizes, resamples=50, seed=seed)[1]
    values[1] += shift
    after = compare(values, sizes, resamples=50, seed=seed)[1]
    for field in NUMBERS:
        moved = getattr(after, field) - getattr(before, field)
        assert moved == pytest.approx(shift, abs=1e-9)


def test_scores_are_pooled_over_rows_and_averaged_over_seeds():
    values, sizes = measurements(arms=2, seeds=3)
    nats = values * sizes * math.log(2)
    for arm, comparison in enumerate(compare(values, sizes, resamples=10)):
        expected = np.mean([bits_per_byte(nats[arm, s], sizes) for s in range(3)])
        assert comparison.score == pytest.approx(expected)
        assert (comparison.arm, comparison.seeds, comparison.rows) == (arm, 3, DOCUMENTS)


def test_only_the_shares_of_weights_count():
    values, sizes = measurements()
    one, other = compare(values, sizes), compare(values, sizes * 7.0)
    for mine, yours in zip(one, other, strict=True):
        assert dataclasses.astuple(mine) == pytest.approx(dataclasses.astuple(yours))


def test_a_row_without_weight_changes_no_score():
    values, sizes = measurements(documents=5)
    more = np.concatenate([values, np.full((3, 3, 1), 99.0)], axis=2)
    found = compare(more, [*sizes, 0.0])
    assert [c.score for c in found] == pytest.approx([c.score for c in compare(values, sizes)])
    assert all(c.high < 50 for c in found)


# --- draws ----------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_result_and_another_does_not():
    values, sizes = measurements()
    assert compare(values, sizes, seed=5) == compare(values, sizes, seed=5)
    assert compare(values, sizes, seed=6) != compare(values, sizes, seed=5)


def test_the_size_of_a_chunk_must_not_change_the_resamples(monkeypatch):
    values, sizes = measurements()
    whole = compare(values, sizes, resamples=101)
    monkeypatch.setattr("operators.evaluation.paired_draws._WEIGHTS_AT_A_TIME", 7 * DOCUMENTS)
    for one, other in zip(whole, compare(values, sizes, resamples=101), strict=True):
        assert dataclasses.astuple(one) == pytest.approx(dataclasses.astuple(other), rel=1e-9)


def test_what_an_arm_shows_by_itself_must_not_change_because_another_is_compared_too():
    values, sizes = measurements(arms=3)
    alone = compare(values[:2], sizes)[1]
    together = compare(values, sizes)[1]
    for field in ("score", "low", "high", "difference", "difference_low", "difference_high", "p"):
        assert getattr(together, field) == pytest.approx(getattr(alone, field))
    assert together.corrected_low < alone.corrected_low
    assert together.corrected_high > alone.corrected_high
    assert (alone.corrected_low, alone.corrected_p) == (alone.difference_low, alone.p)


@pytest.mark.parametrize("seed", range(20))
def test_answers_that_are_nearly_all_right_get_no_endless_interval(seed):
    # Draws of nothing but right answers have no error of their own, only that of rounding.
    right = np.random.default_rng(seed).random((2, 5, 20)) < 0.985
    sample = PairedScores(right.astype(float), np.full(20, 3.0))
    for found in compare_arms([sample], baseline=0, resamples=2000, seed=seed)[0]:
        ends = (found.low, found.high, found.difference_low, found.difference_high)
        assert np.abs(ends).max() < 1.5, ends


def test_one_document_and_one_resample_work():
    (only,) = compare([[[0.5]]], [4], resamples=1)
    assert only.low == only.high == only.score == 0.5


# --- what varies ----------------------------------------------------------------------------------


def test_one_seed_works_and_speaks_of_documents_only():
    values, sizes = measurements(arms=2, seeds=1)
    values[1] = values[0] - 0.01
    arm = compare(values, sizes)[1]
    assert arm.seeds == 1
    assert verdict(arm) == "better"
    # A constant shift varies with no document: nothing is left to vary.
    assert arm.difference_high - arm.difference_low == pytest.approx(0, abs=1e-12)


def test_seeds_that_disagree_widen_the_interval():
    values, sizes = measurements(arms=2, seeds=4)
    values[1] = values[0] - 0.005
    disagreeing = values.copy()
    disagreeing[1] += np.array([-0.03, 0.03, -0.03, 0.03])[:, None]
    sure, unsure = compare(values, sizes)[1], compare(disagreeing, sizes)[1]
    assert sure.difference == pytest.approx(unsure.difference)
    assert (verdict(sure), verdict(unsure)) == ("better", "undecided")


def with_and_without_spread(monkeypatch, values, weights, level):
    """The ends of the interval of one arm and one seed, and those of the plain bootstrap-t."""
    tail = (1 - level) / 2

    def ends():
        generator = np.random.default_rng(1)
        draws = paired_draws.parts_of(
            np.asarray(values)[None, None], np.asarray(weights), 0, "drawn", 20_000, generator
        ).row_draws[:, 0]
        return np.quantile(draws, [tail, 1 - tail])

    spread = ends()
    monkeypatch.setattr(paired_draws, "_spread", lambda draws, influences: draws)
    return spread, ends()


@pytest.mark.parametrize("level", [0.8, 0.95, 0.998])
def test_large_documents_spread_the_interval_by_what_the_bootstrap_t_lacks(monkeypatch, level):
    # Hall 1988, table 1: -2.84 k + 4.25 g^2 for z = 1.96, which is -z (2 z^2 + 1) (k - 1.5 g^2) / 6.
    chance = np.random.default_rng(3)
    values, weights = chance.normal(size=60), chance.lognormal(7, 1.0, 60)
    influences = (values - np.average(values, weights=weights)) * weights
    spread, plain = with_and_without_spread(monkeypatch, values, weights, level)
    lacks = kurtosis(influences) - 1.5 * skew(influences) ** 2
    z = norm.ppf((1 + level) / 2)
    assert lacks > 1
    assert spread / plain == pytest.approx(1 + lacks * (2 * z**2 + 1) / 6 / 60, rel=1e-2)


def test_skewed_documents_of_one_size_need_no_spread_and_must_not_be_narrowed(monkeypatch):
    values = np.concatenate([np.zeros(40), np.ones(3)])
    lacks = kurtosis(values) - 1.5 * skew(values) ** 2
    spread, plain = with_and_without_spread(monkeypatch, values, np.ones(43), 0.95)
    assert lacks < 0
    assert spread.tolist() == plain.tolist()


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_where_only_seeds_vary_the_interval_is_that_of_the_paired_t_test(seeds):
    chance = np.random.default_rng(3)
    by_seed = chance.normal(size=(2, seeds, 1))
    values = np.broadcast_to(by_seed, (2, seeds, 30))
    expected = ttest_rel(by_seed[1, :, 0], by_seed[0, :, 0])
    low, high = expected.confidence_interval(0.9)
    drawn = compare(values, np.ones(30), resamples=20000, confidence=0.9)[1]
    assert (drawn.difference_low, drawn.difference_high) == pytest.approx((low, high), rel=0.1)
    assert drawn.p == pytest.approx(expected.pvalue, abs=0.02)
    fixed = compare(values, np.ones(30), rows="fixed", confidence=0.9)[1]
    assert (fixed.difference_low, fixed.difference_high) == pytest.approx((low, high))
    assert fixed.p == pytest.approx(expected.pvalue)


def test_fixed_rows_do_not_vary_and_may_have_weights_of_their_own_in_each_cell():
    values = np.array([[[1.0, 9.0]], [[1.0, 9.0]]])
    weights = np.array([[[1.0, 3.0]], [[3.0, 1.0]]])
    base, arm = compare(values, weights, rows="fixed")
    assert (base.score, arm.score) == (7.0, 3.0)
    assert math.isnan(arm.difference_low)  # of one seed
    assert math.isnan(arm.corrected_p)
    assert verdict(arm) == "undecided"


@pytest.mark.parametrize(
    ("seeds_vary", "documents_vary", "rest"),
    [(1, 20, 10), (20, 20, 10), (5, 0, 20)],
    ids=["seeds_vary_little", "seeds_vary_much", "arms_are_identical"],
)
def test_95_percent_intervals_of_three_seeds_hold_the_truth_that_often(
    seeds_vary, documents_vary, rest
):
    # 150 trials have a standard error of 1.8 %; benchmarks/bootstrap_coverage.py has more.
    chance = np.random.default_rng(0)
    held = 0
    for trial in range(150):
        values = seeds_vary * chance.standard_normal((3, 1))
        values = values + documents_vary * chance.standard_normal(50)
        values = values + rest * chance.standard_normal((3, 50))
        both = np.stack([np.zeros((3, 50)), values])
        arm = compare(both, chance.lognormal(7, 0.5, 50), resamples=400, seed=trial)[1]
        held += arm.difference_low <= 0 <= arm.difference_high
    assert 0.9 <= held / 150 <= 0.995


def test_three_seeds_that_vary_much_need_the_width_of_student_s_t():
    # Means of three values drawn again from three reach 1.6 standard errors; t reaches 4.3.
    values = np.zeros((2, 3, 200))
    values[1] = np.array([-1.0, 0.0, 1.0])[:, None]
    arm = compare(values, np.ones(200), resamples=20000)[1]
    assert arm.difference_high == pytest.approx(4.303 / math.sqrt(3), rel=0.1)


# --- several groups, and contrasts ----------------------------------------------------------------


def test_a_contrast_is_the_difference_of_the_differences_seed_by_seed():
    chance = np.random.default_rng(1)
    rare, frequent = chance.normal(size=(2, 2, 4, 1))
    compared = compare_arms(
        [PairedScores(rare, [5.0]), PairedScores(frequent, [50.0])],
        baseline=0, contrast=True, rows="fixed", seed=0,
    )  # fmt: skip
    ((_, arm),) = compared
    one, other = (bin_[1, :, 0] - bin_[0, :, 0] for bin_ in (rare, frequent))
    expected = ttest_rel(one, other).confidence_interval(0.95)
    assert arm.difference == pytest.approx(np.mean(one - other))
    assert (arm.difference_low, arm.difference_high) == pytest.approx(tuple(expected))


def test_what_a_seed_does_to_both_groups_cancels_in_a_contrast():
    chance = np.random.default_rng(2)
    shift = 5.0 * chance.normal(size=(4, 1))
    values = 2 + 0.01 * chance.normal(size=(2, 2, 4, 40))  # group, arm, seed, document
    values[:, 1] += shift
    values[0, 1] += 0.1
    samples = [PairedScores(group, np.ones(40)) for group in values]
    ((_, arm),) = compare_arms(samples, baseline=0, contrast=True, resamples=300, seed=0)
    assert arm.difference == pytest.approx(0.1, abs=0.02)
    assert verdict(arm) == "worse"
    for compared in compare_arms(samples, baseline=0, resamples=300, seed=0):
        assert verdict(compared[1]) == "undecided"


def test_all_groups_are_one_family():
    samples = [PairedScores(*measurements(arms=2, seed=seed)) for seed in (0, 1)]
    together = compare_arms(samples, baseline=0, resamples=500, seed=0)
    for _, found in together:
        assert found.corrected_low < found.difference_low
        assert found.corrected_high > found.difference_high
        assert found.p <= found.corrected_p <= 2 * found.p


# --- verdicts -------------------------------------------------------------------------------------


def comparison(low, high):
    return ArmComparison(1, 3, 10, 1.0, 0.9, 1.1, (low + high) / 2, 1, 2, low, high, 0.5, 0.5)


def test_an_interval_that_ends_exactly_at_0_is_undecided():
    assert verdict(comparison(-0.1, 0.0)) == "undecided"
    assert verdict(comparison(0.0, 0.1)) == "undecided"
    assert verdict(comparison(-0.1, -1e-300)) == "better"
    assert verdict(comparison(1e-300, 0.1)) == "worse"
    assert verdict(comparison(math.nan, math.nan)) == "undecided"


# --- what is wrong is said ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.ones((2, 5))}, "shape"),
        ({"values": np.ones((2, 0, 5))}, "shape"),
        ({"weights": np.ones(4)}, r"must be \(5,\)"),
        ({"weights": np.ones((2, 3, 5))}, r"must be \(5,\)"),
        ({"weights": [1, 1, -1, 1, 1]}, "empty rows"),
        ({"weights": np.zeros(5)}, "empty rows"),
        ({"baseline": 2}, "arms 0 to 1"),
        ({"baseline": -1}, "arms 0 to 1"),
        ({"resamples": 0}, "resamples"),
        ({"confidence": 1.0}, "confidence"),
        ({"contrast": True}, "2 samples, not of 1"),
    ],
)
def test_wrong_input_is_named(change, message):
    arguments = {"values": np.ones((2, 3, 5)), "weights": np.ones(5), **change}
    with pytest.raises(ValueError, match=message):
        compare(**arguments)


def test_samples_of_other_arms_are_refused():
    samples = [PairedScores(np.ones((arms, 2, 5)), np.ones(5)) for arms in (2, 3)]
    with pytest.raises(ValueError, match="same arms and seeds"):
        compare_arms(samples, baseline=0, seed=0)
    with pytest.raises(ValueError, match="there must be one"):
        compare_arms([], baseline=0, seed=0)


def test_a_value_that_is_nan_is_named_by_arm_seed_and_row():
    values = np.ones((2, 3, 5))
    values[1, 2, 3] = math.nan
    with pytest.raises(ValueError, match="nan for arm 1, seed 2, row 3"):
        compare(values, np.ones(5))
