"""Filter rules: each fires beyond its threshold, passes on it, and can be switched off."""

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.corpus import FilterRules, drop_reason
from operators.corpus.filters import (
    duplicate_line_fraction,
    letter_fraction,
    top_ngram_fraction,
)

OFF = FilterRules(
    min_chars=None,
    max_chars=None,
    max_duplicate_line_fraction=None,
    max_top_ngram_fraction=None,
    min_letter_fraction=None,
)
PROSE = (
    "The aligner reads two documents and links the sentences that translate each other.\n"
    "Its cost is the logarithm of a probability, so smaller numbers mean better links.\n"
    "Short documents are quick; long ones need memory for every pair of positions.\n"
)


def only(**rules: int | float | None) -> FilterRules:
    return dataclasses.replace(OFF, **rules)  # type: ignore[arg-type]


def test_ordinary_prose_passes_the_default_rules() -> None:
    assert drop_reason(PROSE, FilterRules()) is None


@given(st.text())
def test_rules_that_are_all_off_keep_every_text(text: str) -> None:
    assert drop_reason(text, OFF) is None


@given(st.text())
def test_measures_are_fractions(text: str) -> None:
    for measure in (
        duplicate_line_fraction(text),
        top_ngram_fraction(text, 2),
        letter_fraction(text),
    ):
        assert 0 <= measure <= 1


@pytest.mark.parametrize(
    ("rules", "on_threshold", "beyond", "reason", "value"),
    [
        pytest.param(only(min_chars=3), "abc", "ab", "too_short", 2, id="too_short"),
        pytest.param(only(max_chars=3), "abc", "abcd", "too_long", 4, id="too_long"),
        pytest.param(
            only(max_duplicate_line_fraction=0.5),
            "a\n\nb\na\nb",
            "a\n\n\nb\n a\nb\na",
            "repeated_lines",
            0.6,
            id="repeated_lines",
        ),
        pytest.param(
            # "x y" covers 4 of 8, then 4 of 7 characters.
            only(max_top_ngram_fraction=0.5, ngram=2),
            "x y a x y b cd",
            "x y a x y b c",
            "repeated_ngrams",
            4 / 7,
            id="repeated_ngrams",
        ),
        pytest.param(
            only(min_letter_fraction=0.5), "ab 12", "ab 123", "few_letters", 0.4, id="few_letters"
        ),
    ],
)
def test_a_value_on_the_threshold_passes_and_one_beyond_is_reported(
    rules: FilterRules, on_threshold: str, beyond: str, reason: str, value: float
) -> None:
    assert drop_reason(on_threshold, rules) is None
    assert drop_reason(beyond, rules) == (reason, pytest.approx(value))


def test_the_first_failing_rule_is_named() -> None:
    assert drop_reason("1\n1\n1\n1", FilterRules()) == ("too_short", 7.0)
    assert drop_reason("1\n" * 200, FilterRules()) == ("repeated_lines", pytest.approx(0.995))


def test_an_empty_text_has_no_letters_and_no_repetition() -> None:
    assert duplicate_line_fraction("") == top_ngram_fraction("", 2) == letter_fraction("") == 0
    assert drop_reason("", only(min_letter_fraction=0.1)) == ("few_letters", 0.0)
    assert (
        drop_reason("", only(max_duplicate_line_fraction=0.0, max_top_ngram_fraction=0.0)) is None
    )


def test_overlapping_occurrences_count_their_characters_once() -> None:
    assert top_ngram_fraction("a a a a", 2) == 1.0


def test_an_ngram_that_occurs_once_is_no_repetition() -> None:
    assert top_ngram_fraction("one two three", 2) == 0.0
    assert top_ngram_fraction("one", 2) == 0.0


def test_of_equally_frequent_ngrams_the_longest_counts() -> None:
    assert top_ngram_fraction("a b lengthy words c a b lengthy words d", 2) == 24 / 30


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("हिन्दी में लिखा हुआ एक वाक्य", id="devanagari_vowel_signs"),
        pytest.param("机器翻译需要平行语料", id="han"),
        pytest.param("e\u0301te\u0301", id="combining_accents"),
    ],
)
def test_letters_of_every_script_are_letters(text: str) -> None:
    assert letter_fraction(text) == 1.0


def test_chinese_without_spaces_is_measured_in_characters() -> None:
    characters = [chr(0x4E00 + n) for n in random.Random(1).sample(range(5000), 300)]
    assert drop_reason("".join(characters), FilterRules()) is None
    reason = drop_reason("买一送一" * 80, FilterRules())
    assert reason is not None
    assert reason[0] == "repeated_ngrams"


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_letter_fraction": 1.5},
        {"max_top_ngram_fraction": -0.1},
        {"min_chars": -1},
        {"min_chars": 10, "max_chars": 9},
        {"ngram": 0},
    ],
)
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, int | float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        only(**wrong)
