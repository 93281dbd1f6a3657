"""A comparison must see a real difference, and must not see one that is not there."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.evaluation import ArmComparison, bits_per_byte, paired_bootstrap, verdict

DOCUMENTS = 60


def measurements(arms=3, seeds=3, documents=DOCUMENTS, *, seed=0):
    """Losses of equal models: noise by document (shared), by seed and by both."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(200, 2000, documents)
    rate = (
        0.7
        + 0.1 * generator.standard_normal((1, 1, documents))
        + 0.002 * generator.standard_normal((arms, seeds, 1))
        + 0.01 * generator.standard_normal((arms, seeds, documents))
    )
    return rate * sizes, sizes


def test_the_baseline_against_itself_is_exactly_0_and_undecided():
    nats, sizes = measurements()
    baseline = paired_bootstrap(nats, sizes, baseline=1, resamples=200, seed=0)[1]
    assert baseline.difference == baseline.difference_low == baseline.difference_high == 0.0
    assert baseline.share_below_zero == 0.0
    assert verdict(baseline) == "undecided"


def test_an_arm_with_the_losses_of_the_baseline_is_exactly_0_and_undecided():
    nats, sizes = measurements(arms=5)
    nats[4] = nats[2]
    twin = paired_bootstrap(nats, sizes, baseline=2, resamples=200, seed=0)[4]
    assert twin.difference_low == twin.difference_high == 0.0
    assert verdict(twin) == "undecided"


def test_a_clear_shift_is_seen_with_its_sign():
    nats, sizes = measurements()
    nats[1] = nats[0] - 0.01 * sizes
    nats[2] = nats[0] + 0.01 * sizes
    _, lower, higher = paired_bootstrap(nats, sizes, baseline=0, resamples=300, seed=0)
    assert (verdict(lower), verdict(higher)) == ("better", "worse")
    assert verdict(lower, better="higher") == "worse"
    assert verdict(higher, better="higher") == "better"
    assert (lower.share_below_zero, higher.share_below_zero) == (1.0, 0.0)


def test_pairing_sees_what_separate_intervals_hide():
    nats, sizes = measurements(arms=2)
    nats[1] = nats[0] - 0.01 * sizes
    base, arm = paired_bootstrap(nats, sizes, baseline=0, resamples=300, seed=0)
    assert arm.high > base.low  # the two intervals overlap
    assert verdict(arm) == "better"


@settings(max_examples=25, deadline=None)
@given(st.floats(-0.5, 0.5), st.integers(0, 1000))
def test_a_constant_shift_moves_the_difference_by_exactly_it(shift, seed):
    nats, sizes = measurements(arms=2, seeds=2, documents=20)
    before = paired_bootstrap(nats, sizes, baseline=0, resamples=50, seed=seed)[1]
    nats[1] += shift * sizes
    after = paired_bootstrap(nats, sizes, baseline=0, resamples=50, seed=seed)[1]
    bits = shift / math.log(2)
    for field in (
        "bits_per_byte",
        "low",
        "high",
        "difference",
        "difference_low",
        "difference_high",
    ):
        assert getattr(after, field) - getattr(before, field) == pytest.approx(bits, abs=1e-12)


def test_scores_are_pooled_bits_per_byte_averaged_over_seeds():
    nats, sizes = measurements(arms=2, seeds=3)
    for arm, comparison in enumerate(
        paired_bootstrap(nats, sizes, baseline=0, resamples=10, seed=0)
    ):
        expected = np.mean([bits_per_byte(nats[arm, s], sizes) for s in range(3)])
        assert comparison.bits_per_byte == pytest.approx(expected)
        assert (comparison.arm, comparison.seeds, comparison.documents) == (arm, 3, DOCUMENTS)


def test_the_same_seed_gives_the_same_result_and_another_does_not():
    nats, sizes = measurements()
    first = paired_bootstrap(nats, sizes, baseline=0, resamples=100, seed=5)
    assert paired_bootstrap(nats, sizes, baseline=0, resamples=100, seed=5) == first
    assert paired_bootstrap(nats, sizes, baseline=0, resamples=100, seed=6) != first


def test_the_size_of_a_chunk_must_not_change_the_resamples(monkeypatch):
    nats, sizes = measurements()
    whole = paired_bootstrap(nats, sizes, baseline=0, resamples=101, seed=5)
    monkeypatch.setattr("operators.evaluation.bootstrap._WEIGHTS_AT_A_TIME", 7 * DOCUMENTS)
    chunked = paired_bootstrap(nats, sizes, baseline=0, resamples=101, seed=5)
    for one, other in zip(whole, chunked, strict=True):
        assert dataclasses.astuple(one) == pytest.approx(dataclasses.astuple(other), rel=1e-9)


def test_an_arm_must_not_change_because_another_is_compared_too():
    nats, sizes = measurements(arms=3)
    alone = paired_bootstrap(nats[:2], sizes, baseline=0, resamples=100, seed=0)
    together = paired_bootstrap(nats, sizes, baseline=0, resamples=100, seed=0)
    assert dataclasses.astuple(together[1]) == pytest.approx(dataclasses.astuple(alone[1]))


def test_one_seed_works_and_speaks_of_documents_only():
    nats, sizes = measurements(arms=2, seeds=1)
    nats[1] = nats[0] - 0.01 * sizes
    _, arm = paired_bootstrap(nats, sizes, baseline=0, resamples=100, seed=0)
    assert arm.seeds == 1
    assert verdict(arm) == "better"
    # A constant shift varies with no document: nothing is left to vary.
    assert arm.difference_high - arm.difference_low == pytest.approx(0, abs=1e-12)


def test_one_document_and_one_resample_work():
    (only,) = paired_bootstrap([[[2.0]]], [4], baseline=0, resamples=1, seed=0)
    assert only.low == only.high == only.bits_per_byte == pytest.approx(0.5 / math.log(2))


def test_seeds_that_disagree_widen_the_interval():
    nats, sizes = measurements(arms=2, seeds=4)
    agreeing = nats.copy()
    agreeing[1] = agreeing[0] - 0.005 * sizes
    disagreeing = agreeing.copy()
    disagreeing[1] += np.array([-0.03, 0.03, -0.03, 0.03])[:, None] * sizes
    _, sure = paired_bootstrap(agreeing, sizes, baseline=0, resamples=300, seed=0)
    _, unsure = paired_bootstrap(disagreeing, sizes, baseline=0, resamples=300, seed=0)
    assert sure.difference == pytest.approx(unsure.difference)
    assert (verdict(sure), verdict(unsure)) == ("better", "undecided")


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    # 200 experiments whose only uncertainty is the sample of documents; the true difference is 0.
    generator = np.random.default_rng(0)
    sizes = np.full(80, 100.0)
    held = 0
    for experiment in range(200):
        nats = 70 + generator.standard_normal((2, 1, 80))
        _, arm = paired_bootstrap(
            nats, sizes, baseline=0, resamples=300, confidence=0.9, seed=experiment
        )
        held += arm.difference_low <= 0 <= arm.difference_high
    assert 0.83 <= held / 200 <= 0.96


def comparison(low, high):
    return ArmComparison(1, 3, 10, 1.0, 0.9, 1.1, (low + high) / 2, low, high, 0.5)


def test_an_interval_that_ends_exactly_at_0_is_undecided():
    assert verdict(comparison(-0.1, 0.0)) == "undecided"
    assert verdict(comparison(0.0, 0.1)) == "undecided"
    assert verdict(comparison(-0.1, -1e-300)) == "better"
    assert verdict(comparison(1e-300, 0.1)) == "worse"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nats": np.ones((2, 5))}, "shape"),
        ({"nats": np.ones((2, 0, 5))}, "shape"),
        ({"utf8_bytes": np.ones(4)}, r"must be \(5,\)"),
        ({"utf8_bytes": [1, 1, 0, 1, 1]}, "empty documents"),
        ({"baseline": 2}, "arms 0 to 1"),
        ({"baseline": -1}, "arms 0 to 1"),
        ({"resamples": 0}, "resamples"),
        ({"confidence": 1.0}, "confidence"),
    ],
)
def test_wrong_input_is_named(change, message):
    arguments = {"nats": np.ones((2, 3, 5)), "utf8_bytes": np.ones(5), "baseline": 0, "seed": 0}
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(**{**arguments, **change})


def test_a_loss_that_is_nan_is_named_by_arm_seed_and_document():
    nats = np.ones((2, 3, 5))
    nats[1, 2, 3] = math.nan
    with pytest.raises(ValueError, match="nan for arm 1, seed 2, document 3"):
        paired_bootstrap(nats, np.ones(5), baseline=0, seed=0)
