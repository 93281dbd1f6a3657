"""EMO, number-token loss, GRIFFIN's mask: published numbers, positions, gradients, bad input."""

import math

import pytest
import torch

from operators.modeling.loss_variants import (
    NUMBER_DISTANCES,
    earth_mover_losses,
    emo_losses,
    griffin_mask,
    number_token_losses,
)
from operators.modeling.losses import token_losses

EMBEDDINGS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
DIGITS = torch.arange(10.0)


def predicting(*distribution):
    """Logits of two positions: the first predicts token 1 by this distribution."""
    logits = torch.tensor(distribution).log()
    return torch.stack([logits, torch.zeros_like(logits)]).unsqueeze(0)


def test_the_distance_of_the_specification():
    losses = earth_mover_losses(predicting(0.5, 0.3, 0.2), torch.tensor([[2, 0]]), EMBEDDINGS)
    assert losses[0].tolist() == pytest.approx([0.0, 0.38], abs=1e-6)


def test_only_the_direction_of_an_embedding_counts():
    logits, ids = predicting(0.5, 0.3, 0.2), torch.tensor([[2, 0]])
    scaled = EMBEDDINGS * torch.tensor([[2.0], [5.0], [0.1]])
    plain = earth_mover_losses(logits, ids, EMBEDDINGS)
    torch.testing.assert_close(earth_mover_losses(logits, ids, scaled), plain)


def test_a_distance_stands_at_its_token_one_position_after_its_logits():
    ids = torch.tensor([[0, 1, 2, 0, 1]])
    counting = 40.0 * torch.nn.functional.one_hot((ids + 1) % 3, 3).float()
    surprise = torch.tensor([[0, 1, 0, 0, 1]])
    counted = 40.0 * torch.nn.functional.one_hot((surprise + 1) % 3, 3).float()
    assert earth_mover_losses(counting, ids, EMBEDDINGS)[0].tolist() == pytest.approx([0.0] * 5)
    expected = [0.0, 0.0, 1 - 0.6, 1.0, 0.0]  # predicted 2 and 1 where 0 came
    assert earth_mover_losses(counted, surprise, EMBEDDINGS)[0].tolist() == pytest.approx(expected)


def test_mode_1_has_the_value_of_the_cross_entropy_and_mode_2_twice_the_distance():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 3, generator=generator)
    ids = torch.randint(0, 3, (2, 5), generator=generator)
    likelihood, distance = token_losses(logits, ids), earth_mover_losses(logits, ids, EMBEDDINGS)
    torch.testing.assert_close(emo_losses(logits, ids, EMBEDDINGS, 1), likelihood)
    torch.testing.assert_close(emo_losses(logits, ids, EMBEDDINGS, 2), 2 * distance)


@pytest.mark.parametrize("mode", [1, 2])
def test_both_parts_pull_and_the_ratio_between_them_is_detached(mode):
    logits = predicting(0.5, 0.3, 0.2).requires_grad_()
    ids = torch.tensor([[2, 0]])
    emo_losses(logits, ids, EMBEDDINGS, mode).sum().backward()
    q = torch.tensor([0.5, 0.3, 0.2])
    of_likelihood = q - torch.tensor([1.0, 0.0, 0.0])
    of_distance = q * (torch.tensor([0.0, 1.0, 0.4]) - 0.38)
    ratio = math.log(2) / 0.38
    expected = (of_likelihood + ratio * of_distance) / 2
    if mode == 2:
        expected = of_distance + of_likelihood / ratio
    torch.testing.assert_close(logits.grad[0, 0], expected)
    assert logits.grad[0, 1].abs().sum() == 0


def test_the_embeddings_get_no_gradient():
    embeddings = EMBEDDINGS.clone().requires_grad_()
    logits = predicting(0.5, 0.3, 0.2).requires_grad_()
    emo_losses(logits, torch.tensor([[2, 0]]), embeddings).sum().backward()
    assert embeddings.grad is None


@pytest.mark.parametrize("mode", [1, 2])
def test_ignored_tokens_cost_nothing_and_may_hold_any_id(mode):
    logits = predicting(0.5, 0.3, 0.2).requires_grad_()
    ignore = torch.tensor([[False, True]])
    losses = emo_losses(logits, torch.tensor([[2, -7]]), EMBEDDINGS, mode, ignore)
    losses.sum().backward()
    assert losses.tolist() == [[0.0, 0.0]]
    assert logits.grad.abs().sum() == 0


@pytest.mark.parametrize("mode", [1, 2])
def test_a_token_that_is_certain_has_a_finite_gradient(mode):
    logits = torch.tensor([[[200.0, 0.0, 0.0], [0.0, 0.0, 0.0]]], requires_grad=True)
    emo_losses(logits, torch.tensor([[1, 0]]), EMBEDDINGS, mode).sum().backward()
    assert logits.grad.abs().max() < 1e-3


@pytest.mark.parametrize(
    ("distance", "expected"), [("squared", 0.0), ("absolute", 1.0), ("cumulative", 1.0)]
)
def test_half_on_3_and_half_on_5_where_4_is_right(distance, expected):
    halves = [0.0] * 10
    halves[3] = halves[5] = 0.5
    losses = number_token_losses(predicting(*halves), torch.tensor([[0, 4]]), DIGITS, distance)
    assert losses[0].tolist() == pytest.approx([0.0, expected], abs=1e-6)


@pytest.mark.parametrize("truth", range(10))
def test_for_digits_the_cumulative_distance_is_the_absolute_one(truth):
    q = torch.rand(10, generator=torch.Generator().manual_seed(truth))
    logits, ids = predicting(*(q / q.sum()).tolist()), torch.tensor([[0, truth]])
    absolute = number_token_losses(logits, ids, DIGITS, "absolute")
    torch.testing.assert_close(number_token_losses(logits, ids, DIGITS, "cumulative"), absolute)


def test_the_cumulative_distance_counts_distinct_values_and_not_their_gaps():
    values = torch.tensor([7.0, 1.0, 100.0, 7.0])  # two tokens of 7: one place
    logits = predicting(0.25, 0.0, 0.5, 0.25)
    losses = number_token_losses(logits, torch.tensor([[0, 1]]), values, "cumulative")
    assert float(losses[0, 1]) == pytest.approx(0.5 * 1 + 0.5 * 2)


@pytest.mark.parametrize("distance", NUMBER_DISTANCES)
def test_only_number_tokens_are_looked_at_and_only_at_numbers(distance):
    values = torch.tensor([math.nan, 1.0, 3.0])
    logits = torch.zeros(1, 4, 3, requires_grad=True)
    losses = number_token_losses(logits, torch.tensor([[1, 0, 2, 0]]), values, distance)
    losses.sum().backward()
    assert losses[0].tolist() == pytest.approx(
        [0.0, 0.0, 1.0 if distance != "cumulative" else 0.5, 0.0]
    )
    assert logits.grad[0, :, 0].abs().sum() == 0  # the token that is no number
    assert logits.grad.abs().sum(-1)[0].gt(0).tolist() == [False, True, False, False]


@pytest.mark.parametrize("distance", NUMBER_DISTANCES)
def test_texts_without_numbers_have_no_number_loss(distance):
    for values in (torch.full((3,), math.nan), torch.tensor([math.nan, math.nan, 5.0])):
        logits = torch.zeros(1, 3, 3, requires_grad=True)
        losses = number_token_losses(logits, torch.tensor([[0, 1, 0]]), values, distance)
        losses.sum().backward()
        assert losses.tolist() == [[0.0, 0.0, 0.0]]


def test_empty_and_short_batches_have_empty_losses():
    for shape in ((0, 4), (2, 0), (2, 1)):
        logits, ids = torch.zeros(*shape, 3), torch.zeros(shape, dtype=torch.long)
        assert torch.equal(emo_losses(logits, ids, EMBEDDINGS), torch.zeros(shape))
        assert torch.equal(number_token_losses(logits, ids, torch.arange(3.0)), torch.zeros(shape))


def test_the_second_pass_counts_where_the_next_token_was_a_candidate():
    candidates = torch.tensor([[[1, 2, 3], [4, 5, 6], [7, 8, 9]]])
    following = torch.tensor([[2, 9, 7]])
    assert griffin_mask(candidates, following).long().tolist() == [[1, 0, 1]]


def test_the_third_pass_counts_where_the_position_before_counted_in_the_second():
    candidates = torch.tensor([[[1, 2, 3], [4, 5, 6], [7, 8, 9], [0, 1, 2]]])
    all_hit = torch.tensor([[2, 5, 7, 1]])
    second = torch.tensor([[True, False, True, True]])
    assert griffin_mask(candidates, all_hit, second).tolist() == [[True, True, False, True]]
    third = griffin_mask(candidates, torch.tensor([[9, 5, 7, 9]]), second)
    assert third.tolist() == [[False, True, False, False]]


def test_bad_input_is_named():
    logits, ids = torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.long)
    with pytest.raises(ValueError, match="do not belong to ids"):
        earth_mover_losses(logits, ids[:, :1], EMBEDDINGS)
    with pytest.raises(ValueError, match="vocabulary of 3"):
        earth_mover_losses(logits, ids, EMBEDDINGS[:2])
    with pytest.raises(ValueError, match="mode"):
        emo_losses(logits, ids, EMBEDDINGS, 3)
    with pytest.raises(ValueError, match="vocabulary of 3"):
        number_token_losses(logits, ids, DIGITS)
    with pytest.raises(ValueError, match="do not belong to ids"):
        number_token_losses(logits, ids[:, :1], DIGITS[:3])
    with pytest.raises(ValueError, match="distance"):
        number_token_losses(logits, ids, DIGITS[:3], "mse")
    with pytest.raises(ValueError, match="do not belong to tokens"):
        griffin_mask(torch.zeros(1, 2, 3), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="previous"):
        griffin_mask(torch.zeros(1, 2, 3), torch.zeros(1, 2), torch.ones(1, 2))
