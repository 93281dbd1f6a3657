"""Draws: among which tokens, in which proportions, and with whose numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.editing.drawing import SamplingRule, draw_by_rule, row_uniforms

MASSES = [0.4, 0.05, 0.3, 0.001, 0.249]


def draws(rule, count=4000, masses=MASSES, **options):
    logits = torch.tensor(masses, dtype=torch.float64).log().expand(count, -1)
    numbers = torch.from_numpy(row_uniforms(1, "row", count))
    drawn = draw_by_rule(logits, numbers, rule, **options)
    return np.bincount(drawn.numpy(), minlength=len(masses)) / count


def of(places, masses=MASSES):
    kept = np.zeros(len(masses))
    kept[places] = np.array(masses)[places]
    return kept / kept.sum()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (SamplingRule(), MASSES),
        (SamplingRule(top_k=2), of([0, 2])),
        (SamplingRule(top_k=99), MASSES),
        (SamplingRule(top_p=0.4), of([0])),  # exactly reached: no more is needed
        (SamplingRule(top_p=0.41), of([0, 2])),
        (SamplingRule(top_p=0.71), of([0, 2, 4])),
        (SamplingRule(reject_below=0.01), of([0, 1, 2, 4])),
        (SamplingRule(reject_below=0.05), of([0, 1, 2, 4])),  # on the threshold: not rejected
        (SamplingRule(reject_below=1.0), of([0])),  # never the most probable one
        (SamplingRule(temperature=0.0), of([0])),
        (SamplingRule(temperature=0.5), np.array(MASSES) ** 2 / (np.array(MASSES) ** 2).sum()),
        (SamplingRule(top_k=3, top_p=0.6), of([0, 2])),
    ],
    ids=str,
)
def test_a_rule_draws_what_it_says_in_proportion(rule, expected):
    assert draws(rule) == pytest.approx(np.asarray(expected), abs=0.025)


@settings(max_examples=60, deadline=None)
@given(
    masses=st.lists(st.floats(1e-6, 1), min_size=2, max_size=9),
    top_k=st.none() | st.integers(1, 12),
    top_p=st.floats(0.01, 1),
    floor=st.floats(0, 1),
    temperature=st.floats(0.1, 4),
)
def test_there_is_always_something_to_draw_and_never_an_excluded_token(
    masses, top_k, top_p, floor, temperature
):
    rule = SamplingRule(temperature, top_k, top_p, floor)
    found = draws(rule, 50, [mass / sum(masses) for mass in masses])
    assert found.sum() == pytest.approx(1)
    assert (found > 0).sum() <= (top_k or len(masses))


def test_what_is_never_drawn_is_not_but_an_observed_token_may_stay():
    barred = torch.tensor([0, 2])
    assert draws(SamplingRule(), never_drawn=barred) == pytest.approx(of([1, 3, 4]), abs=0.025)
    observed = torch.full((4000,), 2)
    stays = draws(SamplingRule(), never_drawn=barred, observed=observed)
    assert stays == pytest.approx(of([1, 2, 3, 4]), abs=0.025)
    assert draws(SamplingRule(temperature=0.0), never_drawn=barred)[4] == 1


def test_a_vocabulary_of_which_nothing_may_be_drawn_is_an_error():
    with pytest.raises(ValueError, match="every token"):
        draws(SamplingRule(), 3, never_drawn=torch.arange(5))


def test_rows_are_drawn_alike_however_many_are_worked_on_at_a_time(monkeypatch):
    from operators.editing import drawing

    together = draws(SamplingRule(top_p=0.9), 100)
    monkeypatch.setattr(drawing, "_AT_A_TIME", 7)
    assert np.array_equal(draws(SamplingRule(top_p=0.9), 100), together)


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"temperature": -1}, "temperature"), ({"temperature": np.inf}, "temperature"),
     ({"top_k": 0}, "top_k"), ({"top_p": 0.0}, "top_p"), ({"top_p": 1.1}, "top_p"),
     ({"reject_below": 1.5}, "reject_below")],
)  # fmt: skip
def test_a_rule_out_of_range_is_named(settings, name):
    with pytest.raises(ValueError, match=name):
        SamplingRule(**settings)


def test_the_first_numbers_of_a_row_do_not_depend_on_how_many_follow():
    assert np.array_equal(row_uniforms(3, "a", 9)[:4], row_uniforms(3, "a", 4))
    assert not np.array_equal(row_uniforms(3, "a", 4), row_uniforms(3, "b", 4))
    assert not np.array_equal(row_uniforms(3, "a", 4), row_uniforms(4, "a", 4))
