"""Faithfulness: two distances that are not the same, and neutral importances with known values."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from operators.evaluation.faithfulness import (
    MEASURES,
    faithfulness,
    hellinger_distance,
    position_correlation,
    random_importance,
    shuffled_importance,
    soft_distance,
)
from operators.modeling import LlamaShape, build_llama

CONTEXT = [3, 5, 2, 7, 4]
masses = hnp.arrays(np.float64, 5, elements=st.floats(1e-6, 1))


@pytest.fixture(scope="module")
def llama():
    shape = LlamaShape(
        hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=24, context_length=16
    )
    model = build_llama(shape, 9, bos_token_id=0, eos_token_id=0, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6.0)
    return model


class LooksAt(torch.nn.Module):
    """The next token is that at one place, as long as its embedding is there."""

    def __init__(self, place):
        super().__init__()
        self.place = place
        self.embedding = torch.nn.Embedding.from_pretrained(8 * torch.eye(9))

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, inputs_embeds, use_cache=False):
        return SimpleNamespace(logits=inputs_embeds[:, [1 + self.place]])


def measure(model, importance, **options):
    settings = {"row_id": "row", "prefix": [0], "device": "cpu", "rationale": 1, "draws": 4}
    return faithfulness(model, CONTEXT, importance, **{**settings, **options})


def test_the_oracles_of_the_two_distances():
    assert float(hellinger_distance([1, 0], [0, 1])) == pytest.approx(1)
    assert float(soft_distance([1, 0], [0, 1])) == pytest.approx(1.4142, abs=5e-5)


@given(masses, masses)
def test_the_soft_distance_is_the_squared_hellinger_distance_times_root_2(p, q):
    p, q = p / p.sum(), q / q.sum()
    hellinger, soft = hellinger_distance(p, q), soft_distance(p, q)
    assert 0 <= hellinger <= 1 + 1e-12
    assert soft == pytest.approx(math.sqrt(2) * hellinger**2)
    assert hellinger_distance(p, p) == soft_distance(p, p) == 0


def test_all_kept_or_all_dropped_have_the_values_of_the_whole_and_of_nothing(llama):
    everything = measure(llama, np.ones(5))
    assert everything.soft_ns == everything.hellinger_soft_ns == pytest.approx(1)
    assert everything.soft_nc == everything.hellinger_soft_nc == pytest.approx(1)
    nothing = measure(llama, np.zeros(5))
    assert nothing.soft_ns == nothing.hellinger_soft_ns == pytest.approx(0, abs=1e-6)
    assert nothing.soft_nc == nothing.hellinger_soft_nc == pytest.approx(0, abs=1e-6)


def test_a_rationale_of_nothing_or_of_everything(llama):
    assert measure(
        llama, np.full(5, 0.2), rationale=0
    ).hellinger_comprehensiveness == pytest.approx(0, abs=1e-6)
    for size in (5, 9):
        whole = measure(llama, np.full(5, 0.2), rationale=size)
        assert whole.hellinger_comprehensiveness == pytest.approx(1)


def test_the_importance_that_a_model_has_is_more_faithful_than_any_other():
    model, right = LooksAt(2), np.eye(5)[2]
    best = measure(model, right)
    for place in (0, 1, 3, 4):
        other = measure(model, np.eye(5)[place])
        for name in MEASURES:
            assert getattr(best, name) == pytest.approx(1)
            assert getattr(other, name) == pytest.approx(0, abs=1e-6)


def test_the_soft_and_the_hellinger_measures_differ(llama):
    found = measure(llama, np.full(5, 0.5))
    assert found.soft_nc != pytest.approx(found.hellinger_soft_nc, rel=1e-3)
    assert found.soft_ns >= found.hellinger_soft_ns


def test_measures_are_normalised_by_no_input(llama):
    from operators.modeling.execution import next_token_logits

    with torch.no_grad():
        embedded = llama.get_input_embeddings()(torch.tensor([[0, *CONTEXT]]))
        whole = (
            next_token_logits(llama, torch.tensor([[0, *CONTEXT]]))[0, -1]
            .double()
            .softmax(-1)
            .numpy()
        )
        embedded[:, 1:] = 0
        empty = llama(inputs_embeds=embedded).logits[0, -1].double().softmax(-1).numpy()
        embedded = llama.get_input_embeddings()(torch.tensor([[0, *CONTEXT]]))
        embedded[:, 3] = 0
        without = llama(inputs_embeds=embedded).logits[0, -1].double().softmax(-1).numpy()
    found = measure(llama, [0, 0.1, 0.8, 0.1, 0])
    zero = float(hellinger_distance(whole, empty))
    assert found.zero_input == pytest.approx(zero, rel=1e-5)
    assert found.hellinger_comprehensiveness == pytest.approx(
        float(hellinger_distance(whole, without)) / zero, rel=1e-3
    )


def test_where_no_input_changes_nothing_there_is_no_measure():
    model = LooksAt(-1)  # at the begin of text, which nobody touches
    found = measure(model, np.full(5, 0.2))
    assert found.zero_input == 0
    assert all(math.isnan(getattr(found, name)) for name in MEASURES)


def test_draws_follow_from_the_id_and_the_seed_and_not_from_the_batch(llama):
    even = np.full(5, 0.5)
    assert measure(llama, even) == measure(llama, even)
    assert measure(llama, even) != measure(llama, even, row_id="other")
    assert measure(llama, even) != measure(llama, even, seed=1)
    assert measure(llama, even, batch_size=3).soft_nc == pytest.approx(
        measure(llama, even).soft_nc, rel=1e-5
    )


def test_of_equal_importances_the_first_are_taken_out():
    assert measure(LooksAt(0), np.full(5, 0.2)).hellinger_comprehensiveness == pytest.approx(1)
    assert measure(LooksAt(1), np.full(5, 0.2)).hellinger_comprehensiveness == pytest.approx(
        0, abs=1e-6
    )


@pytest.mark.parametrize(
    ("importance", "options", "message"),
    [
        (np.ones(4), {}, "as many importances"),
        ([0.2, 0.2, 0.2, 0.2, 1.2], {}, r"in \[0, 1\]"),
        ([0.2, 0.2, 0.2, 0.2, math.nan], {}, r"in \[0, 1\]"),
        (np.ones(5), {"draws": 0}, "draws"),
        (np.ones(5), {"rationale": -1}, "rationale"),
    ],
)
def test_what_has_no_meaning_is_refused(llama, importance, options, message):
    with pytest.raises(ValueError, match=message):
        measure(llama, importance, **options)


def test_a_random_importance_is_a_distribution_of_its_own_row():
    one = random_importance(7, row_id="a")
    assert one.sum() == pytest.approx(1)
    assert one.max() / one.min() < math.e
    assert one.tolist() == random_importance(7, row_id="a").tolist()
    assert one.tolist() != random_importance(7, row_id="b").tolist()


def test_a_shuffled_importance_has_the_same_values():
    values = np.arange(9) / 36
    shuffled = shuffled_importance(values, row_id="a")
    assert sorted(shuffled.tolist()) == values.tolist()
    assert shuffled.tolist() != values.tolist()


def test_the_correlation_with_position_is_a_mean_over_contexts():
    rising, falling = [0.1, 0.2, 0.7], [0.7, 0.2, 0.1]
    assert position_correlation([[0.1, 0.2, 0.3, 0.4]]) == pytest.approx(1)
    assert position_correlation([rising, falling]) == pytest.approx(0)
    assert position_correlation([rising, [1.0], [0.5, 0.5], [0.3, 0.3, 0.3]]) > 0.9
    assert math.isnan(position_correlation([[1.0], []]))
