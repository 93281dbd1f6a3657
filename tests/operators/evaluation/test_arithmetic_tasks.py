"""Sums and comparisons: exact answers, groups by digits and carries, held out in both orders."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.evaluation.arithmetic_tasks import (
    NumberPairs,
    addition_tasks,
    carries,
    comparison_tasks,
    sum_without_carries,
)

NUMBERS = st.integers(0, 10**9)


def numbers(text):
    return tuple(map(int, re.findall(r"\d+", text)))


@pytest.mark.parametrize(
    ("one", "other", "count", "lazy"),
    [
        (123, 456, 0, 579),
        (5, 5, 1, 0),
        (999, 1, 3, 990),
        (95, 7, 2, 92),
        (0, 0, 0, 0),
        (109, 1, 1, 100),
    ],
)
def test_carries_and_sums_without_them_are_counted_column_by_column(one, other, count, lazy):
    assert carries(one, other) == count
    assert sum_without_carries(one, other) == lazy


@given(NUMBERS, NUMBERS)
def test_a_sum_without_carries_is_right_exactly_where_there_are_none(one, other):
    assert (sum_without_carries(one, other) == one + other) == (carries(one, other) == 0)
    assert carries(one, other) == carries(other, one)
    # Each carry takes nine from the sum of the digits.
    digits = sum(map(int, str(one) + str(other)))
    assert digits - sum(map(int, str(one + other))) == 9 * carries(one, other)


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize(("shortest", "longest"), [(1, 1), (1, 2), (2, 2)])
def test_ranks_name_every_pair_once(equal, shortest, longest):
    pairs = NumberPairs(shortest, longest, equal=equal)
    everything = range(0 if shortest == 1 else 10 ** (shortest - 1), 10**longest)
    for digits in pairs.digits:
        named = [pairs.pair(digits, rank) for rank in range(pairs.size(digits))]
        assert sorted(named) == [
            (one, other)
            for one in everything
            for other in everything
            if len(str(one)) == digits and (other < one or (equal and other == one))
        ]


@given(st.integers(1, 9), st.booleans(), st.data())
def test_ranks_of_long_numbers_stay_exact(longest, equal, data):
    pairs = NumberPairs(1, longest, equal=equal)
    size = pairs.size(longest)
    rank = data.draw(st.sampled_from([0, size - 1]) | st.integers(0, size - 1))
    larger, smaller = pairs.pair(longest, rank)
    assert len(str(larger)) == longest
    assert 0 <= smaller <= larger - (not equal)
    assert size < 2**63


@pytest.mark.parametrize(("shortest", "longest"), [(0, 3), (3, 2), (1, 10)])
def test_digits_have_bounds(shortest, longest):
    with pytest.raises(ValueError, match=f"digits go from {shortest} to {longest}"):
        NumberPairs(shortest, longest, equal=True)


def test_a_sum_is_exact_and_grouped_by_digits_and_carries():
    made = addition_tasks(shortest=1, longest=4, problems=200, seed=1)
    assert len({example.id for example in made.examples}) == 200
    for example in made.examples:
        one, other = numbers(example.prompt)
        assert example.prompt == f"{one}+{other}="
        assert example.answer == f"{one + other}\n"
        digits = len(str(max(one, other)))
        assert example.group == f"digits {digits}/carries {carries(one, other)}"
        assert example.choices[example.baseline] == f"{sum_without_carries(one, other)}\n"
        assert len(set(example.choices)) == 4
        assert all(re.fullmatch(r"\d+\n", choice) for choice in example.choices)


def test_problems_are_spread_evenly_over_digits_as_far_as_there_are_so_many():
    made = addition_tasks(shortest=1, longest=3, problems=300, training=900)
    by_digits = Counter(example.group.split("/")[0] for example in made.examples)
    # There are 55 sums of one digit, half of which may be held out; the others share the rest.
    assert by_digits == {"digits 1": 27, "digits 2": 137, "digits 3": 136}


@pytest.mark.parametrize("maker", [addition_tasks, comparison_tasks])
def test_what_is_held_out_stands_in_no_text_in_either_order(maker):
    made = maker(shortest=1, longest=2, problems=500, training=1000, seed=2)
    asked = {frozenset(numbers(example.prompt)) for example in made.examples}
    told = [numbers(text.text)[:2] for text in made.training]
    assert len(asked) == 500
    assert asked.isdisjoint({frozenset(pair) for pair in told})
    # Each problem to learn from, in both orders, but for a number with itself.
    assert all((two, one) in told for one, two in told[:50])
    assert len({frozenset(pair) for pair in told}) == 1000
    assert len(told) == len(set(told))


@pytest.mark.parametrize("maker", [addition_tasks, comparison_tasks])
def test_texts_are_questions_as_they_are_asked_with_their_answers(maker):
    made = maker(shortest=1, longest=3, problems=20, training=30, seed=2)
    assert len({text.id for text in made.training}) == len(made.training)
    for text in made.training:
        one, other, answer = numbers(text.text)
        assert answer == (one + other if maker is addition_tasks else max(one, other))
        form = re.sub(r"\d+", "#", text.text)
        assert form in {re.sub(r"\d+", "#", ex.prompt + ex.answer) for ex in made.examples}


def test_several_problems_make_one_text_and_one_order_halves_them():
    whole = addition_tasks(problems=5, training=40, shortest=2, both_orders=False, per_text=7)
    assert [text.text.count("\n") for text in whole.training] == [7, 7, 7, 7, 7, 5]
    assert all(text.text.endswith("\n") for text in whole.training)
    with pytest.raises(ValueError, match="a training text has 0 lines"):
        addition_tasks(problems=5, training=5, per_text=0)


def test_all_problems_there_are_can_be_asked_for_and_not_one_more():
    assert len(addition_tasks(shortest=1, longest=1, problems=55).examples) == 55
    with pytest.raises(ValueError, match="56 held-out and 0 training problems are too many: there "
                                         "are 55 with 1 to 1 digits"):  # fmt: skip
        addition_tasks(shortest=1, longest=1, problems=56)
    made = addition_tasks(shortest=1, longest=1, problems=27, training=28)
    assert (len(made.examples), len({numbers(text.text)[2:] for text in made.training}) > 1) == (
        27, True,
    )  # fmt: skip
    with pytest.raises(ValueError, match="at most half of them are held out"):
        addition_tasks(shortest=1, longest=1, problems=28, training=1)


def test_the_order_of_the_operands_says_nothing():
    made = comparison_tasks(shortest=2, longest=3, problems=400, seed=0)
    assert 160 < sum(example.gold for example in made.examples) < 240


def test_the_larger_number_is_right_and_the_trivial_rule_goes_by_digits():
    made = comparison_tasks(shortest=1, longest=3, problems=200, seed=3)
    for example in made.examples:
        pair = numbers(example.prompt)
        assert example.choices == tuple(f" {number}\n" for number in pair)
        assert numbers(example.answer) == (max(pair),)
        lengths = [len(str(number)) for number in pair]
        assert example.group == "digits {} and {}".format(*sorted(lengths, reverse=True))
        if lengths[0] == lengths[1]:
            assert example.baseline == 0
        else:
            assert example.baseline == example.gold


def test_the_same_seed_makes_the_same_and_another_one_does_not():
    settings = {"problems": 20, "training": 20}
    assert addition_tasks(**settings, seed=1) == addition_tasks(**settings, seed=1)
    assert addition_tasks(**settings, seed=1) != addition_tasks(**settings, seed=2)


@pytest.mark.parametrize("choices", [1, 5])
def test_the_number_of_choices_has_bounds(choices):
    with pytest.raises(ValueError, match=f"choices is {choices}, but must be from 2 to 4"):
        addition_tasks(problems=3, choices=choices)


def test_with_two_choices_the_other_one_is_what_is_got_without_carries():
    for example in addition_tasks(shortest=2, problems=30, choices=2).examples:
        if not example.group.endswith("carries 0"):
            assert example.baseline == 1 - example.gold
