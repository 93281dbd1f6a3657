"""Global alignment must find the best score there is, whatever it leaves out of memory."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.speech import Scoring, needleman_wunsch

LINEAR = Scoring(match=1, mismatch=-1, gap_open=0, gap_extend=-1)


def best_score(a, b, scoring, free_a, free_b):
    """The recurrence of Gotoh, written out cell by cell with all three states."""
    n, m = len(a), len(b)
    never = -(10**9)
    table = np.full((n + 1, m + 1, 3), never)
    table[0, 0, 0] = 0
    gap, longer = scoring.gap_open + scoring.gap_extend, scoring.gap_extend
    for i in range(n + 1):
        for j in range(m + 1):
            if i and j:
                pair = scoring.match if a[i - 1] == b[j - 1] else scoring.mismatch
                table[i, j, 0] = table[i - 1, j - 1].max() + pair
            if i:
                up = table[i - 1, j]
                table[i, j, 1] = max(max(up[0], up[2]) + gap, up[1] + longer)
            if j:
                left = table[i, j - 1]
                table[i, j, 2] = max(max(left[0], left[1]) + gap, left[2] + longer)
            if (free_a and j == 0) or (free_b and i == 0):
                table[i, j, 0] = max(table[i, j, 0], 0)
    ends = [table[n, m].max()]
    ends += [table[n, j].max() for j in range(m + 1)] if free_b else []
    ends += [table[i, m].max() for i in range(n + 1)] if free_a else []
    return max(ends)


def worth(a, b, links, scoring):
    """What a list of links scores, with no end free."""
    pairs = [(i, j) for i, j in enumerate(links) if j >= 0]
    total = sum(scoring.match if a[i] == b[j] else scoring.mismatch for i, j in pairs)
    fences = [(-1, -1), *pairs, (len(a), len(b))]
    for (i, j), (k, m) in itertools.pairwise(fences):
        for gap in (k - i - 1, m - j - 1):
            total += scoring.gap_open + gap * scoring.gap_extend if gap else 0
    return total


def test_the_textbook_example_scores_zero():
    assert needleman_wunsch("GATTACA", "GCATGCT", scoring=LINEAR)[0] == 0


def test_the_worked_example_of_a_misheard_bulletin_scores_24():
    reference = "good evening rain fell today"
    heard = "um good evning rain fel today thanks"
    score, links = needleman_wunsch(reference, heard, scoring=LINEAR, free_b=True)
    assert score == 24
    evening, rain = links[:12], links[13:]
    assert (evening[evening >= 0].min(), evening.max()) == (3, 13)
    assert (rain[rain >= 0].min(), rain.max()) == (15, 28)


words = st.text("abc", max_size=12)
scorings = st.builds(
    Scoring, st.integers(1, 5), st.integers(-5, 0), st.integers(-6, 0), st.integers(-3, 0)
)


@settings(max_examples=120, deadline=None)
@given(words, words, scorings, st.booleans(), st.booleans())
def test_no_alignment_scores_better_than_the_one_found(a, b, scoring, free_a, free_b):
    score, links = needleman_wunsch(a, b, scoring=scoring, free_a=free_a, free_b=free_b)
    assert score == best_score(a, b, scoring, free_a, free_b)
    linked = links[links >= 0]
    assert (np.diff(linked) > 0).all()
    if not (free_a or free_b):
        assert worth(a, b, links, scoring) == score


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_rows_that_were_forgotten_come_back_as_they_were(seed):
    # Longer than the rows kept: the way back fills several stretches anew.
    chance = np.random.default_rng(seed)
    a, b = chance.integers(0, 3, 60), chance.integers(0, 3, 45)
    scoring = Scoring(3, -2, -4, -1)
    score, links = needleman_wunsch(a, b, scoring=scoring)
    assert worth(a, b, links, scoring) == score == best_score(a, b, scoring, False, False)


def test_a_band_as_wide_as_the_matrix_changes_nothing():
    a, b = "the cat sat on the mat", "the bat sat upon a mat"
    whole = needleman_wunsch(a, b)
    banded = needleman_wunsch(a, b, band=len(b))
    assert whole[0] == banded[0]
    assert whole[1].tolist() == banded[1].tolist()


def test_what_lies_outside_of_the_band_is_not_found():
    a, b = "abcdefgh" + "xyz" * 20, "xyz" * 20 + "abcdefgh"
    inside = needleman_wunsch(a, b, band=3)[1]
    assert all(abs(i - j) <= 3 for i, j in enumerate(inside) if j >= 0)
    assert needleman_wunsch(a, b)[0] > needleman_wunsch(a, b, band=3)[0]


@pytest.mark.parametrize(("a", "b"), [("", ""), ("", "abc"), ("abc", "")])
def test_an_empty_side_is_one_gap(a, b):
    score, links = needleman_wunsch(a, b, scoring=Scoring(gap_extend=-2))
    assert score == (-20 - 2 * 3 if a or b else 0)
    assert links.tolist() == [-1] * len(a)


def test_free_ends_cost_nothing_and_inner_gaps_do():
    assert needleman_wunsch("cat", "xxxxcatyyy", free_b=True)[0] == 30
    assert needleman_wunsch("xxcatyyy", "cat", free_a=True)[0] == 30
    inner = Scoring(gap_extend=-2)
    assert needleman_wunsch("catdog", "catxxxxdog", scoring=inner, free_b=True)[0] == 60 - 20 - 8


def test_gains_for_gaps_are_refused():
    with pytest.raises(ValueError, match="gaps must not gain"):
        Scoring(gap_open=1)
    with pytest.raises(ValueError, match="band is -1"):
        needleman_wunsch("a", "b", band=-1)
