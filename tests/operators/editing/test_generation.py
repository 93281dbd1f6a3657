"""Generation: what is written follows from prompt, id and seed, and stays within its limits."""

import numpy as np
import pytest
import torch

from operators.editing.drawing import SamplingRule, row_uniforms
from operators.editing.generation import continue_prompts
from operators.modeling.architecture import LlamaShape, build_llama

VOCABULARY = 12
END = 1


@pytest.fixture(scope="module")
def llama():
    shape = LlamaShape(
        hidden_size=16, layers=2, heads=2, kv_heads=1, intermediate_size=24, context_length=32,
        tie_embeddings=False,
    )  # fmt: skip
    model = build_llama(shape, VOCABULARY, bos_token_id=0, eos_token_id=END, seed=0)
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    return model


def write(model, prompts, ids=None, **options):
    ids = [f"row-{k}" for k in range(len(prompts))] if ids is None else ids
    settings = {"limits": 10, "context": 32, "end_of_text": END, "device": "cpu", "seed": 5}
    return continue_prompts(model, prompts, ids, **{**settings, **options})


def tokens(made):
    return [one.tokens.tolist() for one in made]


PROMPTS = [[0], [0, 5, 3], [2, 2], [0, 4, 4], [7], [3, 9, 8], [0]]


def test_with_the_cache_is_written_what_is_written_without(llama):
    (made,) = write(llama, [[0, 5, 3]], end_of_text=None, limits=8)
    told, numbers = [0, 5, 3], row_uniforms(5, "row-0", 8)
    for number in numbers:
        with torch.no_grad():
            logits = llama(input_ids=torch.tensor([told]), use_cache=False).logits[0, -1]
        masses = torch.softmax(logits.double(), dim=-1).cumsum(0)
        told.append(int(torch.searchsorted(masses, torch.tensor(number), right=True)))
    assert made.tokens.tolist() == told[3:]
    assert not made.ended


def test_a_row_does_not_depend_on_the_rows_beside_it(llama):
    ids = [f"row-{k}" for k in range(len(PROMPTS))]
    reference = tokens(write(llama, PROMPTS, ids, batch_size=3))
    order = np.random.default_rng(0).permutation(len(PROMPTS))
    shuffled = write(llama, [PROMPTS[k] for k in order], [ids[k] for k in order], batch_size=3)
    assert tokens(shuffled) == [reference[k] for k in order]
    alone = [write(llama, [PROMPTS[k]], [ids[k]], batch_size=3) for k in range(len(PROMPTS))]
    assert [tokens(one)[0] for one in alone] == reference


def test_two_rows_with_one_prompt_and_two_seeds_differ(llama):
    first, second = tokens(write(llama, [[0], [0]], end_of_text=None))
    assert first != second
    assert tokens(write(llama, [[0]], end_of_text=None, seed=6)) != [first]
    assert tokens(write(llama, [[0]], end_of_text=None)) == [first]


def test_the_end_of_text_ends_a_row_and_is_not_part_of_it(llama):
    made = write(llama, [[0]] * 40, limits=20, never_drawn=[0, END])
    assert any(one.ended for one in made)
    for one in made:
        assert END not in one.tokens
        assert 0 not in one.tokens
        assert one.ended or len(one.tokens) == 20


def test_a_higher_limit_begins_as_a_lower_one(llama):
    short = tokens(write(llama, PROMPTS, limits=4))
    long = tokens(write(llama, PROMPTS, limits=12))
    assert [row[:4] for row in long] == short
    each = tokens(write(llama, PROMPTS, limits=[4, 12, 0, 1, 4, 12, 12], end_of_text=None))
    assert [len(row) for row in each] == [4, 12, 0, 1, 4, 12, 12]


def test_prompt_and_continuation_stay_within_the_context(llama):
    (made,) = write(llama, [[2] * 29], limits=100, end_of_text=None)
    assert len(made.tokens) == 3


def test_rows_of_the_vocabulary_that_are_barred_are_never_drawn(llama):
    barred = range(6, VOCABULARY)
    rule = SamplingRule(temperature=5.0)
    made = write(llama, [[0]] * 30, limits=20, never_drawn=barred, end_of_text=None, rule=rule)
    drawn = np.concatenate([one.tokens for one in made])
    assert set(drawn.tolist()) == set(range(6))


def test_greedy_writing_needs_no_numbers(llama):
    rule = SamplingRule(temperature=0.0)
    first, second = tokens(write(llama, [[0], [0]], end_of_text=None, rule=rule))
    assert first == second


def test_no_prompts_give_nothing(llama):
    assert write(llama, []) == []


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ([[]], {}, "row-0.* has 0 tokens"),
        ([[0] * 32], {}, "leave room"),
        ([[0], [0]], {"ids": ["a", "a"]}, "distinct"),
        ([[0]], {"limits": -1}, "limits"),
        ([[0]], {"limits": [1, 2]}, "limits"),
        ([[0]], {"batch_size": 0}, "batch_size"),
    ],
)
def test_a_call_that_cannot_be_meant_is_named(llama, prompts, options, message):
    with pytest.raises(ValueError, match=message):
        write(llama, prompts, **options)
