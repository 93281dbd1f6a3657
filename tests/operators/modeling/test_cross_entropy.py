"""Chunked losses are the plain losses, in value and in gradient."""

import math

import pytest
import torch

from operators.modeling.cross_entropy import chunked_token_losses
from operators.modeling.losses import token_losses

B, T, D, V = 3, 7, 6, 11


def example(dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(B, T, D, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(V, D, generator=generator).to(dtype).requires_grad_()
    input_ids = torch.randint(0, V, (B, T), generator=generator)
    ignore = torch.rand(B, T, generator=generator) < 0.3
    return hidden, weight, input_ids, ignore


def gradients(losses, upstream, *inputs):
    return torch.autograd.grad((losses * upstream).sum(), inputs)


@pytest.mark.parametrize("chunk", [1, 2, 5, 1000, None])
@pytest.mark.parametrize("masked", [False, True])
def test_losses_and_gradients_are_those_of_the_full_logits(chunk, masked):
    hidden, weight, input_ids, ignore = example()
    ignore = ignore if masked else None
    # Weights that are known only after the losses, as a trainer has them.
    losses = chunked_token_losses(hidden, weight, input_ids, ignore, chunk_tokens=chunk)
    plain = token_losses(hidden @ weight.T, input_ids, ignore)
    assert torch.allclose(losses, plain, atol=1e-6)
    upstream = losses.detach().square()
    for ours, expected in zip(
        gradients(losses, upstream, hidden, weight),
        gradients(plain, upstream, hidden, weight),
        strict=True,
    ):
        assert torch.allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("ahead", [1, 2, T, T + 1])
def test_the_gradient_is_the_slope_of_the_losses(ahead):
    hidden, weight, input_ids, ignore = example(torch.float64)

    def losses(hidden, weight):
        return chunked_token_losses(
            hidden, weight, input_ids, ignore, ahead=ahead, chunk_tokens=2
        )  # fmt: skip

    assert torch.autograd.gradcheck(losses, (hidden, weight))


def test_each_loss_stands_at_the_token_that_the_state_so_many_places_before_predicts():
    identity = torch.eye(V)
    input_ids = torch.tensor([[0, 1, 2, 3, 4], [0, 1, 3, 4, 5]])
    # States that are sure of k + 2 two places after token k.
    hidden = 100.0 * identity[(input_ids + 2) % V]
    losses = chunked_token_losses(hidden, identity, input_ids, ahead=2)
    assert losses.tolist() == [[0.0] * 5, [0.0, 0.0, 100.0, 100.0, 0.0]]
    assert chunked_token_losses(hidden, identity, input_ids)[0].tolist() == [0.0] + [100.0] * 4


def test_tokens_with_weight_0_cost_no_backward_pass_and_change_no_gradient():
    hidden, weight, input_ids, _ = example()
    losses = chunked_token_losses(hidden, weight, input_ids)
    selected = torch.zeros(B, T)
    selected[1, 3] = 0.5
    of_hidden, of_weight = gradients(losses, selected, hidden, weight)
    plain = gradients(token_losses(hidden @ weight.T, input_ids), selected, hidden, weight)
    assert of_hidden.abs().sum(-1).nonzero().tolist() == [[1, 2]]
    assert torch.allclose(of_hidden, plain[0], atol=1e-6)
    assert torch.allclose(of_weight, plain[1], atol=1e-6)


def test_a_frozen_unembedding_gets_no_gradient():
    hidden, weight, input_ids, _ = example()
    chunked_token_losses(hidden, weight.detach(), input_ids).sum().backward()
    assert hidden.grad is not None
    assert weight.grad is None


def test_half_precision_is_widened_and_double_is_kept():
    for given, result in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        hidden, weight, input_ids, ignore = example(given)
        losses = chunked_token_losses(hidden, weight, input_ids, ignore, chunk_tokens=4)
        assert losses.dtype == result
        plain = token_losses(hidden @ weight.T, input_ids, ignore)
        assert torch.allclose(losses, plain, atol=1e-6)
        for ours, expected in zip(
            gradients(losses, 1.0, hidden, weight),
            gradients(plain, 1.0, hidden, weight),
            strict=True,
        ):
            assert ours.dtype == given
            assert torch.allclose(ours, expected, rtol=0.05, atol=0.05)


def test_under_autocast_the_losses_are_those_of_the_output_layer():
    hidden, weight, input_ids, ignore = example()
    with torch.autocast("cpu", torch.bfloat16):
        losses = chunked_token_losses(hidden, weight, input_ids, ignore)
        plain = token_losses(torch.nn.functional.linear(hidden, weight), input_ids, ignore)
    assert torch.allclose(losses, plain, atol=1e-6)
    of_hidden, of_weight = gradients(losses, 1.0, hidden, weight)
    assert of_hidden.dtype == of_weight.dtype == torch.float32


@pytest.mark.parametrize("shape", [(0, 4), (2, 0), (0, 0), (2, 1)])
def test_what_is_too_short_to_score_has_losses_of_0_and_no_gradient(shape):
    hidden = torch.randn(*shape, D, requires_grad=True)
    weight = torch.randn(V, D, requires_grad=True)
    losses = chunked_token_losses(hidden, weight, torch.zeros(shape, dtype=torch.long))
    assert losses.shape == shape
    losses.sum().backward()
    assert losses.sum() == 0
    assert weight.grad.abs().sum() == 0


def test_ignored_tokens_may_hold_any_id():
    ids = torch.tensor([[0, -7, 10_000, 1]])
    ignore = torch.tensor([[False, True, True, False]])
    losses = chunked_token_losses(torch.zeros(1, 4, D), torch.zeros(V, D), ids, ignore)
    assert losses.tolist() == [pytest.approx([0.0, 0.0, 0.0, math.log(V)])]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": torch.zeros(2, 4, D)}, "do not belong to ids"),
        ({"unembedding": torch.zeros(V, D + 1)}, "does not belong to hidden states"),
        ({"unembedding": torch.zeros(V, D, dtype=torch.float64)}, "must be one"),
        ({"ignore": torch.zeros(2, 4, dtype=torch.bool)}, "does not belong to ids"),
        ({"ahead": 0}, "ahead"),
        ({"chunk_tokens": 0}, "chunk_tokens"),
    ],
)
def test_what_does_not_belong_together_is_an_error(change, message):
    given = {
        "hidden": torch.zeros(2, 3, D),
        "unembedding": torch.zeros(V, D),
        "input_ids": torch.zeros(2, 3, dtype=torch.long),
    }
    with pytest.raises(ValueError, match=message):
        chunked_token_losses(**given | change)
