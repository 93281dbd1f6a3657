"""A choice has the log-probability of its own tokens behind its prompt, whatever else is scored."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from byte_models import hub_bpe
from hypothesis import given, settings
from hypothesis import strategies as st
from ngram_baseline import NgramModel
from plain_bytes import BEGIN, Bytes
from torch.nn import functional

from operators.evaluation.choices import (
    Selection,
    encode_choices,
    per_byte,
    score_choices,
    select,
)
from operators.modeling import LlamaShape, build_llama, score_documents
from operators.tokenization.byte_tokenizer import HubByteTokenizer


class Merging(Bytes):
    """As bytes, but "abc" is one token wherever it stands: 200."""

    def encode(self, text):
        return list(text.encode().replace(b"abc", bytes([200])))


class Successor(torch.nn.Module):
    """Sure that byte k is followed by k + 1 (a surprise costs 100 nats)."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, input_ids, use_cache):
        self.seen += [ids.tolist() for ids in input_ids]
        following = functional.one_hot((input_ids + 1) % 257, 257)
        return SimpleNamespace(logits=100.0 * following.float())


class Uniform(torch.nn.Module):
    def forward(self, input_ids, use_cache):
        return SimpleNamespace(logits=torch.zeros(*input_ids.shape, 256))


@pytest.fixture(scope="module")
def llama():
    shape = LlamaShape(
        hidden_size=16, layers=2, heads=2, kv_heads=1, intermediate_size=24, context_length=48
    )
    model = build_llama(shape, 257, bos_token_id=BEGIN, eos_token_id=BEGIN, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8.0)  # far from uniform, so that a wrong context shows
    return model


def score(model, pairs, tokenizer=None, **given):
    encoded = encode_choices(tokenizer or Bytes(), pairs, BEGIN)
    return score_choices(model, encoded, **{"context": 48, "device": "cpu"} | given)


def by_hand(model, prompt, choice):
    """One row, no padding, all logits."""
    ids = torch.tensor([[BEGIN, *prompt.encode(), *choice.encode()]])
    with torch.no_grad():
        logs = torch.log_softmax(model(input_ids=ids, use_cache=False).logits[0].double(), -1)
    first = 1 + len(prompt.encode())
    return sum(float(logs[place - 1, ids[0, place]]) for place in range(first, ids.shape[1]))


def test_the_successor_finds_what_follows_certain_and_all_else_a_surprise():
    certain, wrong = score(Successor(), [("ab", "cd"), ("ab", "cx")])
    assert certain.log_probability == pytest.approx(0, abs=1e-9)
    assert (certain.tokens, certain.greedy) == (2, True)
    assert wrong.log_probability == pytest.approx(-100)
    assert not wrong.greedy


def test_the_first_token_of_a_choice_is_judged_by_the_last_of_the_prompt():
    # A shift by one place would make this certain: "x" is followed by "y".
    (found,) = score(Successor(), [("abx", "cy")])
    assert found.log_probability == pytest.approx(-200)


def test_the_begin_of_a_document_is_context_and_not_scored():
    model = Successor()
    (found,) = score(model, [("", "ab")])
    assert found.tokens == 2
    assert model.seen[0][0] == BEGIN
    assert found.log_probability == pytest.approx(-100)  # "a" does not follow, "b" does


def test_a_uniform_model_gives_each_byte_eight_bits():
    (found,) = score(Uniform(), [("prompt", "choice")])
    assert found.log_probability == pytest.approx(-6 * math.log(256), rel=1e-12)


def test_a_score_is_that_of_one_row_without_padding(llama):
    pairs = [("a prompt", " short"), ("a prompt", " somewhat longer"), ("", "x"), ("é", "中")]
    found = [one.log_probability for one in score(llama, pairs)]
    assert found == pytest.approx([by_hand(llama, *pair) for pair in pairs], rel=1e-5)


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.tuples(st.text("ab c", max_size=30), st.text("abc", min_size=1, max_size=9)),
        min_size=1, max_size=9,
    ),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_a_score_does_not_depend_on_what_else_is_scored_nor_in_which_order(llama, pairs, random):
    together = score(llama, pairs, batch_size=4)
    assert [score(llama, [pair], batch_size=4)[0] for pair in pairs] == together
    order = random.sample(range(len(pairs)), len(pairs))
    shuffled = score(llama, [pairs[number] for number in order], batch_size=4)
    assert shuffled == [together[number] for number in order]


def test_an_n_gram_model_is_scored_as_any_other():
    text = "the cat sat on the mat"
    model = NgramModel([[BEGIN, *text.encode()]] * 2, vocab_size=257, order=3)
    assert model.probabilities([]).sum() == pytest.approx(1)
    assert model.probabilities(list(b"th")).sum() == pytest.approx(1)
    good, bad = score(model, [("the c", "at sat"), ("the c", "ta tas")])
    ids = list(b"the cat sat")
    by_hand = sum(
        math.log(model.probabilities(ids[place - 2 : place])[ids[place]]) for place in range(5, 11)
    )
    assert good.log_probability == pytest.approx(by_hand)
    assert good.log_probability > bad.log_probability


def test_log_probabilities_add_up_along_a_text(llama):
    whole, first, second = score(llama, [("a ", "bcd efg"), ("a ", "bcd"), ("a bcd", " efg")])
    assert whole.log_probability == pytest.approx(
        first.log_probability + second.log_probability, rel=1e-5
    )


def test_without_a_prompt_it_is_the_score_of_a_document(llama):
    text = "The mill grinds."
    (nats,) = score_documents(
        llama, [list(text.encode())], context_length=48, stride=24, bos_token_id=BEGIN,
        batch_size=2, device="cpu",
    )  # fmt: skip
    assert score(llama, [("", text)])[0].log_probability == pytest.approx(-nats.sum(), rel=1e-5)


def test_white_space_at_the_end_of_a_prompt_belongs_to_the_choice():
    one, other = encode_choices(Bytes(), [("a \n", "b"), ("a", " \nb")], BEGIN)
    assert one.ids.tolist() == other.ids.tolist()
    assert one.first == other.first == 2


def test_a_real_tokenizer_gives_the_prompt_and_then_what_the_whole_has_more():
    tokenizer = HubByteTokenizer(hub_bpe(["the mill grinds the corn of the town"] * 3, 290))
    prompt, choice = "the mill grinds", " the corn"
    (one,) = encode_choices(tokenizer, [(prompt, choice)], 0)
    alone = tokenizer.encode(prompt)
    assert one.ids.tolist() == [0, *tokenizer.encode(prompt + choice)]
    assert (one.first, one.merged) == (1 + len(alone), False)
    assert tokenizer.decode(one.ids[one.first :].tolist()) == choice


def test_where_a_token_stands_across_the_boundary_no_byte_of_the_choice_is_left_out():
    one, clean = encode_choices(Merging(), [("xab", "cd"), ("xab", "dd")], BEGIN)
    # lm_eval would score what is left behind as many tokens as "xab" has: not even "d".
    assert one.ids.tolist() == [BEGIN, ord("x"), 200, ord("d")]
    assert (one.first, one.merged) == (2, True)
    assert (clean.first, clean.merged) == (4, False)


@pytest.mark.parametrize("pair", [("a", ""), ("", "")])
def test_a_choice_without_a_token_is_a_clear_error(pair):
    with pytest.raises(ValueError, match="has no token behind"):
        encode_choices(Bytes(), [pair], BEGIN)


@pytest.mark.parametrize("size", [8, 9, 11, 48])
def test_what_does_not_fit_is_cut_from_the_left(size):
    model = Successor()
    prompt = "abcdefghijklmnopqrstuvwxyz" * 2
    (found,) = score(model, [(prompt, "{|")], context=size, batch_size=1)
    ((*row,),) = model.seen
    assert len(row) == size
    assert bytes(row).endswith(b"yz{|")
    assert found.log_probability == pytest.approx(0, abs=1e-9)
    assert found.tokens == 2


def test_a_row_that_just_fits_is_not_cut():
    model = Successor()
    score(model, [("abcde", "fg")], context=8, batch_size=1)
    assert model.seen == [[BEGIN, *b"abcdefg"]]


def test_a_choice_longer_than_the_context_is_scored_token_by_token_once():
    choice = bytes(97 + number % 20 for number in range(37)).decode()
    (found,) = score(Successor(), [("prompt`", choice)], context=8)
    assert found.tokens == 37
    assert found.log_probability == pytest.approx(-100)  # "t" is once followed by "a"


def test_batches_have_one_shape_a_length_and_never_exceed_the_context():
    shapes = []

    class Watched(Uniform):
        def forward(self, input_ids, use_cache):
            shapes.append(tuple(input_ids.shape))
            return super().forward(input_ids, use_cache)

    score(Watched(), [("", "a" * size) for size in range(1, 13)], context=12, batch_size=4)
    assert set(shapes) == {(4, 8), (4, 12)}
    assert [shape[1] for shape in shapes] == sorted((shape[1] for shape in shapes), reverse=True)


def test_nothing_to_score_gives_nothing(llama):
    assert score(llama, []) == []


def test_the_mode_of_the_model_is_put_back(llama):
    llama.train()
    score(llama, [("a", "b")])
    assert llama.training
    llama.eval()


def test_the_highest_is_taken_and_the_margin_is_to_the_best_wrong_one():
    found = select([-5.0, -2.0, -3.0], 1)
    assert (found.index, found.tied, found.margin) == (1, False, 1.0)
    assert select([-5.0, -2.0, -3.0], 0).margin == -3.0


def test_of_equals_the_first_is_taken_and_the_tie_is_told():
    assert select([-2.0, -2.0], 0) == Selection(0, True, 0.0)
    assert select([-2.0, -2.0], 1).index == 0
    assert not select([-1.0, -2.0, -2.0], 0).tied  # losers may be equal
    assert select([-np.inf, -np.inf], 0).margin == 0.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-9, 0), min_size=2, max_size=5), st.data())
def test_a_positive_margin_is_to_be_taken_alone(values, data):
    gold = data.draw(st.integers(0, len(values) - 1))
    found = select(values, gold)
    assert (found.margin > 0) == (found.index == gold and not found.tied)


def test_per_byte_a_long_choice_can_win_and_bytes_are_not_characters():
    assert per_byte([-4.0, -3.0], ["abcd", "ab"]) == [-1.0, -1.5]
    assert per_byte([-6.0], ["é中"]) == [-1.2]


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (lambda: select([-1.0], 0), "two choices or more"),
        (lambda: select([-1.0, -2.0], 2), "a gold among them"),
        (lambda: select([-1.0, math.nan], 0), "NaN"),
        (lambda: per_byte([-1.0], [""]), "a choice is empty"),
        (lambda: score(Uniform(), [("a", "b")], batch_size=0), "batch_size must be >= 1"),
        (lambda: score(Uniform(), [("a", "b")], context=1), "context >= 2"),
    ],
)
def test_what_is_out_of_range_is_a_clear_error(call, fault):
    with pytest.raises(ValueError, match=fault):
        call()


def test_a_broken_model_is_told_and_not_scored():
    class Broken(Uniform):
        def forward(self, input_ids, use_cache):
            return SimpleNamespace(logits=torch.full((*input_ids.shape, 257), math.nan))

    with pytest.raises(ValueError, match="NaN: its weights are broken"):
        score(Broken(), [("a", "b")])
