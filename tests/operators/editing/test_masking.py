"""MEAP: how many inputs are masked, which, and that targets are the true tokens."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from operators.editing.masking import (
    answer_mask_positions,
    mask_count,
    mask_positions,
    masked_inputs,
)


def answer(before, length):
    return np.array([False] * before + [True] * length)


# --- how many -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "ratio", "count"),
    [(4096, 0.15, 614), (20, 0.10, 2), (3, 0.15, 1), (1, 0.15, 1), (0, 0.15, 0), (9, 1.0, 9)],
)
def test_the_count_is_that_of_the_authors(length, ratio, count):
    assert mask_count(length, ratio) == count


def test_a_ratio_of_0_masks_none_where_the_authors_mask_one():
    assert mask_count(4096, 0.0) == 0
    assert len(mask_positions(4096, "row", ratio=0.0)) == 0
    assert len(answer_mask_positions(answer(3, 80), "row", ratio=0.0)) == 0


@pytest.mark.parametrize("ratio", [-0.1, 1.1])
def test_a_ratio_out_of_range_is_an_error(ratio):
    with pytest.raises(ValueError, match=f"ratio is {ratio}"):
        mask_positions(10, "row", ratio=ratio)


# --- which, in pre-training -----------------------------------------------------------------------


@settings(max_examples=80)
@given(length=st.integers(0, 60), ratio=st.floats(0, 1), seed=st.integers(0, 9))
def test_positions_are_different_in_order_and_never_the_last(length, ratio, seed):
    positions = mask_positions(length, "row", ratio=ratio, seed=seed)
    assert positions.tolist() == sorted(set(positions.tolist()))
    assert len(positions) == min(mask_count(length, ratio), max(length - 1, 0))
    assert all(0 <= position < length - 1 for position in positions)


def test_every_position_but_the_last_is_masked_sooner_or_later():
    seen = [mask_positions(8, f"row {number}", ratio=0.25) for number in range(400)]
    counts = np.bincount(np.concatenate(seen), minlength=8)
    assert counts[7] == 0
    assert counts[:7] / 400 == pytest.approx(np.full(7, 2 / 7), abs=0.08)


def test_positions_follow_from_the_id_and_the_seed():
    here = mask_positions(4096, "a", seed=1).tolist()
    assert mask_positions(4096, "a", seed=1).tolist() == here
    assert mask_positions(4096, "b", seed=1).tolist() != here
    assert mask_positions(4096, "a", seed=2).tolist() != here


def test_in_the_authors_scheme_all_rows_of_a_step_have_the_same_positions():
    of_step = [mask_positions(4096, name, step=7).tolist() for name in ("a", "b")]
    assert of_step[0] == of_step[1]
    assert mask_positions(4096, "a", step=8).tolist() != of_step[0]


# --- which, in fine-tuning ------------------------------------------------------------------------


def test_an_answer_is_masked_from_50_tokens_on():
    assert len(answer_mask_positions(answer(10, 49), "row")) == 0
    assert len(answer_mask_positions(answer(10, 50), "row")) == 5
    assert len(answer_mask_positions(answer(10, 20), "row", shortest=20)) == 2


def test_only_answers_are_masked_and_never_the_first_token_of_the_row():
    for number in range(50):
        positions = answer_mask_positions(answer(10, 60), f"row {number}", ratio=0.3)
        assert len(set(positions.tolist())) == 18
        assert positions.min() >= 10
    whole = answer_mask_positions(answer(0, 51), "row", ratio=1.0)
    assert whole.tolist() == list(range(1, 51))
    assert len(answer_mask_positions(answer(0, 50), "row")) == 0, "index 0 is never scored"
    assert len(answer_mask_positions(answer(9, 0), "row")) == 0


# --- inputs and targets ---------------------------------------------------------------------------


def test_masks_stand_at_the_positions_and_the_tokens_stay():
    tokens = [5, 6, 7, 8]
    inputs = masked_inputs(tokens, np.array([1, 2]), 9)
    assert (inputs.tolist(), tokens) == ([5, 9, 9, 8], [5, 6, 7, 8])
    assert inputs.dtype == np.int32
    again = masked_inputs(tokens, np.array([0]), 9, inputs)
    assert again.tolist() == [9, 9, 9, 8]
    assert inputs.tolist() == [5, 9, 9, 8]
    assert masked_inputs([], np.empty(0, np.int64), 9).tolist() == []


@pytest.mark.parametrize("mask_id", [6, -1])
def test_a_mask_that_is_a_token_or_no_id_is_an_error(mask_id):
    with pytest.raises(ValueError, match=f"mask id {mask_id}"):
        masked_inputs([5, 6], np.array([0]), mask_id)


class Echo(torch.nn.Module):
    """Is sure that the next token is the one after the last it saw; of the mask, that it is 0."""

    def forward(self, input_ids, use_cache):
        following = torch.where(input_ids == 9, torch.zeros_like(input_ids), input_ids + 1)
        return SimpleNamespace(logits=50.0 * functional.one_hot(following % 10, 10).double())


def test_a_target_is_the_true_next_token_whether_or_not_it_or_the_one_before_is_masked():
    from operators.modeling.losses import token_losses

    tokens = torch.tensor([[1, 2, 3, 4, 5]])
    inputs = torch.from_numpy(masked_inputs(tokens[0].numpy(), np.array([2]), 9))[None].long()
    logits = Echo()(inputs, use_cache=False).logits
    losses = token_losses(logits, tokens)[0]
    # Token 2 is masked as an input and is still the target behind 1; only what follows the mask
    # is predicted from it, and expected to be 0 there.
    assert losses[[1, 2, 4]] == pytest.approx(0, abs=1e-9)
    assert losses[3] == pytest.approx(50)
