"""D3S: the subset of largest variance against all subsets, tokens by |A| H, the schedule."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.weighting.downsampling import (
    informative_tokens,
    most_varied,
    policy_entropies,
    scheduled,
)


def test_of_four_advantages_the_two_ends_are_kept():
    advantages = torch.tensor([1.0, -1.0, 0.5, 0.0])
    kept = most_varied(advantages, 2)
    assert kept.tolist() == [True, True, False, False]
    assert float(advantages[kept].var(correction=0)) == 1.0


@settings(max_examples=80, deadline=None)
@given(
    values=st.lists(st.integers(-6, 6), min_size=1, max_size=8), keep=st.integers(1, 9),
    shift=st.sampled_from([0.0, 1e6]),
)  # fmt: skip
def test_no_other_subset_varies_more(values, keep, shift):
    advantages = torch.tensor(values, dtype=torch.float64) + shift
    kept = most_varied(advantages, keep)
    keep = min(keep, len(values))
    assert int(kept.sum()) == keep
    best = max(
        float(advantages[list(subset)].var(correction=0))
        for subset in itertools.combinations(range(len(values)), keep)
    )
    assert float(advantages[kept].var(correction=0)) == pytest.approx(best, abs=1e-6)


def test_permuting_the_samples_permutes_the_subset():
    generator = torch.Generator().manual_seed(0)
    advantages = torch.randn(40, generator=generator)
    order = torch.randperm(40, generator=generator)
    assert torch.equal(most_varied(advantages[order], 11), most_varied(advantages, 11)[order])


def test_equal_advantages_are_told_apart_by_place():
    assert most_varied(torch.zeros(4), 2).tolist() == [False, False, True, True]


def test_tokens_are_kept_by_the_size_of_the_advantage_times_the_entropy():
    advantages = torch.tensor([-2.0, 1.0])
    entropies = torch.tensor([[0.0, 1.0, 3.0], [0.0, 4.0, 5.0]])  # |A| H: 2, 6 and 4, 5
    scored = torch.tensor([[False, True, True], [False, True, True]])
    kept = informative_tokens(advantages, entropies, scored, 0.5)
    assert kept.tolist() == [[False, False, True], [False, False, True]]
    kept = informative_tokens(advantages, entropies, scored, 0.75)
    assert kept.tolist() == [[False, False, True], [False, True, True]]
    assert torch.equal(informative_tokens(advantages, entropies, scored, 1.0), scored)


def test_an_entropy_stands_at_the_token_that_its_distribution_predicts():
    logits = torch.tensor(
        [[[0.0, 0.0, 0.0, 0.0], [0.0, -math.inf, -math.inf, 0.0], [9.0, 0.0, 0.0, 0.0]]]
    )
    assert policy_entropies(logits)[0].tolist() == pytest.approx([0.0, math.log(4), math.log(2)])


def test_the_schedule_is_linear_between_its_ends_and_stays_at_the_last():
    ours = [scheduled(step, 4, 0.2, 0.6) for step in (0, 1, 2, 4, 9)]
    assert ours == pytest.approx([0.2, 0.3, 0.4, 0.6, 0.6])
    assert scheduled(4, 4, 0.1, 0.7) == 0.7


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="finite vector"):
        most_varied(torch.tensor([0.0, math.nan]), 1)
    with pytest.raises(ValueError, match="keep"):
        most_varied(torch.zeros(2), 0)
    with pytest.raises(ValueError, match="do not belong"):
        informative_tokens(torch.zeros(3), torch.zeros(2, 4), torch.ones(2, 4).bool(), 0.5)
    for step, steps in ((-1, 4), (0, 0)):
        with pytest.raises(ValueError, match="steps"):
            scheduled(step, steps, 0.1, 0.2)


def test_nothing_to_choose_from_is_nothing_chosen():
    assert most_varied(torch.zeros(0), 3).tolist() == []
    assert policy_entropies(torch.zeros(2, 1, 5)).tolist() == [[0.0], [0.0]]
