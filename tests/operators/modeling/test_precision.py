"""Small updates survive in bfloat16, on average."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from operators.modeling.precision import StochasticAdamW, stochastic_round


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_rounding_to_the_nearest_loses_what_is_below_half_a_step():
    assert torch.tensor(1.0 + 0.003).to(torch.bfloat16).item() == 1.0
    assert torch.tensor(1.0 + 0.005).to(torch.bfloat16).item() == 1.0078125


@pytest.mark.parametrize("value", [1.003, 1.005, -1.003, 3e-5, -7.77, 1e-39])
def test_stochastic_rounding_gives_the_two_neighbours_and_keeps_the_mean(value):
    exact = torch.full((200_000,), value)
    rounded = stochastic_round(exact, seeded()).double()
    assert len(rounded.unique()) == 2
    low, high = rounded.unique().tolist()
    assert low < exact[0].item() < high
    # Four standard errors of a coin that falls on one of two neighbours.
    assert abs(rounded.mean().item() - exact[0].item()) < 4 * (high - low) / 2 / 200_000**0.5


@given(
    st.floats(width=16, allow_nan=False, allow_infinity=True).map(lambda x: x), st.integers(0, 9)
)
def test_what_is_a_bfloat16_stays_as_it_is(value, seed):
    exact = torch.tensor([value]).to(torch.bfloat16).float()
    assert torch.equal(stochastic_round(exact, seeded(seed)).float(), exact)


def test_what_is_not_finite_stays_what_it_is():
    values = torch.tensor([torch.inf, -torch.inf, torch.nan])
    rounded = stochastic_round(values, seeded())
    assert torch.equal(rounded[:2].float(), values[:2])
    assert rounded[2].isnan()


def test_only_float32_is_rounded():
    with pytest.raises(ValueError, match="float64"):
        stochastic_round(torch.zeros(2, dtype=torch.float64), seeded())
    assert stochastic_round(torch.zeros(0), seeded()).shape == (0,)


def train(parameter, optimizer, steps, gradient):
    for _ in range(steps):
        parameter.grad = gradient(parameter)
        optimizer.step()


def test_with_float32_it_is_adamw():
    ours = torch.nn.Parameter(torch.randn(4, 3, generator=seeded()))
    theirs = torch.nn.Parameter(ours.detach().clone())
    settings = {"lr": 0.01, "betas": (0.9, 0.95), "weight_decay": 0.1}
    train(ours, StochasticAdamW([ours], **settings), 20, lambda p: p.detach().cos())
    train(theirs, torch.optim.AdamW([theirs], **settings), 20, lambda p: p.detach().cos())
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_small_updates_move_bfloat16_weights_on_average_and_are_lost_without():
    start = torch.ones(4096, dtype=torch.bfloat16)
    settings = {"lr": 1e-3, "weight_decay": 0.0}
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    train(ours, StochasticAdamW([ours], **settings), 20, torch.ones_like)
    train(theirs, torch.optim.AdamW([theirs], **settings), 20, torch.ones_like)
    # A constant gradient is a step of lr each time; above half a step below 1 nothing moves.
    assert ours.float().mean().item() == pytest.approx(1 - 20e-3, abs=1e-3)
    assert theirs.float().mean().item() == 1.0


def test_the_states_are_bfloat16_too_and_their_mean_is_that_of_float32():
    parameter = torch.nn.Parameter(torch.ones(4096, dtype=torch.bfloat16))
    optimizer = StochasticAdamW([parameter], lr=0.0, betas=(0.999, 0.999))
    train(parameter, optimizer, 50, torch.ones_like)
    for name in ("exp_avg", "exp_avg_sq"):
        state = optimizer.state[parameter][name]
        assert state.dtype == torch.bfloat16
        assert state.float().mean().item() == pytest.approx(1 - 0.999**50, rel=0.01)


def test_a_run_that_stops_and_goes_on_rounds_as_if_it_had_not():
    def fresh():
        parameter = torch.nn.Parameter(torch.ones(64, dtype=torch.bfloat16))
        return parameter, StochasticAdamW([parameter], seed=7)

    whole, optimizer = fresh()
    train(whole, optimizer, 3, torch.sin)
    saved = copy.deepcopy((whole.data, optimizer.state_dict()))
    train(whole, optimizer, 3, torch.sin)
    again, optimizer = fresh()
    again.data.copy_(saved[0])
    optimizer.load_state_dict(saved[1])
    assert optimizer.state[again]["exp_avg"].dtype == torch.bfloat16
    train(again, optimizer, 3, torch.sin)
    assert torch.equal(whole, again)


def test_the_rounding_of_a_parameter_is_a_matter_of_its_place_not_of_the_others():
    def after(other_has_gradient, seed=0):
        other, parameter = (torch.nn.Parameter(torch.ones(64, dtype=torch.bfloat16)) for _ in "ab")
        optimizer = StochasticAdamW([other, parameter], seed=seed)
        for _ in range(3):
            other.grad = torch.ones_like(other) if other_has_gradient else None
            parameter.grad = torch.ones_like(parameter)
            optimizer.step()
        return parameter.detach()

    assert torch.equal(after(True), after(False))
    assert not torch.equal(after(True), after(True, seed=1))


@pytest.mark.parametrize(
    "change",
    [{"lr": -1.0}, {"eps": 0.0}, {"weight_decay": -0.1}, {"seed": -1}, {"betas": (1.0, 0.9)}],
)
def test_an_impossible_setting_is_named(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        StochasticAdamW([torch.nn.Parameter(torch.zeros(1))], **change)
