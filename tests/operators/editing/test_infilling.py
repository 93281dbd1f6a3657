"""Infilling: the parts make up the document, and the marks stand where they should."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.editing.infilling import (
    Sentinels,
    accepted_middle,
    fill_in_the_middle,
    fill_whole_lines,
    infill_texts,
    infill_tokens,
    line_parts,
)

CODE = "a=1\nb=foo(2)\nc=3"
# Between "f" and "oo(", and between "oo(" and "2".
START, END = CODE.index("oo("), CODE.index("2)")
IDS = {"prefix": 100, "suffix": 101, "middle": 102, "end": 103}
documents = st.text(alphabet="ab \n\r👩\u200d", max_size=30)


def infill(texts, rate=1.0, **options):
    names = [f"row {number}" for number in range(len(texts))]
    return infill_texts(texts, names, rate=rate, **options)


@st.composite
def split(draw):
    document = draw(documents)
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(document))] * 2)))
    return document, start, end


# --- FIM ------------------------------------------------------------------------------------------


def test_the_published_layouts():
    text = "The cat sat"
    assert fill_in_the_middle(text, 4, 8) == "<PRE>The <SUF>sat<MID>cat <EOT>"
    assert fill_in_the_middle(text, 4, 8, layout="spm") == "<PRE><SUF>sat<MID>The cat <EOT>"


@given(split())
def test_prefix_middle_and_suffix_are_the_document(given_split):
    document, start, end = given_split
    psm = re.fullmatch(
        "<PRE>(.*)<SUF>(.*)<MID>(.*)<EOT>", fill_in_the_middle(document, start, end), re.S
    )
    assert psm[1] + psm[3] + psm[2] == document
    spm = re.fullmatch(
        "<PRE><SUF>(.*)<MID>(.*)<EOT>",
        fill_in_the_middle(document, start, end, layout="spm"),
        re.S,
    )
    assert spm[2] + spm[1] == document


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (3, 2), (0, 12)])
def test_a_middle_outside_of_the_document_is_an_error(start, end):
    for cut in (fill_in_the_middle, line_parts):
        with pytest.raises(ValueError, match=f"from {start} to {end}"):
            cut("The cat sat", start, end)


# --- FIM-SE ---------------------------------------------------------------------------------------


def test_the_published_lines():
    parts = line_parts(CODE, START, END)
    assert (parts.before, parts.behind) == ("a=1\n", "c=3")
    assert (parts.first, parts.last, parts.target) == ("b=f", "2)\n", "b=foo(2)\n")
    assert fill_whole_lines(parts) == ("<PRE>a=1\n<SUF>c=3<START>b=f<END>2)\n<MID>b=foo(2)\n<EOT>")


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        ((True, True), "<START>b=f<END>2)\n<MID>"),
        ((True, False), "<START>b=f<END><MID>"),
        ((False, True), "<START><END>2)\n<MID>"),
        ((False, False), "<START><END><MID>"),
    ],
)
def test_a_hint_may_be_blank_and_the_target_stays_whole(hints, expected):
    text = fill_whole_lines(line_parts(CODE, START, END), first_hint=hints[0], last_hint=hints[1])
    assert text == f"<PRE>a=1\n<SUF>c=3{expected}b=foo(2)\n<EOT>"


@given(split())
def test_the_lines_around_the_target_are_whole_and_make_up_the_document(given_split):
    document, start, end = given_split
    parts = line_parts(document, start, end)
    assert parts.before + parts.target + parts.behind == document
    assert parts.middle == document[start:end]
    assert parts.before == "" or parts.before.endswith("\n")
    assert "\n" not in parts.first
    assert "\n" not in parts.last[:-1]
    assert parts.behind == "" or parts.last.endswith("\n")


@given(split())
def test_the_check_accepts_the_target_and_gives_back_the_middle(given_split):
    parts = line_parts(*given_split)
    assert accepted_middle(parts.target, parts.first, parts.last) == parts.middle


@pytest.mark.parametrize(
    ("output", "middle"),
    [
        ("b=foo(2)\n", "oo("),
        ("b=goo(2)\n", ""),
        ("b=foo(3)\n", ""),
        ("b=f", ""),
        ("", ""),
        ("b=f2)\n", ""),
    ],
)
def test_lines_that_do_not_fit_the_hints_are_refused(output, middle):
    assert accepted_middle(output, "b=f", "2)\n") == middle
    assert accepted_middle(output, "", "") == output


def test_hints_that_overlap_in_the_output_are_refused():
    assert accepted_middle("aba", "ab", "ba") == ""


# --- a share of the documents ---------------------------------------------------------------------


@pytest.mark.parametrize("whole_lines", [False, True])
def test_rate_0_changes_nothing_and_rate_1_all_that_has_text(whole_lines):
    texts = [CODE, "", "x", "👩‍👩‍👧\r\n", "\n"]
    for one, text in zip(infill(texts, 0.0, whole_lines=whole_lines), texts, strict=True):
        assert (one.text, one.what, one.drawn) == (text, "", False)
        assert one.eligible == bool(text)
    made = infill(texts, 1.0, whole_lines=whole_lines)
    assert [one.drawn for one in made] == [True, False, True, True, True]
    assert made[1].text == ""


def test_the_share_and_the_layouts_are_those_asked_for():
    made = infill(["some text"] * 2000, 0.6, spm=0.25)
    drawn = [one for one in made if one.drawn]
    assert len(drawn) / 2000 == pytest.approx(0.6, abs=0.04)
    spm = [one for one in drawn if one.what.startswith("spm")]
    assert len(spm) / len(drawn) == pytest.approx(0.25, abs=0.04)
    assert all(one.text.startswith("<PRE><SUF>") for one in spm)
    assert all(one.what.startswith("psm") for one in infill(["text"] * 20, spm=0.0))


def test_places_are_drawn_among_all_there_are():
    fim = Counter(one.what.split(" at ")[1] for one in infill(["ab"] * 3000))
    # Two numbers of 0, 1, 2, equal ones allowed, in order: unequal ones come twice as often.
    expected = {f"{a} and {b}": (1 if a == b else 2) / 9 for a in range(3) for b in range(a, 3)}
    assert {what: count / 3000 for what, count in fim.items()} == pytest.approx(expected, abs=0.03)
    lines = infill(["ab"] * 3000, whole_lines=True)
    se = Counter(one.what.split(" at ")[1].split(",")[0] for one in lines)
    assert {what: count / 3000 for what, count in se.items()} == pytest.approx(
        {"0 and 1": 1 / 3, "0 and 2": 1 / 3, "1 and 2": 1 / 3}, abs=0.03
    )


def test_the_four_cases_of_hints_are_equally_often_and_are_what_they_say():
    made = infill([CODE] * 2000, whole_lines=True)
    cases = Counter(one.what.split(", ")[1] for one in made)
    for case in ("no hint", "first hint", "last hint", "both hints"):
        assert cases[case] / 2000 == pytest.approx(0.25, abs=0.04)
    for one in made:
        start, end = map(int, re.findall(r"\d+", one.what))
        parts = line_parts(CODE, start, end)
        case = one.what.split(", ")[1]
        assert one.text == fill_whole_lines(
            parts,
            first_hint=case in ("first hint", "both hints"),
            last_hint=case in ("last hint", "both hints"),
        )


def test_a_higher_rate_rearranges_the_same_documents_alike_and_more():
    few, many = (infill([CODE] * 200, rate) for rate in (0.3, 0.7))
    assert all(one == other for one, other in zip(few, many, strict=True) if one.drawn)
    assert sum(one.drawn for one in few) < sum(one.drawn for one in many)


def test_a_text_with_a_sentinel_or_too_long_a_text_is_left_as_it_is():
    texts = ["a <MID> b", "a <END> b", "abcdef", "abcde"]
    made = infill(texts, longest=5)
    assert [one.eligible for one in made] == [False, False, False, True]
    assert [one.text for one in made[:3]] == texts[:3]
    other = Sentinels(middle="<mid>")
    assert infill(texts[:1], marks=other)[0].drawn


def test_a_result_depends_on_the_id_and_the_seed_and_not_on_the_others():
    texts, names = [CODE, CODE * 2, "abc"], ["a", "b", "c"]
    made = infill_texts(texts, names, rate=0.8, seed=1)
    assert infill_texts(texts[::-1], names[::-1], rate=0.8, seed=1)[::-1] == made
    assert infill_texts(texts[1:2], names[1:2], rate=0.8, seed=1) == made[1:2]
    assert infill_texts(texts, names, rate=0.8, seed=2) != made


def test_without_an_end_mark_nothing_stands_behind():
    assert fill_in_the_middle("abc", 1, 2, marks=Sentinels(end="")) == "<PRE>a<SUF>c<MID>b"


@pytest.mark.parametrize(
    ("marks", "says"),
    [({"prefix": ""}, "is empty"), ({"prefix": "<SUF>"}, "part of"), ({"end": "<M"}, "part of")],
)
def test_sentinels_that_could_not_be_told_apart_are_an_error(marks, says):
    with pytest.raises(ValueError, match=says):
        Sentinels(**marks)


@pytest.mark.parametrize("options", [{"rate": 1.1}, {"rate": -0.1}, {"spm": 2.0}])
def test_a_chance_out_of_range_is_an_error(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} is"):
        infill(["a"], **options)
    with pytest.raises(ValueError, match=f"{next(iter(options))} is"):
        infill_tokens([1], "a", **IDS, **{"rate": 1.0, **options})


# --- of tokens ------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(tokens=st.lists(st.integers(0, 9), max_size=8), seed=st.integers(0, 99))
def test_tokens_are_rearranged_and_none_is_lost(tokens, seed):
    assert infill_tokens(tokens, "a", **IDS, rate=0.0, seed=seed) == tokens
    for spm in (0.0, 1.0):
        made = infill_tokens(tokens, "a", **IDS, rate=1.0, spm=spm, seed=seed)
        if not tokens:
            assert made == []
            continue
        suffix, middle = made.index(101), made.index(102)
        assert (made[0], made[-1]) == (100, 103)
        before, behind, between = made[1:suffix], made[suffix + 1 : middle], made[middle + 1 : -1]
        assert before + between + behind == tokens
        assert spm == 0 or before == []


def test_tokens_that_hold_a_sentinel_are_an_error():
    with pytest.raises(ValueError, match="document 'a' holds the sentinel 101"):
        infill_tokens([1, 101], "a", **IDS, rate=1.0)
