"""Anchors must be pairs of places that are the same, in order, and not found by chance."""

import itertools

import numpy as np
import pytest

from operators.speech.anchors import anchors


def numbered(*texts):
    known = {}
    return [np.array([known.setdefault(w, len(known)) for w in t.split()], np.int64) for t in texts]


def test_texts_that_are_the_same_are_anchored_place_by_place():
    words = np.random.default_rng(0).integers(0, 500, 300)
    found = anchors(words, words)
    assert len(found) > 250
    assert all(i == j for i, j in found)


@pytest.mark.parametrize("seed", range(5))
def test_texts_of_chance_have_no_anchors(seed):
    chance = np.random.default_rng(seed)
    a, b = chance.integers(0, 10, 2000), chance.integers(0, 10, 2000)
    assert len(anchors(a, b)) <= 1


def test_one_shared_word_however_rare_is_no_anchor():
    a, b = numbered("a b c xylophone d e f", "g h i j xylophone k l m")
    assert anchors(a, b) == []


def test_anchors_rise_on_both_sides():
    chance = np.random.default_rng(1)
    first, second = chance.integers(0, 1000, (2, 400))
    found = anchors(np.concatenate((first, second)), np.concatenate((second, first)))
    assert len(found) > 300
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(found))


def test_a_sequence_that_stands_twice_is_no_anchor():
    words = np.tile(np.random.default_rng(2).integers(0, 1000, 100), 2)
    alone = np.random.default_rng(2).integers(0, 1000, 100)
    found = anchors(words, alone)
    # Only where the first copy runs into the second is a sequence alone; the other has none such.
    assert found == []


def test_an_empty_side_has_none():
    nothing = np.zeros(0, np.int64)
    assert anchors(nothing, nothing) == anchors(np.arange(5), nothing) == []
