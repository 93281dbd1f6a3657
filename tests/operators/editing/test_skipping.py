"""TokenSkip: which words stay, and that importances belong to the words they are of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.editing.skipping import (
    GAMMAS,
    compress,
    draw_gamma,
    kept_words,
    word_importances,
    word_spans,
)

TEXT = "Step 1: we add 2.5 and 1,000.\nStep 2: so x2 = 1,002.5, don't we?\n"


def words(text):
    return [text[start:end] for start, end in word_spans(text)]


def kept(text, importances, gamma, **options):
    places = kept_words(text.split(), importances, gamma, **options)
    return " ".join(text.split()[place] for place in places)


# --- words ----------------------------------------------------------------------------------------


def test_numbers_are_whole_and_punctuation_stands_by_itself():
    assert words(TEXT) == [
        "Step", "1", ":", "we", "add", "2.5", "and", "1,000", ".", "Step", "2", ":", "so", "x2",
        "=", "1,002.5", ",", "don't", "we", "?",
    ]  # fmt: skip
    assert words("巴黎 is_2 3rd") == ["巴", "黎", "is_2", "3", "rd"]


@given(text=st.text(max_size=40))
def test_all_but_white_space_is_in_a_word(text):
    assert "".join("".join(words(text)).split()) == "".join(text.split())


# --- which words stay -----------------------------------------------------------------------------


def test_the_most_important_share_stays_in_order():
    assert kept("a b c d e", [0.1, 5, 3, 4, 0.2], 0.6) == "b c d"
    assert kept("a b c d", [1, 1, 1, 1], 0.5) == "a b", "of equal ones the earlier"
    assert kept("a b c d e", [1, 2, 3, 4, 5], 0.5) == "c d e", "2.5 is rounded up"


@settings(max_examples=60)
@given(count=st.integers(0, 30), gamma=st.sampled_from(GAMMAS), seed=st.integers(0, 9))
def test_so_many_stay_as_asked_where_nothing_is_forced(count, gamma, seed):
    scores = np.random.default_rng(seed).normal(size=count)
    places = kept_words(["w"] * count, scores, gamma)
    assert len(places) == int(gamma * count + 0.5)
    assert places.tolist() == sorted(set(places.tolist()))


def test_forced_words_and_numbers_stay_and_take_room():
    text = "Step 1 : we add 20 apples"
    assert kept(text, [0, 0, 0, 3, 2, 0, 1], 0.7) == "Step 1 : we 20"
    assert kept(text, [0, 0, 0, 3, 2, 0, 1], 0.1) == "Step 1 : 20", "more than asked for"
    assert kept(text, [0, 0, 0, 3, 2, 0, 1], 0.3, forced=(), keep_numbers=False) == "we add"


def test_forced_words_side_by_side_may_be_one_and_numbers_never():
    text = "Step one Step 2 two 2"
    scores = [0, 0, 0, 0, 0, 0]
    assert kept(text, scores, 0.5) == "Step Step 2 2"
    assert kept(text, scores, 0.5, drop_repeats=True) == "Step 2 2"
    assert kept("a a", [1, 1], 0.9, drop_repeats=True) == "a a", "not forced"


def test_gamma_1_changes_nothing_whatever_else_is_set():
    for text in ("", " ", "Step Step : :", TEXT):
        made = compress(text, np.zeros(len(words(text))), 1.0, drop_repeats=True)
        assert (made.text, made.ratio) == (text, 1.0)


@pytest.mark.parametrize("gamma", [0.0, -0.5, 1.01])
def test_a_gamma_out_of_range_is_an_error(gamma):
    with pytest.raises(ValueError, match="gamma is"):
        kept_words(["a"], [1.0], gamma)
    with pytest.raises(ValueError, match="gammas are"):
        draw_gamma("row", [gamma])


@pytest.mark.parametrize("importances", [[1.0], [1.0, np.nan], [1.0, np.inf], [[1.0, 2.0]]])
def test_importances_that_do_not_fit_are_an_error(importances):
    with pytest.raises(ValueError, match="2 words need as many finite importances"):
        kept_words(["a", "b"], importances, 0.5)


# --- compressed text ------------------------------------------------------------------------------


def test_white_space_stays_where_there_was_some_and_a_line_end_before_others():
    made = compress(" we add 2.5\nto x .\n", [1, 0, 0, 0, 2, 3], 0.5)
    assert made.text == " 2.5\nx .\n"
    assert (made.words, made.kept, made.ratio) == (6, 3, 0.5)
    assert compress("\ta b c\n", [0, 1, 0], 0.34).text == "\tb\n"
    assert compress("we get 3.\nThen go on", [1, 0, 0, 0, 2, 0, 0], 0.4).text == "we 3\nThen"


def test_words_are_not_run_together():
    assert compress("2*3=6", [0] * 5, 0.6).text == "2 3 6"
    assert compress("well-known", [1, 0, 1], 0.67).text == "well known"
    assert compress("甲乙丙", [1, 0, 1], 0.67).text == "甲丙"


@given(text=st.text(st.sampled_from("ab1. \n甲'"), max_size=20), data=st.data())
def test_the_words_of_a_compressed_text_are_the_kept_ones(text, data):
    found = words(text)
    scores = data.draw(st.lists(st.floats(0, 9), min_size=len(found), max_size=len(found)))
    gamma = data.draw(st.sampled_from(GAMMAS))
    places = kept_words(found, scores, gamma)
    made = compress(text, scores, gamma)
    assert "".join(words(made.text)) == "".join(found[place] for place in places)
    assert made.kept == len(places)


def test_the_ratio_is_that_of_the_words_really_kept():
    made = compress("1 2 3 a", [0, 0, 0, 0], 0.5)
    assert (made.text, made.ratio) == ("1 2 3", 0.75)
    assert compress("", [], 0.5).ratio == 1.0


def test_numbers_are_never_dropped_from_an_equation():
    for seed in range(20):
        scores = np.random.default_rng(seed).normal(size=len(words(TEXT)))
        text = compress(TEXT, scores, 0.5).text
        assert [word for word in words(text) if any(map(str.isdigit, word))] == [
            "1", "2.5", "1,000", "2", "x2", "1,002.5",
        ]  # fmt: skip


# --- the draw -------------------------------------------------------------------------------------


def test_each_sample_draws_a_gamma_by_its_id():
    drawn = [draw_gamma(f"row {number}") for number in range(1200)]
    assert drawn == [draw_gamma(f"row {number}") for number in range(1200)]
    assert drawn != [draw_gamma(f"row {number}", seed=1) for number in range(1200)]
    for gamma in GAMMAS:
        assert drawn.count(gamma) / 1200 == pytest.approx(1 / 6, abs=0.04)
    with pytest.raises(ValueError, match="need one at least"):
        draw_gamma("row", [])


# --- importances from losses ----------------------------------------------------------------------


def test_the_surprisal_of_a_word_is_the_sum_of_its_tokens():
    pieces = [b"St", b"ep", b" 1", b":", b" ", b"go"]
    found = word_importances([1, 2, 4, 8, 16, 32], pieces, "Step 1: go")
    assert found.tolist() == [3, 4, 8, 32], "white space is no word's"


def test_a_token_over_several_words_is_divided_by_their_bytes():
    found = word_importances([6.0, 1.0], ["é b".encode(), b"c"], "é bc")
    assert found.tolist() == [4.0, 3.0]


def test_tokens_that_are_parts_of_a_character_belong_to_its_word():
    smile = "👩".encode()
    found = word_importances([1, 2, 3], [smile[:1], smile[1:], b" a"], "👩 a")
    assert found.tolist() == pytest.approx([3, 3])


@given(text=st.text(st.characters(codec="utf-8"), max_size=25), data=st.data())
def test_what_is_not_of_white_space_only_is_given_to_words_and_nothing_is_lost(text, data):
    raw = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(1, max(len(raw) - 1, 1)), max_size=6)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True) if raw[a:b]]
    losses = np.arange(1.0, len(pieces) + 1)
    found = word_importances(losses, pieces, text)
    assert len(found) == len(word_spans(text))
    blank = "".join(" " if character.isspace() else "x" for character in text)
    owned = "".join(
        mark * len(character.encode()) for mark, character in zip(blank, text, strict=True)
    )
    at, expected = 0, 0.0
    for loss, piece in zip(losses, pieces, strict=True):
        expected += loss if "x" in owned[at : at + len(piece)] else 0.0
        at += len(piece)
    assert found.sum() == pytest.approx(expected)


def test_losses_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match="1 tokens need as many losses"):
        word_importances([1, 2], [b"a"], "a")
    with pytest.raises(ValueError, match="do not spell the text"):
        word_importances([1], [b"b"], "a")
