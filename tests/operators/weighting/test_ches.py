"""CHES: published numbers, which hidden states count, the filter."""

import math

import pytest
import torch

from operators.weighting.ches import ches_scores, least_displacing


def states(*vectors):
    """Hidden states of one response: its vectors, then that of the last token, which predicts nothing."""
    return torch.tensor([[*vectors, (9.0, 9.0)]]), torch.tensor([[False] + [True] * len(vectors)])


def test_the_scores_of_two_against_one_state():
    chosen, chosen_scored = states((1.0, 0.0), (0.0, 1.0))
    rejected, rejected_scored = states((1.0, 1.0))
    given = (chosen, rejected, chosen_scored, rejected_scored)
    assert float(ches_scores(*given)) == 0.0
    assert float(ches_scores(*given, length_normalised=True)) == 0.5


def test_the_state_of_the_last_prompt_token_counts_and_that_of_the_last_token_does_not():
    hidden = torch.tensor([[[1.0], [10.0], [100.0], [1000.0]]])
    scored = torch.tensor([[False, False, True, True]])  # predicted from indices 1 and 2
    other, other_scored = torch.tensor([[[1.0], [0.0]]]), torch.tensor([[False, True]])
    assert float(ches_scores(hidden, other, scored, other_scored)) == 110.0 - 110.0**2


def test_a_pair_of_one_response_twice_scores_0():
    hidden = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    scored = torch.tensor([[False, True, True, True, False]]).expand(3, 5)
    for normalised in (False, True):
        scores = ches_scores(hidden, hidden, scored, scored, length_normalised=normalised)
        assert scores.abs().max() < 1e-12


def test_padding_may_hold_anything():
    hidden = torch.ones(1, 4, 2)
    scored = torch.tensor([[False, True, True, False]])
    odd = hidden.clone()
    odd[:, 2:] = math.nan
    assert torch.equal(
        ches_scores(odd, hidden, scored, scored), ches_scores(hidden, hidden, scored, scored)
    )


def test_a_response_without_tokens_has_no_state():
    nothing = torch.zeros(1, 3, dtype=torch.bool)
    scored = torch.tensor([[False, True, True]])
    hidden = torch.ones(1, 3, 2)
    for normalised in (False, True):
        scores = ches_scores(hidden, hidden, nothing, scored, length_normalised=normalised)
        assert float(scores) == 0.0


def test_the_filter_keeps_the_lowest_scores_and_of_equal_ones_the_first():
    scores = torch.tensor([3.0, 1.0, 2.0, 1.0, 2.0])
    assert least_displacing(scores, 0.6).tolist() == [False, True, True, True, False]
    assert least_displacing(scores, 0.05).tolist() == [False, True, False, False, False]
    assert least_displacing(scores, 1.0).tolist() == [True] * 5
    assert least_displacing(scores[:0], 0.5).tolist() == []


def test_bad_input_is_named():
    hidden, scored = torch.zeros(1, 3, 2), torch.ones(1, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match="do not belong to a mask"):
        ches_scores(hidden, hidden, scored[:, :2], scored)
    with pytest.raises(ValueError, match="same pairs and width"):
        ches_scores(hidden, torch.zeros(1, 3, 5), scored, scored)
    with pytest.raises(ValueError, match="without NaN"):
        least_displacing(torch.tensor([math.nan]), 0.5)
    with pytest.raises(ValueError, match="share"):
        least_displacing(torch.zeros(2), 0.0)
