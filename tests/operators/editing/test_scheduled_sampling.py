"""Batch-scheduled sampling: eps 0 is the truth, a perfect model's mixture is too, places stay."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from operators.editing.drawing import SamplingRule
from operators.editing.scheduled_sampling import epsilon_of_round, mix_contexts

VOCABULARY = 12


class Adds(torch.nn.Module):
    """Is all but certain of the token before, plus ``step``."""

    def __init__(self, step):
        super().__init__()
        self.step, self.inputs = step, []

    def forward(self, input_ids, use_cache):
        self.inputs.append(input_ids.clone())
        following = functional.one_hot((input_ids + self.step) % VOCABULARY, VOCABULARY)
        return SimpleNamespace(logits=60.0 * following)


class Untouchable(torch.nn.Module):
    def forward(self, input_ids, use_cache):
        raise AssertionError("the model was run")


def cycles(n, t):
    return ((np.arange(t) + np.arange(n)[:, None]) % VOCABULARY).astype(np.int32)


def mix(model, sequences, row_ids=None, **options):
    row_ids = [f"row-{k}" for k in range(len(sequences))] if row_ids is None else row_ids
    return mix_contexts(model, sequences, row_ids, **{"device": "cpu", "seed": 5, **options})


def test_at_epsilon_0_the_contexts_are_the_true_tokens_to_the_bit_and_the_model_is_not_run():
    sequences = cycles(4, 9)
    mixed = mix(Untouchable(), sequences, epsilon=0.0)
    assert mixed.inputs.tobytes() == sequences.tobytes()
    assert mixed.inputs is not sequences
    assert not mixed.drawn.any()
    assert not mixed.changed.any()


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_at_epsilon_1_a_perfect_model_gives_the_true_tokens_to_the_bit(passes):
    sequences = cycles(4, 9)
    mixed = mix(Adds(1), sequences, epsilon=1.0, passes=passes)
    assert mixed.inputs.tobytes() == sequences.tobytes()
    assert mixed.drawn[:, 1:].all()


def test_a_model_token_stands_where_the_true_one_stood():
    sequences = cycles(30, 20)
    mixed = mix(Adds(4), sequences, epsilon=0.3, passes=1)
    expected = sequences.copy()
    wrong = (sequences[:, :-1] + 4) % VOCABULARY
    expected[:, 1:][mixed.drawn[:, 1:]] = wrong[mixed.drawn[:, 1:]]
    assert np.array_equal(mixed.inputs, expected)
    assert mixed.drawn[:, 1:].mean() == pytest.approx(0.3, abs=0.06)
    assert not mixed.drawn[:, 0].any()


@pytest.mark.parametrize("passes", [2, 3, 30])
def test_passes_give_what_generation_token_by_token_gives(passes):
    """The first tokens of a chain are final; with as many passes as tokens all are."""
    sequences = cycles(9, 20)
    mixed = mix(Adds(4), sequences, epsilon=0.5, passes=passes)
    for row, drawn, inputs in zip(sequences, mixed.drawn, mixed.inputs, strict=True):
        told = row.copy()
        for place in np.flatnonzero(drawn):
            told[place] = (told[place - 1] + 4) % VOCABULARY
        final = [*np.flatnonzero(drawn), len(row)][min(passes, int(drawn.sum()))]
        assert np.array_equal(inputs[:final], told[:final])


def test_protected_places_stay_true():
    sequences = cycles(20, 20)
    protected = np.random.default_rng(0).random(sequences.shape) < 0.5
    mixed = mix(Adds(4), sequences, epsilon=0.9, protected=protected)
    assert np.array_equal(mixed.inputs[protected], sequences[protected])
    assert np.array_equal(mixed.eligible[:, 1:], ~protected[:, 1:])
    assert mixed.changed.any()


@settings(max_examples=20, deadline=None)
@given(low=st.floats(0, 1), high=st.floats(0, 1))
def test_with_a_higher_epsilon_all_is_still_the_models_that_was(low, high):
    low, high = sorted((low, high))
    fewer, more = (mix(Adds(4), cycles(4, 12), epsilon=e).drawn for e in (low, high))
    assert not (fewer & ~more).any()


def test_a_row_depends_on_its_id_and_not_on_order_or_batch():
    sequences, ids = cycles(7, 12), [f"row-{k}" for k in range(7)]
    order = np.random.default_rng(0).permutation(7)
    options = {"epsilon": 0.5, "rule": SamplingRule(temperature=30.0)}
    reference = mix(Adds(4), sequences, ids, batch_size=4, **options)
    shuffled = mix(Adds(4), sequences[order], [ids[k] for k in order], batch_size=3, **options)
    assert np.array_equal(shuffled.inputs, reference.inputs[order])
    other = mix(Adds(4), sequences, ids, seed=6, **options)
    assert not np.array_equal(other.inputs, reference.inputs)


def test_what_is_never_drawn_takes_no_place():
    mixed = mix(Adds(4), cycles(30, 20), epsilon=0.8, never_drawn=[0, 7])
    assert not np.isin(mixed.inputs[mixed.changed], [0, 7]).any()


def test_long_rows_are_read_in_windows():
    model = Adds(4)
    whole = mix(Adds(4), cycles(4, 23), epsilon=0.5)
    windowed = mix(model, cycles(4, 23), epsilon=0.5, context=8, batch_size=4)
    assert max(ids.shape[1] for ids in model.inputs) == 8
    assert np.array_equal(windowed.inputs, whole.inputs)


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (3, 1)])
def test_nothing_to_replace_is_a_copy(shape):
    mixed = mix(Untouchable(), np.zeros(shape, dtype=np.int64), epsilon=1.0)
    assert mixed.inputs.shape == shape


def test_the_share_rises_in_a_line_from_the_first_round_to_the_last():
    assert [epsilon_of_round(r, 5, 0.0, 0.5) for r in range(5)] == [0.0, 0.125, 0.25, 0.375, 0.5]
    assert epsilon_of_round(0, 1, 0.1, 0.3) == 0.3


@pytest.mark.parametrize(
    ("given", "message"),
    [((5, 5), "round"), ((-1, 5), "round"), ((0, 5, 1.0, 1.0), "below 1"),
     ((0, 5, 0.5, 0.2), "rise"), ((0, 5, 0.0, 1.1), "rise")],
)  # fmt: skip
def test_a_schedule_that_cannot_be_meant_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        epsilon_of_round(*given)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"epsilon": 1.1}, "epsilon"), ({"epsilon": np.nan}, "epsilon"), ({"passes": 0}, "passes"),
     ({"batch_size": 0}, "batch_size"), ({"context": 1}, "context"),
     ({"row_ids": ["a", "a", "b"]}, "2 distinct")],
)  # fmt: skip
def test_a_call_that_cannot_be_meant_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        mix(Untouchable(), cycles(3, 5), **{"epsilon": 0.5, **options})
