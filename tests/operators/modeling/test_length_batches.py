"""Prompts of one length are read together, and every prompt once."""

from hypothesis import given
from hypothesis import strategies as st

from operators.modeling.length_batches import length_batches


@given(st.lists(st.integers(0, 5).map(lambda length: "x" * length)), st.integers(1, 4))
def test_every_prompt_comes_once_with_others_of_its_length(prompts, batch_size):
    batches = list(length_batches(prompts, batch_size))
    assert sorted(number for batch in batches for number in batch) == list(range(len(prompts)))
    assert all(0 < len(batch) <= batch_size for batch in batches)
    assert all(len({len(prompts[number]) for number in batch}) == 1 for batch in batches)


def test_short_prompts_come_first_and_equal_ones_in_order():
    assert list(length_batches(["bb", "a", "cc", "", "dd"], 2)) == [[3], [1], [0, 2], [4]]
