"""The compiled splitter must cut exactly as `regex` does, or say that it cannot."""

import os
import random
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from operators.tokenization import scanning_program as scanning
from operators.tokenization.pretokenization import PRETOKENIZERS, Pretokenizer
from operators.tokenization.scanning_program import program_for, scanning_program
from operators.tokenization.token_trie import end_to_end

CUSTOM = [
    r"\w+|\W",
    r"[^\W\d_]+|\d{2,3}|[._-]+",
    r"(?i:k|ſ|straße)|x",
    r"(ab|a)(c|bcd)",
    r"a{2}|b{1,2}c?|[\]\\\-a-c]{3}",
    r"(?>a+)b|a",
    r"(?:ab?){1,3}c",
    r"(?:ab?){2}+|b",
    r"x(?=(?:ab)*+c)|x(?!.)|(?s:y.)",
    r"\p{Lu}\p{Ll}*|\P{L}",
    r"a*+b|a",
    r"#|@",
]
NOT_UNDERSTOOD = [
    r"\bword\b", r"^a", r"a$", r"a*?b", r"a+?", r"(?<=a)b", r"(a)\1", r"(?:ab)+", r"a*", r"", r"a|",
    r"[[:alpha:]]+", r"[a-z--b]", r"\X", r"\N{DIGIT ONE}", r"(?P<n>a)", r"(?i)a", r"(?x: a b)",
    r"[]a]", r"(?:a*)*+b", r"a{2,1}", r"(?|a|b)", r"a{,3}", r"\Ab", r"\pL", r"(?:a|b){20}", "(", "a)",
]  # fmt: skip

FUZZ = [
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽", "e\u0301 vs é, n\u0303o\u0302", "\u202eשלום\u202c \u200fمرحبا\u200e 123", "a\r\nb\rc\n\n\r\n",
    "\tif x:\n\t\treturn\t1", "end   ", "    ", " start", "Hello , world ! do n't", "a\0b\0", "0 00 007 1234567890 ٠١٢٣ ½²",
    "", "a\u00a0b\u200bc\ufeff", "ကမ္ဘာ ꙮ 𒀀 \U0010ffff", "I'LL we'RE it'ſ 'tis don't'", "\x1c\x1d a\x85b\u2028c\u3000d",
    "x\n /path//to\n\n/ ...\n/", "HTTPServer McDonald ǅungla İstanbul", "1234567 123,456.7 12", "ab" * 50 + "c",
]  # fmt: skip


def compiled(program, texts):
    data, text_ends = end_to_end([text.encode() for text in texts])
    ends, groups = program.split(data, text_ends)
    bounds = [0, *ends.tolist()]
    raw = data.tobytes()
    pieces = [raw[a:b].decode() for a, b in pairwise(bounds)]
    return [pieces[a:b] for a, b in pairwise(groups)]


def assert_cuts_alike(pattern, texts):
    program = scanning_program(pattern)
    assert program is not None
    assert compiled(program, texts) == [Pretokenizer(pattern).split(text) for text in texts]


@pytest.mark.parametrize("pattern", [*PRETOKENIZERS.values(), *CUSTOM])
def test_all_named_and_many_other_regexes_cut_as_regex_does(pattern):
    assert_cuts_alike(pattern, FUZZ)


@pytest.mark.parametrize("name", PRETOKENIZERS)
@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.text(
            st.one_of(
                st.sampled_from("aBé'sTlvRE 1٣½\t\n\r.,:/-ǅ\u0301\u00a0ſ"),
                st.characters(exclude_categories=["Cs"]),
            ),
            max_size=30,
        ),
        max_size=4,
    )
)
def test_any_text_is_cut_as_regex_does(name, texts):
    assert_cuts_alike(PRETOKENIZERS[name], texts)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CUSTOM), st.text("abcdxyk-]\\ Kſ1.\n", max_size=12))
@example(CUSTOM[7], "abababa")
def test_other_regexes_backtrack_as_regex_does(pattern, text):
    assert_cuts_alike(pattern, [text])


@pytest.mark.parametrize("pattern", NOT_UNDERSTOOD)
def test_what_is_not_understood_is_left_to_regex(pattern):
    assert scanning_program(pattern) is None


def test_a_program_is_made_when_enough_was_cut_to_pay_for_it(monkeypatch):
    monkeypatch.setattr(scanning, "_cut_so_far", {})
    monkeypatch.setattr(scanning, "_WORTH_A_PROGRAM", 100)
    assert program_for(r"\w+|\W", 99) is None
    assert program_for(r"a|b", 60) is None
    assert program_for(r"a|b", 40) is scanning_program(r"a|b")
    assert program_for(r"\d|\D", 100) is scanning_program(r"\d|\D")
    assert program_for(r"\bnone\b", 1000) is None


def test_texts_are_cut_apart_from_each_other():
    program = scanning_program(PRETOKENIZERS["gpt2"])
    assert compiled(program, ["a ", "", " b", "c"]) == [["a", " "], [], [" b"], ["c"]]
    ends, groups = program.split(*end_to_end([]))
    assert (len(ends), groups.tolist()) == (0, [0])


def test_sixty_languages_are_cut_as_regex_does():
    if not os.environ.get("TOKENMILL_DATA"):
        pytest.skip("TOKENMILL_DATA is not set: no FLORES text")
    import pyarrow.parquet as pq

    table = pq.read_table(
        Path(os.environ["TOKENMILL_DATA"]) / "flores_dev" / "flores200_dev_60.parquet"
    )
    for column in table.column_names:
        texts = [str(text) for text in table.column(column).to_pylist()[:25]]
        for name in ("gpt2", "gpt4", "punctuation", "superbpe-stage1", "superbpe-stage2"):
            assert_cuts_alike(PRETOKENIZERS[name], texts)


def test_cutting_is_quick():
    generator = random.Random(0)
    text = "".join(generator.choices("etaoin    ,.'\né1", k=2_000_000))
    program = scanning_program(PRETOKENIZERS["gpt4"])
    data, text_ends = end_to_end([text.encode()])
    program.split(data[:10], np.array([10]))
    begin = time.process_time()
    program.split(data, text_ends)
    # Ten times as long as on the slowest machine it was tried on: this is for what grows.
    assert time.process_time() - begin < 2.0
