"""Just Read Twice: what is repeated, and that a cut context holds its answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.editing.repetition import cut_around, repeat_context, repeat_prompt


def test_context_question_context_question():
    assert repeat_prompt("C", "Q", separator=" ") == "C Q C Q"
    assert repeat_prompt("C", "Q", times=3) == "C\nQ\nC\nQ\nC\nQ"
    assert "Q " + repeat_context("C", "Q", separator=" ") == "Q C Q C"


def test_once_is_the_plain_prompt():
    assert repeat_prompt("C", "Q", times=1) == "C\nQ"
    assert repeat_context("C", "Q", times=1) == "C"
    assert repeat_context("", "", times=1) == ""


def test_less_than_once_is_an_error():
    with pytest.raises(ValueError, match="times is 0"):
        repeat_prompt("C", "Q", times=0)


@pytest.mark.parametrize(
    ("answer", "longest", "expected", "found"),
    [
        ("f", 3, "e f g", True),
        ("a", 3, "a b c ", True),
        ("g", 2, "f g", True),
        ("d", 3, "c d e ", True),
        ("c d", 4, "b c d e ", True),
        ("c d e", 2, "c d ", True),
        ("x", 3, "a b c ", False),
        ("", 3, "a b c ", False),
        ("x", 7, "a b c d e f g", False),
        ("d", 7, "a b c d e f g", True),
    ],
)
def test_the_answer_is_kept_in_the_middle_or_the_beginning(answer, longest, expected, found):
    assert cut_around("a b c d e f g", answer, longest) == (expected, found)


words = st.lists(st.sampled_from(["a", "bb", "c,", "👩‍👩‍👧", "\n"]), max_size=12).map(" ".join)


@given(context=words, data=st.data(), longest=st.integers(1, 9), indent=st.sampled_from(["", " "]))
def test_a_cut_context_is_part_of_it_no_longer_than_asked_and_holds_the_answer(
    context, data, longest, indent
):
    context = indent + context
    answer = data.draw(st.sampled_from([*context.split(), "absent"]))
    cut, found = cut_around(context, answer, longest)
    assert cut in context
    assert len(cut.split()) == min(longest, len(context.split()))
    assert found == (answer in context)
    if found:
        assert answer in cut


def test_pieces_may_be_those_of_a_tokenizer():
    assert cut_around("abcdef", "d", 3, ["ab", "c", "de", "f"]) == ("cdef", True)
    with pytest.raises(ValueError, match="not the context"):
        cut_around("abc", "b", 2, ["a", "c"])
    with pytest.raises(ValueError, match="longest is 0"):
        cut_around("abc", "b", 0)
