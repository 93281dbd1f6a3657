"""Loss-based sample weights: published numbers, neutral settings to the bit, scope, bad input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.weighting import STRATEGIES, effective_sample_size, sample_weights, weighted_mean

LOSSES = torch.tensor([2.0, 3.0, 4.0, 6.0], dtype=torch.float64)
RESHAPING = [strategy for strategy in STRATEGIES if strategy != "uniform"]

loss_lists = st.lists(st.floats(0.0, 50.0, width=32), min_size=1, max_size=64)
temperatures = st.sampled_from([0.05, 0.4, 1.0, 100.0, math.inf])


@pytest.mark.parametrize(
    ("strategy", "temperature", "expected"),
    [
        ("linupper", 1.0, [0.1237, 0.2039, 0.3362, 0.3362]),
        ("linupper", 0.4, [0.0347, 0.1210, 0.4222, 0.4222]),
        ("quadratic", 1.0, [0.1463, 0.3097, 0.3977, 0.1463]),
        ("quadratic", 0.4, [0.0483, 0.3150, 0.5884, 0.0483]),
        ("extremes", 1.0, [0.3362, 0.2039, 0.1237, 0.3362]),
        ("extremes", 0.4, [0.4222, 0.1210, 0.0347, 0.4222]),
        ("uniform", 0.4, [0.25, 0.25, 0.25, 0.25]),
    ],
)
def test_weights_of_losses_2_3_4_6(strategy, temperature, expected):
    weights = sample_weights(LOSSES, strategy, temperature)
    assert weights.tolist() == pytest.approx(expected, abs=5e-5)


def test_linupper_is_the_default_strategy():
    assert torch.equal(sample_weights(LOSSES), sample_weights(LOSSES, "linupper", 1.0, 1.0))


def test_delta_scales_the_preference_as_an_inverse_temperature():
    wide = sample_weights(LOSSES, "linupper", temperature=1.0, delta=2.5)
    peaky = sample_weights(LOSSES, "linupper", temperature=0.4)
    assert torch.allclose(wide, peaky, rtol=1e-12)


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=60, deadline=None)
@given(losses=loss_lists, temperature=temperatures)
def test_weights_sum_to_1_and_are_positive(strategy, losses, temperature):
    weights = sample_weights(torch.tensor(losses), strategy, temperature)
    assert weights.shape == (len(losses),)
    assert bool((weights >= 0).all())
    assert float(weights.double().sum()) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), losses=loss_lists, temperature=temperatures)
def test_permuting_the_losses_permutes_the_weights_to_the_bit(strategy, data, losses, temperature):
    order = torch.tensor(data.draw(st.permutations(range(len(losses)))))
    batch = torch.tensor(losses, dtype=torch.float64)
    weights = sample_weights(batch, strategy, temperature)
    assert torch.equal(sample_weights(batch[order], strategy, temperature), weights[order])


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("temperature", [1e30, math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 49, 100, 1000])
def test_a_very_large_temperature_is_uniform_to_the_bit(strategy, temperature, dtype, n):
    losses = torch.rand(n, dtype=dtype, generator=torch.Generator().manual_seed(n)) * 9
    weights = sample_weights(losses, strategy, temperature)
    assert torch.equal(weights, torch.full((n,), 1.0 / n, dtype=dtype))
    assert torch.equal(weights, sample_weights(losses, "uniform"))


@settings(max_examples=200, deadline=None)
@given(losses=loss_lists, dtype=st.sampled_from([torch.float32, torch.float64]))
def test_the_uniform_weighted_mean_is_the_mean_to_the_bit_in_value_and_gradient(losses, dtype):
    ours = torch.tensor(losses, dtype=dtype, requires_grad=True)
    plain = ours.detach().clone().requires_grad_()
    weighted = weighted_mean(ours, sample_weights(ours, "linupper", math.inf))
    mean = plain.mean()
    weighted.backward()
    mean.backward()
    assert torch.equal(weighted, mean)
    assert torch.equal(ours.grad, plain.grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_uniform_weighted_mean_is_the_mean_to_the_bit_for_every_batch_size(dtype):
    """Also for 41 and 49, whose rounded reciprocals times themselves are not 1."""
    for n in range(1, 200):
        losses = torch.ones(n, dtype=dtype, requires_grad=True)
        mean = weighted_mean(losses, sample_weights(losses, "uniform"))
        mean.backward()
        assert mean.item() == 1.0
        assert torch.equal(losses.grad, torch.full((n,), 1.0, dtype=dtype) / n)


def test_the_order_of_a_large_batch_does_not_move_a_bit():
    generator = torch.Generator().manual_seed(0)
    losses = torch.rand(500, dtype=torch.float64, generator=generator) * 9
    weights = sample_weights(losses, "linupper", 0.4)
    for _ in range(20):
        order = torch.randperm(500, generator=generator)
        assert torch.equal(sample_weights(losses[order], "linupper", 0.4), weights[order])


def test_weighted_mean_is_the_weighted_sum():
    weights = sample_weights(LOSSES, "quadratic", 0.4)
    assert float(weighted_mean(LOSSES, weights)) == pytest.approx(
        float(weights @ LOSSES), rel=1e-14
    )


def test_no_gradient_flows_through_the_weights():
    losses = LOSSES.clone().requires_grad_()
    weights = sample_weights(losses, "linupper")
    assert not weights.requires_grad
    weighted_mean(losses, weights).backward()
    assert torch.allclose(losses.grad, weights, rtol=1e-14)


@pytest.mark.parametrize("strategy", RESHAPING)
def test_losses_closer_than_a_millionth_are_uniform(strategy):
    close = torch.tensor([3.0, 3.0 + 9e-7, 3.0 + 4e-7], dtype=torch.float64)
    apart = torch.tensor([3.0, 3.0 + 2e-6, 3.0 + 4e-7], dtype=torch.float64)
    third = torch.full((3,), 1 / 3, dtype=torch.float64)
    assert torch.equal(sample_weights(close, strategy), third)
    assert not torch.equal(sample_weights(apart, strategy), third)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_sample_has_weight_1(strategy):
    assert sample_weights(torch.tensor([4.2]), strategy).tolist() == [1.0]


def test_ranks_that_share_one_batch_of_weights_get_the_gradient_of_one_device():
    """Weights over the gathered losses; each rank sums its own; the mean over ranks times ranks."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(4, 5, dtype=torch.float64, generator=generator)
    start = torch.randn(5, dtype=torch.float64, generator=generator)

    def gradient(ranks):
        parameter = start.clone().requires_grad_()
        losses = (inputs @ parameter).square()
        weights = sample_weights(losses, "linupper", 0.4)
        assert float(weights.sum()) == pytest.approx(1.0)
        per_rank = zip(losses.chunk(ranks), weights.chunk(ranks), strict=True)
        local = [ranks * (own_weights * own).sum() for own, own_weights in per_rank]
        (sum(local) / ranks).backward()
        return parameter.grad

    assert torch.allclose(gradient(1), gradient(4), rtol=1e-12)
    assert torch.allclose(gradient(1), gradient(2), rtol=1e-12)


def test_effective_sample_size_is_n_when_uniform_and_1_when_one_sample_takes_all():
    assert effective_sample_size(torch.full((8,), 0.125)) == 8.0
    assert effective_sample_size(torch.tensor([0.0, 1.0, 0.0])) == 1.0
    assert 1.0 < effective_sample_size(sample_weights(LOSSES, "linupper", 0.4)) < 4.0


@pytest.mark.parametrize(
    ("losses", "options", "message"),
    [
        (torch.empty(0), {}, "non-empty"),
        (torch.ones(2, 2), {}, "vector"),
        (torch.tensor([1, 2]), {}, "floating"),
        (torch.tensor([1.0, math.nan]), {}, "finite"),
        (torch.tensor([1.0, math.inf]), {}, "finite"),
        (LOSSES, {"temperature": 0.0}, "temperature"),
        (LOSSES, {"temperature": -1.0}, "temperature"),
        (LOSSES, {"temperature": math.nan}, "temperature"),
        (LOSSES, {"delta": 0.0}, "delta"),
        (LOSSES, {"delta": math.inf}, "delta"),
        (LOSSES, {"strategy": "upper"}, "unknown strategy 'upper'"),
    ],
)
def test_bad_input_is_named(losses, options, message):
    with pytest.raises(ValueError, match=message):
        sample_weights(losses, **options)


def test_nothing_to_average_is_an_error():
    with pytest.raises(ValueError, match="non-empty"):
        weighted_mean(torch.empty(0), torch.empty(0))
    with pytest.raises(ValueError, match="no weights"):
        effective_sample_size(torch.empty(0))
