"""Two readings of an answer are judged alike; what a rule could not read is said."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.evaluation.multiple_choice import (
    choice_entropy,
    compare_readings,
    lettered_question,
    option_in_text,
    option_recalls,
    recall_deviation,
    selection_consistency,
    unpermuted,
)

A, B, C, D = range(4)
CHOICES = st.lists(st.sampled_from([A, B, C, D, None]), min_size=1, max_size=12)


def test_the_mismatch_of_the_oracle_is_a_half():
    assert compare_readings([A, B, C, D], [A, B, C, C], [A, B, D, A]).mismatch == 0.5


def test_the_deviation_of_the_recalls_of_the_oracle():
    assert recall_deviation([0.9, 0.7, 0.7, 0.5]) == pytest.approx(0.1414, abs=5e-5)


def test_recalls_are_shares_of_the_items_of_each_right_option():
    recalls = option_recalls([A, A, A, B], [A, B, A, B], 3)
    assert recalls[:2].tolist() == [2 / 3, 1.0]
    assert np.isnan(recalls[2])
    assert recall_deviation(recalls) == pytest.approx(np.std([2 / 3, 1]))


def test_whoever_always_takes_one_option_has_the_greatest_deviation():
    recalls = option_recalls([A, B, C, D], [A, A, A, A], 4)
    assert recall_deviation(recalls) == pytest.approx(np.std([1, 0, 0, 0]))
    assert recall_deviation(option_recalls([A, B], [A, B], 2)) == 0.0


def test_refusals_are_wrong_in_both_readings_or_left_out_of_both():
    gold, first, text = [A, B, C], [A, B, A], [A, None, C]
    wrong = compare_readings(gold, first, text)
    assert (wrong.items, wrong.text_accuracy, wrong.first_token_accuracy) == (3, 2 / 3, 2 / 3)
    assert wrong.mismatch == 2 / 3  # a refusal is a choice of its own
    dropped = compare_readings(gold, first, text, refusals="dropped")
    assert (dropped.items, dropped.text_accuracy, dropped.first_token_accuracy) == (2, 1.0, 0.5)
    for readings in (wrong, dropped):  # coverage is of all items either way
        assert (readings.text_answered, readings.first_token_answered) == (2 / 3, 1.0)


def test_two_refusals_are_one_choice():
    assert compare_readings([A], [None], [None]).mismatch == 0.0


@settings(max_examples=60, deadline=None)
@given(CHOICES, st.data(), st.sampled_from(["wrong", "dropped"]))
def test_the_two_readings_are_treated_alike(first, data, refusals):
    size = len(first)
    text = data.draw(st.lists(st.sampled_from([A, B, C, D, None]), min_size=size, max_size=size))
    gold = data.draw(st.lists(st.sampled_from([A, B, C, D]), min_size=size, max_size=size))
    one = compare_readings(gold, first, text, refusals=refusals)
    other = compare_readings(gold, text, first, refusals=refusals)
    assert one.items == other.items
    np.testing.assert_equal(
        [one.mismatch, one.text_accuracy, one.text_answered],
        [other.mismatch, other.first_token_accuracy, other.first_token_answered],
    )


def test_refusals_count_in_recalls_as_in_accuracies():
    assert option_recalls([A, A], [A, None], 1).tolist() == [0.5]
    assert option_recalls([A, A], [A, None], 1, refusals="dropped").tolist() == [1.0]


def test_consistency_is_of_options_and_not_of_places():
    orders = [[A, B, C, D], [B, A, C, D], [D, C, B, A]]
    sticks_to_the_option = [unpermuted(order.index(B), order) for order in orders]
    sticks_to_the_place = [unpermuted(0, order) for order in orders]
    assert selection_consistency([sticks_to_the_option]) == 1.0
    assert selection_consistency([sticks_to_the_place]) == 0.0
    assert unpermuted(None, orders[1]) is None


def test_consistency_pools_all_perturbed_askings():
    assert selection_consistency([[A, A, A, B], [C, C]]) == 3 / 4
    assert selection_consistency([[A, None]]) == 0.0
    assert selection_consistency([[None, None]]) == 1.0
    assert selection_consistency([[A, None, A], [None, B]], refusals="dropped") == 1.0
    assert math.isnan(selection_consistency([[A]]))


def test_entropy_is_zero_for_one_option_and_greatest_for_all_alike():
    assert choice_entropy([[B, B, B]]) == 0.0
    assert choice_entropy([[A, B, C, D]]) == pytest.approx(math.log(4))
    assert choice_entropy([[A, B], [C, C]]) == pytest.approx(math.log(2) / 2)


def test_refusals_are_a_choice_of_their_own_in_entropy_or_no_draw():
    assert choice_entropy([[A, None]]) == pytest.approx(math.log(2))
    assert choice_entropy([[A, None], [None]], refusals="dropped") == 0.0
    assert math.isnan(choice_entropy([[None]], refusals="dropped"))


PLACES = ["Paris", "Rome", "New York", "York"]


@pytest.mark.parametrize(
    ("answer", "option"),
    [
        ("B", B), ("(B)", B), ("B. Rome", B), ("B) because", B), ("B, I think", B), ("C:", C),
        (" rome \n", B), ("Rome", B), ("It is Rome.", B), ("The answer is (A).", A),
        ("Answer: D", D), ("I would choose option C here", C),
        ("A city in Italy", None),  # an article, no letter
        ("Paris or Rome", None), ("answer A or answer B", None),
        ("New York", C),  # the whole text, although another option stands in it
        ("In New York", None),  # two options: York stands in it as a word
        ("Romeo", None), ("", None), ("I cannot say", None), ("E", None), ("b", None),
    ],
)  # fmt: skip
def test_the_rule_reads_letters_and_texts_and_nothing_else(answer, option):
    assert option_in_text(answer, PLACES) == option


def test_a_question_shows_its_options_with_letters_and_asks():
    assert lettered_question("Where? ", ["Paris", " Rome"]) == "Where?\nA. Paris\nB. Rome\nAnswer:"


@pytest.mark.parametrize("size", [0, 1, 27])
def test_a_question_has_as_many_options_as_there_are_letters(size):
    with pytest.raises(ValueError, match="2 to 26 options"):
        lettered_question("Where?", ["x"] * size)


def test_nothing_to_count_is_nan_or_a_clear_error():
    assert math.isnan(compare_readings([], [], []).mismatch)
    assert math.isnan(choice_entropy([]))
    with pytest.raises(ValueError, match="no option is ever right"):
        recall_deviation([math.nan])
    with pytest.raises(ValueError, match="no answer to the question as it is"):
        selection_consistency([[]])
    with pytest.raises(ValueError, match="1 right options have 2 first tokens"):
        compare_readings([A], [A, B], [A])
    with pytest.raises(ValueError, match="options are 0 to 1"):
        option_recalls([2], [0], 2)
