"""Spelling and editing words: exact answers, and wrong ones that are wrong."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.evaluation.character_edits import (
    CHARACTER_EDITS,
    character_edit_examples,
    character_edit_text,
    edit_word,
)

WORDS = st.text("abcABCxyz", min_size=3, max_size=10).filter(lambda word: len(set(word)) > 1)


@pytest.mark.parametrize(
    ("edit", "word", "one", "other", "right"),
    [
        ("spell", "there", "", "", "t h e r e"),
        ("unspell", "there", "", "", "there"),
        ("insert", "there", "e", "b", "thebreb"),
        ("delete", "there", "e", "", "thr"),
        ("substitute", "there", "e", "a", "thara"),
        ("swap", "there", "e", "t", "ehtrt"),
        ("delete", "Tent", "T", "", "ent"),  # cases differ
    ],
)
def test_an_edit_concerns_every_occurrence(edit, word, one, other, right):
    assert edit_word(edit, word, one, other) == right


@given(WORDS, st.sampled_from(["insert", "delete", "substitute", "swap"]))
def test_characters_that_an_edit_does_not_name_stay_in_their_order(word, edit):
    one, other = sorted(set(word))[:2] if edit == "swap" else (word[0], "q")
    named = {one, other}
    before = [letter for letter in word if letter not in named]
    after = [letter for letter in edit_word(edit, word, one, other) if letter not in named]
    assert before == after


def test_whether_a_word_has_a_character_is_no_edit():
    with pytest.raises(ValueError, match="'contains' is no edit"):
        edit_word("contains", "there", "e")


@pytest.mark.parametrize("edit", CHARACTER_EDITS)
@given(WORDS, st.integers(2, 4), st.integers(0, 3))
def test_every_question_has_as_many_different_answers_as_asked_for(edit, word, choices, seed):
    (example,) = character_edit_examples(edit, [word], choices=choices, seed=seed)
    assert len(set(example.choices)) == (2 if edit == "contains" else choices)
    assert all(choice.startswith(" ") and choice.endswith("\n") for choice in example.choices)
    # The right one is what a training text says behind the same prompt.
    assert character_edit_text(edit, word, seed=seed) == example.prompt + example.answer


def test_the_right_answers_are_those_of_the_questions():
    (one,) = character_edit_examples("substitute", ["Mississippi"], seed=3)
    asked = one.prompt.split('"')
    letter, word, other = asked[1], asked[3], asked[5]
    assert word == "Mississippi"
    assert letter in word
    assert other not in word.lower()
    assert one.answer == f" {word.replace(letter, other)}\n"


def test_contains_is_true_of_every_second_word_and_the_baseline_says_yes():
    words = ["there", "balloon", "cheese", "cinnamon"]
    examples = character_edit_examples("contains", words, seed=0)
    assert [one.answer for one in examples] == [" Yes\n", " No\n"] * 2
    assert all(one.choices[one.baseline] == " Yes\n" for one in examples)
    for word, one in zip(words, examples, strict=True):
        letter = one.prompt.split('"')[3]
        assert (letter in word) == (one.answer == " Yes\n")


def test_the_place_of_the_right_answer_says_nothing():
    words = [f"{one}{two}ab" for one in "cdefghijkl" for two in "mnopqrstuv"]
    places = Counter(one.gold for one in character_edit_examples("delete", words, seed=0))
    assert all(10 < places[place] < 45 for place in range(4))


def test_the_trivial_rule_takes_the_shortest_answer():
    for one in character_edit_examples("swap", ["there", "balloon"], seed=1):
        shortest = min(map(len, one.choices))
        assert len(one.choices[one.baseline]) == shortest
        assert all(len(choice) > shortest for choice in one.choices[: one.baseline])


def test_a_question_follows_from_its_word_and_the_seed_alone():
    words = ["there", "balloon", "cheese", "cinnamon"]
    here = {one.id: one for one in character_edit_examples("delete", words, seed=1)}
    there = {one.id: one for one in character_edit_examples("delete", words[::-1], seed=1)}
    assert here == there


def test_examples_stand_solved_before_the_question_and_share_no_word_with_the_test():
    (one,) = character_edit_examples("spell", ["there"], shots=["cheese"])
    assert one.prompt.startswith(character_edit_text("spell", "cheese") + "\n")
    with pytest.raises(ValueError, match="'there' is asked for and shown solved"):
        character_edit_examples("spell", ["there"], shots=["There"])


@pytest.mark.parametrize("word", ["", "ab", "aaaa"])
def test_a_word_that_leaves_nothing_to_edit_is_named(word):
    with pytest.raises(ValueError, match=f"the word '{word}' cannot be edited"):
        character_edit_examples("delete", [word])


@pytest.mark.parametrize("choices", [1, 5])
def test_the_number_of_choices_has_bounds(choices):
    with pytest.raises(ValueError, match=f"choices is {choices}, but must be from 2 to 4"):
        character_edit_examples("delete", ["there"], choices=choices)
