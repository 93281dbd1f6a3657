"""Scores of documents: each token once, at its place, whoever its neighbours in the batch are."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from operators.modeling import LlamaShape, build_llama, score_documents, token_losses

VOCABULARY = 16
BOS = 0


class Successor(torch.nn.Module):
    """Sure that token k is followed by k + 1 (a surprise costs 100 nats)."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def forward(self, input_ids, use_cache):
        self.shapes.append(tuple(input_ids.shape))
        following = functional.one_hot((input_ids + 1) % VOCABULARY, VOCABULARY)
        return SimpleNamespace(logits=100.0 * following.float())


class Uniform(torch.nn.Module):
    def forward(self, input_ids, use_cache):
        return SimpleNamespace(logits=torch.zeros(*input_ids.shape, 256))


@pytest.fixture(scope="module")
def llama():
    shape = LlamaShape(
        hidden_size=16, layers=2, heads=2, kv_heads=1, intermediate_size=24, context_length=64
    )
    model = build_llama(shape, VOCABULARY, bos_token_id=BOS, eos_token_id=1, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8.0)  # far from uniform, so that a wrong context shows
    return model


def random_documents(lengths, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.integers(1, VOCABULARY, length).tolist() for length in lengths]


def score(model, documents, **options):
    settings = {"context_length": 8, "stride": 4, "bos_token_id": BOS, "batch_size": 3}
    return score_documents(model, documents, **{**settings, **options}, device="cpu")


def test_a_surprise_costs_at_its_own_token_in_every_window():
    # 1 follows BOS 0. The jumps are at document positions 5, 11 and 12.
    document = [1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 3, 7, 8]
    for stride in range(1, 8):
        (scores,) = score(Successor(), [document], stride=stride)
        assert np.flatnonzero(scores > 1).tolist() == [5, 11, 12]


def test_the_first_token_is_scored_with_bos_as_its_only_context():
    expected, surprising = score(Successor(), [[1], [2]])
    assert expected.tolist() == pytest.approx([0.0])
    assert surprising.tolist() == pytest.approx([100.0])


def test_a_uniform_model_costs_8_bits_a_byte():
    scores = score(Uniform(), [list(range(37)), [255]])
    assert [len(values) for values in scores] == [37, 1]
    total = sum(values.sum() for values in scores)
    assert total / (math.log(2) * 38) == pytest.approx(8.0, rel=1e-15)


def test_windows_that_hold_the_whole_document_equal_one_pass(llama):
    (document,) = random_documents([40])
    (scores,) = score(llama, [document], context_length=64, stride=32)
    ids = torch.tensor([[BOS, *document]])
    with torch.no_grad():
        whole = token_losses(llama(input_ids=ids).logits, ids)[0, 1:]
    assert scores == pytest.approx(whole.numpy(), abs=1e-4)


def test_every_token_is_scored_once_with_the_context_of_its_window(llama):
    """Each window scored alone by hand: their new parts, laid end to end, are the scores."""
    (document,) = random_documents([21])
    (scores,) = score(llama, [document], context_length=8, stride=3)
    stream = [BOS, *document]
    by_hand = []
    for start, first_new, end in [
        (0, 1, 8),
        *((k - 5, k, min(22, k + 3)) for k in range(8, 22, 3)),
    ]:
        ids = torch.tensor([stream[start:end]])
        with torch.no_grad():
            losses = token_losses(llama(input_ids=ids).logits, ids)[0]
        by_hand.extend(losses[first_new - start :].tolist())
    assert len(by_hand) == 21
    assert scores == pytest.approx(by_hand, abs=1e-4)


def test_scores_do_not_depend_on_the_documents_beside_them(llama):
    documents = random_documents([5, 30, 1, 12, 0, 7, 19])
    together = score(llama, documents)
    for document, scores in zip(documents, together, strict=True):
        (alone,) = score(llama, [document], batch_size=1)
        assert scores == pytest.approx(alone, abs=1e-5)


def test_the_same_call_gives_the_same_bits(llama):
    documents = random_documents([5, 30, 1, 12])
    first, second = score(llama, documents), score(llama, documents)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_windows_of_like_length_share_a_batch():
    model = Successor()
    score(model, random_documents([3, 7, 3, 7, 3, 7]))
    assert model.shapes == [(3, 8), (3, 4)]


@pytest.mark.parametrize("documents", [[], [[]], [[], []]])
def test_nothing_to_score_does_not_run_the_model(documents):
    model = Successor()
    scores = score(model, documents)
    assert [values.tolist() for values in scores] == documents
    assert model.shapes == []


def test_scores_are_float64_and_arrays_are_documents_too():
    (scores,) = score(Successor(), [np.array([1, 2, 3], dtype=np.int32)])
    assert scores.dtype == np.float64


@pytest.mark.parametrize("option", [{"stride": 0}, {"stride": 8}, {"batch_size": 0}])
def test_settings_out_of_range_are_named(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        score(Successor(), [[1, 2]], **option)
