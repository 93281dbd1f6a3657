"""Error rates of a corpus are pooled, and a reference without words divides nothing by zero."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("jiwer", reason="jiwer is not installed")

from operators.evaluation.word_errors import (
    EditCounts,
    character_errors,
    corpus_errors,
    word_errors,
)

texts = st.text(alphabet="ab é\u0301中", max_size=12)


def test_the_oracle_of_three_edits_in_five_words():
    (counts,) = word_errors(["the cat sat on mat"], ["the bat sat mat now"])
    assert (counts.edits, counts.reference_length, counts.rate) == (3, 5, 0.6)


def test_edits_are_told_apart_where_there_is_one_way_to_do_it():
    (counts,) = word_errors(["a b c d e"], ["a x c d f g h e"])
    assert counts == EditCounts(hits=4, substitutions=1, insertions=3)
    (counts,) = word_errors(["a b c d"], ["b c x"])
    assert counts == EditCounts(hits=2, substitutions=1, deletions=1)


def test_the_rate_of_a_corpus_is_not_the_mean_of_its_rates():
    counts = word_errors(["a", "b c d e f g h i j"], ["x", "b c d e f g h i j"])
    assert corpus_errors(counts).rate == pytest.approx(0.1)
    assert sum(each.rate for each in counts) / 2 == 0.5


def levenshtein(a, b):
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


@settings(deadline=None)
@given(texts, texts)
def test_edits_are_the_fewest_and_the_counts_fit_both_lengths(reference, hypothesis):
    for make, pieces in (
        (word_errors, str.split),
        (character_errors, lambda t: list(" ".join(t.split()))),
    ):
        (counts,) = make([reference], [hypothesis])
        said, heard = pieces(reference), pieces(hypothesis)
        assert counts.edits == levenshtein(said, heard)
        assert counts.reference_length == len(said)
        assert counts.hits + counts.substitutions + counts.insertions == len(heard)


def test_characters_are_code_points_with_one_space_between_words():
    (counts,) = character_errors(["ab  cd "], ["ab cx"])
    assert (counts.edits, counts.reference_length) == (1, 5)


def test_an_empty_reference_is_counted_and_its_insertions_are_not_lost():
    counts = word_errors(["", "a b", "  "], ["x y", "a b", ""])
    assert math.isnan(counts[0].rate)
    found = corpus_errors(counts)
    assert (found.empty_references, found.inserted_in_empty) == (2, 2)
    assert found.rate == 1.0  # two words that nobody said, over two that somebody did


def test_an_empty_hypothesis_has_lost_every_word():
    (counts,) = word_errors(["a b c"], [""])
    assert counts == EditCounts(deletions=3)


def test_more_insertions_than_words_are_a_rate_above_1():
    assert corpus_errors(word_errors(["a"], ["x y z"])).rate == 3.0


def test_both_sides_are_divided_by_the_same_rule():
    split = str.casefold
    assert word_errors(["The Cat"], ["the cat"], lambda text: split(text).split())[0].edits == 0
    assert word_errors(["ab"], ["a b"], lambda text: list(text.replace(" ", "")))[0].edits == 0


@pytest.mark.parametrize("references", [[], ["", " "]])
def test_no_reference_with_a_word_is_a_clear_error(references):
    with pytest.raises(ValueError, match="none of the references has a word"):
        _ = corpus_errors(word_errors(references, ["x"] * len(references))).rate


def test_numbers_that_differ_are_refused():
    with pytest.raises(ValueError, match="2 references need as many hypotheses, got 1"):
        word_errors(["a", "b"], ["a"])
