"""Each head predicts its own future token, and head 1 is the plain model."""

import pytest
import torch

from operators.modeling.architecture import LlamaShape, build_llama
from operators.modeling.checkpoints import load_model, save_model
from operators.modeling.document_masks import packed_documents
from operators.modeling.losses import token_losses
from operators.modeling.multi_token import (
    ExtraHeads,
    future_targets,
    multi_token_losses,
    multi_token_states,
)

VOCABULARY = 9


def build(layers=2, seed=1):
    shape = LlamaShape(
        hidden_size=16, layers=layers, heads=2, kv_heads=2, intermediate_size=32, context_length=32
    )
    return build_llama(shape, VOCABULARY, bos_token_id=None, eos_token_id=None, seed=seed)


def ids(*shape, seed=0):
    return torch.randint(0, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def test_the_targets_are_those_of_the_oracle():
    a, b, c, d, e = 3, 1, 4, 7, 5
    targets = future_targets(torch.tensor([[a, b, c, d, e]]), heads=3)[0].tolist()
    assert targets[0] == [b, c, d]
    assert targets[2] == [d, e, -100]
    assert targets[4] == [-100] * 3


def test_ignored_tokens_are_no_targets_of_any_head():
    ignore = torch.tensor([[False, False, True, False]])
    targets = future_targets(torch.tensor([[1, 2, 3, 4]]), 2, ignore)
    assert targets[0].tolist() == [[2, -100], [-100, 4], [4, -100], [-100, -100]]


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (1, 1)])
def test_short_input_has_no_targets(shape):
    targets = future_targets(torch.zeros(shape, dtype=torch.long), 3)
    assert targets.shape == (*shape, 3)
    assert (targets == -100).all()


def test_head_1_is_the_plain_model_to_the_bit():
    model = build()
    input_ids = ids(2, 7)
    plain = model(input_ids=input_ids, use_cache=False).logits
    for heads in (1, 3):
        states = multi_token_states(model, ExtraHeads(model, heads, seed=0), input_ids)
        assert len(states) == heads
        assert torch.equal(model.lm_head(states[0]), plain)


def test_a_head_that_is_a_copy_of_the_last_block_has_its_states():
    model = build()
    extra = ExtraHeads(model, 2, seed=0)
    extra.blocks[0].load_state_dict(model.model.layers[-1].state_dict())
    documents = packed_documents([[0, 3], [0]], 7)
    first, second = multi_token_states(
        model, extra, ids(2, 7), position_ids=documents.positions,
        attention_mask=documents.attention_mask(),
    )  # fmt: skip
    assert torch.equal(first, second)


def test_losses_stand_at_the_token_that_is_predicted():
    model = build()
    extra = ExtraHeads(model, 3, seed=0)
    input_ids = ids(2, 7)
    ignore = torch.zeros_like(input_ids, dtype=torch.bool)
    ignore[0, 4] = True
    losses = multi_token_losses(model, extra, input_ids, ignore, chunk_tokens=3)
    states = multi_token_states(model, extra, input_ids)
    assert losses.shape == (3, 2, 7)
    assert torch.allclose(losses[0], token_losses(model.lm_head(states[0]), input_ids, ignore))
    targets = future_targets(input_ids, 3, ignore)
    for k in range(3):
        logs = model.lm_head(states[k]).log_softmax(-1)
        for row in range(2):
            for j in range(7):
                source = j - k - 1
                expected = 0.0
                if source >= 0 and targets[row, source, k] != -100:
                    expected = -float(logs[row, source, input_ids[row, j]].detach())
                assert float(losses[k, row, j].detach()) == pytest.approx(expected, abs=1e-5)


def test_no_head_predicts_across_the_border_of_two_documents():
    model = build()
    documents = packed_documents([[0, 3, 4]], 7)
    inputs = {
        "position_ids": documents.positions,
        "attention_mask": documents.attention_mask(),
    }
    losses = multi_token_losses(model, ExtraHeads(model, 3, seed=0), ids(1, 7), **inputs)
    scored = (losses[:, 0] != 0).int().tolist()
    assert scored == [[0, 1, 1, 0, 0, 1, 1], [0, 0, 1, 0, 0, 0, 1], [0] * 7]


def test_each_head_learns_the_token_so_many_places_ahead():
    # A walk through the alphabet with a step that changes with the row: token j + k is known.
    steps = torch.tensor([1, 2, 4, 5])
    input_ids = (steps[:, None] * torch.arange(12)) % VOCABULARY
    model = build(seed=0)
    extra = ExtraHeads(model, 2, seed=0)
    optimizer = torch.optim.AdamW([*model.parameters(), *extra.parameters()], lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        multi_token_losses(model, extra, input_ids).mean(dim=(1, 2)).sum().backward()
        optimizer.step()
    states = multi_token_states(model, extra, input_ids)
    for ahead, hidden in enumerate(states, start=1):
        told = model.lm_head(hidden).argmax(-1)[:, 2 : 12 - ahead]
        assert torch.equal(told, input_ids[:, 2 + ahead :])


def test_no_head_sees_a_later_token():
    model = build()
    extra = ExtraHeads(model, 3, seed=0)
    one, other = ids(1, 8), ids(1, 8)
    other[:, 5:] = (other[:, 5:] + 1) % VOCABULARY
    for before, after in zip(
        multi_token_states(model, extra, one), multi_token_states(model, extra, other), strict=True
    ):
        assert torch.allclose(before[:, :5], after[:, :5], atol=1e-6)


def test_all_heads_train_the_trunk_and_the_shared_unembedding():
    model = build()
    extra = ExtraHeads(model, 3, seed=0)
    multi_token_losses(model, extra, ids(2, 7))[2].sum().backward()
    assert model.model.layers[0].mlp.up_proj.weight.grad.abs().sum() > 0
    assert model.lm_head.weight.grad.abs().sum() > 0
    assert extra.blocks[1].mlp.up_proj.weight.grad.abs().sum() > 0
    # Head 3 uses neither the block of head 1 nor that of head 2.
    assert model.model.layers[-1].mlp.up_proj.weight.grad.abs().sum() == 0
    assert extra.blocks[0].mlp.up_proj.weight.grad.abs().sum() == 0


def test_the_saved_model_is_an_ordinary_one(tmp_path):
    model = build()
    names = list(model.state_dict())
    extra = ExtraHeads(model, 3, seed=0)
    multi_token_losses(model, extra, ids(1, 4))
    assert list(model.state_dict()) == names
    save_model(model, tmp_path)
    loaded = load_model(tmp_path, device="cpu")
    assert torch.equal(loaded(ids(1, 4)).logits, model(ids(1, 4)).logits)


def test_fresh_heads_are_a_function_of_the_seed_and_drawn_like_the_model():
    model = build()
    state = torch.random.get_rng_state()
    first, again, other = (ExtraHeads(model, 3, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    weight = first.blocks[0].mlp.up_proj.weight
    assert torch.equal(weight, again.blocks[0].mlp.up_proj.weight)
    assert not torch.equal(weight, other.blocks[0].mlp.up_proj.weight)
    assert not torch.equal(weight, first.blocks[1].mlp.up_proj.weight)
    assert weight.std().item() == pytest.approx(model.config.initializer_range, rel=0.15)


def test_heads_that_cannot_be_are_errors():
    with pytest.raises(ValueError, match="heads must be >= 1"):
        ExtraHeads(build(), 0, seed=0)
    with pytest.raises(ValueError, match="at least two layers"):
        ExtraHeads(build(layers=1), 2, seed=0)
    with pytest.raises(ValueError, match="heads must be >= 1"):
        future_targets(ids(1, 3), 0)
    with pytest.raises(ValueError, match="does not belong"):
        future_targets(ids(1, 3), 1, torch.zeros(1, 2, dtype=torch.bool))
