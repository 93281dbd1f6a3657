"""The moving average of parameters: its formula, its ends, and that it goes on exactly."""

import copy

import pytest
import torch
from torch import nn

from operators.weighting.history import ParameterHistory


class Tied(nn.Module):
    """A model that uses one matrix twice, and counts in a buffer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, ids):
        return self.head(self.embedding(ids))


def moved(model, by=1.0):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by)
    return model


def weights(model):
    return model.embedding.weight.detach().clone()


def test_the_average_follows_its_formula():
    model = Tied()
    first = weights(model)
    history = ParameterHistory(model, 0.75)
    history.update(moved(model))
    assert torch.allclose(weights(history.model), first + 0.25)
    history.update(moved(model))
    assert torch.allclose(weights(history.model), 0.75 * (first + 0.25) + 0.25 * (first + 2.0))


def test_a_decay_of_0_is_the_model_itself_and_of_1_the_first_one_to_the_bit():
    model = Tied()
    first = weights(model)
    follower, base = ParameterHistory(model, 0.0), ParameterHistory(model, 1.0)
    for _ in range(3):
        moved(model, 0.3)
        follower.update(model)
        base.update(model)
    assert torch.equal(weights(follower.model), weights(model))
    assert torch.equal(weights(base.model), first)


def test_the_history_is_a_model_of_its_own_without_gradients():
    model = Tied().train()
    history = ParameterHistory(model, 0.5)
    before = weights(model)
    assert not history.model.training
    assert not history.model(torch.tensor([[1, 2]])).requires_grad
    history.update(moved(copy.deepcopy(model)))
    assert torch.equal(weights(model), before)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_tied_weights_stay_tied_and_are_averaged_once():
    model = Tied()
    first = weights(model)
    history = ParameterHistory(model, 0.5)
    assert history.model.head.weight is history.model.embedding.weight
    history.update(moved(model))
    assert torch.allclose(weights(history.model), first + 0.5)


def test_buffers_are_copied():
    model = Tied()
    history = ParameterHistory(model, 0.5)
    model.calls += 7
    history.update(model)
    assert float(history.model.calls) == 7.0


def test_half_precision_is_averaged_in_float32():
    """A step of 1/1000 is nothing beside 1 in bfloat16: a thousand of them are one."""
    model = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    with torch.no_grad():
        model.weight.fill_(1.0)
    history = ParameterHistory(model, 0.999)
    with torch.no_grad():
        model.weight.fill_(2.0)
    for _ in range(1000):
        history.update(model)
    assert history.model.weight.dtype == torch.bfloat16
    assert float(history.model.weight) == pytest.approx(2 - 0.999**1000, abs=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_history_goes_on_from_its_state_to_the_bit(dtype):
    torch.manual_seed(0)
    model = Tied().to(dtype)
    whole = ParameterHistory(model, 0.9)
    whole.update(moved(model, 0.1))
    state = copy.deepcopy(whole.state_dict())
    resumed = ParameterHistory(Tied().to(dtype), 0.9)
    resumed.load_state_dict(state)
    for history in (whole, resumed):
        assert torch.equal(weights(history.model), weights(whole.model))
    moved(model, 0.1)
    whole.update(model)
    resumed.update(model)
    assert torch.equal(weights(resumed.model), weights(whole.model))
    for ours, theirs in zip(
        resumed.state_dict().values(), whole.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_bad_input_is_named():
    for decay in (-0.1, 1.1):
        with pytest.raises(ValueError, match="decay"):
            ParameterHistory(Tied(), decay)
    history = ParameterHistory(Tied(), 0.5)
    with pytest.raises(ValueError, match="other parameters"):
        history.update(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="another model"):
        history.load_state_dict({"0": torch.zeros(1)})
