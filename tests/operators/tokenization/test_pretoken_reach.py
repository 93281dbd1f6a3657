"""A settled boundary must stay where it is, whatever follows, and the rest be cut as if alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.tokenization.pretoken_reach import PretokenReach
from operators.tokenization.pretokenization import PRETOKENIZERS, Pretokenizer
from operators.tokenization.scanning_program import scanning_program

AWKWARD = st.text(alphabet=list(" \n\r\t'aesltrvdmRSTéſ01٣!/-.中\u00a0\u3000\u0301😀"), max_size=14)
FAR_LOOKING = {
    "whole_word_or_letter": r"abcdefgh|.",
    "optional_tail": r"(?:ab)?c(?=d)|\w",
    "possessive": r"a++b?|[^a]",
    "atomic_loop": r"(?:ab|a)++c?|\s+(?!\S)|.",
    "negative_look": r"a(?!bc)|b+|.",
}


def boundaries(split, text):
    return np.cumsum([len(piece) for piece in split(text)]).tolist()


@pytest.mark.parametrize("pattern", [*PRETOKENIZERS, *FAR_LOOKING])
@settings(max_examples=80, deadline=None)
@given(text=AWKWARD | st.text("abcdefgh ", max_size=14), more=AWKWARD | st.text("abcdefgh "))
def test_settled_boundaries_stay_and_the_rest_is_cut_as_if_alone(pattern, text, more):
    pattern = FAR_LOOKING.get(pattern, PRETOKENIZERS.get(pattern, pattern))
    program = scanning_program(pattern)
    assert program is not None
    split = Pretokenizer(pattern).split
    settled = PretokenReach(program).settled(text)
    whole = boundaries(split, text + more)
    assert settled == whole[: len(settled)]
    for boundary in settled:
        rest = boundaries(split, (text + more)[boundary:])
        assert [boundary + one for one in rest] == [one for one in whole if one > boundary]


@pytest.mark.parametrize(
    ("pretokenizer", "text", "settled"),
    [
        ("gpt2", "Hello wor", [5]),
        ("gpt2", "Hello wor.", [5, 9]),
        ("gpt2", "a\n\n", [1]),
        ("gpt2", "a\n\nb", [1, 2, 3]),
        ("gpt2", "I're", [1, 4]),
        ("gpt2", "I'r", [1]),
        ("gpt2", "end   ", [3]),
        ("gpt4", "12345", [3]),
        ("digits-rtl", "12345", []),
        ("digits-rtl", "12345 ", [2, 5]),
        ("digits-single", "12", [1, 2]),
        ("none", "any text. at all\n", []),
        ("superbpe-stage2", "by the way 12", []),
        ("superbpe-stage2", "by the way 123", [11, 14]),
    ],
)
def test_boundaries_settle_as_soon_as_nothing_can_move_them(pretokenizer, text, settled):
    program = scanning_program(PRETOKENIZERS[pretokenizer])
    assert PretokenReach(program).settled(text) == settled


def test_a_boundary_that_far_look_ahead_can_move_is_not_settled():
    reach = PretokenReach(scanning_program(FAR_LOOKING["whole_word_or_letter"]))
    assert reach.settled("abcdefg") == []
    assert reach.settled("abcdefx") == [1, 2, 3, 4, 5, 6, 7]
    assert reach.settled("abcdefgh") == [8]
