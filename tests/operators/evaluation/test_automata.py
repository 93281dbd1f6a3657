"""Automata are minimal, held-out ones are nobody's double, and the truth about a text is exact."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.evaluation.automata import (
    ALPHABET,
    Automaton,
    Family,
    automata,
    automaton_text,
    is_held_out,
    minimal,
    shape,
)

SMALL = Family(states=(4, 6), symbols=(4, 6), strings=(2, 4), lengths=(1, 8))
TRAIN = list(automata([f"train-{n}" for n in range(60)], held_out=False, seed=5))
HELD_OUT = list(automata([f"test-{n}" for n in range(60)], held_out=True, seed=5))


def renamed(automaton, symbols):
    """The same automaton with other symbols, and its states in another order."""
    chance = random.Random(0)
    states = [0, *chance.sample(range(1, len(automaton.edges)), len(automaton.edges) - 1)]
    edges = [()] * len(states)
    for state, row in enumerate(automaton.edges):
        edges[states[state]] = tuple(sorted((symbols[s], states[to]) for s, to in row))
    return Automaton(tuple(edges))


def test_automata_have_the_sizes_of_the_family_with_three_edges_at_most():
    # The authors' configuration says 4 edges; the upper end of their generator is exclusive.
    counts = [len(edges) for automaton in TRAIN for edges in automaton.edges]
    assert set(counts) == {1, 2, 3}
    assert max(len(automaton.edges) for automaton in TRAIN) <= 12
    used = [len({s for edges in a.edges for s, _ in edges}) for a in TRAIN]
    assert max(used) <= 18
    assert {s for a in TRAIN for edges in a.edges for s, _ in edges} == set(ALPHABET)


def test_no_state_leads_to_itself_and_its_symbols_differ():
    for automaton in TRAIN + HELD_OUT:
        for state, edges in enumerate(automaton.edges):
            assert state not in [to for _, to in edges]
            assert len({symbol for symbol, _ in edges}) == len(edges)


def test_every_state_is_reached_and_no_two_accept_the_same_strings():
    for automaton in TRAIN[:20]:
        assert minimal(automaton) == automaton
        futures = set()
        for state in range(len(automaton.edges)):
            reached = {("", state)}
            for _ in range(len(automaton.edges)):
                reached |= {(p + s, to) for p, at in reached for s, to in automaton.edges[at]
                            if len(p) < 5}  # fmt: skip
            futures.add(frozenset(p for p, _ in reached))
        assert len(futures) == len(automaton.edges) or len(automaton.edges) > 5


def test_states_that_cannot_be_told_apart_become_one_and_unreached_ones_go():
    given_ = Automaton(((("a", 1), ("b", 2)), (("c", 0),), (("c", 0),), (("d", 0),)))
    assert minimal(given_) == Automaton(((("a", 1), ("b", 1)), (("c", 0),)))


@given(st.integers(0, 59), st.randoms(use_true_random=False))
def test_an_automaton_with_its_states_in_another_order_is_the_same_automaton(number, chance):
    automaton = TRAIN[number]
    assert minimal(renamed(automaton, {s: s for s in ALPHABET})) == automaton


@given(st.integers(0, 59), st.permutations(ALPHABET))
def test_an_automaton_with_its_symbols_renamed_has_the_same_shape(number, letters):
    automaton = TRAIN[number]
    other = minimal(renamed(automaton, dict(zip(ALPHABET, letters, strict=True))))
    assert shape(other) == shape(automaton)


def test_automata_of_different_shapes_are_told_apart():
    cycle = Automaton(((("a", 1),), (("b", 0),)))
    one_letter_twice = Automaton(((("a", 1),), (("a", 2),), (("b", 0),)))
    three = Automaton(((("a", 1),), (("b", 2),), (("c", 0),)))
    assert len({shape(a) for a in (cycle, one_letter_twice, three)}) == 3


def test_the_shape_is_the_smallest_code_of_all_renamings():
    def code(automaton):
        return tuple(tuple((ALPHABET.index(s), to) for s, to in edges) for edges in automaton.edges)

    fan = Automaton(((("a", 1), ("b", 2), ("c", 3)), (("b", 0),), (("a", 0),), (("d", 0),)))
    letters = "abcd"
    codes = {
        code(minimal(renamed(fan, dict(zip(letters, order, strict=True)))))
        for order in itertools.permutations(letters)
    }
    assert shape(fan) == min(codes)
    same = {shape(minimal(renamed(fan, dict(zip(letters, order, strict=True)))))
            for order in itertools.permutations(letters)}  # fmt: skip
    assert same == {shape(fan)}


def test_no_held_out_automaton_is_a_training_automaton_under_other_names():
    assert not {shape(a) for a in TRAIN} & {shape(a) for a in HELD_OUT}
    other_seed = automata([f"train-{n}" for n in range(60)], held_out=False, seed=99)
    assert not {shape(a) for a in other_seed} & {shape(a) for a in HELD_OUT}
    assert all(is_held_out(shape(a)) for a in HELD_OUT)
    assert not any(is_held_out(shape(a)) for a in TRAIN)


def test_no_automaton_comes_twice():
    assert len(set(TRAIN)) == len(TRAIN)
    assert len({shape(a) for a in HELD_OUT}) == len(HELD_OUT)


def test_more_automata_change_none_of_the_earlier_ones():
    names = [f"train-{n}" for n in range(60)]
    assert list(automata(names[:10], held_out=False, seed=5)) == TRAIN[:10]
    assert list(automata(names, held_out=False, seed=6)) != TRAIN


def test_a_family_without_so_many_automata_says_so():
    tiny = Family(states=(2, 2), symbols=(1, 1), edges=(1, 1))
    with pytest.raises(ValueError, match="hardly any others"):
        list(automata("abcdefghijklmnopqrstuvwxyz", held_out=True, family=tiny, seed=0))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"states": (5, 4)}, "fewest first"),
        ({"strings": (0, 4)}, "1 or more"),
        ({"symbols": (4, 19)}, "there are 18"),
        ({"edges": (1, 4)}, "states >= 5"),
        ({"symbols": (2, 18)}, "symbols must be >= 3"),
    ],
)
def test_a_family_that_cannot_be_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Family(**wrong)


@given(st.integers(0, 59), st.integers(0, 3))
def test_a_text_is_strings_of_its_automaton_with_lengths_and_number_in_bounds(number, seed):
    text = automaton_text(TRAIN[number], f"row-{number}", seed=seed)
    strings = text.split("|")
    assert 10 <= len(strings) <= 20
    for string in strings:
        assert 1 <= len(string) <= 49
        TRAIN[number].states_before(string)


def test_a_text_follows_from_its_id_and_seed_alone():
    assert automaton_text(TRAIN[0], "a", seed=1) == automaton_text(TRAIN[0], "a", seed=1)
    assert automaton_text(TRAIN[0], "a", seed=1) != automaton_text(TRAIN[0], "b", seed=1)
    assert automaton_text(TRAIN[0], "a", seed=1) != automaton_text(TRAIN[0], "a", seed=2)


def test_edges_of_a_state_are_taken_equally_often():
    automaton = Automaton(((("a", 1), ("b", 1), ("c", 1)), (("d", 0),)))
    family = Family(lengths=(49, 49))
    text = "".join(automaton_text(automaton, str(n), family=family, seed=0) for n in range(40))
    counts = np.array([text.count(symbol) for symbol in "abc"])
    assert abs(counts / counts.sum() - 1 / 3).max() < 0.03


def test_an_automaton_comes_back_from_its_json():
    for automaton in TRAIN[:10]:
        assert Automaton.from_json(automaton.to_json()) == automaton
