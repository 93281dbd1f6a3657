"""What is read and what is heard must be written alike, and lead back to the original."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.speech import spell_numbers, tokens, writes_no_spaces


def written(text, **settings):
    return [token.text for token in tokens(text, **settings)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Don’t PANIC!", ["dont", "panic"]),
        ("ill-disposed — young man…", ["ill", "disposed", "young", "man"]),
        ("Straße", ["strasse"]),
        ("cafe\u0301 CAFÉ", ["café", "café"]),
        ("क़लम ज़\u200dरा", ["क\u093cलम", "ज\u093cरा"]),
        ("1,500 and 3.5", ["1,500", "and", "3.5"]),
        ("soft\u00adware", ["software"]),
        ("... -- ?!", []),
        ("", []),
    ],
)
def test_case_marks_and_joiners_make_no_difference(text, wanted):
    assert written(text) == wanted


@given(st.text(max_size=60))
def test_every_token_leads_back_to_where_it_stands(text):
    found = tokens(text)
    assert all(0 <= token.start < token.end <= len(text) for token in found)
    assert [token.start for token in found] == sorted(token.start for token in found)
    for token in found:
        assert token.text
        assert not any(sign.isspace() for sign in token.text)
        assert token.text in written(text[token.start : token.end])


@given(st.text("abcdefgäöüß मार्क CAFÉ.,'-", max_size=40))
def test_what_is_written_alike_already_stays(text):
    once = " ".join(written(text))
    assert " ".join(written(once)) == once


def test_letters_keep_their_marks_where_letters_are_words():
    assert written("ที่นี่ ok", characters=True) == ["ที่", "นี่", "o", "k"] or written(
        "ที่นี่", characters=True
    ) == ["ที่", "นี่"]
    assert written("今日は。", characters=True) == ["今", "日", "は"]


def test_scripts_without_spaces_are_known_by_their_letters():
    assert writes_no_spaces("今日は天気がいい")
    assert writes_no_spaces("สวัสดีครับ")
    assert not writes_no_spaces("good evening")
    assert not writes_no_spaces("안녕하세요 여러분")
    assert not writes_no_spaces("")


def test_numbers_are_spelled_as_they_are_said():
    pytest.importorskip("num2words", reason="the extra `speech` is not installed")
    spell = spell_numbers("en")
    assert written("It has 21 rooms.", spell=spell) == ["it", "has", "twenty", "one", "rooms"]
    assert written("£1,500!", spell=spell)[:3] == ["one", "thousand", "five"]
    assert written("3.5", spell=spell) == ["three", "point", "five"]
    places = {(token.start, token.end) for token in tokens("a 21b", spell=spell)}
    assert places == {(0, 1), (2, 4), (4, 5)}
    with pytest.raises(ValueError, match='does not know the language "xx"'):
        spell_numbers("xx")
