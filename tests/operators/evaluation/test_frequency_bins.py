"""Bins must follow training frequency, and never mix unseen types with rare ones."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from operators.evaluation import frequency_bins, loss_by_bin

counts_of_types = hnp.arrays(np.int64, st.integers(0, 40), elements=st.integers(0, 10**6))


def test_log_bins_cut_the_seen_range_into_equal_ratios():
    # 1 ... 1000 in 3 bins: edges 10 and 100; a count on an edge is in the upper bin.
    assert frequency_bins([0, 1, 9, 10, 99, 100, 1000], 3).tolist() == [0, 1, 1, 2, 2, 3, 3]


def test_quantile_bins_hold_equally_many_types():
    bins = frequency_bins(np.arange(9), 4, spacing="quantile")
    assert np.bincount(bins).tolist() == [1, 2, 2, 2, 2]


def test_given_edges_are_lower_bounds():
    assert frequency_bins([0, 1, 4, 5, 6, 50], [5, 50]).tolist() == [0, 1, 1, 2, 2, 3]


@given(counts_of_types, st.integers(1, 8), st.sampled_from(["log", "quantile"]))
def test_bins_are_monotone_and_0_is_for_the_unseen_only(counts, bins, spacing):
    found = frequency_bins(counts, bins, spacing=spacing)
    assert found.shape == counts.shape
    assert ((found == 0) == (counts == 0)).all()
    assert found.size == 0 or found.max() <= bins
    order = np.argsort(counts, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    for count in np.unique(counts):
        assert len(set(found[counts == count].tolist())) == 1


@given(counts_of_types.filter(lambda counts: len(set(counts[counts > 0].tolist())) > 1))
def test_log_bins_put_the_rarest_in_1_and_the_most_frequent_in_the_last(counts):
    found = frequency_bins(counts, 5)
    assert found[counts == counts[counts > 0].min()][0] == 1
    assert found[counts == counts.max()][0] == 5


@pytest.mark.parametrize("counts", [[], [0, 0]], ids=["no_types", "nothing_seen"])
def test_nothing_seen_gives_bin_0_only(counts):
    assert frequency_bins(counts).tolist() == [0] * len(counts)


@pytest.mark.parametrize(
    ("counts", "bins", "options", "message"),
    [
        ([-1], 4, {}, ">= 0"),
        ([1.5], 4, {}, "integers"),
        ([[1]], 4, {}, "shape"),
        ([1], 0, {}, "bins is 0"),
        ([1], [5, 5], {}, "increase"),
        ([1], [1, 5], {}, "> 1"),
        ([1], 4, {"spacing": "linear"}, "'log' or 'quantile'"),
    ],
)
def test_wrong_input_is_named(counts, bins, options, message):
    with pytest.raises(ValueError, match=message):
        frequency_bins(counts, bins, **options)


def test_micro_counts_tokens_and_macro_counts_types():
    # Bin 1: type 1 three times at 1 nat, type 2 once at 5 nats. Bin 2: type 3. Bin 0: unscored.
    table = loss_by_bin([1, 1, 1, 2, 3], [1.0, 1.0, 1.0, 5.0, 2.0], [0, 1, 1, 2])
    assert table.rows() == [(0, 0, 0, None, None), (1, 4, 2, 2.0, 3.0), (2, 1, 1, 2.0, 2.0)]
    assert table.columns == ["bin", "tokens", "types", "mean_nats", "macro_nats"]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.floats(0, 20)), max_size=60),
    hnp.arrays(np.int64, 10, elements=st.integers(0, 4)),
)
def test_bins_pool_back_to_all_tokens(scored, bin_of_token):
    tokens = [token for token, _ in scored]
    nats = [loss for _, loss in scored]
    table = loss_by_bin(tokens, nats, bin_of_token)
    assert table["tokens"].sum() == len(tokens)
    assert table["types"].sum() == len(set(tokens))
    pooled = (table["tokens"] * table["mean_nats"].fill_null(0)).sum()
    assert pooled == pytest.approx(math.fsum(nats), rel=1e-9, abs=1e-9)


def test_no_scored_tokens_give_rows_without_means():
    table = loss_by_bin([], [], [0, 2])
    assert table.rows() == [(b, 0, 0, None, None) for b in range(3)]
    assert loss_by_bin([], [], []).height == 0


@pytest.mark.parametrize(
    ("tokens", "nats", "message"),
    [([0], [], "1 tokens have 0"), ([2], [1.0], "cover 2"), ([-1], [1.0], "cover 2"),
     ([0], [math.nan], r"nats\[0\] is NaN")],
)  # fmt: skip
def test_scores_that_do_not_fit_are_refused(tokens, nats, message):
    with pytest.raises(ValueError, match=message):
        loss_by_bin(tokens, nats, [0, 1])
