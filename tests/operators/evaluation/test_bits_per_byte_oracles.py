"""Bits per byte from a model's passes to the number: windows, chunks, lost bytes, exact bytes."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from byte_oracles import NoisyModel, our_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from operators.evaluation.bits_per_byte import bits_per_byte, unknown_bytes
from operators.evaluation.exact_bytes_nll import exact_bytes_nll
from operators.modeling.scoring import score_documents
from operators.tokenization.byte_tokenizer import HubByteTokenizer
from operators.tokenization.cover_tokenizer import cover_tokenizer
from operators.tokenization.live_tokens import LiveTokens

BOS = 256


class Uniform(torch.nn.Module):
    """A uniform model of bytes."""

    def forward(self, input_ids, use_cache):
        logits = torch.zeros(*input_ids.shape, 257)
        logits[..., BOS] = -torch.inf
        return SimpleNamespace(logits=logits)


class Bigrams(torch.nn.Module):
    """Looks at the last token and no further."""

    def __init__(self):
        super().__init__()
        table = np.random.default_rng(5).normal(size=(257, 257)) * 2
        self.table = torch.nn.Parameter(torch.from_numpy(table))

    def forward(self, input_ids, use_cache):
        return SimpleNamespace(logits=self.table[input_ids])


def losses(model, documents, context_length=8, stride=4):
    return score_documents(
        model, documents, context_length=context_length, stride=stride, bos_token_id=BOS, batch_size=4, device="cpu"
    )  # fmt: skip


def test_the_oracle():
    assert bits_per_byte(np.full(1000, 2.0), 4300) == pytest.approx(0.67102, abs=5e-6)
    assert math.exp(2.0) == pytest.approx(
        7.389, abs=5e-4
    )  # by token, which no other tokenizer shares


@pytest.mark.parametrize("texts", [["a"], ["ab" * 50], ["Ξένες", "", "磨坊 mill", "x" * 37]])
def test_a_uniform_model_of_bytes_has_exactly_8_bits_a_byte(texts):
    nats = losses(Uniform(), [list(text.encode()) for text in texts])
    assert bits_per_byte(np.concatenate(nats), [len(text.encode()) for text in texts]) == 8.0


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=60), st.integers(2, 20), st.data())
def test_the_sum_over_windows_is_the_sum_of_one_pass(data, context_length, draw):
    stride = draw.draw(st.integers(1, context_length - 1))
    model, document = Bigrams(), list(data)
    (windows,) = losses(model, [document], context_length, stride)
    (whole,) = losses(model, [document], len(document) + 2, 1)
    assert windows.tolist() == pytest.approx(whole.tolist(), rel=1e-12)
    assert math.fsum(windows) == pytest.approx(math.fsum(whole), rel=1e-12)
    assert len(windows) == len(document)


@given(st.lists(st.floats(0, 50), min_size=1, max_size=30), st.integers(0, 30))
def test_losses_are_additive_over_chunks(nats, cut):
    parts = [math.fsum(nats[:cut]), math.fsum(nats[cut:])]
    assert bits_per_byte(parts, [30]) == pytest.approx(bits_per_byte(nats, [30]), rel=1e-12)


@pytest.fixture(scope="module")
def live():
    return LiveTokens(
        cover_tokenizer(our_tokenizer(["the mill, the river and the old road"] * 3, 280))
    )


@settings(max_examples=20, deadline=None)
@given(text=st.text(alphabet="the mil,é", max_size=9), seed=st.integers(0, 50), ends=st.booleans())
def test_exact_bytes_never_cost_more_than_the_canonical_tokens(live, text, seed, ends):
    model = NoisyModel(len(live.tokenizer.tokens), seed)
    found = exact_bytes_nll(model, live.tokenizer, text, ends=ends, live=live)
    assert found.exact_nats <= found.token_nats + 1e-12


@pytest.fixture(scope="module")
def words():
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "the": 1, "mill": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return HubByteTokenizer(tokenizer)


@pytest.mark.parametrize(
    ("text", "lost"),
    [("the mill", 0), ("the river", 5), ("Ξένες the 磨坊", 10 + 6), ("", 0), ("a b the", 2)],
)
def test_unknown_tokens_lose_the_bytes_they_stand_for(words, text, lost):
    assert unknown_bytes(words, text) == lost


def test_a_tokenizer_of_bytes_loses_nothing():
    assert unknown_bytes(our_tokenizer(["abc"] * 3, 260), "Ξένες 磨坊 \x00") == 0


def test_an_unknown_token_that_cannot_be_placed_is_a_clear_error():
    tokenizer = SimpleNamespace(unknown_id=0, encode=lambda text: [0] if "x" in text else [1])
    assert unknown_bytes(tokenizer, "abc") == 0
    with pytest.raises(ValueError, match="lost bytes cannot be counted"):
        unknown_bytes(tokenizer, "x")


def test_lost_bytes_are_charged_8_bits_each():
    # 4 bytes in an unknown token that the model was sure of, and 4 bytes at 1 bit each.
    assert bits_per_byte([4 * math.log(2), 0.0], [8]) == pytest.approx(0.5)
    assert bits_per_byte([4 * math.log(2), 0.0], [8], lost_bytes=[4]) == pytest.approx(4.5)
    assert bits_per_byte([0.0], [7], lost_bytes=7) == 8.0


def test_without_lost_bytes_nothing_changes_by_a_bit():
    nats = np.random.default_rng(0).random(99)
    assert bits_per_byte(nats, [400], lost_bytes=[0, 0]) == bits_per_byte(nats, [400])


@pytest.mark.parametrize(
    ("lost", "message"),
    [(9, "lost_bytes sum to 9, but the text has 8"), (-1, r"lost_bytes\[0\] is -1")],
)
def test_more_lost_bytes_than_bytes_are_refused(lost, message):
    with pytest.raises(ValueError, match=message):
        bits_per_byte([1.0], [8], lost_bytes=lost)
