"""Sentence ends: where text must be cut, where it must not, and that nothing is lost."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.alignment import split_sentences

LANGUAGES = st.sampled_from(["eng_Latn", "deu_Latn", "fra_Latn", "ell_Grek", "zho_Hans", "xxx"])
PUNCTUATED = st.lists(
    st.sampled_from(
        [*"ab A.B !?…。！।;»«\"')(\n\t\u00a03", "Dr.", "z. B.", "...", "1.", "\u2028", "\x1c"]
    )
).map("".join)


@given(st.text() | PUNCTUATED, LANGUAGES)
def test_nothing_but_white_space_is_lost(text: str, language: str) -> None:
    sentences = split_sentences(text, language)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(sentence and sentence == sentence.strip() for sentence in sentences)
    assert all(len(sentence.splitlines()) == 1 for sentence in sentences)


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        pytest.param("eng_Latn", ["One.", "Two!", "Three?", "Four…", "Five"], id="final_marks"),
        pytest.param("eng_Latn", ["What?!", "Wait...", "No!!!", "3 came."], id="runs_of_marks"),
        pytest.param("eng_Latn", ['He said "Go."', "She went.)", "Then [he left.]"], id="closers"),
        pytest.param("eng_Latn", ["It ended.", "“Yes,” he said.", "(Really.)"], id="openers"),
        pytest.param("eng_Latn", ["Pears, plums etc.", "Then cake."], id="etc_before_a_capital"),
        pytest.param("eng_Latn", ["He came 3rd in 1998.", "She won."], id="years"),
        pytest.param("eng_Latn", ["The answer is no.", "He left."], id="no_is_a_word_here"),
        pytest.param("deu_Latn", ["Das war 1998.", "»Gut.«", "Er ging."], id="german"),
        pytest.param("fra_Latn", ["« Oui. »", "Il sort.", "« Non ! »", "Fin."], id="guillemets"),
        pytest.param("spa_Latn", ["Hola.", "¿Qué tal?", "¡Bien!"], id="inverted_marks"),
        pytest.param("ell_Grek", ["Τι κάνεις;", "Καλά."], id="greek_question_mark"),
        pytest.param("hin_Deva", ["वह गया।", "वह आया॥"], id="danda"),
        pytest.param("rus_Cyrl", ["Он ушёл.", "Она осталась."], id="cyrillic"),
        pytest.param("arb_Arab", ["كيف حالك؟", "بخير."], id="arabic"),
    ],
)
def test_sentences_are_found_in_a_line(language: str, sentences: list[str]) -> None:
    assert split_sentences(" ".join(sentences), language) == sentences


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        pytest.param("zho_Hans", ["你好。", "“是吗？”", "他走了！", "好"], id="chinese"),
        pytest.param("jpn_Jpan", ["「はい。」", "行った。"], id="japanese"),
        pytest.param("zho_Hans", ["好!", "走吧?", "是"], id="ascii_marks_after_nfkc"),
    ],
)
def test_scripts_without_spaces_need_none(language: str, sentences: list[str]) -> None:
    assert split_sentences("".join(sentences), language) == sentences


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        pytest.param("eng_Latn", "Mr. Smith met Dr. Jones, e.g. Tuesday.", id="titles"),
        pytest.param("eng_Latn", "J. R. R. Tolkien and J.S. Bach in the U.S. Army.", id="initials"),
        pytest.param("eng_Latn", "It costs 3.14 euros, or .5 pounds.", id="decimals"),
        pytest.param("eng_Latn", "See No. 5, Fig. 3 and pp. 7 to 9.", id="numbered_things"),
        pytest.param("eng_Latn", '"What?" he asked. and left', id="lower_case_follows"),
        pytest.param("eng_Latn", "1. First item", id="numbered_item"),
        pytest.param("eng_Latn", "(a) First item", id="lettered_item"),
        pytest.param("eng_Latn", "2.3. A section", id="section_number"),
        pytest.param("eng_Latn", "See www.example.org/a?b=C for v1.2.Final.", id="address"),
        pytest.param("eng_Latn", "( really ! ) He left", id="closing_bracket_follows"),
        pytest.param("eng_Latn", "The end . . .", id="spaced_ellipsis"),
        pytest.param("eng_Latn", "... And so on", id="leading_ellipsis"),
        pytest.param("deu_Latn", "Am 3. Oktober, z.B. in Bern, d. h. Dr. Meier.", id="german"),
        pytest.param(
            "fra_Latn", "M. Dupont, p. ex. Mme. Curie en 52 av. J.-C. à Paris", id="french"
        ),
        pytest.param("rus_Cyrl", "В г. Москва, ул. Мира, т.е. здесь.", id="russian"),
        pytest.param("eng_Latn", "A clause; Another clause", id="semicolon_is_greek_only"),
        pytest.param("tha_Thai", "สวัสดีครับ ผมชื่อสมชาย", id="no_marks"),
    ],
)
def test_a_sentence_is_not_cut(language: str, sentence: str) -> None:
    assert split_sentences(sentence, language) == [sentence]


def test_line_ends_always_end_a_sentence() -> None:
    assert split_sentences("a title\nMr.\r\n\n  Smith came. \n") == [
        "a title",
        "Mr.",
        "Smith came.",
    ]


@pytest.mark.parametrize("text", ["", " \n\t\n"])
def test_blank_text_has_no_sentences(text: str) -> None:
    assert split_sentences(text) == []


def test_the_default_language_is_english() -> None:
    assert split_sentences("Gov. Smith spoke. He left.") == ["Gov. Smith spoke.", "He left."]


@pytest.mark.parametrize("unit", ["! ", "Dr. ", "a. ", ". - ", '." ', "。", "x." + " " * 50])
def test_hostile_lines_take_linear_time(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    start = time.perf_counter()
    split_sentences(text)
    assert time.perf_counter() - start < 5
