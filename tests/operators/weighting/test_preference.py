"""Preference losses: published numbers, neutral settings to the bit, positions, gradients."""

import math

import pytest
import torch
from torch.nn import functional

from operators.weighting.preference import (
    Responses,
    cdpo_loss,
    contrastive_rewards,
    dpo_loss,
    position_divergences,
    tdpo1_loss,
    tdpo2_loss,
    treg_loss,
)


def side(policy, reference=None, scored=None, divergences=None):
    """One pair's side from lists of numbers a token."""
    policy = torch.tensor([policy])
    reference = torch.zeros_like(policy) if reference is None else torch.tensor([reference])
    scored = torch.ones_like(policy).bool() if scored is None else torch.tensor([scored])
    return Responses(
        policy, reference, scored, None if divergences is None else torch.tensor([divergences])
    )


def random_pairs(n=4, t=7, seed=0, divergences=True):
    generator = torch.Generator().manual_seed(seed)
    sides = []
    for _ in range(2):
        policy = -torch.rand(n, t, generator=generator)
        sides.append(
            Responses(
                policy.requires_grad_(),
                -torch.rand(n, t, generator=generator),
                torch.rand(n, t, generator=generator) < 0.7,
                torch.rand(n, t, generator=generator) if divergences else None,
            )
        )
    return sides


def test_dpo_of_a_displaced_pair():
    chosen, rejected = side([-12.0], [-10.0]), side([-40.0], [-20.0])
    assert float(dpo_loss(chosen, rejected, beta=0.1)) == pytest.approx(0.1530, abs=5e-5)


def test_dpo_starts_at_the_logarithm_of_2():
    same = side([-3.0, -1.0], [-3.0, -1.0])
    assert float(dpo_loss(same, same)) == pytest.approx(math.log(2))


def test_tdpo_1_and_2_with_the_sums_of_the_specification():
    chosen = side([0.4, 0.6], divergences=[0.1, 0.2])
    rejected = side([0.2, 0.0], divergences=[0.5, 0.3])
    assert float(tdpo1_loss(chosen, rejected, 0.1)) == pytest.approx(0.67826, abs=5e-6)
    assert float(tdpo2_loss(chosen, rejected, 0.1, alpha=0.5)) == pytest.approx(0.66603, abs=5e-6)


def test_tdpo_2_with_alpha_0_is_dpo_to_the_bit():
    chosen, rejected = random_pairs()
    assert torch.equal(tdpo2_loss(chosen, rejected, alpha=0.0), dpo_loss(chosen, rejected))


def test_tdpo_2_stops_the_gradient_of_the_chosen_divergence_and_tdpo_1_does_not():
    for loss, moves in ((tdpo1_loss, True), (tdpo2_loss, False)):
        chosen, rejected = random_pairs()
        for responses in (chosen, rejected):
            responses.divergences.requires_grad_()
        loss(chosen, rejected).sum().backward()
        assert (chosen.divergences.grad is not None) == moves
        assert rejected.divergences.grad.abs().sum() > 0


def test_cdpo_without_critical_probabilities_is_dpo_to_the_bit_in_value_and_gradient():
    chosen, rejected = random_pairs()
    plain = dpo_loss(chosen, rejected)
    gradient = torch.autograd.grad(plain.sum(), [chosen.policy, rejected.policy])
    weighted = cdpo_loss(chosen, rejected, torch.zeros_like(rejected.policy))
    assert torch.equal(weighted, plain)
    ours = torch.autograd.grad(weighted.sum(), [chosen.policy, rejected.policy])
    assert all(torch.equal(a, b) for a, b in zip(ours, gradient, strict=True))


def test_cdpo_weighs_rejected_tokens_by_what_is_missing_from_certainty():
    chosen, rejected = side([1.0, 1.0]), side([2.0, 4.0])
    loss = cdpo_loss(chosen, rejected, torch.tensor([[0.05, 0.98]]), beta=0.1)
    margin = 2.0 - (0.95 * 2.0 + 0.02 * 4.0)
    assert float(loss) == pytest.approx(-math.log(1 / (1 + math.exp(-0.1 * margin))), rel=1e-6)


def test_treg_with_alpha_0_is_dpo_to_the_bit():
    chosen, rejected = random_pairs()
    rewards = torch.full_like(chosen.policy, 0.3)
    assert torch.equal(
        treg_loss(chosen, rejected, rewards, rewards, alpha=0.0), dpo_loss(chosen, rejected)
    )


def test_treg_adds_the_mean_square_between_the_rewards():
    chosen, rejected = side([1.0, 3.0], scored=[True, False]), side([2.0, -1.0])
    wanted = torch.tensor([[0.3, 9.0]]), torch.tensor([[0.1, -0.2]])
    loss = treg_loss(chosen, rejected, *wanted, beta=0.1, alpha=2.0)
    distance = ((0.1 - 0.3) ** 2 + (0.2 - 0.1) ** 2 + (-0.1 + 0.2) ** 2) / 3
    expected = float(dpo_loss(chosen, rejected, 0.1)) + 2.0 * distance
    assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_contrastive_rewards_are_0_where_the_prompts_make_no_difference():
    rewards = contrastive_rewards(torch.tensor([[-1.0, -1.0]]), torch.tensor([[-1.0, -3.0]]))
    assert rewards[0].tolist() == pytest.approx([0.0, 1 / (1 + math.exp(-2)) - 0.5])


@pytest.mark.parametrize("loss", [dpo_loss, tdpo1_loss, tdpo2_loss])
def test_tokens_outside_of_the_response_count_for_nothing(loss):
    chosen, rejected = random_pairs()
    odd = [
        Responses(
            s.policy.masked_fill(~s.scored, -math.inf),
            s.reference.masked_fill(~s.scored, math.nan),
            s.scored,
            s.divergences.masked_fill(~s.scored, math.inf),
        )
        for s in (chosen, rejected)
    ]
    assert torch.equal(loss(*odd), loss(chosen, rejected))
    loss(*odd).sum().backward()
    assert chosen.policy.grad.isfinite().all()


def test_the_chosen_become_likelier_and_the_rejected_less_likely():
    chosen, rejected = random_pairs()
    dpo_loss(chosen, rejected).sum().backward()
    assert (chosen.policy.grad[chosen.scored] < 0).all()
    assert (rejected.policy.grad[rejected.scored] > 0).all()


def test_a_divergence_stands_at_the_token_that_its_distribution_predicts():
    generator = torch.Generator().manual_seed(0)
    policy, reference = torch.randn(2, 2, 4, 6, generator=generator)
    divergences = position_divergences(policy, reference)
    assert divergences[:, 0].tolist() == [0.0, 0.0]
    for row in range(2):
        for j in range(1, 4):
            p, q = reference[row, j - 1].softmax(-1), policy[row, j - 1].softmax(-1)
            expected = float((p * (p / q).log()).sum())
            assert float(divergences[row, j]) == pytest.approx(expected, rel=1e-5)


def test_equal_distributions_do_not_diverge_and_the_reference_gets_no_gradient():
    logits = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(0))
    assert float(position_divergences(logits, logits).abs().max()) < 1e-6
    policy, reference = logits.clone().requires_grad_(), (2 * logits).requires_grad_()
    position_divergences(policy, reference).sum().backward()
    assert reference.grad is None
    assert policy.grad[:, :-1].abs().sum() > 0
    assert policy.grad[:, -1].abs().sum() == 0


def test_a_token_that_the_policy_excludes_and_the_reference_too_adds_nothing():
    logits = torch.tensor([[[0.0, -math.inf, 0.0], [0.0, 0.0, 0.0]]], requires_grad=True)
    reference = torch.tensor([[[1.0, -math.inf, 0.0], [0.0, 0.0, 0.0]]])
    p = functional.softmax(torch.tensor([1.0, 0.0]), dim=0)
    expected = float((p * (p / 0.5).log()).sum())
    divergence = position_divergences(logits, reference)[0, 1]
    assert float(divergence.detach()) == pytest.approx(expected, rel=1e-5)
    divergence.backward()
    assert logits.grad.isfinite().all()


def test_bad_input_is_named():
    chosen, rejected = random_pairs(divergences=False)
    with pytest.raises(ValueError, match="beta"):
        dpo_loss(chosen, rejected, beta=0.0)
    with pytest.raises(ValueError, match="needs the divergences"):
        tdpo1_loss(chosen, rejected)
    with pytest.raises(ValueError, match="alpha"):
        tdpo2_loss(chosen, rejected, alpha=-1.0)
    with pytest.raises(ValueError, match="alpha"):
        treg_loss(chosen, rejected, chosen.policy, rejected.policy, alpha=-1.0)
    with pytest.raises(ValueError, match="do not belong"):
        cdpo_loss(chosen, rejected, torch.zeros(1, 2))
    with pytest.raises(ValueError, match=">= 0 and <= 1"):
        cdpo_loss(chosen, rejected, torch.full_like(rejected.policy, 1.5))
    with pytest.raises(ValueError, match="do not belong"):
        treg_loss(chosen, rejected, torch.zeros(1, 2), rejected.policy)
    with pytest.raises(ValueError, match="4 chosen and 2 rejected"):
        dpo_loss(chosen, random_pairs(n=2)[1])
    with pytest.raises(ValueError, match="one \\[n, t\\] shape"):
        Responses(chosen.policy, chosen.reference[:1], chosen.scored)
    with pytest.raises(ValueError, match="boolean"):
        Responses(chosen.policy, chosen.reference, chosen.scored.long())
    with pytest.raises(ValueError, match="shape"):
        position_divergences(torch.zeros(1, 2, 3), torch.zeros(1, 2, 4))
    with pytest.raises(ValueError, match="must be one"):
        contrastive_rewards(torch.zeros(1, 2), torch.zeros(1, 3))
