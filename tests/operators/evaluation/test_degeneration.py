"""Repetition within texts and between them is counted exactly, whatever their order."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.evaluation.degeneration import (
    distinct,
    duplication,
    longest_loop,
    repetition,
    zipf_coefficient,
)

TEXTS = st.lists(st.sampled_from("abc"), max_size=30)


def test_rep_n_is_the_share_of_n_grams_that_came_before():
    text = ["the", "cat", "sat", "on", "the", "cat", "mat"]
    assert repetition(text, 1) == pytest.approx(2 / 7)
    assert repetition(text, 2) == pytest.approx(1 / 6)
    assert repetition(text, 3) == 0.0


@given(TEXTS, st.integers(1, 4))
def test_rep_n_is_one_less_distinct_n_of_the_text_alone(text, n):
    grams = len(text) - n + 1
    if grams < 1:
        assert math.isnan(repetition(text, n))
        return
    assert repetition(text, n) == pytest.approx(1 - distinct([text], ["a"], n, grams))
    assert 0 <= repetition(text, n) < 1


def test_a_text_of_one_word_repeats_all_but_one_n_gram():
    assert repetition(["no"] * 10, 2) == pytest.approx(1 - 1 / 9)
    assert longest_loop(["no"] * 10) == 10


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", 0),
        ("a", 0),
        ("abc", 0),
        ("aa", 2),
        ("aba", 0),  # the phrase "ab" is not said twice
        ("abab", 4),
        ("xababay", 5),  # "ab ab a"
        ("abcabcab", 8),
        ("aabcbcbcz", 6),
        ("abcxabc", 0),  # twice, and not one behind the other
    ],
)
def test_a_loop_is_one_phrase_again_and_again(text, length):
    assert longest_loop(text) == length


def test_phrases_longer_than_asked_are_not_looked_for():
    assert longest_loop("abcabc", longest_phrase=3) == 6
    assert longest_loop("abcabc", longest_phrase=2) == 0
    with pytest.raises(ValueError, match="must be >= 1"):
        longest_loop("aa", longest_phrase=0)


@given(TEXTS)
def test_the_longest_loop_is_the_longest_stretch_that_has_a_period(text):
    best = 0
    for start in range(len(text)):
        for end in range(start + 2, len(text) + 1):
            piece = text[start:end]
            if any(piece[p:] == piece[:-p] for p in range(1, len(piece) // 2 + 1)):
                best = max(best, len(piece))
    assert longest_loop(text) == best


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=12))
def test_duplicates_are_what_could_be_left_out_whatever_the_order(texts):
    shares = duplication(texts)
    assert np.mean(shares) == pytest.approx(1 - len(set(texts)) / len(texts))
    assert duplication(texts[::-1]) == shares[::-1]
    assert duplication([]) == []


def test_distinct_n_is_of_so_many_n_grams_and_does_not_depend_on_the_order_of_documents():
    documents = {f"d{n}": [f"{n}", "the", "end", "of", "it"] for n in range(10)}
    one = distinct(list(documents.values()), list(documents), 1, 20)
    backwards = dict(reversed(documents.items()))
    assert distinct(list(backwards.values()), list(backwards), 1, 20) == one
    assert one == (4 + 4) / 20
    assert distinct(list(documents.values()), list(documents), 1, 50) == (10 + 4) / 50


def test_a_corpus_with_fewer_n_grams_than_asked_has_no_distinct_n():
    assert math.isnan(distinct([["a", "b"]], ["x"], 1, 3))
    assert distinct([["a", "b"]], ["x"], 1, 2) == 1.0
    assert math.isnan(distinct([], [], 1, 1))


def test_zipf_of_counts_that_follow_it_is_their_exponent():
    for exponent in (0.5, 1.0, 2.0):
        counts = [round(1e5 * rank**-exponent) for rank in range(1, 21)]
        fake = [[str(rank)] * count for rank, count in enumerate(counts)]
        assert zipf_coefficient(fake) == pytest.approx(exponent, abs=5e-3)


def test_zipf_looks_at_the_most_frequent_ranks_only():
    text = ["a"] * 16 + ["b"] * 8 + [str(n) for n in range(100)]
    assert zipf_coefficient([text], ranks=2) == pytest.approx(1.0)
    assert zipf_coefficient([text], ranks=50) != pytest.approx(1.0)


@pytest.mark.parametrize("documents", [[], [[]], [["a", "a"]]])
def test_zipf_needs_two_different_units(documents):
    assert math.isnan(zipf_coefficient(documents))


def test_units_that_are_all_as_frequent_have_a_zipf_coefficient_of_zero():
    assert zipf_coefficient([["a", "b", "c"]]) == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: repetition(["a"], 0),
        lambda: distinct([["a"]], ["x"], 1, 0),
        lambda: distinct([["a"]], [], 1, 1),
        lambda: zipf_coefficient([["a"]], ranks=1),
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must be|names"):
        wrong()
