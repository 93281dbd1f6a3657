"""The reversal curse: groups that share nothing, templates that are held out, units that stay whole."""

import math
from collections import Counter
from itertools import pairwise

import pytest

from operators.editing.permutation import permute_texts
from operators.editing.semantic_units import semantic_units
from operators.evaluation.reversal_tasks import (
    ASKED_TEMPLATES,
    DIRECTIONS,
    FACT_GROUPS,
    MOST_FACTS,
    TEMPLATES,
    Fact,
    answer_gap,
    fictitious_facts,
    reversal_tasks,
)

FACTS = fictitious_facts(8, seed=1)


@pytest.fixture(scope="module")
def made():
    return reversal_tasks(FACTS, templates=10, choices=4, seed=1)


def test_every_group_has_as_many_facts_and_names_and_descriptions_do_not_repeat():
    assert Counter(fact.group for fact in FACTS) == dict.fromkeys(FACT_GROUPS, 8)
    for part in (0, 1):
        assert len({fact.name.split()[part] for fact in FACTS}) == len(FACTS)
    assert len({fact.description.partition(" of ")[2] for fact in FACTS}) == len(FACTS)


def test_no_name_of_one_group_stands_in_a_text_of_another(made):
    by_group = {group: [fact for fact in FACTS if fact.group == group] for group in FACT_GROUPS}
    for text in made.training:
        own = text.id.split(":")[2]
        for group, facts in by_group.items():
            held = [fact for fact in facts if fact.name in text.text]
            assert len(held) == (group == own)


@pytest.mark.parametrize("many", [500, MOST_FACTS // 3])
def test_there_are_enough_names(many):
    assert len({fact.name for fact in fictitious_facts(many)}) == 3 * many


@pytest.mark.parametrize("facts", [0, MOST_FACTS // 3 + 1])
def test_more_facts_than_descriptions_or_none_is_an_error(facts):
    with pytest.raises(ValueError, match=f"{facts} facts in each of 3 groups are {3 * facts}"):
        fictitious_facts(facts)


def test_facts_are_told_in_the_direction_of_their_group_only(made):
    for text in made.training:
        _, _, group, number, direction, _ = text.id.split(":")
        fact = next(fact for fact in FACTS if fact.id == f"{group}:{number}")
        name_first = text.text.index(fact.name) < text.text.index(fact.description)
        assert name_first == (direction == "p2d")
        assert group in (direction, "both")
        assert text.group == f"reversal:{fact.id}"
    told = Counter(text.id.split(":")[2] for text in made.training)
    assert told == {"p2d": 80, "d2p": 80, "both": 160}


def test_neighbouring_texts_tell_different_facts():
    for seed in range(30):
        texts = reversal_tasks(fictitious_facts(2), choices=2, templates=4, seed=seed).training
        assert all(one.group != other.group for one, other in pairwise(texts))
        assert len({text.id for text in texts}) == len(texts) == 2 * 4 * 4


def test_templates_that_are_asked_with_stand_in_no_text(made):
    for templates in TEMPLATES.values():
        assert len(set(templates)) == len(templates)
    texts = {text.text for text in made.training}
    assert len(texts) == len(made.training)
    for example in made.examples:
        assert not any(text.startswith(example.prompt) for text in texts)


def test_every_fact_is_asked_in_both_directions_and_groups_say_which(made):
    groups = Counter(example.group for example in made.examples)
    assert groups == dict.fromkeys(
        ["p2d/same", "p2d/reversed", "d2p/same", "d2p/reversed", "both/p2d", "both/d2p"],
        8 * ASKED_TEMPLATES,
    )
    names, descriptions = {fact.name for fact in FACTS}, {fact.description for fact in FACTS}
    for example in made.examples:
        to_name = example.group in ("p2d/reversed", "d2p/same", "both/d2p")
        answers = {choice.strip() for choice in example.choices}
        assert answers <= (names if to_name else descriptions)


def test_the_right_answer_is_that_of_the_fact_and_wrong_ones_are_of_its_group(made):
    for example in made.examples:
        _, group, number, direction, _ = example.id.split(":")
        fact = next(fact for fact in FACTS if fact.id == f"{group}:{number}")
        asked = "description" if direction == "p2d" else "name"
        given = fact.name if direction == "p2d" else fact.description
        assert given in example.prompt
        assert example.answer == f" {getattr(fact, asked)}\n"
        others = {getattr(one, asked) for one in FACTS if one.group == group}
        assert {choice.strip() for choice in example.choices} <= others
        assert len(example.choices) == 4
        assert example.baseline is None


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_names_and_descriptions_are_units_of_their_own(direction):
    for fact in FACTS:
        for template in TEMPLATES[direction]:
            units = semantic_units(template.format(**vars_of(fact)) + "\n")
            bare = [unit.strip().removeprefix("The ") for unit in units]
            assert fact.name in bare
            assert fact.description in bare


def test_permuted_the_other_way_round_names_stay_whole(made):
    texts = [text.text for text in made.training]
    chances = {"reversed": 1.0}
    done = permute_texts(texts, [text.id for text in made.training], chances=chances, seed=0)
    for one, text in zip(done, made.training, strict=True):
        fact = next(fact for fact in FACTS if text.group == f"reversal:{fact.id}")
        places = [one.text.index(part) for part in (fact.name, fact.description)]
        before = [text.text.index(part) for part in (fact.name, fact.description)]
        assert (places[0] < places[1]) == (before[0] > before[1])
        assert one.text.endswith("\n")


def test_fewer_templates_are_the_first_ones(made):
    some = reversal_tasks(FACTS, templates=2, choices=4, seed=1)
    assert {text.text for text in some.training} <= {text.text for text in made.training}
    assert len(some.training) == 8 * 2 * 4
    assert some.examples == made.examples


def test_a_question_follows_from_its_fact_and_the_seed(made):
    backwards = reversal_tasks(FACTS[::-1], templates=10, choices=8, seed=1)
    golds = {example.id: example.answer for example in made.examples}
    assert {example.id: example.answer for example in backwards.examples} == golds
    assert fictitious_facts(8, seed=1) == FACTS != fictitious_facts(8, seed=2)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"templates": 0}, "templates is 0, but must be from 1 to 10"),
        ({"templates": 11}, "templates is 11, but must be from 1 to 10"),
        ({"choices": 9}, "choices is 9, but must be from 2 to the 8 facts of the group p2d"),
        ({"choices": 1}, "choices is 1"),
    ],
)
def test_settings_out_of_range_are_named(settings, problem):
    with pytest.raises(ValueError, match=problem):
        reversal_tasks(FACTS, **settings)


def test_a_name_of_two_facts_is_an_error():
    facts = [Fact("p2d:0", "p2d", "Ada Tor", "Keeper of the Amber Bell"),
             Fact("d2p:0", "d2p", "Ada Tor", "Maker of the Stone Gate")]  # fmt: skip
    with pytest.raises(ValueError, match="'Ada Tor' belongs to two facts"):
        reversal_tasks(facts)


def test_the_gap_of_the_methods_oracle_is_zero():
    gap = answer_gap([-2, -3], [-2.5, -2.5])
    assert gap.mean == 0
    assert gap.t_test == pytest.approx(1)
    assert answer_gap([-2], [-5]).mean == 3
    assert math.isnan(answer_gap([-2], [-5]).t_test)


def test_a_stored_fact_shows_a_clear_gap():
    right = [-1.0 - 0.01 * number for number in range(30)]
    other = [-6.0 + 0.02 * number for number in range(30)]
    gap = answer_gap(right, other)
    assert gap.mean > 4
    assert gap.t_test < 1e-6
    assert gap.ks_test < 1e-6


@pytest.mark.parametrize(("right", "other"), [([], []), ([1.0], [1.0, 2.0])])
def test_a_gap_needs_pairs(right, other):
    with pytest.raises(ValueError, match="must be as many of each, and one at least"):
        answer_gap(right, other)


def vars_of(fact):
    return {"name": fact.name, "description": fact.description}
