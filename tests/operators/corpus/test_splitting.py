"""Held-out rows: by cluster, by hash, and by nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.corpus import assign_split

LABELS = st.lists(st.text(max_size=5), max_size=30)
FRACTIONS = st.floats(0, 1)


@given(LABELS, FRACTIONS, st.integers())
def test_a_cluster_is_never_torn_apart(labels: list[str], fraction: float, seed: int) -> None:
    held_out = assign_split(labels, held_out_fraction=fraction, seed=seed)
    fates: dict[str, bool] = {}
    for label, fate in zip(labels, held_out.tolist(), strict=True):
        assert fates.setdefault(label, fate) == fate


@given(LABELS, FRACTIONS, st.integers())
def test_a_row_does_not_depend_on_other_rows_or_their_order(
    labels: list[str], fraction: float, seed: int
) -> None:
    together = assign_split(labels, held_out_fraction=fraction, seed=seed)
    alone = [
        bool(assign_split([label], held_out_fraction=fraction, seed=seed)[0]) for label in labels
    ]
    assert together.tolist() == alone


@given(LABELS, FRACTIONS, FRACTIONS)
def test_a_larger_fraction_keeps_what_was_held_out(
    labels: list[str], one: float, other: float
) -> None:
    small = assign_split(labels, held_out_fraction=min(one, other), seed=1)
    large = assign_split(labels, held_out_fraction=max(one, other), seed=1)
    assert not np.any(small & ~large)


def test_the_fraction_is_that_of_clusters() -> None:
    labels = [f"cluster {number}" for number in range(20_000)]
    assert assign_split(labels, held_out_fraction=0.1, seed=7).mean() == pytest.approx(
        0.1, abs=0.01
    )


def test_nothing_and_everything_can_be_held_out() -> None:
    labels = [str(number) for number in range(1000)]
    assert not assign_split(labels, held_out_fraction=0.0, seed=0).any()
    assert assign_split(labels, held_out_fraction=1.0, seed=0).all()


def test_another_seed_is_another_split() -> None:
    labels = [str(number) for number in range(1000)]
    first = assign_split(labels, held_out_fraction=0.5, seed=1)
    assert not np.array_equal(first, assign_split(labels, held_out_fraction=0.5, seed=2))


def test_the_split_does_not_change_between_releases() -> None:
    labels = [str(number) for number in range(12)]
    held_out = assign_split(labels, held_out_fraction=0.4, seed=17)
    assert np.flatnonzero(held_out).tolist() == [0, 2, 4, 5, 8, 9, 10]


def test_no_rows_give_an_empty_split() -> None:
    held_out = assign_split([], held_out_fraction=0.5, seed=1)
    assert held_out.dtype == bool
    assert held_out.shape == (0,)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_fraction_outside_its_range_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="held_out_fraction"):
        assign_split(["a"], held_out_fraction=fraction, seed=1)
