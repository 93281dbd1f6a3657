"""Focal and rank-based factors: formulas, neutral settings to the bit, ties, scope, bad input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.weighting.token_weights import UNITS, focal_factors, rank_factors


def row(*values):
    return torch.tensor([values])


@st.composite
def batches(draw):
    b, t = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    losses = torch.randint(0, 6, (b, t), generator=generator).float()
    return losses, torch.rand(b, t, generator=generator) < 0.8


def test_focal_is_a_power_of_what_is_missing_from_certainty():
    losses = row(-math.log(0.9), -math.log(0.5), 0.0, math.inf)
    scored = row(True, True, True, True)
    assert focal_factors(losses, scored, 2.0)[0].tolist() == pytest.approx(
        [0.01, 0.25, 0, 1], rel=1e-5
    )
    assert focal_factors(losses, scored, 1.0)[0].tolist() == pytest.approx(
        [0.1, 0.5, 0, 1], rel=1e-5
    )


def test_a_token_that_is_all_but_certain_keeps_a_factor_above_0():
    assert float(focal_factors(row(1e-12), row(True), 1.0)) == pytest.approx(1e-12)


def test_ranks_go_from_the_half_of_the_lowest_to_that_of_the_highest():
    factors = rank_factors(row(3.0, 1.0, 7.0, 100.0), row(True, True, True, True))
    assert factors[0].tolist() == pytest.approx([0.375, 0.125, 0.625, 0.875])
    inverse = rank_factors(row(3.0, 1.0), row(True, True), exponent=-1.0)
    assert inverse[0].tolist() == pytest.approx([1 / 0.75, 1 / 0.25])


def test_equal_losses_share_the_mean_of_their_ranks():
    factors = rank_factors(row(2.0, 1.0, 2.0, 5.0), row(True, True, True, True))
    assert factors[0].tolist() == pytest.approx([0.5, 0.125, 0.5, 0.875])


def test_samples_are_ranked_by_their_mean_loss_over_scored_tokens():
    losses = torch.tensor([[90.0, 1.0, 3.0], [90.0, 4.0, 4.0], [90.0, 0.5, 9.0], [9.0, 9.0, 9.0]])
    scored = torch.tensor(
        [[False, True, True], [False, True, True], [False, True, False], [False] * 3]
    )
    factors = rank_factors(losses, scored, unit="sample")
    expected = [[0, 0.5, 0.5], [0, 5 / 6, 5 / 6], [0, 1 / 6, 0], [0, 0, 0]]
    for ours, its in zip(factors.tolist(), expected, strict=True):
        assert ours == pytest.approx(its)


@settings(max_examples=40, deadline=None)
@given(batch=batches())
def test_a_neutral_exponent_is_1_exactly_wherever_something_is_scored(batch):
    losses, scored = batch
    assert torch.equal(focal_factors(losses, scored, 0.0), scored.float())
    for unit in UNITS:
        assert torch.equal(rank_factors(losses, scored, 0.0, unit), scored.float())


@settings(max_examples=60, deadline=None)
@given(data=st.data(), batch=batches(), unit=st.sampled_from(UNITS))
def test_permuting_the_samples_permutes_the_factors_to_the_bit(data, batch, unit):
    losses, scored = batch
    order = torch.tensor(data.draw(st.permutations(range(len(losses)))))
    for factors in (focal_factors, lambda *given: rank_factors(*given, unit=unit)):
        assert torch.equal(factors(losses[order], scored[order]), factors(losses, scored)[order])


@settings(max_examples=40, deadline=None)
@given(batch=batches())
def test_ranks_depend_on_the_order_of_the_losses_only(batch):
    losses, scored = batch
    assert torch.equal(rank_factors(losses.exp(), scored), rank_factors(losses, scored))


def test_what_is_not_scored_moves_nothing_whatever_it_is():
    scored = row(False, True, True)
    for factors in (focal_factors, rank_factors):
        odd = factors(row(math.nan, 1.0, 2.0), scored)
        assert torch.equal(odd, factors(row(0.0, 1.0, 2.0), scored))
        assert float(odd[0, 0]) == 0.0


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (2, 3)])
def test_nothing_scored_gives_factors_of_0(unit, shape):
    nothing = torch.zeros(shape, dtype=torch.bool)
    assert torch.equal(rank_factors(torch.ones(shape), nothing, unit=unit), torch.zeros(shape))
    assert torch.equal(focal_factors(torch.ones(shape), nothing), torch.zeros(shape))


def test_factors_carry_no_gradient():
    losses, scored = row(1.0, 2.0).requires_grad_(), row(True, True)
    assert not focal_factors(losses, scored).requires_grad
    assert not rank_factors(losses, scored).requires_grad


def test_bad_input_is_named():
    losses, scored = torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match="gamma"):
        focal_factors(losses, scored, -1.0)
    with pytest.raises(ValueError, match="exponent"):
        rank_factors(losses, scored, math.inf)
    with pytest.raises(ValueError, match="unit"):
        rank_factors(losses, scored, unit="batch")
    with pytest.raises(ValueError, match="NaN"):
        rank_factors(losses * math.nan, scored)
    with pytest.raises(ValueError, match="shape"):
        focal_factors(losses, scored[:1])
    with pytest.raises(ValueError, match="boolean"):
        rank_factors(losses, scored.float())
