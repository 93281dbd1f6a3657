"""The exact loss of bytes must be that of the texts behind the tokens, and bounded by theirs."""

import math

import numpy as np
import pytest
from byte_oracles import CorpusModel, NoisyModel, greedy_tokenizer, our_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.evaluation.exact_bytes_nll import exact_bytes_nll
from operators.tokenization.cover_tokenizer import CoverTokenizer, cover_tokenizer
from operators.tokenization.exact_bytes import ByteStream
from operators.tokenization.live_tokens import LiveTokens

CORPUS = ["they're here, we'll see\n\n\nthe  end   \n  if a:\n\n    return a's 123 é 中中 😀"] * 3
AWKWARD = st.text(alphabet=" \nthe'r1é", max_size=10)


@pytest.fixture(scope="module")
def live():
    return LiveTokens(cover_tokenizer(our_tokenizer(CORPUS, 330)))


class WholeTexts(NoisyModel):
    """Reads a text at once."""

    def running_log_probabilities(self, ids):
        for number in range(len(ids) + 1):
            yield self.row(ids[:number])


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(AWKWARD, min_size=1, max_size=6, unique=True), seed=st.integers(0, 99))
def test_a_perfect_model_has_the_loss_of_the_texts(live, texts, seed):
    weights = np.random.default_rng(seed).random(len(texts)) + 0.1
    model = CorpusModel(live.tokenizer, texts, weights)
    for text, weight in zip(texts, weights, strict=True):
        ended = exact_bytes_nll(model, live.tokenizer, text, live=live)
        assert ended.exact_nats == pytest.approx(-math.log(weight / weights.sum()), abs=1e-9)
        assert ended.token_nats == pytest.approx(ended.exact_nats, abs=1e-9)
        begins = sum(
            one for other, one in zip(texts, weights, strict=True) if other.startswith(text)
        )
        begun = exact_bytes_nll(model, live.tokenizer, text, ends=False, live=live)
        assert begun.exact_nats == pytest.approx(-math.log(begins / weights.sum()), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(text=AWKWARD, seed=st.integers(0, 99), ends=st.booleans())
def test_one_reading_gives_what_byte_by_byte_gives_and_never_more_than_tokens(
    live, text, seed, ends
):
    model = NoisyModel(len(live.tokenizer.tokens), seed)
    got = exact_bytes_nll(model, live.tokenizer, text, ends=ends, live=live)
    stream = ByteStream(model, live.tokenizer, live=live)
    assert got.exact_nats == pytest.approx(
        -stream.log_probability(text.encode(), ends=ends), abs=1e-9
    )
    assert got.token_nats >= got.exact_nats - 1e-12
    assert (got.utf8_bytes, got.tokens) == (len(text.encode()), len(live.tokenizer.encode(text)))
    at_once = WholeTexts(len(live.tokenizer.tokens), seed)
    assert exact_bytes_nll(at_once, live.tokenizer, text, ends=ends, live=live) == got


def test_a_long_text_asks_for_single_bytes_only_at_its_end(live):
    text = "the end 123 they're here " * 20 + "the"
    model = NoisyModel(len(live.tokenizer.tokens))
    got = exact_bytes_nll(model, live.tokenizer, text, ends=False, live=live)
    assert model.asked <= got.tokens + 1 + 8


def test_what_cannot_follow_is_where_tokens_lose(live):
    text = "they're here"
    model = NoisyModel(len(live.tokenizer.tokens), seed=4)
    got = exact_bytes_nll(model, live.tokenizer, text, live=live)
    assert got.exact_nats < got.token_nats
    assert got.exact_bits_per_byte == pytest.approx(got.exact_nats / math.log(2) / len(text))
    assert got.token_bits_per_byte == pytest.approx(got.token_nats / math.log(2) / len(text))


def test_bytes_as_tokens_of_ascii_lose_nothing():
    tokens = (*(bytes([byte]) for byte in range(128)), b"<end>")
    tokenizer = CoverTokenizer(
        tokens, frozenset([128]), 128, lambda texts: [list(text.encode()) for text in texts]
    )
    got = exact_bytes_nll(NoisyModel(129), tokenizer, "plain text")
    assert got.exact_nats == pytest.approx(got.token_nats, abs=1e-9)


def test_an_empty_text_has_a_loss_only_through_its_end(live):
    model = NoisyModel(len(live.tokenizer.tokens))
    begun = exact_bytes_nll(model, live.tokenizer, "", ends=False, live=live)
    assert (begun.exact_nats, begun.token_nats, begun.tokens) == (0.0, 0.0, 0)
    assert exact_bytes_nll(model, live.tokenizer, "", live=live).exact_nats > 0
    assert math.isnan(begun.exact_bits_per_byte)


def test_a_tokenizer_without_an_end_is_refused_where_the_end_counts():
    own = greedy_tokenizer((b"a", b"b"))
    endless = CoverTokenizer(own.tokens, own.special_ids, None, own.encode_batch)
    with pytest.raises(ValueError, match="no end of text"):
        exact_bytes_nll(NoisyModel(3), endless, "ab")
    assert exact_bytes_nll(NoisyModel(3), endless, "ab", ends=False).exact_nats > 0


def test_a_text_that_the_search_misses_is_an_error():
    tokenizer = our_tokenizer(["ab!!!!!x ab"] * 5, 300, pretokenizer=r"\w+(?=!!!!!x)|\w|[^\w]+")
    with pytest.raises(ValueError, match="looks too far ahead"):
        exact_bytes_nll(NoisyModel(tokenizer.vocab_size), tokenizer, "ab!!!!!x")
