"""From rows to losses nothing is shifted, padded in, leaked or counted twice."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.modeling import LlamaShape, TrainingRecipe, build_llama
from operators.modeling.forward_pass import ForwardPass
from operators.modeling.micro_batches import micro_batches
from operators.modeling.token_rows import TokenRows
from operators.modeling.training import Training

VOCABULARY = 16
RECIPE = TrainingRecipe(steps=1, batch_size=2, device="cpu")
SHAPE = LlamaShape(
    hidden_size=16, layers=2, heads=2, kv_heads=2, intermediate_size=24, context_length=16
)


class Successor(torch.nn.Module):
    """Sure that every token is followed by the next number, whatever came before."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(50.0))
        self.seen = []

    def forward(self, input_ids, use_cache):
        self.seen.append(input_ids.clone())
        following = torch.nn.functional.one_hot((input_ids + 1) % VOCABULARY, VOCABULARY)
        return SimpleNamespace(logits=self.scale * following.float())


def rows_of(**columns):
    types = {"tokens": pa.int32(), "inputs": pa.int32(), "scored": pa.bool_(),
             "starts": pa.int32(), "reference_losses": pa.float32()}  # fmt: skip
    return TokenRows(
        pa.table({name: pa.array(rows, pa.list_(types[name])) for name, rows in columns.items()})
    )


def losses_of(model, rows, recipe=RECIPE):
    taken = np.arange(len(rows))
    (micro,) = micro_batches(
        [rows], np.zeros_like(taken), taken, range(1), 1, torch.device("cpu"),
        documents_apart=recipe.documents_apart,
    )  # fmt: skip
    with torch.no_grad():
        return ForwardPass(model, recipe)(micro, 0).plain, micro


def test_a_model_that_knows_the_next_token_has_no_loss_and_one_that_is_a_place_off_has():
    counting = [[3, 4, 5, 6, 7], [11, 12, 13, 14, 15]]
    losses, _ = losses_of(Successor(), rows_of(tokens=counting))
    assert float(losses.abs().max()) < 1e-6
    every_other = [[3, 5, 7, 9, 11], [1, 3, 5, 7, 9]]
    losses, _ = losses_of(Successor(), rows_of(tokens=every_other))
    assert float(losses[:, 1:].min()) > 40


def test_what_the_model_sees_is_inputs_and_what_it_is_asked_for_is_tokens():
    model = Successor()
    # The second token is hidden: what follows it cannot be known, and it is itself a target still.
    rows = rows_of(tokens=[[3, 4, 5, 6]], inputs=[[3, 9, 5, 6]])
    losses, _ = losses_of(model, rows)
    assert model.seen[0].tolist() == [[3, 9, 5, 6]]
    assert losses[0, 1] < 1e-6
    assert losses[0, 2] > 40
    assert losses[0, 3] < 1e-6


def test_padding_is_neither_seen_from_the_left_nor_scored_nor_counted():
    rows = rows_of(tokens=[[3, 4, 5, 6, 7], [8, 9], [1, 2, 3]])
    losses, micro = losses_of(Successor(), rows)
    assert micro.scored.sum(dim=1).tolist() == [4, 1, 2]
    assert float(losses.abs().max()) < 1e-6
    llama = build_llama(SHAPE, VOCABULARY, bos_token_id=0, eos_token_id=1, seed=0)
    together, _ = losses_of(llama, rows)
    for row, tokens in enumerate([[3, 4, 5, 6, 7], [8, 9], [1, 2, 3]]):
        alone, _ = losses_of(llama, rows_of(tokens=[tokens]))
        assert torch.allclose(together[row, : len(tokens)], alone[0], atol=1e-6)
        assert not together[row, len(tokens) :].any()


def test_only_what_is_scored_is_a_target_and_the_first_token_never_is():
    scored = [[True, False, True, True], [True, True, False, False]]
    rows = rows_of(tokens=[[3, 9, 10, 11], [1, 2, 9, 10]], scored=scored)
    losses, micro = losses_of(Successor(), rows)
    assert micro.scored.tolist() == [[False, False, True, True], [False, True, False, False]]
    assert float(losses.abs().max()) < 1e-6  # 9 after 3, and 9 after 2, are not asked for


def test_documents_kept_apart_do_not_see_each_other_and_have_the_losses_they_have_alone():
    llama = build_llama(SHAPE, VOCABULARY, bos_token_id=0, eos_token_id=1, seed=0)
    apart = replace(RECIPE, documents_apart=True)
    first, second = [5, 3, 9, 2], [7, 7, 1, 12, 4]
    rows = rows_of(tokens=[first + second], starts=[[0, 4]])
    losses, micro = losses_of(llama, rows, apart)
    assert micro.scored[0].tolist() == [False, *[True] * 3, False, *[True] * 4]
    for tokens, begin in ((first, 0), (second, 4)):
        alone, _ = losses_of(llama, rows_of(tokens=[tokens]))
        assert torch.allclose(losses[0, begin : begin + len(tokens)], alone[0], atol=1e-5)
    other, _ = losses_of(llama, rows_of(tokens=[[1, 1, 1, 1, *second]], starts=[[0, 4]]), apart)
    assert torch.equal(other[0, 4:], losses[0, 4:])
    together, _ = losses_of(llama, rows)
    assert not torch.allclose(together[0, 5:], losses[0, 5:], atol=1e-3)


def test_tied_weights_are_one_parameter_and_stay_tied():
    llama = build_llama(SHAPE, VOCABULARY, bos_token_id=0, eos_token_id=1, seed=0)
    rows = TokenRows.of_arrays(np.arange(32, dtype=np.int32).reshape(2, 16) % VOCABULARY)
    training = Training(llama, [rows], replace(RECIPE, learning_rate=0.1))
    before = llama.get_input_embeddings().weight.detach().clone()
    training.run()
    assert llama.get_input_embeddings().weight is llama.get_output_embeddings().weight
    assert not torch.equal(before, llama.get_input_embeddings().weight)
    again = build_llama(SHAPE, VOCABULARY, bos_token_id=0, eos_token_id=1, seed=1)
    other = Training(again, [rows], replace(RECIPE, learning_rate=0.1))
    other.go_on_from(training.state())
    assert again.get_input_embeddings().weight is again.get_output_embeddings().weight
    assert torch.equal(again.get_input_embeddings().weight, llama.get_output_embeddings().weight)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 6), max_size=3),
)
def test_rows_come_back_as_they_were_whatever_the_chunks(lengths, cuts):
    rows = [[10 * n + k for k in range(length)] for n, length in enumerate(lengths)]
    table = pa.table({"tokens": pa.array(rows, pa.list_(pa.int32()))})
    places = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    chunked = pa.concat_tables([table.slice(a, b - a) for a, b in pairwise(places)])
    taken = TokenRows(chunked).take(np.arange(len(rows))[::-1].copy())
    for place, row in enumerate(rows[::-1]):
        assert taken.tokens[place, : len(row)].tolist() == row
        assert not taken.tokens[place, len(row) :].any()


def test_a_column_of_other_lengths_and_a_table_without_tokens_are_named():
    with pytest.raises(ValueError, match=r"row 1 has 2 tokens, but 3 scored"):
        rows_of(tokens=[[1], [1, 2]], scored=[[True], [True, True, True]])
    with pytest.raises(ValueError, match="no column tokens, only inputs"):
        rows_of(inputs=[[1]])


def test_rows_are_looked_at_where_they_lie():
    sequences = np.arange(24, dtype=np.int32).reshape(2, 12)
    rows = TokenRows.of_arrays(sequences)
    sequences[1, 3] = 99
    assert rows.take(np.array([1])).tokens[0, 3] == 99


def test_what_is_held_out_is_checked_before_the_first_step():
    llama = build_llama(SHAPE, VOCABULARY, bos_token_id=0, eos_token_id=1, seed=0)
    rows = rows_of(tokens=[[1, 2, 3]])
    for held_out, message in (
        ([[1, VOCABULARY]], "held_out: token ids 1 to 16 for a vocabulary of 16"),
        ([[1] * 17], "held_out: row 0 has 17 tokens, but the model sees 16"),
        ([], "held_out: there is not a single row"),
    ):
        with pytest.raises(ValueError, match=message):
            Training(llama, [rows], RECIPE, validation={"held_out": rows_of(tokens=held_out)})
