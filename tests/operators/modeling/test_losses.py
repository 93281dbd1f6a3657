"""A loss stands at the token it belongs to: one position off, and these fail."""

import math

import pytest
import torch
from torch.nn import functional

from operators.modeling import sample_losses, token_losses

VOCABULARY = 5


def successor_logits(input_ids):
    """A model that is sure that token k is followed by k + 1."""
    return 100.0 * functional.one_hot((input_ids + 1) % VOCABULARY, VOCABULARY).float()


def test_a_predicted_token_costs_nothing_and_a_surprise_costs_where_it_stands():
    input_ids = torch.tensor([[0, 1, 2, 3, 4, 0], [0, 1, 3, 4, 0, 1]])
    losses = token_losses(successor_logits(input_ids), input_ids)
    assert losses[0].tolist() == pytest.approx([0.0] * 6)
    assert losses[1].tolist() == pytest.approx([0.0, 0.0, 100.0, 0.0, 0.0, 0.0])


def test_each_loss_is_the_negative_log_softmax_of_the_logits_one_before():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, VOCABULARY, generator=generator)
    input_ids = torch.randint(0, VOCABULARY, (2, 4), generator=generator)
    losses = token_losses(logits, input_ids)
    assert losses[:, 0].tolist() == [0.0, 0.0]
    for row in range(2):
        for j in range(1, 4):
            expected = -logits[row, j - 1].log_softmax(-1)[input_ids[row, j]]
            assert float(losses[row, j]) == pytest.approx(float(expected), rel=1e-6)


def test_uniform_logits_cost_the_logarithm_of_the_vocabulary():
    losses = token_losses(torch.zeros(1, 3, 256), torch.tensor([[7, 255, 0]]))
    assert losses.tolist() == [pytest.approx([0.0, math.log(256), math.log(256)])]


def test_ignored_tokens_cost_nothing_and_may_hold_any_id():
    input_ids = torch.tensor([[0, 1, -7, 10_000]])
    ignore = torch.tensor([[False, False, True, True]])
    losses = token_losses(torch.zeros(1, 4, VOCABULARY), input_ids, ignore)
    assert losses.tolist() == [pytest.approx([0.0, math.log(VOCABULARY), 0.0, 0.0])]


def test_the_last_logits_and_those_before_ignored_tokens_get_no_gradient():
    logits = torch.zeros(1, 4, VOCABULARY, requires_grad=True)
    ignore = torch.tensor([[False, False, True, False]])
    token_losses(logits, torch.tensor([[0, 1, 2, 3]]), ignore).sum().backward()
    assert logits.grad.abs().sum(-1).gt(0).tolist() == [[True, False, True, False]]


def test_half_precision_is_widened_and_double_is_kept():
    input_ids = torch.tensor([[0, 1]])
    for given, result in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        assert token_losses(torch.zeros(1, 2, 3, dtype=given), input_ids).dtype == result


@pytest.mark.parametrize("shape", [(0, 4), (2, 0), (0, 0)])
def test_empty_batches_have_empty_losses(shape):
    losses = token_losses(torch.zeros(*shape, VOCABULARY), torch.zeros(shape, dtype=torch.long))
    assert losses.shape == shape


def test_a_sequence_of_one_token_has_nothing_to_score():
    assert token_losses(torch.zeros(1, 1, VOCABULARY), torch.tensor([[3]])).tolist() == [[0.0]]


def test_the_sample_loss_is_the_mean_over_scored_tokens_without_the_first():
    losses = torch.tensor([[9.0, 1.0, 2.0, 6.0], [9.0, 1.0, 2.0, 6.0], [9.0, 1.0, 2.0, math.inf]])
    mask = torch.tensor([[True] * 4, [True, False, True, True], [True, True, True, False]])
    assert sample_losses(losses, mask).tolist() == [3.0, 4.0, 1.5]


def test_a_sample_without_scored_tokens_has_loss_0_not_nan():
    mask = torch.tensor([[True, False, False]])
    assert sample_losses(torch.ones(1, 3), mask).tolist() == [0.0]


def test_shapes_that_do_not_belong_together_are_errors():
    input_ids = torch.zeros(2, 3, dtype=torch.long)
    with pytest.raises(ValueError, match="do not belong to ids"):
        token_losses(torch.zeros(2, 4, VOCABULARY), input_ids)
    with pytest.raises(ValueError, match="does not belong to ids"):
        token_losses(torch.zeros(2, 3, VOCABULARY), input_ids, torch.zeros(2, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="shape"):
        sample_losses(torch.zeros(2, 3), torch.ones(2, 4, dtype=torch.bool))
