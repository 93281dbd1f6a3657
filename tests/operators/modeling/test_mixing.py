"""Replay: the wanted mix, in an order that is a function of the step alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.modeling.batches import batch_rows
from operators.modeling.mixing import MixedOrder


def first_batches(order, steps):
    sources, rows = zip(*(order.rows(step) for step in range(1, steps + 1)), strict=True)
    return np.concatenate(sources), np.concatenate(rows)


def test_a_budget_of_1000_with_a_quarter_replayed_is_750_new_and_250_old():
    order = MixedOrder([5000, 400], [0.75, 0.25], batch_size=1000, seed=3)
    sources, _ = order.rows(1)
    assert np.bincount(sources).tolist() == order.rows_drawn(1).tolist() == [750, 250]
    control = MixedOrder([5000, 400], [1.0, 0.0], batch_size=1000, seed=3)
    assert control.rows_drawn(1).tolist() == [1000, 0]


def test_replay_is_a_share_of_tokens_not_of_rows():
    order = MixedOrder([99, 99], [0.75, 0.25], batch_size=10, seed=0, tokens_per_row=[300, 100])
    assert order.rows_drawn(40).tolist() == [200, 200]


@given(
    steps=st.integers(1, 30),
    batch_size=st.integers(1, 9),
    weights=st.lists(st.integers(0, 20), min_size=1, max_size=5).filter(any),
)
def test_the_share_seen_so_far_never_drifts_by_more_than_half_a_row_a_source(
    steps, batch_size, weights
):
    shares = [weight / sum(weights) for weight in weights]
    order = MixedOrder([7] * len(shares), shares, batch_size, seed=1)
    sources, _ = first_batches(order, steps)
    for k in range(1, sources.size + 1):
        seen = np.bincount(sources[:k], minlength=len(shares))
        drift = np.abs(seen - k * np.array(shares))
        assert drift.max() <= (len(shares) - 1) / 2 + 1e-6
    assert np.bincount(sources, minlength=len(shares)).tolist() == order.rows_drawn(steps).tolist()


def test_with_two_sources_every_batch_holds_the_mix_to_one_row():
    order = MixedOrder([50, 50], [0.95, 0.05], batch_size=30, seed=0)
    counts = [int((order.rows(step)[0] == 1).sum()) for step in range(1, 41)]
    assert set(counts) == {1, 2}
    assert sum(counts) == 60


@given(seed=st.integers(0, 5), old=st.integers(0, 9))
def test_no_replay_is_exactly_the_order_without_a_second_source(seed, old):
    mixed = first_batches(MixedOrder([11, old], [1.0, 0.0], 4, seed), 9)
    alone = first_batches(MixedOrder([11], [1.0], 4, seed), 9)
    assert np.array_equal(mixed, alone)


def test_any_step_can_be_asked_for_first():
    forwards, backwards = (MixedOrder([10, 4, 3], [0.5, 0.3, 0.2], 6, seed=2) for _ in range(2))
    there = [forwards.rows(step) for step in range(1, 21)]
    back = [backwards.rows(step) for step in range(20, 0, -1)][::-1]
    assert np.array_equal(there, back)
    assert np.array_equal(forwards.rows(10**9), backwards.rows(10**9))


def test_the_line_of_rows_does_not_depend_on_the_batch_size():
    lines = [first_batches(MixedOrder([10, 4], [0.7, 0.3], 12 // n, seed=2), 5 * n) for n in (1, 4)]
    assert np.array_equal(*lines)


def test_every_epoch_of_a_source_holds_each_of_its_rows_once():
    order = MixedOrder([10, 4], [0.75, 0.25], batch_size=8, seed=5)
    sources, rows = first_batches(order, 10)
    for source, length in enumerate((10, 4)):
        epochs = rows[sources == source][: 20 // length * length].reshape(-1, length)
        assert len(epochs) > 1
        for epoch in epochs:
            assert sorted(epoch.tolist()) == list(range(length))
        assert not np.array_equal(epochs[0], epochs[1])


def test_sources_of_one_length_are_not_read_in_one_order():
    sources, rows = first_batches(MixedOrder([64, 64], [0.5, 0.5], 64, seed=0), 2)
    assert not np.array_equal(rows[sources == 0], rows[sources == 1])


def test_the_first_epoch_of_one_source_is_that_of_the_plain_order():
    plain = np.concatenate(list(batch_rows(12, 4, 3, seed=9)))
    assert np.array_equal(first_batches(MixedOrder([12], [1.0], 4, seed=9), 3)[1], plain)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], 1, 0), "same sources"),
        (([1], [0.5, 0.5], 1, 0), "same sources"),
        (([1], [1.0], 0, 0), "batch_size"),
        (([1], [1.0], 1, -1), "seed"),
        (([1, 1], [0.5, 0.4], 1, 0), "sum to 1"),
        (([1, 1], [1.5, -0.5], 1, 0), "sum to 1"),
        (([1, 0], [0.5, 0.5], 1, 0), "source 1 has a share of 0.5 and no rows"),
        (([1, 1], [0.5, 0.5], 1, 0, [1.0, 0.0]), "tokens_per_row of source 1"),
    ],
)
def test_an_impossible_mix_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        MixedOrder(*arguments)


def test_steps_count_from_1():
    order = MixedOrder([3], [1.0], 2, seed=0)
    with pytest.raises(ValueError, match="step must be >= 1"):
        order.rows(0)
    with pytest.raises(ValueError, match="steps must be >= 0"):
        order.rows_drawn(-1)
    assert order.rows_drawn(0).tolist() == [0]
