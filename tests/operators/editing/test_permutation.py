"""Semantic-aware permutation: units are verbatim, names stay whole, words are only moved."""

from collections import Counter
from itertools import chain, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.editing.permutation import (
    ORDERS,
    permute_chunks,
    permute_texts,
    permute_units,
)
from operators.editing.semantic_units import chunk_units, semantic_units, sentences, word_units

ALWAYS = {order: {order: 1.0} for order in ORDERS}
TEXT = (
    "Daphne Barrington, known for being the director of the masterpiece, was born on March 12, "
    "1984 in New York. She met Ludwig van Beethoven and Dr. Smith in The Hague!\n\n"
    "  J. R. R. Tolkien wrote The Lord of the Rings. Apollo 11 landed on 20 July 1969."
)
FUZZ = [
    "", " ", "\n\n", "\r\n\t", "a", "A.", ".", "...", "👩‍👩‍👧 ❤️", "e\u0301 \u200f שלום.", "\0 \0", "1 2", "(", "“",
    "巴黎是法国的首都。它很美。", "\ud800 a",
]  # fmt: skip


def permute(text, chances, *, seed=0, name="row", **options):
    (made,) = permute_texts([text], [name], chances=chances, seed=seed, **options)
    return made


def units(sentence):
    return [unit.strip() for unit in semantic_units(sentence)]


# --- units ----------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(text=st.text(max_size=60) | st.sampled_from(FUZZ) | st.lists(
    st.sampled_from(["The ", "Paris ", "of ", "in ", "12 ", "May, ", "dog. ", "(a ", "J. ", "\n"]),
    max_size=12).map("".join))  # fmt: skip
def test_sentences_and_units_put_together_are_the_text(text):
    cut = sentences(text)
    assert "".join(cut) == text
    for sentence in cut:
        for segment in (semantic_units, word_units, lambda s: chunk_units(s, 3)):
            made = segment(sentence)
            assert "".join(made) == sentence
            assert all(made)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Paris is the capital of France.", ["Paris", "is the capital", "of", "France."]),
        ("In The Hague we met.", ["In", "The Hague", "we met."]),
        ("J. R. R. Tolkien wrote The Lord of the Rings in 1954.",
         ["J. R. R. Tolkien", "wrote", "The Lord of the Rings", "in", "1954."]),
        ("It was on 12 March 1810.", ["It was on", "12 March 1810."]),
        ("born on March 12, 1984, in New York", ["born", "on", "March 12, 1984,", "in", "New York"]),
        ("the 5th of November 1605", ["the", "5th of November 1605"]),
        ("in May 1984 Orwell", ["in", "May 1984", "Orwell"]),
        ("Apollo 11 and Ludwig van Beethoven", ["Apollo 11", "and", "Ludwig van Beethoven"]),
        ('the film "A Journey Through Time"', ["the film", '"A Journey Through Time"']),
        ("a red dog, an old cat", ["a red dog,", "an old cat"]),
        ("Dr. Smith of Mt. Vernon", ["Dr. Smith of Mt. Vernon"]),
        ("of the and", ["of the and"]),
    ],
)  # fmt: skip
def test_names_dates_and_phrases_are_units(sentence, expected):
    assert units(sentence) == expected


def test_a_sentence_ends_at_its_mark_and_not_behind_an_initial():
    text = "J. Smith met Dr. Who. Did he? Yes!\nA line\n他来了。她走了。"
    assert [sentence.strip() for sentence in sentences(text)] == [
        "J. Smith met Dr. Who.", "Did he?", "Yes!", "A line", "他来了。", "她走了。",
    ]  # fmt: skip


def test_a_chunk_has_so_many_words():
    assert chunk_units("a b  c d e", 2) == ["a b  ", "c d ", "e"]
    with pytest.raises(ValueError, match="0 words"):
        chunk_units("a", 0)


# --- orders ---------------------------------------------------------------------------------------


def test_three_units_reversed_are_the_third_the_second_the_first():
    made = permute("U1 a U2", ALWAYS["reversed"], segmenter=lambda _: ["U1 ", "a ", "U2"])
    assert made.text == "U2 a U1"
    text = "Paris is the capital of France."
    assert permute(text, ALWAYS["reversed"]).text == "France. of is the capital Paris"


def test_the_original_order_changes_no_byte():
    made = permute(TEXT, ALWAYS["original"])
    assert made.text == TEXT
    assert made.changed == 0
    assert made.eligible == made.drawn["original"] == 4
    for text in FUZZ:
        assert permute(text, ALWAYS["original"]).text == text


@settings(max_examples=80)
@given(text=st.text(max_size=60) | st.sampled_from([TEXT, *FUZZ]), seed=st.integers(0, 50))
def test_words_are_moved_and_none_is_lost(text, seed):
    for order in ORDERS:
        made = permute(text, ALWAYS[order], seed=seed)
        assert Counter(made.text.split()) == Counter(text.split())
        assert made.unfaithful == 0


def test_a_name_stays_whole_in_any_order():
    for seed in range(30):
        text = permute(TEXT, ALWAYS["random"], seed=seed).text
        for name in ("Daphne Barrington", "Ludwig van Beethoven", "Dr. Smith", "The Hague",
                     "The Lord of the Rings", "J. R. R. Tolkien", "March 12, 1984"):  # fmt: skip
            assert name in text


def test_sentences_stay_in_their_order_with_what_stands_between_them():
    made = permute("a dog, an old cat.\n\n  the sun, a moon.", ALWAYS["reversed"])
    assert made.text == "an old cat. a dog,\n\n  a moon. the sun,"


def test_units_that_are_not_the_sentence_leave_it_as_it_is_and_are_counted():
    def careless(sentence):
        return [sentence[:-1], ""] if "dog" in sentence else semantic_units(sentence)

    made = permute("a dog, a cat. the sun, a moon.", ALWAYS["reversed"], segmenter=careless)
    assert made.text == "a dog, a cat. a moon. the sun,"
    assert (made.unfaithful, made.changed, made.eligible) == (1, 1, 1)


def test_a_sentence_of_one_unit_has_no_other_order():
    made = permute("Paris. Rome.", ALWAYS["random"])
    assert (made.text, made.whole, made.eligible) == ("Paris. Rome.", 2, 0)


def test_a_script_without_spaces_is_joined_by_nothing():
    made = permute("甲，乙。", ALWAYS["reversed"], segmenter=lambda _: ["甲，", "乙。"], joiner="")
    assert made.text == "乙。甲，"


def test_each_order_is_drawn_with_its_chance():
    text = "Paris is the capital of France. " * 900
    drawn = permute(text, {"original": 0.5, "reversed": 0.3, "random": 0.2}).drawn
    assert sum(drawn.values()) == 900
    assert drawn["original"] / 900 == pytest.approx(0.5, abs=0.05)
    assert drawn["reversed"] / 900 == pytest.approx(0.3, abs=0.05)
    equal = permute_texts([text], ["row"])[0].drawn
    assert all(equal[order] / 900 == pytest.approx(1 / 3, abs=0.05) for order in ORDERS)


def test_a_result_depends_on_the_id_and_the_seed_and_not_on_the_others():
    texts, names = [TEXT, TEXT + " It rained.", TEXT * 2], ["a", "b", "c"]
    made = permute_texts(texts, names, seed=1)
    assert permute_texts(texts[::-1], names[::-1], seed=1)[::-1] == made
    assert permute_texts(texts[1:2], names[1:2], seed=1) == made[1:2]
    assert permute_texts(texts, ["x", "y", "z"], seed=1) != made
    assert permute_texts(texts, names, seed=2) != made


@pytest.mark.parametrize(
    ("chances", "says"),
    [
        ({"backwards": 1.0}, "backwards"),
        ({"original": 0.5}, "must be 1, not 0.5"),
        ({"original": 1.5, "random": -0.5}, "negative"),
        ({}, "must be 1, not 0"),
    ],
)
def test_chances_that_are_none_are_an_error(chances, says):
    with pytest.raises(ValueError, match=says):
        permute("a b", chances)


def test_names_that_repeat_are_an_error():
    with pytest.raises(ValueError, match="2 rows need as many different ids"):
        permute_texts(["a", "b"], ["x", "x"])


# --- of tokens ------------------------------------------------------------------------------------


def test_tokens_can_be_reversed_or_moved_in_chunks():
    generator = np.random.default_rng(3)
    tokens = list(range(10))
    assert permute_units(tokens, "reversed", generator) == tokens[::-1]
    seen = {tuple(permute_chunks(tokens, 4, generator)) for _ in range(60)}
    chunks = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert seen == {tuple(chain.from_iterable(order)) for order in permutations(chunks)}
    assert permute_chunks([], 4, generator) == []
    with pytest.raises(ValueError, match="0 tokens"):
        permute_chunks(tokens, 0, generator)
    with pytest.raises(ValueError, match="sideways"):
        permute_units(tokens, "sideways", generator)
