"""A question can be answered by choice: no answer begins with another one."""

from collections import Counter

import numpy as np
import pytest

from operators.evaluation.task_examples import TaskExample, mixed_choices, shortest_choice


def example(choices, gold=0, baseline=None):
    return TaskExample("a", "task", "group", "prompt", tuple(choices), gold, baseline)


def test_the_answer_is_the_gold_choice():
    assert example([" 1\n", " 10\n"], gold=1).answer == " 10\n"


@pytest.mark.parametrize("choices", [["1", "10"], ["b", "a", "ab"], ["a", "a"], ["", "a"]])
def test_a_choice_that_begins_with_another_one_is_refused(choices):
    with pytest.raises(ValueError, match=r"a: choice .* begins with choice"):
        example(choices)


def test_one_choice_is_none():
    with pytest.raises(ValueError, match="a has 1 choices, but needs two"):
        example(["a"])


@pytest.mark.parametrize(("gold", "baseline"), [(2, None), (-1, None), (0, 2), (0, -1)])
def test_an_index_must_be_that_of_a_choice(gold, baseline):
    with pytest.raises(ValueError, match="a has 2 choices, and no"):
        example(["a", "b"], gold, baseline)


def test_choices_are_mixed_and_the_right_one_is_found_again():
    places = Counter()
    for seed in range(400):
        choices, gold = mixed_choices("right", ["b", "c", "d"], np.random.default_rng(seed))
        assert choices[gold] == "right"
        assert sorted(choices) == ["b", "c", "d", "right"]
        places[gold] += 1
    assert all(70 < places[place] < 130 for place in range(4))


def test_of_the_shortest_choices_the_first_is_taken():
    assert shortest_choice(["aaa", "bb", "cc"]) == 1
