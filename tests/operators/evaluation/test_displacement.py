"""Displacement: a margin can grow while what was chosen loses."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from operators.evaluation.displacement import Displacement, log_mass, response_log_probabilities
from operators.modeling import LlamaShape, build_llama

logs = st.floats(-100, 0)


def test_the_oracle_of_a_pair_whose_chosen_response_fell():
    found = Displacement([-10.0], [-12.0], [-20.0], [-40.0])
    assert found.reward_margin(0.1) == pytest.approx([1.8])
    assert found.dpo_loss(0.1) == pytest.approx([0.1530], abs=5e-5)
    assert found.chosen_change.tolist() == [-2]
    assert found.displaced.tolist() == [True]


@given(st.lists(st.tuples(logs, logs), min_size=1, max_size=5), st.floats(0.01, 5))
def test_without_training_nothing_is_displaced_and_the_loss_is_that_of_chance(pairs, beta):
    chosen, rejected = (np.array(side) for side in zip(*pairs, strict=True))
    same = Displacement(chosen, chosen, rejected, rejected)
    assert not same.displaced.any()
    assert same.margin_change.tolist() == [0] * len(pairs)
    assert same.dpo_loss(beta) == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("chosen_after", "rejected_after", "displaced"),
    [
        (-9, -30, False),  # likelier, larger margin: as it should be
        (-10, -30, False),  # exactly as likely as before
        (-12, -22, False),  # less likely, exactly the same margin
        (-12, -21, False),  # less likely, smaller margin
        (-12, -22.5, True),
        (-9, -12, False),
    ],
)
def test_displaced_is_less_likely_and_yet_further_apart_both_strictly(
    chosen_after, rejected_after, displaced
):
    found = Displacement([-10], [chosen_after], [-20], [rejected_after])
    assert found.displaced.tolist() == [displaced]


@given(logs, logs, logs, logs)
def test_the_change_of_the_margin_is_the_difference_of_the_margins(a, b, c, d):
    found = Displacement([a], [b], [c], [d])
    assert found.margin_change == pytest.approx(found.margin_after - found.margin_before, abs=1e-9)


def test_a_loss_of_a_huge_margin_is_finite():
    assert Displacement([0], [0], [0], [-1e5]).dpo_loss(1.0).tolist() == [0]
    assert Displacement([0], [-1e5], [0], [0]).dpo_loss(1.0).tolist() == [1e5]


def test_the_mass_of_a_set_is_the_sum_of_its_probabilities():
    assert log_mass([math.log(0.1), math.log(0.3)]) == pytest.approx(math.log(0.4))
    assert log_mass([-2000.0, -2000.0]) == pytest.approx(-2000 + math.log(2))
    assert log_mass([]) == -math.inf


@pytest.mark.parametrize(
    ("rejected_after", "message"),
    [
        ([-1.0, -2.0], "rejected_after has shape"),
        ([math.nan], r"rejected_after\[0\] is nan"),
        ([-math.inf], "must be finite"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(rejected_after, message):
    with pytest.raises(ValueError, match=message):
        Displacement([-1.0], [-1.0], [-1.0], rejected_after)


@pytest.fixture(scope="module")
def llama():
    shape = LlamaShape(
        hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=24, context_length=16
    )
    return build_llama(shape, 9, bos_token_id=0, eos_token_id=0, seed=1)


def said(model, prompts, responses, **options):
    settings = {"context_length": 16, "end_of_text": 0, "device": "cpu"}
    return response_log_probabilities(model, prompts, responses, **{**settings, **options})


def test_a_response_is_scored_with_its_end_and_without_its_prompt(llama):
    prompts, responses = [[3, 4], [], [5]], [[7, 8, 2], [1], []]
    found = said(llama, prompts, responses)
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        ids = torch.tensor([[0, *prompt, *response, 0]])
        with torch.no_grad():
            predicted = llama(input_ids=ids).logits[0, :-1].double().log_softmax(-1)
        each = predicted[torch.arange(ids.shape[1] - 1), ids[0, 1:]]
        assert found[row] == pytest.approx(float(each[len(prompt) :].sum()), rel=1e-5)


def test_neither_batches_nor_neighbours_change_what_a_response_has(llama):
    prompts, responses = [[3, 4], [1], [5, 5, 5]], [[7, 8, 2], [1, 2], [6]]
    whole = said(llama, prompts, responses)
    assert said(llama, prompts[::-1], responses[::-1], batch_size=1)[::-1] == pytest.approx(
        whole, rel=1e-5
    )


def test_a_pair_longer_than_the_context_is_read_in_windows(llama):
    (found,) = said(llama, [[3] * 20], [[4] * 20])
    assert found < 0
    assert math.isfinite(found)


def test_no_pairs_and_pairs_of_different_numbers(llama):
    assert said(llama, [], []).shape == (0,)
    with pytest.raises(ValueError, match="1 prompts need as many responses"):
        said(llama, [[1]], [])
