"""Protected spans: text in, the tokens that lie in it out, byte by byte."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.editing.protected_spans import SPANS, protected_positions

BYTES = [bytes([number]) for number in range(256)]


def marked(text, *spans, tokens=BYTES, special=()):
    """The bytes of a text that are protected, as text; each byte is a token."""
    row = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)
    (found,) = protected_positions([row], tokens, spans, special)
    return bytes(row[found].astype(np.uint8)).decode()


@pytest.mark.parametrize(
    ("span", "text", "expected"),
    [
        ("numbers", "in 1,234.5 ways, 7% of B2 and x.", "1,234.57%B2"),
        ("urls", "see https://a.org/b?c=1 or me@b.org now", "https://a.org/b?c=1me@b.org"),
        ("code", "call np.mean(x) or `a b` of snake_case", "np.mean(x)`a b`snake_case"),
        ("names", "The cat met Anna Lee. She saw Paris and NATO.", "Anna LeeParisNATO"),
        ("names", "Every sentence.\nBegins so. With a capital", ""),
        ("ca.", "a cat, a car", "catcar"),
    ],
)
def test_a_span_holds_what_it_is_named_for(span, text, expected):
    assert marked(text, span) == expected


def test_several_spans_protect_what_any_of_them_does():
    assert marked("7 cats of Rome", "numbers", "names") == "7Rome"


def test_a_token_is_protected_when_one_byte_of_it_is():
    tokens = [b"is ", b"4", b"2 no", b"w", b" 7", "é5".encode(), b"x"]
    (found,) = protected_positions([np.arange(7)], tokens, ["numbers"])
    assert found.tolist() == [False, True, True, False, True, True, True]
    (found,) = protected_positions([np.array([0, 1, 2, 0, 4])], tokens, [r"\d"])
    assert found.tolist() == [False, True, True, False, True]


def test_characters_of_several_bytes_do_not_move_the_places():
    assert marked("é漢🎉 7 é漢🎉8", r"\d") == "78"
    assert marked("é漢🎉7", "漢") == "漢"


def test_half_a_character_at_the_beginning_of_a_row_moves_no_place():
    row = np.array([*"漢".encode()[1:], *b" a7 ", *"🎉".encode()[:2]])
    (found,) = protected_positions([row], BYTES, [r"\d"])
    assert np.flatnonzero(found).tolist() == [4]


def test_no_span_reaches_over_a_special_token():
    tokens = [*BYTES, b"<|endoftext|>"]
    row = np.array([*b"``", 256, *b"`x", 256])
    (found,) = protected_positions([row], tokens, ["code", r"\|"], [256])
    assert not found.any()


def test_no_span_and_an_empty_row_protect_nothing():
    rows = [np.array([], dtype=np.int64), np.array([49])]
    assert [found.tolist() for found in protected_positions(rows, BYTES, [])] == [[], [False]]
    assert [found.tolist() for found in protected_positions(rows, BYTES, [r"\d"])] == [[], [True]]


def test_an_id_beyond_the_tokenizer_has_no_text():
    (found,) = protected_positions([np.array([49, 999, 49])], BYTES, ["11"])
    assert found[[0, 2]].all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 255), max_size=30))
def test_any_bytes_have_their_digits_found(row):
    (found,) = protected_positions([np.array(row, dtype=np.int64)], BYTES, ["[0-9]"])
    assert found.tolist() == [48 <= byte <= 57 for byte in row]


def test_a_broken_regex_is_named():
    with pytest.raises(ValueError, match=r"'\(' is neither one of numbers, urls"):
        protected_positions([np.array([49])], BYTES, ["("])


@pytest.mark.parametrize("span", SPANS)
def test_long_texts_without_a_space_take_no_time(span):
    for text in ("a." * 4000, "Aa" * 4000, "1," * 4000, "a-" * 4000, "Ab " * 3000):
        marked(text, span)
