"""ToEdit: what is drawn, what changes, at which position, and that nothing else matters."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from operators.editing import candidate_distribution, resample_tokens
from operators.modeling import LlamaShape, build_llama

VOCABULARY = 12


class Successor(torch.nn.Module):
    """Gives probability ``p`` to k + 1 after k, and shares the rest equally."""

    def __init__(self, p):
        super().__init__()
        self.logits = torch.log(torch.tensor([(1 - p) / (VOCABULARY - 1), p], dtype=torch.float64))
        self.inputs = []

    def forward(self, input_ids, use_cache):
        self.inputs.append(input_ids.clone())
        following = functional.one_hot((input_ids + 1) % VOCABULARY, VOCABULARY)
        return SimpleNamespace(logits=self.logits[following])


class Coin(torch.nn.Module):
    """Every token has probability exactly 1/2 (of two)."""

    def forward(self, input_ids, use_cache):
        return SimpleNamespace(logits=torch.zeros(*input_ids.shape, 2))


class Untouchable(torch.nn.Module):
    def forward(self, input_ids, use_cache):
        raise AssertionError("the model was run")


def cycles(n, t):
    return ((np.arange(t) + np.arange(n)[:, None]) % VOCABULARY).astype(np.int32)


def names(n):
    return [f"row-{k}" for k in range(n)]


def resample(model, sequences, row_ids=None, **options):
    row_ids = names(len(sequences)) if row_ids is None else row_ids
    return resample_tokens(model, sequences, row_ids, **{"device": "cpu", "seed": 5, **options})


def arrays(result):
    return [
        result.sequences,
        result.eligible,
        result.drawn,
        result.changed,
        result.dropped,
        result.probabilities,
    ]


# The distribution over candidates.


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [(1.0, [0.99, 0.006, 0.003, 0.001]), (1.5, [0.9396, 0.0312, 0.0197, 0.0095])],
)
def test_the_published_example(temperature, expected):
    logs = np.log([0.99, 0.006, 0.003, 0.001])
    assert candidate_distribution(logs, temperature) == pytest.approx(expected, abs=5e-5)


@settings(max_examples=60, deadline=None)
@given(logs=st.lists(st.floats(-60, 0), min_size=1, max_size=9), temperature=st.floats(0.1, 50.0))
def test_a_distribution_sums_to_1_and_ignores_a_constant(logs, temperature):
    masses = candidate_distribution(np.array(logs), temperature)
    assert masses.sum() == pytest.approx(1.0)
    assert candidate_distribution(np.array(logs) + 7.0, temperature) == pytest.approx(masses)


def test_rows_are_independent_and_an_absent_candidate_has_no_mass():
    masses = candidate_distribution(np.array([[0.0, 0.0, -np.inf], [-5.0, -np.inf, -np.inf]]))
    assert masses.tolist() == [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.inf, np.nan])
def test_an_impossible_temperature_is_an_error(temperature):
    with pytest.raises(ValueError, match="temperature"):
        candidate_distribution(np.zeros(2), temperature)


@pytest.mark.parametrize("logs", [np.zeros((2, 0)), np.full(3, -np.inf), np.array([0.0, np.nan])])
def test_no_candidate_is_an_error(logs):
    with pytest.raises(ValueError, match="no candidate"):
        candidate_distribution(logs)


# Which positions.


def test_a_threshold_above_1_changes_no_bit_and_does_not_run_the_model():
    sequences = cycles(4, 9)
    result = resample(Untouchable(), sequences, threshold=1.01)
    assert np.array_equal(result.sequences, sequences)
    assert result.sequences is not sequences
    for record in (result.eligible, result.drawn, result.changed):
        assert not record.any()
    assert np.isnan(result.probabilities).all()


def test_a_probability_exactly_on_the_threshold_is_eligible():
    sequences = np.zeros((3, 6), dtype=np.int64)
    on = resample(Coin(), sequences, threshold=0.5)
    above = resample(Coin(), sequences, threshold=float(np.nextafter(np.float32(0.5), 1)))
    assert (on.probabilities[:, 1:] == 0.5).all()
    assert on.drawn[:, 1:].all()
    assert not above.eligible.any()


def test_eligible_is_what_the_reported_probabilities_say():
    result = resample(Successor(0.9), cycles(3, 20), threshold=0.9)
    with np.errstate(invalid="ignore"):
        assert np.array_equal(result.eligible, result.probabilities >= 0.9)


def test_probability_and_draw_stand_at_the_predicted_token():
    """Only tokens 3 and 4 of the row follow their predecessor."""
    sequences = np.array([[0, 5, 7, 8, 9, 2, 0]])
    result = resample(Successor(0.8), sequences, threshold=0.5)
    assert result.eligible.tolist() == [[False, False, False, True, True, False, False]]
    assert result.probabilities[0, 3:5] == pytest.approx([0.8, 0.8])
    assert result.probabilities[0, [1, 2, 5, 6]] == pytest.approx([0.2 / 11] * 4)


def test_the_first_token_is_copied_and_has_no_probability():
    result = resample(Coin(), np.ones((50, 4), dtype=np.int64), threshold=0.0)
    assert not result.eligible[:, 0].any()
    assert not result.changed[:, 0].any()
    assert np.isnan(result.probabilities[:, 0]).all()


def test_protected_positions_never_change_and_show_as_eligible_but_not_drawn():
    sequences = cycles(40, 30)
    protected = np.random.default_rng(0).random(sequences.shape) < 0.5
    result = resample(Successor(0.5), sequences, protected=protected, threshold=0.4)
    assert np.array_equal(result.sequences[protected], sequences[protected])
    assert np.array_equal(result.drawn, result.eligible & ~protected)
    assert result.changed.any()


def test_contexts_are_the_original_tokens():
    model = Successor(0.5)
    sequences = cycles(3, 10)
    result = resample(model, sequences, threshold=0.4, batch_size=3)
    assert result.changed.any()
    assert [inputs.tolist() for inputs in model.inputs] == [sequences.tolist()]


# What is drawn.


def test_with_temperature_1_a_near_certain_token_rarely_changes():
    result = resample(Successor(0.99), cycles(400, 51), threshold=0.98, candidates=12)
    assert result.eligible[:, 1:].all()
    assert result.changed.sum() / result.drawn.sum() == pytest.approx(0.01, abs=0.003)


def test_a_higher_temperature_changes_as_many_as_the_distribution_says():
    result = resample(
        Successor(0.9), cycles(400, 51), threshold=0.5, candidates=VOCABULARY, temperature=2.0
    )
    masses = candidate_distribution(np.log([0.9] + [0.1 / 11] * 11), 2.0)
    share = result.changed.sum() / result.drawn.sum()
    assert share == pytest.approx(1 - masses[0], abs=0.015)


@settings(max_examples=30, deadline=None)
@given(p=st.floats(0.3, 0.99), threshold=st.floats(0.0, 1.0), seed=st.integers(0, 2**40))
def test_eligible_contains_drawn_contains_changed(p, threshold, seed):
    sequences = cycles(5, 12)
    protected = np.zeros(sequences.shape, dtype=bool)
    protected[:, ::3] = True
    result = resample(Successor(p), sequences, protected=protected, threshold=threshold, seed=seed)
    assert not (result.drawn & ~result.eligible).any()
    assert not (result.changed & ~result.drawn).any()
    assert np.array_equal(result.changed, result.sequences != sequences)


def test_one_candidate_is_the_observed_token_when_it_is_the_top_one():
    result = resample(Successor(0.9), cycles(20, 20), threshold=0.5, candidates=1)
    assert result.drawn.any()
    assert not result.changed.any()


def test_the_observed_token_is_a_candidate_even_outside_the_top_ones():
    """With one candidate, an improbable token stays or becomes the top one, in proportion."""
    sequences = np.zeros((300, 11), dtype=np.int64)  # 0 after 0 has p = 0.4 / 11, 1 has 0.6
    result = resample(Successor(0.6), sequences, threshold=0.0, candidates=1)
    assert set(np.unique(result.sequences)) == {0, 1}
    own = (0.4 / 11) / (0.4 / 11 + 0.6)
    assert result.changed[:, 1:].mean() == pytest.approx(1 - own, abs=0.02)


def test_tokens_that_are_never_drawn_appear_only_where_they_were():
    sequences = cycles(60, 30)
    barred = [0, 3, 11]
    options = {"threshold": 0.2, "candidates": VOCABULARY, "temperature": 3.0}
    free = resample(Successor(0.3), sequences, **options)
    result = resample(Successor(0.3), sequences, never_drawn=barred, **options)
    assert np.isin(free.sequences[free.changed], barred).any()
    assert not np.isin(result.sequences[result.changed], barred).any()
    stayed = np.isin(sequences, barred) & result.drawn & ~result.changed
    assert stayed.any()


def test_more_candidates_than_tokens_are_all_tokens():
    result = resample(Coin(), np.zeros((50, 5), dtype=np.int64), threshold=0.5, candidates=64)
    assert set(np.unique(result.sequences)) == {0, 1}


def test_how_many_rows_are_worked_on_at_a_time_changes_no_bit(llama, monkeypatch):
    from operators.editing import prior_passes

    sequences = np.random.default_rng(1).integers(0, VOCABULARY, (13, 16))
    options = {**LLAMA, "never_drawn": [0], "drop_below": 0.03}
    for sampling in ("candidates", "top_p"):
        together = resample(llama, sequences, sampling=sampling, **options)
        with monkeypatch.context() as patch:
            patch.setattr(prior_passes, "_CPU_ELEMENTS", 5 * VOCABULARY)
            apart = resample(llama, sequences, sampling=sampling, **options)
        assert together.drawn.sum() > 10
        for one, other in zip(arrays(together), arrays(apart), strict=True):
            assert one.tobytes() == other.tobytes()


# The other switches.


def test_a_strict_threshold_leaves_out_what_is_exactly_on_it():
    sequences = np.zeros((3, 6), dtype=np.int64)
    assert not resample(Coin(), sequences, threshold=0.5, strict=True).eligible.any()
    below = float(np.nextafter(np.float32(0.5), 0))
    assert resample(Coin(), sequences, threshold=below, strict=True).eligible[:, 1:].all()


@pytest.mark.parametrize("sampling", ["candidates", "top_k", "top_p", "rejection"])
def test_every_sampling_keeps_what_is_below_the_threshold_and_what_is_protected(sampling):
    sequences = np.array([[0, 5, 6, 7, 2, 3, 4, 9]] * 200)
    protected = np.zeros(sequences.shape, dtype=bool)
    protected[:, 3] = True
    result = resample(
        Successor(0.5), sequences, threshold=0.4, sampling=sampling, protected=protected,
        candidates=4, top_p=1.0, temperature=2.0,
    )  # fmt: skip
    assert np.unique(np.nonzero(result.changed)[1]).tolist() == [2, 5, 6]


def test_sampling_without_truncation_draws_as_all_candidates_do():
    """Each with the same numbers, and so the same tokens."""
    options = {"threshold": 0.2, "temperature": 1.7, "never_drawn": [3, 8]}
    reference = resample(Successor(0.3), cycles(40, 30), candidates=VOCABULARY, **options)
    for sampling, setting in (
        ("top_k", {"candidates": VOCABULARY}),
        ("top_p", {"top_p": 1.0}),
        ("rejection", {"reject_below": 0.0}),
    ):
        result = resample(Successor(0.3), cycles(40, 30), sampling=sampling, **setting, **options)
        assert np.array_equal(result.sequences, reference.sequences)
        assert result.changed.any()


@pytest.mark.parametrize(
    ("sampling", "setting"),
    [("top_k", {"candidates": 1}), ("top_p", {"top_p": 0.5}), ("rejection", {"reject_below": 0.1})],
)
def test_a_narrow_sampling_takes_the_most_probable_token_even_where_another_stood(
    sampling, setting
):
    """Unlike "candidates", where the observed token is always among them."""
    sequences = np.zeros((20, 9), dtype=np.int64)
    result = resample(Successor(0.6), sequences, threshold=0.0, sampling=sampling, **setting)
    assert (result.sequences[:, 1:] == 1).all()


def test_improbable_tokens_are_dropped_and_told_apart_from_drawn_ones():
    sequences = np.array([[0, 5, 6, 7, 2, 3, 4, 9]] * 50)  # 5, 2 and 9 follow another
    result = resample(Successor(0.9), sequences, threshold=0.5, drop_below=0.05)
    assert result.dropped.tolist() == [[False, True, False, False, True, False, False, True]] * 50
    assert not (result.dropped & (result.drawn | result.eligible)).any()
    assert np.array_equal(result.sequences[result.dropped], sequences[result.dropped])
    without = resample(Successor(0.9), sequences, threshold=0.5)
    assert np.array_equal(without.sequences, result.sequences)
    assert not without.dropped.any()


def test_a_token_exactly_on_the_threshold_of_dropping_stays():
    sequences = np.zeros((3, 6), dtype=np.int64)
    assert not resample(Coin(), sequences, threshold=1.01, drop_below=0.5).dropped.any()
    above = float(np.nextafter(np.float32(0.5), 1))
    result = resample(Coin(), sequences, threshold=1.01, drop_below=above)
    assert result.dropped[:, 1:].all()
    assert not result.dropped[:, 0].any()


def test_filtering_drops_and_draws_nothing():
    sequences = np.array([[0, 5, 6, 7, 2, 3, 4, 9]])
    protected = sequences == 9
    result = resample(
        Successor(0.9), sequences, threshold=1.5, drop_below=0.05, protected=protected
    )
    assert np.flatnonzero(result.dropped).tolist() == [1, 4]
    assert not result.eligible.any()
    assert np.array_equal(result.sequences, sequences)


class Narrow(torch.nn.Module):
    """The model inside, with logits of a smaller float."""

    def __init__(self, model, dtype):
        super().__init__()
        self.model, self.dtype = model, dtype

    def forward(self, input_ids, use_cache):
        logits = self.model(input_ids=input_ids, use_cache=use_cache).logits
        return SimpleNamespace(logits=logits.to(self.dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("threshold", [0.05, 0.0907, 0.0909, 0.3])
def test_probabilities_are_exact_where_they_decide(dtype, threshold):
    """0.0909... is 1/11: float32 alone could fall on either side of a threshold beside it."""
    narrow = Narrow(Successor(0.0909), dtype)
    sequences = np.random.default_rng(0).integers(0, VOCABULARY, (30, 12))
    result = resample(narrow, sequences, threshold=threshold, drop_below=0.04)
    exact = resample(Narrow(narrow, torch.float64), sequences, threshold=threshold, drop_below=0.04)
    for one, other in zip(arrays(result)[:-1], arrays(exact)[:-1], strict=True):
        assert np.array_equal(one, other)
    assert result.probabilities == pytest.approx(exact.probabilities, rel=1e-5, nan_ok=True)
    assert np.array_equal(
        result.probabilities[result.eligible], exact.probabilities[exact.eligible]
    )


# What it depends on.


@pytest.fixture(scope="module")
def llama():
    shape = LlamaShape(
        hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=24, context_length=32
    )
    return build_llama(shape, VOCABULARY, bos_token_id=0, eos_token_id=1, seed=0)


LLAMA = {"threshold": 0.05, "temperature": 2.0}


def test_edits_belong_to_row_ids_not_to_order_or_batches(llama):
    sequences = np.random.default_rng(1).integers(0, VOCABULARY, (13, 16))
    row_ids = names(13)
    order = np.random.default_rng(2).permutation(13)
    reference = resample(llama, sequences, row_ids, batch_size=4, **LLAMA)
    shuffled = resample(llama, sequences[order], [row_ids[k] for k in order], batch_size=5, **LLAMA)
    alone = resample(llama, sequences[6:7], row_ids[6:7], batch_size=4, **LLAMA)
    assert reference.changed.any()
    assert np.array_equal(shuffled.sequences, reference.sequences[order])
    assert np.array_equal(alone.sequences, reference.sequences[6:7])
    assert shuffled.probabilities == pytest.approx(
        reference.probabilities[order], abs=1e-6, nan_ok=True
    )


def test_the_same_call_gives_the_same_bytes(llama):
    sequences = np.random.default_rng(1).integers(0, VOCABULARY, (5, 16))
    first, second = (arrays(resample(llama, sequences, **LLAMA)) for _ in range(2))
    assert [values.tobytes() for values in first] == [values.tobytes() for values in second]


def test_another_seed_or_row_id_draws_other_tokens():
    sequences = cycles(10, 30)
    reference = resample(Successor(0.5), sequences, threshold=0.4)
    seeded = resample(Successor(0.5), sequences, threshold=0.4, seed=6)
    renamed = resample(Successor(0.5), sequences, [f"other-{k}" for k in range(10)], threshold=0.4)
    assert not np.array_equal(reference.sequences, seeded.sequences)
    assert not np.array_equal(reference.sequences, renamed.sequences)


def test_protecting_one_position_changes_no_other_draw():
    sequences = cycles(10, 30)
    protected = np.zeros(sequences.shape, dtype=bool)
    protected[:, 10:20] = True
    free = resample(Successor(0.5), sequences, threshold=0.4)
    partly = resample(Successor(0.5), sequences, threshold=0.4, protected=protected)
    assert np.array_equal(free.sequences[~protected], partly.sequences[~protected])


def test_sequences_longer_than_the_context_are_read_in_windows_to_the_end():
    sequences = cycles(4, 23)
    whole = resample(Successor(0.6), sequences, threshold=0.5)
    for context in (2, 3, 8, 22):
        windowed = resample(Successor(0.6), sequences, threshold=0.5, context=context)
        for expected, actual in zip(arrays(whole), arrays(windowed), strict=True):
            assert np.array_equal(expected, actual, equal_nan=expected.dtype == np.float32)


def test_a_window_never_exceeds_the_context_and_every_pass_has_the_batch_size():
    model = Successor(0.6)
    resample(model, cycles(5, 23), threshold=0.5, context=8, batch_size=3)
    assert {len(inputs) for inputs in model.inputs} == {3}
    assert max(inputs.shape[1] for inputs in model.inputs) == 8


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint16])
def test_the_dtype_and_the_input_are_kept(dtype):
    sequences = cycles(5, 10).astype(dtype)
    before = sequences.copy()
    result = resample(Successor(0.5), sequences, threshold=0.4)
    assert result.sequences.dtype == dtype
    assert result.changed.any()
    assert np.array_equal(sequences, before)
    assert result.probabilities.dtype == np.float32


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (3, 1), (0, 0)])
def test_nothing_to_predict_is_a_copy_and_does_not_run_the_model(shape):
    sequences = np.zeros(shape, dtype=np.int64)
    result = resample(Untouchable(), sequences, threshold=0.5)
    assert all(values.shape == shape for values in arrays(result))


# Bad input.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": 0}, "candidates"),
        ({"batch_size": 0}, "batch_size"),
        ({"context": 1}, "context"),
        ({"threshold": -0.1}, "threshold"),
        ({"threshold": np.nan}, "threshold"),
        ({"temperature": 0.0}, "temperature"),
        ({"row_ids": ["a", "b"]}, "3 rows need"),
        ({"row_ids": ["a", "b", "a"]}, "2 distinct"),
        ({"sampling": "beam"}, "sampling"),
        ({"sampling": "top_p", "top_p": 0.0}, "top_p"),
        ({"sampling": "rejection", "reject_below": 2.0}, "reject_below"),
        ({"drop_below": -0.1}, "drop_below"),
        ({"drop_below": 0.6}, "no more than the threshold 0.5"),
        ({"protected": np.zeros((3, 4), dtype=bool)}, "protected"),
        ({"protected": np.zeros((3, 5), dtype=np.int8)}, "protected"),
    ],
)
def test_a_call_that_cannot_be_meant_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        resample(Untouchable(), cycles(3, 5), **{"threshold": 0.5, **options})


@pytest.mark.parametrize("sequences", [np.zeros(3, dtype=np.int64), np.zeros((1, 3))])
def test_sequences_are_integer_rows(sequences):
    with pytest.raises(ValueError, match="integers"):
        resample(Untouchable(), sequences, names(len(sequences)))
