"""CharBench: right numbers from 0, words that no two tasks share, answers that can all be chosen."""

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.evaluation.character_tasks import (
    CHARACTER_QUERIES,
    character_answer,
    charbench_examples,
    charbench_text,
    deal_words,
    text_words,
    trivial_answer,
)

WORDS = st.text("abcdeABCDE", min_size=1, max_size=10)


def made_up(count, lengths=(4, 5, 6)):
    chance = random.Random(3)
    words = set()
    while len(words) < count * len(lengths):
        length = lengths[len(words) % len(lengths)]
        words.add("".join(chance.choices("abcdefghijklmnop", k=length)))
    return words


@pytest.mark.parametrize(
    ("query", "word", "character", "right"),
    [
        ("frequency", "mississippi", "s", 4),
        ("unique", "balloon", None, 5),
        ("first", "cheese", "e", 2),
        ("last", "cinnamon", "n", 7),
        ("first", "apple", "a", 0),  # indices start at 0
        ("last", "a", "a", 0),
        ("frequency", "Anna", "a", 1),  # cases differ
        ("unique", "Anna", None, 3),
    ],
)
def test_the_oracles_of_the_method_hold(query, word, character, right):
    assert character_answer(query, word, character) == right


@given(WORDS, st.data())
def test_first_and_last_hold_the_character_and_nothing_outside_of_them_does(word, data):
    character = data.draw(st.sampled_from(word))
    first, last = (character_answer(query, word, character) for query in ("first", "last"))
    assert word[first] == word[last] == character
    assert character not in word[:first] + word[last + 1 :]
    assert word[first : last + 1].count(character) == character_answer("frequency", word, character)


@given(WORDS)
def test_frequencies_of_different_characters_make_up_the_word(word):
    different = set(word)
    assert character_answer("unique", word, None) == len(different)
    assert sum(character_answer("frequency", word, one) for one in different) == len(word)


@pytest.mark.parametrize("character", [None, "", "x", "ch"])
def test_a_character_that_is_not_in_the_word_cannot_be_asked_for(character):
    with pytest.raises(ValueError, match="is no character of 'cheese'"):
        character_answer("first", "cheese", character)


def test_the_trivial_rules_are_one_the_length_the_beginning_and_the_end():
    assert [trivial_answer(query, "cheese") for query in CHARACTER_QUERIES] == [1, 6, 0, 5]


def test_words_are_runs_of_latin_letters_of_the_lengths_asked_for():
    texts = ["Four x five-star, naïve abc123 don't", "seven seven Seven (eleventh) elevenths0"]
    assert text_words(texts, shortest=4, longest=8) == {"Four", "five", "star", "seven", "Seven",
                                                        "eleventh"}  # fmt: skip
    assert text_words([], shortest=4, longest=8) == set()
    assert text_words(["four fives"], shortest=4, longest=4) == {"four"}


def test_hands_have_as_many_words_of_each_length_and_share_none():
    hands = deal_words(
        made_up(40), ["a", "b", "c"], shortest=4, longest=6, per_length=5, shots=4,
        training_per_length=3, seed=1,
    )  # fmt: skip
    for hand in hands.values():
        assert Counter(map(len, hand.test)) == {4: 5, 5: 5, 6: 5}
        assert Counter(map(len, hand.training)) == {4: 3, 5: 3, 6: 3}
        assert Counter(map(len, hand.shots)) == {4: 2, 5: 1, 6: 1}  # lengths go round
    parts = [part for hand in hands.values() for part in (hand.test, hand.shots, hand.training)]
    assert all(set(one).isdisjoint(other) for one, other in itertools.combinations(parts, 2))


def test_who_gets_which_word_follows_from_the_words_and_the_seed_alone():
    words = sorted(made_up(20))
    settings = {"shortest": 4, "longest": 6, "per_length": 4}
    here = deal_words(words, ["a", "b"], **settings, seed=1)
    assert deal_words(words[::-1] + words, ["a", "b"], **settings, seed=1) == here
    assert deal_words(words, ["a", "b"], **settings, seed=2) != here


def test_training_words_leave_the_test_as_it_was():
    words = made_up(20)
    settings = {"shortest": 4, "longest": 6, "per_length": 4, "shots": 2}
    bare = deal_words(words, ["a", "b"], **settings)
    more = deal_words(words, ["a", "b"], **settings, training_per_length=5)
    assert [(hand.test, hand.shots) for hand in bare.values()] == [
        (hand.test, hand.shots) for hand in more.values()
    ]


def test_of_spellings_in_two_cases_one_is_a_word():
    words = ["Word", "word", "WORD"]
    assert len(deal_words(words, ["a"], shortest=4, longest=4, per_length=1)["a"].test) == 1
    with pytest.raises(ValueError, match="there are 1 different words of 4 letters"):
        deal_words(words, ["a"], shortest=4, longest=4, per_length=2)


def test_exactly_as_many_words_as_needed_are_enough_and_one_less_is_an_error_that_says_so():
    words = sorted(made_up(8, lengths=(4,)))
    settings = {"shortest": 4, "longest": 4, "per_length": 2, "shots": 1, "training_per_length": 1}
    assert deal_words(words, ["a", "b"], **settings)
    with pytest.raises(ValueError, match="7 different words of 4 letters, but 2 tasks need 8"):
        deal_words(words[:7], ["a", "b"], **settings)


@pytest.mark.parametrize("query", CHARACTER_QUERIES)
def test_every_question_has_its_right_number_among_the_choices(query):
    words = sorted(made_up(10))
    for example in charbench_examples(query, words, largest=6, seed=5):
        assert example.choices == tuple(f" {number}\n" for number in range(7))
        assert int(example.answer) == character_answer(query, example.word, example.character)
        assert example.baseline == trivial_answer(query, example.word)
        assert (example.task, example.group) == (
            f"charbench.{query}", f"{len(example.word)} letters",
        )  # fmt: skip
        assert example.prompt.startswith("Upper and lower case differ.")
        assert ("Indices start at 0." in example.prompt) == (query in ("first", "last"))
        assert example.prompt.endswith("Answer:")


def test_the_place_of_the_word_is_told_even_where_it_stands_elsewhere_in_the_prompt():
    for word in ("Answer", "character", "Question", "case", "only"):
        for query in CHARACTER_QUERIES:
            (example,) = charbench_examples(query, [word], shots=["cheese", "balloon"])
            end = example.word_start + len(word)
            assert example.prompt[example.word_start - 1 : end + 1] == f'"{word}"'


def test_characters_are_drawn_uniformly_from_the_places_of_the_word():
    words = [f"aab{''.join(ends)}" for ends in itertools.product("xyz", repeat=7)]
    drawn = Counter(
        one.character for one in charbench_examples("frequency", words, largest=10, seed=0)
    )
    assert drawn["a"] / len(words) == pytest.approx(2 / 10, abs=0.03)
    assert drawn["b"] / len(words) == pytest.approx(1 / 10, abs=0.03)


def test_a_question_follows_from_its_word_and_the_seed_alone():
    words = sorted(made_up(10))
    whole = {one.word: one for one in charbench_examples("first", words, seed=1)}
    for one in charbench_examples("first", words[::-3], seed=1):
        assert one == whole[one.word]
    assert whole != {one.word: one for one in charbench_examples("first", words, seed=2)}


def test_examples_stand_solved_before_the_question_and_share_no_word_with_the_test():
    (example,) = charbench_examples("first", ["balloon"], shots=["cheese"], seed=0)
    solved = charbench_text("first", "cheese", rules=False, seed=0)
    assert f"\n\n{solved}\n" in example.prompt
    for shown in ("balloon", "Balloon"):
        with pytest.raises(ValueError, match="'balloon' is asked for and shown solved"):
            charbench_examples("first", ["balloon"], shots=[shown])


def test_a_training_text_is_the_question_as_it_is_asked_with_its_answer():
    for rules in (True, False):
        (example,) = charbench_examples("last", ["cinnamon"], rules=rules, seed=4)
        assert charbench_text("last", "cinnamon", rules=rules, seed=4) == (
            example.prompt + example.answer
        )


def test_without_words_there_is_no_question():
    assert charbench_examples("first", []) == []
