"""Normal forms: what must become equal, what must stay, and that a second pass changes nothing."""

import time
import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.corpus import normalize_text

# Dense in what the function touches: hypothesis rarely draws two such characters in a row.
TRICKY = st.text(
    st.sampled_from(
        list("aeE \t\n\r\v\f\x00\x1c\x85\u2028\u0301\u0308\u00a0\u00a8\u1e9b\ufb01ｶﾞ가ᄀ")
    )
)


@given(text=st.text() | TRICKY, form=st.sampled_from(["NFC", "NFKC", "none"]))
def test_a_second_pass_changes_nothing(text: str, form: Literal["NFC", "NFKC", "none"]) -> None:
    once = normalize_text(text, form=form)
    assert normalize_text(once, form=form) == once
    if form != "none":
        assert unicodedata.is_normalized(form, once)


@given(text=st.text() | TRICKY)
def test_no_control_character_but_tab_and_line_feed_is_left(text: str) -> None:
    controls = {c for c in normalize_text(text) if unicodedata.category(c) == "Cc"}
    assert controls <= {"\n", "\t"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "", id="empty"),
        pytest.param(" \r\n\t", "", id="blank"),
        pytest.param("a\r\nb\rc\u2028d", "a\nb\nc\nd", id="every_line_end_is_LF"),
        pytest.param("page 1\fpage 2", "page 1\npage 2", id="form_feed_does_not_glue_words"),
        pytest.param("a\x00b\x7fc\x9bd", "abcd", id="controls_dropped"),
        pytest.param("e\x00\u0301", "é", id="composes_across_a_dropped_control"),
        pytest.param("a \t\nb\u00a0\n", "a\nb", id="trailing_space_stripped"),
        pytest.param("a\n  b", "a\n  b", id="indentation_kept"),
        pytest.param("a\n\n\nb", "a\n\n\nb", id="two_blank_lines_kept"),
        pytest.param("a\n\n\n\nb", "a\n\nb", id="three_blank_lines_become_one"),
        pytest.param("a\n \n\t\n \n\nb", "a\n\nb", id="blank_lines_of_spaces_are_blank"),
        pytest.param("👩\u200d💻 \u200fא", "👩\u200d💻 \u200fא", id="joiners_and_marks_kept"),
    ],
)
def test_normal_form(text: str, expected: str) -> None:
    assert normalize_text(text) == expected


def test_forms_differ_where_they_should() -> None:
    assert normalize_text("ﬁ e\u0301", form="NFC") == "ﬁ é"
    assert normalize_text("ﬁ e\u0301", form="NFKC") == "fi é"
    assert normalize_text("ﬁ e\u0301", form="none") == "ﬁ e\u0301"


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="NFD"):
        normalize_text("a", form="NFD")  # type: ignore[arg-type]


def test_a_long_run_of_spaces_takes_linear_time() -> None:
    text = ("a" + " " * 200_000 + "b\n") * 2
    start = time.perf_counter()
    normalize_text(text)
    assert time.perf_counter() - start < 1
