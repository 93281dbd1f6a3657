"""What a model writes ends at a stop, does not depend on other questions, and is read by rules."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_bytes import BEGIN, Bytes

from operators.evaluation.generated_answers import generate_answers, is_right, read_answer
from operators.modeling import LlamaShape, build_llama


class Script(torch.nn.Module):
    """Writes what follows in a text behind the last byte that it sees; each byte stands once."""

    def __init__(self, text, end=False, tempting=False):
        super().__init__()
        self.following = dict(zip(text, [*text[1:], BEGIN if end else text[0]], strict=True))
        self.tempting = tempting
        self.read = []

    def forward(self, input_ids, past_key_values, use_cache):
        self.read.append(input_ids.tolist())
        logits = torch.zeros(*input_ids.shape, 258)
        for row, ids in enumerate(input_ids.tolist()):
            for place, token in enumerate(ids):
                logits[row, place, self.following.get(token, 0)] = 5.0
        if self.tempting:
            logits[:, :, 257] = 9.0
        return SimpleNamespace(logits=logits, past_key_values="cache")


@pytest.fixture(scope="module")
def llama():
    shape = LlamaShape(
        hidden_size=16, layers=2, heads=2, kv_heads=1, intermediate_size=24, context_length=48
    )
    model = build_llama(shape, 258, bos_token_id=BEGIN, eos_token_id=BEGIN, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8.0)
    return model


def ask(model, prompts, **given):
    settings = {"begin": BEGIN, "context": 48, "batch_size": 3, "device": "cpu"}
    return generate_answers(model, Bytes(b"<special>"), prompts, **settings | given)


def test_an_answer_ends_before_the_first_stop():
    (answer,) = ask(Script(b"Q: yes\nno"), ["Q"])
    assert (answer.text, answer.ended_by, answer.tokens) == (": yes", "stop", 6)


def test_a_stop_may_be_several_tokens_long_and_there_may_be_several():
    (answer,) = ask(Script(b"abcdef"), ["a"], stops=["zz", "de"])
    assert (answer.text, answer.ended_by) == ("bc", "stop")


def test_an_answer_ends_at_the_end_of_text_which_is_no_token_of_it():
    (answer,) = ask(Script(b"abc", end=True), ["a"], never_drawn=[BEGIN, 257])
    assert (answer.text, answer.ended_by, answer.tokens) == ("bc", "end", 2)


def test_an_answer_ends_at_the_limit():
    (answer,) = ask(Script(b"abcdef"), ["a"], max_tokens=3)
    assert (answer.text, answer.ended_by, answer.tokens) == ("bcd", "limit", 3)


def test_what_stands_for_no_text_is_never_written():
    (answer,) = ask(Script(b"abc", end=True, tempting=True), ["a"], never_drawn=[BEGIN, 257])
    assert answer.text == "bc"


def test_each_step_reads_one_token_behind_the_cache():
    model = Script(b"abcdef")
    ask(model, ["ab"], max_tokens=3, batch_size=2)
    assert model.read == [[[BEGIN, 97, 98]] * 2, [[99]] * 2, [[100]] * 2]


def test_decoding_stops_when_every_answer_has_ended():
    model = Script(b"ab\n")
    ask(model, ["a", "b"], max_tokens=30)
    assert len(model.read) == 2


def test_the_beginning_of_a_prompt_is_cut_to_leave_room_for_the_answer():
    model = Script(b"abcdefghij")
    (answer,) = ask(model, ["abcdefgh"], context=6, max_tokens=2, batch_size=1)
    assert model.read[0] == [list(b"efgh")]
    assert answer.text == "ij"


def test_greedy_with_a_cache_is_greedy_without(llama):
    (answer,) = ask(llama, ["What?"], max_tokens=8, stops=["<never>"])
    ids = [BEGIN, *b"What?"]
    with torch.no_grad():
        for _ in range(answer.tokens):
            ids.append(int(llama(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    assert answer.text == Bytes(b"<special>").decode(ids[6:])


@settings(max_examples=8, deadline=None)
@given(st.lists(st.text("ab c?", max_size=12), max_size=7), st.randoms(use_true_random=False))
def test_an_answer_does_not_depend_on_what_else_is_asked_nor_in_which_order(llama, prompts, random):
    together = ask(llama, prompts, max_tokens=6)
    assert [ask(llama, [prompt], max_tokens=6)[0] for prompt in prompts] == together
    order = random.sample(range(len(prompts)), len(prompts))
    shuffled = ask(llama, [prompts[number] for number in order], max_tokens=6)
    assert shuffled == [together[number] for number in order]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"max_tokens": 0}, "max_tokens must be >= 1 and < 48"),
        ({"max_tokens": 48}, "max_tokens must be >= 1 and < 48"),
        ({"batch_size": 0}, "batch_size must be >= 1"),
        ({"stops": ["\n", ""]}, "no stop empty"),
    ],
)
def test_settings_out_of_range_are_clear_errors(llama, given, fault):
    with pytest.raises(ValueError, match=fault):
        ask(llama, ["a"], **given)


@pytest.mark.parametrize(
    ("text", "rule", "said"),
    [
        (" Paris \n", "text", "Paris"),
        (" \n", "text", None),
        ("7", "integer", 7), (" 07\n", "integer", 7), ("-3", "integer", -3), ("+4", "integer", 4),
        ("7.", "integer", None), ("seven", "integer", None), ("It is 7", "integer", None),
        ("7 8", "integer", None), ("1_000", "integer", None), ("٣", "integer", None),
        ("", "integer", None), ("3.5", "integer", None),
        ("It is 7, not 8", "first_integer", 7), ("7.", "first_integer", 7),
        ("x-3", "first_integer", -3), ("seven", "first_integer", None),
        ("1,234", "first_integer", 1),
    ],
)  # fmt: skip
def test_a_rule_reads_what_it_says_and_nothing_else(text, rule, said):
    assert read_answer(text, rule) == said


@pytest.mark.parametrize(
    ("text", "gold", "rule", "right"),
    [
        (" Paris", " Paris\n", "text", True),
        ("paris", "Paris", "text", False),
        ("Paris, France", "Paris", "text", False),
        ("Paris, France", "Paris", "prefix", True),
        ("In Paris", "Paris", "prefix", False),
        ("", "Paris", "prefix", False),
        ("04", " 4\n", "integer", True),
        ("the answer is 4", " 4", "integer", False),
        ("the answer is 4", " 4", "first_integer", True),
        ("not 5 but 4", "4", "first_integer", False),
        ("none", "4", "first_integer", False),
    ],
)
def test_an_answer_is_right_by_the_rule_that_is_asked_for(text, gold, rule, right):
    assert is_right(text, gold, rule) is right


@pytest.mark.parametrize(
    ("gold", "rule"), [("Paris", "integer"), ("it is 4", "first_integer"), (" ", "prefix")]
)
def test_a_right_answer_that_the_rule_does_not_accept_is_a_clear_error(gold, rule):
    with pytest.raises(ValueError, match="choose another rule"):
        is_right("4", gold, rule)


def test_an_unknown_rule_is_a_clear_error():
    with pytest.raises(ValueError, match="must be text, prefix, integer or first_integer"):
        read_answer("4", "regex")
