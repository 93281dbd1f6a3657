"""Texts that repeat an evaluation set, against plain sets of n-grams."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.corpus import ngram_index, ngram_overlap

TEXTS = st.lists(st.text("ab ", max_size=24), max_size=4)


def overlap(texts, held, **settings):
    index = ngram_index(pa.array(held, pa.string()), **settings)
    return ngram_overlap(pa.array(texts, pa.string()), index)


@settings(deadline=None)  # the first call compiles
@given(TEXTS, TEXTS, st.integers(1, 5), st.integers(1, 5))
def test_the_share_is_that_of_the_words_in_a_known_ngram(texts, held, n, shortest):
    found = overlap(texts, held, ngram=n, shortest=shortest)
    for text, share, owner in zip(texts, found.shares, found.owners, strict=True):
        words = text.split()
        marked, owners = set(), []
        for number, other in enumerate(held):
            others = other.split()
            length = min(n, len(others))
            if length < min(shortest, n) or not others:
                continue
            grams = {tuple(others[k : k + length]) for k in range(len(others) - length + 1)}
            for k in range(len(words) - length + 1):
                if tuple(words[k : k + length]) in grams:
                    marked |= set(range(k, k + length))
                    owners.append(number)
        assert share == pytest.approx(len(marked) / max(1, len(words)))
        assert owner == min(owners, default=-1)


def test_thirteen_words_in_a_row_are_found_through_case_and_punctuation_and_twelve_are_not():
    held = "It was the best of times, it was the worst of times, it was the age of wisdom"
    words = held.replace(",", "").lower().split()
    thirteen, twelve = " ".join(words[3:16]), " ".join(words[3:15])
    found = overlap([f"and so {thirteen} goes", f"and so {twelve} goes"], [held])
    assert found.shares.tolist() == [13 / 16, 0.0]


def test_texts_too_short_to_be_no_chance_are_not_looked_for_and_are_counted():
    held = ["yes it is", "one two three four five six seven eight"]
    index = ngram_index(pa.array(held))
    assert index.too_short == 1
    found = ngram_overlap(pa.array(["well yes it is", f"so {held[1]}"]), index)
    assert found.owners.tolist() == [-1, 1]


def test_an_empty_evaluation_set_knows_nothing():
    assert overlap(["a b c"], []).shares.tolist() == [0.0]


@pytest.mark.parametrize("wrong", [{"ngram": 0}, {"shortest": 0}])
def test_ngrams_of_no_words_are_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        ngram_index(pa.array(["a"]), **wrong)
