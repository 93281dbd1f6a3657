"""n-grams with back-off give distributions that follow from what stands before, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.evaluation.automata import ALPHABET, Automaton, Family, automaton_text
from operators.evaluation.automata_baselines import ngram_predictions
from operators.evaluation.automata_truth import closeness, legal_symbols

TEXTS = st.text("abc|", max_size=30)


def test_counts_of_the_context_leave_one_part_for_what_was_not_seen_there():
    # Before the last symbol stands "b", behind which "a" was seen once.
    row = ngram_predictions("abacaba", 2, alphabet="abcd")[-1]
    assert row[0] == pytest.approx(1 / 2)
    # Of the others b was seen twice, c once and d never: 2, 1 and one part of 4.
    assert row[1:] == pytest.approx([1 / 2 * 2 / 4, 1 / 2 * 1 / 4, 1 / 2 * 1 / 4])


def test_before_anything_was_seen_all_symbols_are_equally_probable():
    assert ngram_predictions("a", 3, alphabet="abcd")[0] == pytest.approx([0.25] * 4)


def test_an_alphabet_that_was_all_seen_keeps_no_part_for_others():
    row = ngram_predictions("abaab", 1, alphabet="ab")[-1]
    assert row == pytest.approx([3 / 4, 1 / 4])


@given(TEXTS, st.integers(1, 4))
def test_rows_are_distributions(text, order):
    rows = ngram_predictions(text, order, alphabet="abcd")
    assert rows.shape == (len(text), 4)
    assert (rows >= 0).all()
    assert rows.sum(axis=1) == pytest.approx(np.ones(len(text)))


@given(TEXTS, TEXTS, st.integers(1, 4))
def test_what_comes_later_changes_nothing(text, later, order):
    short = ngram_predictions(text, order)
    assert np.array_equal(ngram_predictions(text + later, order)[: len(text)], short)


@given(TEXTS, st.integers(2, 4))
def test_the_symbol_itself_is_not_used_to_predict_it(text, order):
    if not text:
        return
    other = text[:-1] + ("b" if text[-1] == "a" else "a")
    rows, others = ngram_predictions(text, order), ngram_predictions(other, order)
    assert np.array_equal(rows[-1], others[-1])


def test_a_context_does_not_reach_beyond_the_beginning_of_a_string():
    # Strings began with "a" and "b" once each, whatever stood before the separator.
    assert ngram_predictions("a|b|a", 3, alphabet="ab")[-1] == pytest.approx([1 / 2, 1 / 2])
    assert ngram_predictions("ab|ba|a", 2, alphabet="ab")[-1] == pytest.approx([1 / 2, 1 / 2])
    assert ngram_predictions("a|a|a", 2, alphabet="ab")[-1] == pytest.approx([2 / 3, 1 / 3])


def test_an_order_of_one_has_no_context():
    first = ngram_predictions("aab|b", 1, alphabet="ab")[-1]
    assert first == pytest.approx(ngram_predictions("baab", 1, alphabet="ab")[-1])


def test_a_chain_that_is_a_bigram_is_learnt_by_a_bigram_and_not_without_a_context():
    automaton = Automaton(((("a", 1),), (("b", 2),), (("c", 0),)))
    text = automaton_text(automaton, "row", family=Family(lengths=(20, 20)), seed=0)
    truth = legal_symbols(automaton, text)
    found = {
        order: closeness(truth.legal, ngram_predictions(text, order)[truth.positions])
        for order in (1, 2, 3)
    }
    assert found[2].accuracy > 0.97
    assert found[3].accuracy > 0.97
    assert found[1].accuracy < 0.6
    assert found[2].tvd < 0.1 < found[1].tvd


def test_what_depends_on_two_symbols_is_learnt_by_a_trigram_only():
    # Behind "b" comes "c" or "d", by what stood before it.
    automaton = Automaton(
        ((("a", 1), ("e", 2)), (("b", 3),), (("b", 4),), (("c", 0),), (("d", 0),))
    )
    text = automaton_text(automaton, "row", family=Family(lengths=(40, 40)), seed=0)
    truth = legal_symbols(automaton, text)
    two, three = (
        closeness(truth.legal, ngram_predictions(text, order)[truth.positions]) for order in (2, 3)
    )
    assert three.accuracy > two.accuracy
    assert three.tvd < two.tvd


@pytest.mark.parametrize(("text", "order", "said"), [("a", 0, "must be >= 1"), ("aZ", 2, '"Z"')])
def test_what_cannot_be_counted_is_refused(text, order, said):
    with pytest.raises(ValueError, match=said):
        ngram_predictions(text, order)


def test_an_empty_text_has_no_predictions():
    assert ngram_predictions("", 3).shape == (0, len(ALPHABET))
