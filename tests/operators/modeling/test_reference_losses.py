"""Stored losses: each at its token, each sequence by itself, windows, bad input."""

import numpy as np
import pytest
import torch

from operators.modeling.architecture import LlamaShape, build_llama
from operators.modeling.execution import next_token_logits
from operators.modeling.losses import token_losses
from operators.modeling.reference_losses import reference_losses

SETTINGS = {"context_length": 16, "batch_size": 4, "device": "cpu"}


@pytest.fixture(scope="module")
def model():
    shape = LlamaShape(
        hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=24, context_length=16
    )
    model = build_llama(shape, 20, bos_token_id=0, eos_token_id=0, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8.0)
    return model


def sequences(lengths, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 20, length).astype(np.int32) for length in lengths]


def plain(model, ids):
    with torch.no_grad():
        batch = torch.from_numpy(ids.astype(np.int64)).unsqueeze(0)
        return token_losses(next_token_logits(model, batch), batch)[0].numpy()


def test_the_losses_are_those_of_a_plain_forward_pass(model):
    rows = sequences([3, 16, 9, 2, 16])
    for ours, row in zip(reference_losses(model, rows, **SETTINGS), rows, strict=True):
        assert ours.dtype == np.float32
        assert ours[0] == 0
        np.testing.assert_allclose(ours, plain(model, row), rtol=1e-4, atol=1e-5)


def test_a_sequence_does_not_depend_on_its_neighbours_or_their_order_to_the_bit(model):
    rows = sequences([5, 16, 9, 7, 16, 3, 6, 40])
    together = reference_losses(model, rows, **SETTINGS)
    backwards = reference_losses(model, rows[::-1], **SETTINGS)[::-1]
    for row, ours, other in zip(rows, together, backwards, strict=True):
        assert np.array_equal(ours, other)
        assert np.array_equal(ours, reference_losses(model, [row], **SETTINGS)[0])


def test_a_long_sequence_is_read_in_windows_that_overlap_by_half(model):
    row = sequences([40])[0]
    ours = reference_losses(model, [row], **SETTINGS)[0]
    np.testing.assert_allclose(ours[:16], plain(model, row[:16]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours[16:24], plain(model, row[8:24])[8:], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours[32:], plain(model, row[24:])[8:], rtol=1e-4, atol=1e-5)
    assert (ours[1:] > 0).all()


def test_the_model_sees_the_inputs_and_the_tokens_are_the_targets(model):
    token, seen = sequences([6])[0], sequences([6], seed=1)[0]
    ours = reference_losses(model, [token], [seen], **SETTINGS)[0]
    with torch.no_grad():
        logits = next_token_logits(model, torch.from_numpy(seen.astype(np.int64)).unsqueeze(0))
    expected = -logits[0].log_softmax(-1)[range(5), token[1:].tolist()].numpy()
    np.testing.assert_allclose(ours[1:], expected, rtol=1e-4, atol=1e-5)


def test_short_and_empty_sequences_have_nothing_to_score(model):
    ours = reference_losses(model, sequences([0, 1, 2]), **SETTINGS)
    assert [row.tolist() for row in ours[:2]] == [[], [0.0]]
    assert ours[2][1] > 0
    assert reference_losses(model, [], **SETTINGS) == []


def test_bad_input_is_named(model):
    rows = sequences([4])
    with pytest.raises(ValueError, match="context_length"):
        reference_losses(model, rows, **{**SETTINGS, "context_length": 1})
    with pytest.raises(ValueError, match="same lengths"):
        reference_losses(model, rows, sequences([5]), **SETTINGS)
    with pytest.raises(
        ValueError, match="tokens have ids from 0 to 20, the model a vocabulary of 20"
    ):
        reference_losses(model, [np.array([0, 20])], **SETTINGS)
    with pytest.raises(ValueError, match="inputs have ids from -1"):
        reference_losses(model, [np.array([0, 1])], [np.array([-1, 1])], **SETTINGS)
