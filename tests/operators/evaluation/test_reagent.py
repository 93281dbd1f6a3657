"""ReAGent: the token that matters is found wherever it stands, by the authors' update."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.evaluation.faithfulness import position_correlation
from operators.evaluation.reagent import ReagentRule, reagent, updated_scores
from operators.evaluation.replacements import (
    causal_predictions,
    masked_predictions,
    prediction_sampler,
    unigram_sampler,
)

VOCABULARY = 12
BOS = 0
UNIFORM = unigram_sampler([0] + [1] * (VOCABULARY - 1))
FAST = {"device": "cpu", "sampler": UNIFORM, "prefix": [BOS]}


class Copies(torch.nn.Module):
    """The next token is the one at a known place of the context, and no other matters."""

    def __init__(self, place, certainty=6.0):
        super().__init__()
        self.place, self.certainty, self.rows = place, certainty, 0

    def forward(self, input_ids, use_cache=False):
        self.rows += len(input_ids)
        copied = torch.nn.functional.one_hot(input_ids[:, 1 + self.place], VOCABULARY)
        logits = self.certainty * copied.float()
        return SimpleNamespace(logits=logits[:, None].expand(-1, input_ids.shape[1], -1))


class Deaf(torch.nn.Module):
    """Says the same whatever stands before."""

    def forward(self, input_ids, use_cache=False):
        logits = torch.arange(VOCABULARY).float()
        return SimpleNamespace(logits=logits.expand(*input_ids.shape, -1))


def context_of(length, seed=0):
    return np.random.default_rng(seed).integers(1, VOCABULARY, length)


def explain(model, context, target, row_id="row", **options):
    given = {
        key: options.pop(key) for key in list(options) if key in FAST | {"batch_size": 0, "seed": 0}
    }
    return reagent(
        model, context, int(target), row_id=row_id, rule=ReagentRule(**options), **{**FAST, **given}
    )


def test_the_oracle_of_the_update():
    replaced = np.array([True, False])
    assert updated_scores(np.zeros(2), replaced, 0.4) == pytest.approx([0.8473, -0.8473], abs=5e-5)
    assert updated_scores(np.array([0.3, -2.0]), replaced, 0.0).tolist() == [0.3, -2.0]


@pytest.mark.parametrize("change", [1.0, -1.0])
def test_a_change_of_everything_is_finite(change):
    scores = updated_scores(np.zeros(2), np.array([True, False]), change)
    assert np.isfinite(scores).all()
    assert scores[0] == -scores[1]
    assert scores[0] == pytest.approx(math.copysign(math.log((2 - 1e-6) / 1e-6), change))


@given(st.floats(-0.99, 0.99), st.floats(-3, 3))
def test_an_update_is_the_logit_of_half_the_change(change, score):
    found = updated_scores(np.array([score, score]), np.array([True, False]), change)
    logit = [math.log(p / (1 - p)) for p in (0.5 + change / 2, 0.5 - change / 2)]
    assert found == pytest.approx([score + each for each in logit], abs=1e-9)


@pytest.mark.parametrize("place", [0, 3, 9])
def test_the_token_that_is_copied_is_the_most_important_wherever_it_stands(place):
    context = context_of(10)
    found = explain(Copies(place), context, context[place], top_k=0, max_updates=60, runs=3)
    assert found.importance.argmax() == place
    assert found.importance[place] > 0.9
    assert found.importance.sum() == pytest.approx(1)


def test_importance_follows_the_token_and_not_its_place():
    found = []
    for place in range(8):
        context = context_of(8, seed=place)
        found.append(
            explain(
                Copies(place),
                context,
                context[place],
                top_k=0,
                max_updates=60,
                runs=2,
                row_id=str(place),
            ).importance
        )
    assert [each.argmax() for each in found] == list(range(8))
    assert abs(position_correlation(found)) < 0.15


def test_a_run_stops_as_soon_as_its_rationale_is_enough():
    context = context_of(10)
    found = explain(Copies(4), context, context[4], rationale=1, top_k=1, max_updates=500, runs=4)
    assert found.stopped.all()
    assert (found.updates < 500).all()
    assert found.importance.argmax() == 4


def test_before_min_updates_nothing_stops():
    context = context_of(10)
    rule = {"rationale": 5, "top_k": 12, "runs": 4, "max_updates": 40}
    assert explain(Deaf(), context, 1, **rule).updates.tolist() == [1] * 4
    assert explain(Deaf(), context, 1, **rule, min_updates=7).updates.tolist() == [7] * 4


@pytest.mark.parametrize("rule", [{"top_k": 0, "rationale": 1}, {"top_k": 12, "rationale": 3}])
def test_neither_top_0_nor_a_rationale_of_everything_stops_a_run(rule):
    found = explain(Deaf(), context_of(3), 1, **rule, max_updates=9, runs=2)
    assert found.updates.tolist() == [9, 9]
    assert not found.stopped.any()


def test_a_target_exactly_at_the_last_place_of_the_top_is_in_it():
    # Of Deaf, 11 is most probable, then 10, ...: 9 is third.
    rule = {"rationale": 1, "max_updates": 4, "runs": 1}
    assert explain(Deaf(), context_of(6), 9, **rule, top_k=3).stopped.all()
    assert not explain(Deaf(), context_of(6), 9, **rule, top_k=2).stopped.any()


def test_where_nothing_matters_the_scores_stay_as_they_began():
    begun = explain(Deaf(), context_of(6), 1, top_k=0, max_updates=1, runs=3)
    long = explain(Deaf(), context_of(6), 1, top_k=0, max_updates=50, runs=3)
    assert long.importance.tolist() == begun.importance.tolist()


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 5))
def test_many_updates_at_once_give_what_one_by_one_gives(batch_size, length, seed):
    context = context_of(length, seed)
    rule = {"rationale": 2, "top_k": 2, "max_updates": 12, "runs": 3, "seed": seed}
    here = explain(
        Copies(length // 2, 2.0), context, context[length // 2], **rule, batch_size=batch_size
    )
    alone = explain(Copies(length // 2, 2.0), context, context[length // 2], **rule, batch_size=1)
    assert here.updates.tolist() == alone.updates.tolist()
    assert here.stopped.tolist() == alone.stopped.tolist()
    assert (here.replaced, here.changed) == (alone.replaced, alone.changed)
    assert here.importance == pytest.approx(alone.importance, abs=1e-9)


def test_draws_follow_from_the_id_and_the_seed():
    context = context_of(7)

    def made(row_id, seed=0):
        return explain(
            Copies(2), context, context[2], row_id=row_id, seed=seed, max_updates=3, top_k=0
        ).importance.tolist()

    assert made("a") == made("a")
    assert made("a") != made("b")
    assert made("a") != made("a", seed=1)


def test_so_many_tokens_are_replaced_as_the_rule_says():
    context = context_of(10)
    found = explain(Deaf(), context, 1, top_k=0, max_updates=20, runs=2, replaced_share=0.3)
    assert found.replaced == 2 * 20 * 3
    assert 0 < found.changed < found.replaced  # some draws give the same token
    (one,) = [explain(Deaf(), context[:1], 1, top_k=0, max_updates=2, runs=1)]
    assert (one.replaced, one.importance.tolist()) == (2, [1.0])


def test_the_probability_is_of_the_whole_context():
    context = context_of(5)
    found = explain(Copies(1), context, context[1], max_updates=1)
    assert found.probability == pytest.approx(math.exp(6) / (math.exp(6) + VOCABULARY - 1))


def test_an_empty_context_and_rules_out_of_range_are_refused():
    with pytest.raises(ValueError, match='context of "a" has no token'):
        explain(Deaf(), [], 1, row_id="a")
    with pytest.raises(ValueError, match="replaced_share must be > 0"):
        ReagentRule(replaced_share=0)
    with pytest.raises(ValueError, match="max_updates must be >= min_updates"):
        ReagentRule(min_updates=5, max_updates=4)


def test_unigrams_are_drawn_by_their_frequency_and_what_never_occurs_never():
    uniforms = np.random.default_rng(0).random((4000, 2))
    drawn = unigram_sampler([0, 3, 0, 1, 0])(np.array([1, 1]))(uniforms)
    assert drawn.shape == (4000, 2)
    assert np.bincount(drawn.ravel(), minlength=5) / 8000 == pytest.approx(
        [0, 0.75, 0, 0.25, 0], abs=0.02
    )
    edges = unigram_sampler([0, 1, 1, 0])(np.array([1]))(np.array([[0.0], [0.5], [1 - 2**-53]]))
    assert edges.ravel().tolist() == [1, 2, 2]


@pytest.mark.parametrize("counts", [[], [0, 0], [1, -1], [1, math.nan]])
def test_counts_that_give_no_distribution_are_refused(counts):
    with pytest.raises(ValueError, match="counts must be"):
        unigram_sampler(counts)


def test_predictions_are_drawn_each_at_its_own_place():
    logs = np.log([[0.5, 0.5, 1e-9], [1e-9, 1e-9, 1.0]])
    drawn = prediction_sampler(lambda ids: logs, never_drawn=[0])(np.array([5, 5]))
    assert drawn(np.full((2, 2), 0.99)).tolist() == [[1, 2], [1, 2]]
    with pytest.raises(ValueError, match="every token"):
        prediction_sampler(lambda ids: logs, never_drawn=[0, 1, 2])(np.array([5, 5]))


class Successor(torch.nn.Module):
    def forward(self, input_ids, use_cache=False):
        following = torch.nn.functional.one_hot((input_ids + 1) % VOCABULARY, VOCABULARY)
        return SimpleNamespace(logits=following.float())


def test_a_causal_model_predicts_a_place_from_before_it_and_a_masked_one_at_it():
    ids = np.array([4, 7, 2])
    causal = causal_predictions(Successor(), [BOS], device="cpu")(ids)
    assert causal.argmax(axis=1).tolist() == [1, 5, 8]
    masked = masked_predictions(Successor(), device="cpu")(ids)
    assert masked.argmax(axis=1).tolist() == [5, 8, 3]
    with pytest.raises(ValueError, match="give a prefix"):
        causal_predictions(Successor(), [])
