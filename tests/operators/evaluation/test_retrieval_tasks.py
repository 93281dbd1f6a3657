"""Needle in a haystack: where it stands, what else stands there, and pairs that are held out."""

import re
from collections import Counter

import pytest

from operators.evaluation.retrieval_tasks import (
    FILLER_WORDS,
    KEYS,
    needle,
    retrieval_tasks,
)

NEEDLE = re.compile(r"The key of (\w+) is (\d{4})\.")


def parts(prompt):
    """The text, its pairs of key and value, and the key that is asked for."""
    text, _, asked = prompt.rpartition("\n")
    return text, NEEDLE.findall(text), re.fullmatch(r"The key of (\w+) is", asked)[1]


def test_keys_and_words_around_them_do_not_overlap():
    assert len(set(KEYS)) == len(KEYS)
    assert len(set(FILLER_WORDS)) == len(FILLER_WORDS)
    assert set(KEYS).isdisjoint(FILLER_WORDS)


@pytest.mark.parametrize("needles", [1, 3])
def test_the_right_value_is_that_of_the_key_that_is_asked_for(needles):
    made = retrieval_tasks(lengths=(10, 20), depths=(0, 0.5), per_cell=8, needles=needles)
    assert len({example.id for example in made.examples}) == len(made.examples) == 32
    for example in made.examples:
        _, pairs, asked = parts(example.prompt)
        assert len(dict(pairs)) == needles
        assert len({value for _, value in pairs}) == needles
        assert example.answer == f" {dict(pairs)[asked]}."
        assert len(set(example.choices)) == 4
        # Values of other needles come before random ones.
        assert {f" {value}." for _, value in pairs} <= set(example.choices)


@pytest.mark.parametrize("needles", [1, 4])
@pytest.mark.parametrize(
    ("depth", "words_before"), [(0.0, 0), (0.25, 10), (0.5, 20), (0.75, 30), (1.0, 40)]
)
def test_the_needle_stands_at_its_depth(depth, words_before, needles):
    made = retrieval_tasks(lengths=(40,), depths=(depth,), per_cell=5, needles=needles)
    for example in made.examples:
        text, pairs, asked = parts(example.prompt)
        before, _, behind = text.partition(needle(asked, dict(pairs)[asked]))
        assert len(NEEDLE.sub("", before).split()) == words_before
        assert len(NEEDLE.sub("", behind).split()) == 40 - words_before
        if depth == 0:
            assert before == ""
        if depth == 1:
            assert behind == ""


def test_groups_say_length_and_depth():
    made = retrieval_tasks(lengths=(8, 16), depths=(0, 0.125, 1), per_cell=3)
    assert Counter(example.group for example in made.examples) == {
        f"{length} words/depth {depth}": 3 for length in (8, 16) for depth in ("0", "0.125", "1")
    }


def test_the_trivial_rule_takes_the_value_that_stands_last():
    for needles in (1, 2, 6):
        made = retrieval_tasks(
            lengths=(12,), depths=(0, 0.5, 1), per_cell=6, needles=needles, choices=2
        )
        for example in made.examples:
            _, pairs, _ = parts(example.prompt)
            assert example.choices[example.baseline] == f" {pairs[-1][1]}."
    assert all(example.baseline == example.gold for example in retrieval_tasks(per_cell=2).examples)


@pytest.mark.parametrize(("digits", "most"), [(1, 5), (2, 38)])
def test_values_have_so_many_digits_and_there_are_enough_of_them(digits, most):
    made = retrieval_tasks(
        lengths=(4,), depths=(0,), per_cell=3, needles=most, digits=digits, choices=5, training=2
    )
    for example in made.examples:
        assert len({*example.choices}) == 5
        assert all(re.fullmatch(rf" \d{{{digits}}}\.", choice) for choice in example.choices)


def test_pairs_that_are_asked_for_stand_in_no_training_text():
    made = retrieval_tasks(
        lengths=(8, 16), depths=(0, 1), per_cell=20, training=300, needles=2, seed=1
    )
    asked = set()
    for example in made.examples:
        _, pairs, key = parts(example.prompt)
        asked.add((key, dict(pairs)[key]))
    lengths = Counter()
    for text in made.training:
        told, *answers = text.text.splitlines()
        pairs = NEEDLE.findall(told)
        # Every needle is asked for, once.
        assert sorted(answers) == sorted(needle(*pair) for pair in pairs)
        assert asked.isdisjoint(pairs)
        lengths[len(NEEDLE.sub("", told).split())] += 1
    assert set(lengths) == {8, 16}


def test_words_around_come_from_the_texts_in_runs():
    text = " ".join(f"w{number}" for number in range(100))
    made = retrieval_tasks(lengths=(20,), depths=(0.5,), per_cell=5, texts=["", text])
    for example in made.examples:
        told, _, _ = parts(example.prompt)
        words = NEEDLE.sub("", told).split()
        assert " ".join(words) in text
        assert len(words) == 20


def test_short_texts_are_put_together_and_white_space_is_one_space():
    made = retrieval_tasks(lengths=(9,), depths=(0,), per_cell=2, texts=["one\n two", "three"])
    for example in made.examples:
        told, _, _ = parts(example.prompt)
        assert len(NEEDLE.sub("", told).split()) == 9
        assert "\n" not in told


def test_a_word_of_the_text_is_no_key():
    kept = KEYS[:2]
    text = " ".join(key.capitalize() + "," for key in KEYS[2:])
    made = retrieval_tasks(
        lengths=(len(KEYS) - 2,), depths=(0,), per_cell=6, needles=2, texts=[text]
    )
    assert all(set(dict(parts(ex.prompt)[1])) == set(kept) for ex in made.examples)
    with pytest.raises(ValueError, match="3 needles are too many for a text that holds their keys"):
        retrieval_tasks(lengths=(len(KEYS) - 2,), depths=(0,), needles=3, texts=[text])


def test_texts_without_words_are_an_error():
    with pytest.raises(ValueError, match="the documents have no words"):
        retrieval_tasks(texts=["", " \n"])


def test_a_question_follows_from_its_cell_and_the_seed_alone():
    whole = {ex.id: ex for ex in retrieval_tasks(lengths=(8, 16), per_cell=4, seed=1).examples}
    some = retrieval_tasks(lengths=(16,), depths=(0.5,), per_cell=2, training=5, seed=1)
    assert all(whole[example.id] == example for example in some.examples)
    other = {ex.id: ex for ex in retrieval_tasks(lengths=(8, 16), per_cell=4, seed=2).examples}
    assert other != whole


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"lengths": ()}, "lengths are"),
        ({"lengths": (0,)}, "lengths are"),
        ({"lengths": (8, 8)}, "lengths are"),
        ({"depths": ()}, "depths are"),
        ({"depths": (1.5,)}, "depths are"),
        ({"depths": (0.5, 0.5)}, "depths are"),
        ({"needles": 0}, "needles is 0"),
        ({"needles": len(KEYS) + 1}, f"needles is {len(KEYS) + 1}"),
        ({"choices": 1}, "choices is 1"),
        ({"digits": 0}, "digits is 0, but must be from 1 to 9"),
        ({"digits": 1, "needles": 6}, "needles is 6"),
        ({"digits": 1, "choices": 6}, "choices is 6"),
        ({"per_cell": 50, "digits": 1, "training": 1}, "500 questions leave too few pairs"),
    ],
)
def test_settings_out_of_range_are_named(settings, problem):
    with pytest.raises(ValueError, match=problem):
        retrieval_tasks(**settings)
