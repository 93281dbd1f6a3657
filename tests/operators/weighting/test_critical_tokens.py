"""Contrastive estimation: the contrast, the position of each probability, bad input."""

import math

import pytest
import torch
from torch.nn import functional

from operators.weighting.critical_tokens import contrastive_probabilities


def test_it_is_the_softmax_of_twice_the_positive_minus_the_negative():
    positive = torch.tensor([[[1.0, 0.0, -1.0], [0.0, 0.0, 0.0]]])
    negative = torch.tensor([[[0.0, 1.0, -2.0], [0.0, 0.0, 0.0]]])
    ids = torch.tensor([[0, 1]])
    masses = [math.exp(2), math.exp(-1), math.exp(0)]
    ours = contrastive_probabilities(positive, negative, ids)
    assert ours[0].tolist() == pytest.approx([0.0, masses[1] / sum(masses)], rel=1e-6)


def test_a_probability_stands_at_its_token_one_position_after_its_logits():
    """A positive model that counts up: the one token that does not is critical, where it stands."""
    ids = torch.tensor([[0, 1, 3, 4, 0, 1]])
    positive = 20.0 * functional.one_hot((ids + 1) % 5, 5).float()
    ours = contrastive_probabilities(positive, torch.zeros_like(positive), ids)[0]
    assert ours.tolist() == pytest.approx([0, 1, 0, 1, 1, 1], abs=1e-6)


def test_beta_0_is_the_positive_model_alone():
    generator = torch.Generator().manual_seed(0)
    positive, negative = torch.randn(2, 2, 4, 6, generator=generator)
    ids = torch.randint(0, 6, (2, 4), generator=generator)
    ours = contrastive_probabilities(positive, negative, ids, beta=0.0)
    expected = positive.softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None]).squeeze(-1)
    assert torch.allclose(ours[:, 1:], expected)


def test_two_models_that_agree_give_the_same_as_one():
    logits = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([[0, 1, 2]])
    both = contrastive_probabilities(logits, logits, ids)
    assert torch.allclose(both, contrastive_probabilities(logits, logits, ids, beta=0.0))


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (2, 1)])
def test_empty_and_single_tokens_have_no_probability(shape):
    logits = torch.zeros(*shape, 4)
    ids = torch.zeros(shape, dtype=torch.long)
    assert torch.equal(contrastive_probabilities(logits, logits, ids), torch.zeros(shape))


def test_bad_input_is_named():
    logits, ids = torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.long)
    with pytest.raises(ValueError, match="must be one"):
        contrastive_probabilities(logits, torch.zeros(1, 2, 4), ids)
    with pytest.raises(ValueError, match="do not belong to ids"):
        contrastive_probabilities(logits, logits, ids[:, :1])
    with pytest.raises(ValueError, match="beta"):
        contrastive_probabilities(logits, logits, ids, beta=-1.0)
