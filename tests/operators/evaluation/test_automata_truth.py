"""The truth about a document of an automaton is exact, and so are the metrics against it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.evaluation.automata import ALPHABET, Automaton, automata, automaton_text
from operators.evaluation.automata_truth import closeness, legal_symbols

HELD_OUT = list(automata([f"test-{n}" for n in range(3)], held_out=True, seed=5))


def test_separators_and_the_first_symbol_are_not_scored_and_first_symbols_of_strings_are():
    automaton = Automaton(((("a", 1), ("b", 1)), (("c", 0),)))
    truth = legal_symbols(automaton, "ac|b|aca")
    assert truth.positions.tolist() == [1, 3, 5, 6, 7]
    legal = ["".join(np.array(list(ALPHABET))[row]) for row in truth.legal]
    assert legal == ["c", "ab", "ab", "c", "ab"]


def test_a_text_without_symbols_has_nothing_to_score():
    truth = legal_symbols(Automaton(((("a", 1),), (("b", 0),))), "")
    assert truth.positions.shape == (0,)
    assert truth.legal.shape == (0, 18)


def test_a_text_of_another_automaton_is_refused():
    with pytest.raises(ValueError, match='"b" at position 1 of "bb" is not legal'):
        legal_symbols(Automaton(((("b", 1),), (("c", 0),))), "bc|bb")


def test_the_oracle_of_the_metrics():
    found = closeness([[True, True, False]], [[0.5, 0.3, 0.2]])
    assert (found.positions, found.accuracy) == (1, 1.0)
    assert found.tvd == pytest.approx(0.2)


def test_knowing_the_automaton_gives_accuracy_one_and_distance_zero():
    for number, automaton in enumerate(HELD_OUT):
        text = automaton_text(automaton, str(number), seed=0)
        truth = legal_symbols(automaton, text)
        known = truth.legal / truth.legal.sum(axis=1, keepdims=True)
        found = closeness(truth.legal, known)
        assert (found.accuracy, found.tvd) == (1.0, 0.0)


def test_probability_given_to_what_is_no_symbol_is_far_from_the_truth_and_never_legal():
    found = closeness([[True, False]], [[0.3, 0.0]], [0.7], [0.7])
    assert found.accuracy == 0.0
    assert found.tvd == pytest.approx((0.7 + 0.7) / 2)
    spread = closeness([[True, False]], [[0.3, 0.0]], [0.7], [0.1])
    assert spread.accuracy == 1.0


def test_symbols_that_are_equally_probable_share_the_answer():
    assert closeness([[True, False, False]], [[0.4, 0.4, 0.2]]).accuracy == 0.5
    assert closeness([[True, False]], [[0.4, 0.2]], [0.4], [0.4]).accuracy == 0.5
    uniform = closeness([[True, True, False, False, False]], [[0.2] * 5])
    assert uniform.accuracy == pytest.approx(0.4)
    assert uniform.tvd == pytest.approx(0.6)


@given(st.integers(1, 8), st.integers(2, 6), st.integers(0, 1000))
def test_the_distance_is_between_zero_and_one_and_other_mass_adds_half_of_itself(rows, k, seed):
    chance = np.random.default_rng(seed)
    legal = chance.random((rows, k)) < 0.5
    legal[:, 0] = True
    given_ = chance.dirichlet(np.ones(k + 1), rows)
    found = closeness(legal, given_[:, :k], given_[:, k], given_[:, k])
    assert 0 <= found.tvd <= 1
    assert 0 <= found.accuracy <= 1
    widened = closeness(np.pad(legal, ((0, 0), (0, 1))), given_)
    assert found.tvd == pytest.approx(widened.tvd)
    assert found.accuracy == widened.accuracy


@pytest.mark.parametrize(
    ("legal", "given_", "said"),
    [
        (np.empty((0, 3)), np.empty((0, 3)), "n >= 1"),
        ([[True, False]], [[1.0]], "both must be"),
        ([[False, False]], [[0.5, 0.5]], "no legal symbol"),
        ([[True, False]], [[0.5, 0.4]], "sums to 0.9"),
        ([[True, False]], [[1.5, -0.5]], "negative"),
    ],
)
def test_what_is_no_prediction_is_refused(legal, given_, said):
    with pytest.raises(ValueError, match=said):
        closeness(legal, given_)
