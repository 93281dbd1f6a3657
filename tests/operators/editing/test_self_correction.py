"""Correction sequences: what stands in them, and that no error is a target."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.editing.self_correction import correction_sequence, divergence

IDS = st.lists(st.integers(0, 3), max_size=6)


def test_the_whole_reference_follows_the_mark_and_is_alone_scored():
    made = correction_sequence([1, 2], [7, 9], [50], [7, 8, 3])
    assert made.tokens.tolist() == [1, 2, 7, 9, 50, 7, 8, 3]
    assert made.scored.tolist() == [False] * 5 + [True] * 3
    assert made.diverges_at == 1


def test_from_the_divergence_only_what_was_not_written_follows():
    made = correction_sequence([1], [7, 9], [50, 51], [7, 8, 3], correction="divergence")
    assert made.tokens.tolist() == [1, 7, 9, 50, 51, 8, 3]
    assert made.scored.tolist() == [False] * 5 + [True] * 2


def test_a_model_that_was_right_learns_to_end():
    made = correction_sequence([1], [7, 8], [50], [7, 8], correction="divergence")
    assert made.tokens.tolist() == [1, 7, 8, 50, 8]
    assert made.diverges_at == 2


def test_tokens_of_the_reference_that_are_no_targets_stay_none():
    made = correction_sequence([], [], [50], [7, 8, 3], scored=[True, False, True])
    assert made.scored.tolist() == [False, True, False, True]


@settings(max_examples=100, deadline=None)
@given(prompt=IDS, generated=IDS, reference=IDS.filter(len),
       correction=st.sampled_from(["whole", "divergence"]))  # fmt: skip
def test_only_reference_tokens_are_scored_and_the_rest_stands_before(
    prompt, generated, reference, correction
):
    made = correction_sequence(prompt, generated, [50], reference, correction=correction)
    targets = made.tokens[made.scored].tolist()
    assert targets
    assert reference[-len(targets) :] == targets
    assert made.tokens[~made.scored].tolist() == [*prompt, *generated, 50]
    first = made.scored.argmax()
    assert made.scored[first:].all()
    place = divergence(reference, generated)
    assert reference[:place] == generated[:place]
    assert made.diverges_at == place
    written_so_far = reference[: len(reference) - len(targets)]
    assert generated[: len(written_so_far)] == written_so_far


@pytest.mark.parametrize(
    ("options", "message"),
    [({"mark": []}, "mark"), ({"reference": []}, "reference"), ({"scored": [True]}, "scored"),
     ({"correction": "half"}, "correction")],
)  # fmt: skip
def test_a_call_that_cannot_be_meant_is_named(options, message):
    given = {"prompt": [1], "generated": [2], "mark": [3], "reference": [4, 5], **options}
    with pytest.raises(ValueError, match=message):
        correction_sequence(**{k: v for k, v in given.items() if k != "correction"},
                            correction=given.get("correction", "whole"))  # fmt: skip


def test_the_dtype_of_the_input_does_not_matter():
    arrays = [np.array(part, dtype=np.int32) for part in ([1], [2], [3], [4])]
    assert correction_sequence(*arrays).tokens.dtype == np.int64
