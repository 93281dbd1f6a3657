"""Preference training on a tiny model: the margin grows, neutral settings to the bit, bad input."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from operators.modeling.architecture import LlamaShape, build_llama
from operators.modeling.preference_recipe import (
    PREFERENCE_LOSSES,
    PreferencePairs,
    PreferenceRecipe,
)
from operators.modeling.preference_training import train_preferences

SHAPE = LlamaShape(
    hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=24, context_length=16
)
RECIPE = PreferenceRecipe(steps=15, batch_size=4, learning_rate=1e-2, seed=3, device="cpu")


def tiny():
    return build_llama(SHAPE, 12, bos_token_id=0, eos_token_id=0, seed=1)


def some_pairs(n=6, t=8):
    """Chosen responses count up from the prompt's last token, rejected ones repeat it."""
    generator = np.random.default_rng(0)
    prompts = generator.integers(1, 6, (n, 3))
    last = prompts[:, -1:]
    steps = np.arange(1, t - 2)
    return PreferencePairs(
        chosen=np.concatenate([prompts, last + steps], axis=1),
        rejected=np.concatenate([prompts, last + 0 * steps], axis=1),
        prompt_lengths=np.full(n, 3),
        chosen_lengths=generator.integers(5, t + 1, n),
        rejected_lengths=generator.integers(5, t + 1, n),
        critical=np.zeros((n, t), dtype=np.float32),
    )


@pytest.fixture(scope="module")
def pairs():
    return some_pairs()


def trained(pairs, recipe=RECIPE):
    model = tiny()
    reports = train_preferences(model, tiny(), pairs, recipe)
    return reports, [parameter.detach().clone() for parameter in model.parameters()]


@pytest.fixture(scope="module")
def dpo(pairs):
    return trained(pairs)


@pytest.mark.parametrize("loss", PREFERENCE_LOSSES)
def test_the_margin_grows_and_the_loss_falls(pairs, loss):
    reports, _ = trained(pairs, replace(RECIPE, loss=loss))
    assert [report.step for report in reports] == list(range(1, 16))
    assert reports[0].loss == pytest.approx(math.log(2), abs=1e-6)
    assert reports[0].margin == pytest.approx(0.0, abs=1e-6)
    assert reports[-1].margin > reports[5].margin > 0.01
    assert reports[-1].loss < 0.9 * math.log(2)
    assert reports[-1].accuracy == 1.0
    gap = [r.chosen_log_probability - r.rejected_log_probability for r in reports]
    assert gap[-1] > gap[0]


def test_cdpo_without_critical_tokens_is_dpo_to_the_bit(pairs, dpo):
    reports, weights = trained(pairs, replace(RECIPE, loss="cdpo"))
    assert reports == dpo[0]
    assert all(torch.equal(a, b) for a, b in zip(weights, dpo[1], strict=True))


def test_cdpo_leaves_rejected_tokens_alone_that_are_not_critical(pairs):
    """With s = 1 throughout, nothing that only rejected responses hold is learnt from them."""
    certain = replace(pairs, critical=np.ones_like(pairs.critical))
    reports, _ = trained(certain, replace(RECIPE, loss="cdpo"))
    assert reports[-1].chosen_log_probability > reports[0].chosen_log_probability
    other = replace(certain, rejected=certain.chosen, rejected_lengths=certain.chosen_lengths)
    assert [r.loss for r in trained(other, replace(RECIPE, loss="cdpo"))[0]] == pytest.approx(
        [r.loss for r in reports], rel=1e-4
    )


def test_tdpo_2_with_alpha_0_is_dpo_to_the_bit(pairs, dpo):
    reports, weights = trained(pairs, replace(RECIPE, loss="tdpo2", alpha=0.0))
    assert [report.loss for report in reports] == [report.loss for report in dpo[0]]
    assert all(torch.equal(a, b) for a, b in zip(weights, dpo[1], strict=True))


def test_two_runs_are_equal_to_the_bit_and_another_seed_is_another_order(pairs, dpo):
    reports, weights = trained(pairs)
    assert reports == dpo[0]
    assert all(torch.equal(a, b) for a, b in zip(weights, dpo[1], strict=True))
    assert trained(pairs, replace(RECIPE, seed=4))[0] != reports


def test_padding_and_the_reference_change_nothing(pairs, dpo):
    places = np.arange(pairs.chosen.shape[1])
    padded = replace(
        pairs,
        chosen=np.where(places < pairs.chosen_lengths[:, None], pairs.chosen, 11),
        rejected=np.where(places < pairs.rejected_lengths[:, None], pairs.rejected, 0),
    )
    reference = tiny().train()
    before = copy.deepcopy(reference.state_dict())
    reports = train_preferences(tiny(), reference, padded, RECIPE)
    assert reports == dpo[0]
    assert reference.training
    assert all(torch.equal(before[name], now) for name, now in reference.state_dict().items())
    assert all(parameter.grad is None for parameter in reference.parameters())


def test_the_first_response_token_is_scored_and_the_prompt_is_not(pairs):
    """One token each, after the same prompt: its logits are the prompt's last."""
    one = PreferencePairs(
        np.array([[3, 4, 7]]), np.array([[3, 4, 9]]), np.array([2]), np.array([3]), np.array([3])
    )
    model = tiny()
    with torch.no_grad():
        logs = model(input_ids=torch.tensor([[3, 4]])).logits[0, -1].log_softmax(-1)
    report = train_preferences(model, tiny(), one, replace(RECIPE, steps=1, batch_size=1))[0]
    assert report.chosen_log_probability == pytest.approx(float(logs[7]), rel=1e-5)
    assert report.rejected_log_probability == pytest.approx(float(logs[9]), rel=1e-5)


def test_a_chosen_response_that_loses_likelihood_while_the_margin_grows_is_displaced():
    """Likelihoods under the policy -12 and -40, under the reference -10 and -20."""
    logs = torch.tensor([-12.0, -40.0]), torch.tensor([-10.0, -20.0])

    class Fixed(torch.nn.Module):
        def __init__(self, of_responses):
            super().__init__()
            self.of_responses = torch.nn.Parameter(of_responses)

        def forward(self, input_ids, use_cache):
            logits = torch.zeros(*input_ids.shape, 4)
            logits[:, 0, 1:3] = self.of_responses
            return type("Answer", (), {"logits": logits})()

    one = PreferencePairs(
        np.array([[0, 1]]), np.array([[0, 2]]), np.array([1]), np.array([2]), np.array([2])
    )
    report = train_preferences(
        Fixed(logs[0]), Fixed(logs[1]), one, replace(RECIPE, steps=1, batch_size=1)
    )[0]
    assert report.margin == pytest.approx(1.8, rel=1e-4)
    assert report.loss == pytest.approx(0.1530, abs=5e-5)
    assert report.displaced_share == 1.0


def test_a_step_that_is_not_finite_is_named():
    model = tiny()
    with torch.no_grad():
        model.lm_head.weight.fill_(math.inf)
    with pytest.raises(FloatingPointError, match="step 1"):
        train_preferences(model, tiny(), some_pairs(), RECIPE)


def test_bad_input_is_named(pairs):
    model = tiny()
    with pytest.raises(ValueError, match="the model itself"):
        train_preferences(model, model, pairs, RECIPE)
    with pytest.raises(ValueError, match="cdpo needs"):
        train_preferences(
            model, tiny(), replace(pairs, critical=None), replace(RECIPE, loss="cdpo")
        )
    with pytest.raises(ValueError, match="no pair"):
        train_preferences(model, tiny(), some_pairs(n=0), RECIPE)
    with pytest.raises(
        ValueError, match="pair 0: chosen has 3 of at most 8 tokens behind a prompt of 3"
    ):
        replace(pairs, chosen_lengths=np.full(6, 3))
    with pytest.raises(ValueError, match="pad the shorter"):
        replace(pairs, rejected=pairs.rejected[:, :4])
    with pytest.raises(ValueError, match="rejected_lengths"):
        replace(pairs, rejected_lengths=np.full(2, 6))
    with pytest.raises(ValueError, match="critical"):
        replace(pairs, critical=np.zeros((6, 2)))
    with pytest.raises(
        ValueError, match="steps must be >= 1; batch_size must be >= 1; beta must be > 0"
    ):
        PreferenceRecipe(steps=0, batch_size=0, beta=0.0)
    with pytest.raises(ValueError, match="loss must be one of"):
        PreferenceRecipe(steps=1, batch_size=1, loss="ipo")
