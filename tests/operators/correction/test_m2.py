"""M2 files: what is read, what is refused, and edits that lead there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.correction import Edit, Sentence, apply_edits, format_m2, invert, parse_m2

FILE = """S I likes to eating bread .
A 1 2|||R:VERB:SVA|||like|||REQUIRED|||-NONE-|||0
A 3 4|||R:VERB:FORM|||eat|||REQUIRED|||-NONE-|||0
A 4 4|||M:DET|||some|||REQUIRED|||-NONE-|||1

S All is well .
A -1 -1|||noop|||-NONE-|||REQUIRED|||-NONE-|||0

S No one looked .
"""


def read(text, name="x.m2"):
    return list(parse_m2(text.split("\n"), name))


def test_sentences_edits_and_annotators_are_read():
    first, second, third = read(FILE)
    assert first.tokens == ("I", "likes", "to", "eating", "bread", ".")
    assert [edit.correction for edit in first.edits_of(0)] == [("like",), ("eat",)]
    assert first.edits_of(1) == [Edit(4, 4, ("some",), "M:DET", 1)]
    assert first.annotators == (0, 1)
    assert second.edits == third.edits == ()
    assert (first.line, second.line, third.line) == (1, 6, 9)


def test_a_file_is_written_as_it_was_read():
    assert "".join(map(format_m2, read(FILE))).startswith(FILE.split("\n\nS No", maxsplit=1)[0])
    again = read("".join(map(format_m2, read(FILE))))
    assert [s.edits for s in again] == [s.edits for s in read(FILE)]


def test_a_deletion_has_no_words_and_of_several_corrections_the_first_counts():
    sentence = read("S a b c\nA 0 1|||U:DET|||-NONE-|||REQUIRED|||-NONE-|||0\n"
                    "A 1 2|||R:NOUN|||x y||z|||REQUIRED|||-NONE-|||0")[0]  # fmt: skip
    assert apply_edits(sentence.tokens, sentence.edits) == ["x", "y", "c"]


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("S a b\nA 0 3|||R|||x|||REQUIRED|||-NONE-|||0", "x.m2:2", "2 tokens"),
        ("S a b\nA 2 1|||R|||x|||REQUIRED|||-NONE-|||0", "x.m2:2", "outside"),
        ("S a b\nA 0 1|||R|||x", "x.m2:2", "is no edit"),
        ("S a b\nA 0 b|||R|||x|||REQUIRED|||-NONE-|||0", "x.m2:2", "numbers"),
        ("A 0 1|||R|||x|||REQUIRED|||-NONE-|||0", "x.m2:1", "before any sentence"),
        ("S a b\n\nB what is this", "x.m2:3", "what is this"),
        ("\n\nS a b c\nA 0 2|||R|||x|||REQUIRED|||-NONE-|||0\n"
         "A 1 3|||R|||x|||REQUIRED|||-NONE-|||0", "x.m2:3", "overlap"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_and_line(text, place, says):
    with pytest.raises(ValueError, match=f"^{place}: .*{says}"):
        read(text)


def test_edits_of_two_annotators_may_overlap():
    text = ("S a b c\nA 0 2|||R|||x|||REQUIRED|||-NONE-|||0\n"
            "A 1 3|||R|||y|||REQUIRED|||-NONE-|||1")  # fmt: skip
    assert [apply_edits(read(text)[0].tokens, read(text)[0].edits_of(a)) for a in (0, 1)] == [
        ["x", "c"], ["a", "y"]]  # fmt: skip


def test_what_was_missing_is_unnecessary_the_other_way_round():
    sentence = invert(Sentence(("a", "c"), (Edit(1, 1, ("b",), "M:DET"),)))
    assert sentence.tokens == ("a", "b", "c")
    assert sentence.edits == (Edit(1, 2, (), "U:DET"),)


def test_edits_that_overlap_are_refused():
    with pytest.raises(ValueError, match="overlaps"):
        apply_edits(["a", "b", "c"], [Edit(0, 2, ("x",)), Edit(1, 3, ("y",))])


WORDS = st.lists(st.sampled_from("abcde"), max_size=3).map(tuple)


@st.composite
def edited(draw):
    tokens = tuple(draw(st.lists(st.sampled_from("abcde"), max_size=9)))
    borders = sorted(draw(st.lists(st.integers(0, len(tokens)), max_size=8)))
    edits = [
        Edit(start, end, words, "R")
        for start, end in zip(borders[::2], borders[1::2], strict=False)
        if (words := draw(WORDS)) or end > start
    ]
    return Sentence(tokens, tuple(edits))


@given(edited())
def test_the_errors_of_a_correction_give_back_what_was_written(sentence):
    inverse = invert(sentence)
    assert inverse.tokens == tuple(apply_edits(sentence.tokens, sentence.edits))
    assert tuple(apply_edits(inverse.tokens, inverse.edits)) == sentence.tokens
    assert invert(inverse).tokens == sentence.tokens
    assert sorted(map(str, invert(inverse).edits)) == sorted(map(str, sentence.edits))
