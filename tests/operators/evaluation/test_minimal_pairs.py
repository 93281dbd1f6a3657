"""A pair is right when the good sentence is strictly more probable; paradigms count alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.evaluation.minimal_pairs import pair_accuracy


def test_paradigms_count_alike_whatever_their_sizes():
    found = pair_accuracy([-1, -1, -1, -5], [-2, -2, -2, -2], ["a", "a", "a", "b"])
    assert found.by_paradigm == {"a": 1.0, "b": 0.0}
    assert (found.macro, found.micro) == (0.5, 0.75)


def test_a_tie_is_wrong_and_counted():
    found = pair_accuracy([-2.0, -2.0], [-2.0, -2.0000001], ["a", "a"])
    assert (found.micro, found.ties) == (0.5, 1)


def test_the_first_of_equals_would_be_right_which_is_what_lm_eval_counts():
    equal = [-2.0, -2.0]  # good, bad
    assert np.argmax(equal) == 0
    assert pair_accuracy(equal[:1], equal[1:], ["a"]).micro == 0.0


def test_sums_decide_and_not_means_over_tokens():
    # Good: 4 tokens of -1; bad: 1 token of -3. The mean would prefer the good one.
    assert pair_accuracy([-4.0], [-3.0], ["a"]).micro == 0.0


def test_impossible_sentences_can_be_compared():
    assert pair_accuracy([-1.0, -np.inf], [-np.inf, -np.inf], ["a", "a"]).micro == 0.5


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-50, 0), st.floats(-50, 0), st.sampled_from("abc")),
        min_size=1, max_size=20,
    )
)  # fmt: skip
def test_turning_every_pair_around_gives_what_is_left_without_the_ties(pairs):
    good, bad, names = zip(*pairs, strict=True)
    there, back = pair_accuracy(good, bad, names), pair_accuracy(bad, good, names)
    assert there.micro + back.micro + there.ties / len(pairs) == pytest.approx(1)
    assert list(there.by_paradigm) == sorted(set(names))


@pytest.mark.parametrize(
    ("good", "bad", "names", "fault"),
    [
        ([], [], [], "and a pair"),
        ([-1.0], [-1.0, -2.0], ["a"], "needed is one each"),
        ([-1.0], [-1.0], ["a", "b"], "needed is one each"),
        ([-1.0, np.nan], [-1.0, -1.0], ["a", "a"], "of pair 1 is NaN"),
    ],
)
def test_what_cannot_be_compared_is_a_clear_error(good, bad, names, fault):
    with pytest.raises(ValueError, match=fault):
        pair_accuracy(good, bad, names)
