"""A wide model trains like a narrow one, and at the base width nothing changes."""

import math

import pytest
import torch

from operators.modeling.architecture import LlamaShape, build_llama
from operators.modeling.losses import token_losses
from operators.modeling.mup import (
    BaseWidth,
    fold_mup,
    mup_forward,
    mup_initialise,
    mup_parameter_groups,
)

VOCABULARY = 32


def build(width=64, heads=None, tied=False):
    shape = LlamaShape(
        hidden_size=width, layers=2, heads=heads or width // 16, kv_heads=heads or width // 16,
        intermediate_size=2 * width, context_length=32, tie_embeddings=tied,
    )  # fmt: skip
    return build_llama(shape, VOCABULARY, bos_token_id=None, eos_token_id=None, seed=0)


def ids(*shape):
    return torch.randint(0, VOCABULARY, shape, generator=torch.Generator().manual_seed(0))


def logits(model, input_ids):
    return model(input_ids=input_ids, use_cache=False).logits


def test_four_times_the_width_has_the_numbers_of_the_oracle():
    base, model = BaseWidth(width=16), build(64)
    mup_initialise(model, base, seed=1, sigma=0.02)
    assert model.model.layers[0].mlp.up_proj.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert model.model.embed_tokens.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.lm_head.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert (model.model.norm.weight == 1).all()
    flat, outer, inner = mup_parameter_groups(model, base, learning_rate=0.01, weight_decay=0.1)
    assert [group["lr"] for group in (flat, outer, inner)] == [0.01, 0.01, 0.0025]
    assert [group["lr_share"] for group in (flat, outer, inner)] == [1.0, 1.0, 0.25]
    # Rate times decay, which is what AdamW takes of a weight, is the same for all matrices.
    assert [group["lr"] * group["weight_decay"] for group in (outer, inner)] == [0.001, 0.001]
    assert flat["weight_decay"] == 0.0
    plain = logits(model, ids(1, 5))
    with mup_forward(model, base):
        assert torch.allclose(logits(model, ids(1, 5)), 0.25 * plain, atol=1e-7)


@pytest.mark.parametrize("tied", [False, True])
def test_every_parameter_is_in_one_group_and_the_blocks_are_hidden(tied):
    model = build(tied=tied)
    flat, outer, inner = mup_parameter_groups(model, BaseWidth(width=16), 0.01, 0.1)
    placed = [id(p) for group in (flat, outer, inner) for p in group["params"]]
    assert sorted(placed) == sorted(id(p) for p in model.parameters())
    assert len(outer["params"]) == (1 if tied else 2)
    assert len(inner["params"]) == 2 * 7
    assert all(p.ndim == 1 for p in flat["params"])


def test_at_the_base_width_the_model_is_the_plain_one_to_the_bit():
    model, base = build(64), BaseWidth(width=64, head_size=16)
    plain = logits(model, ids(2, 6))
    with mup_forward(model, base):
        assert torch.equal(logits(model, ids(2, 6)), plain)
    groups = mup_parameter_groups(model, base, 0.01, 0.1)
    assert {group["lr"] for group in groups} == {0.01}
    assert {group["weight_decay"] for group in groups} == {0.0, 0.1}


def test_the_multipliers_can_be_folded_into_a_plain_model():
    model, base = build(64, heads=2), BaseWidth(width=16, head_size=8)
    mup_initialise(model, base, seed=0, sigma=0.5)
    plain = logits(model, ids(2, 6))
    with mup_forward(model, base):
        # Head size 32 for a base of 8.
        assert model.model.layers[0].self_attn.scaling == pytest.approx(math.sqrt(8) / 32)
        scaled = logits(model, ids(2, 6))
    assert model.model.layers[0].self_attn.scaling == pytest.approx(1 / math.sqrt(32))
    assert torch.equal(logits(model, ids(2, 6)), plain)
    fold_mup(model, base)
    assert torch.allclose(logits(model, ids(2, 6)), scaled, atol=1e-5)
    assert not torch.allclose(scaled, plain / 4, atol=1e-3)


def sizes_after_training(width, base, steps=4):
    """Mean magnitude of the output of each block and of the logits, after a few steps."""
    model = build(width)
    mup_initialise(model, base, seed=0, sigma=0.1, zero_output=True, zero_query=True)
    groups = mup_parameter_groups(model, base, learning_rate=0.01, weight_decay=0.0)
    optimizer = torch.optim.Adam(groups)
    input_ids = ids(4, 16)
    sizes = []
    with mup_forward(model, base):
        for _ in range(steps):
            optimizer.zero_grad()
            token_losses(logits(model, input_ids), input_ids).mean().backward()
            optimizer.step()
        for module in (*model.model.layers, model.lm_head):
            module.register_forward_hook(
                lambda _, __, output: sizes.append(output.detach().abs().mean().item())
            )
        logits(model, input_ids)
    return sizes


def slopes(base_of):
    widths = (64, 128, 256)
    sizes = torch.tensor([sizes_after_training(width, base_of(width)) for width in widths]).log()
    steps = torch.tensor(widths).float().log()
    steps = steps - steps.mean()
    return (steps[:, None] * sizes).sum(0) / steps.square().sum()


def test_after_a_few_steps_no_activation_grows_or_shrinks_with_the_width():
    assert slopes(lambda _: BaseWidth(width=64)).abs().max() < 0.1
    # Without muP (every width its own base) they grow: the check can fail.
    assert slopes(lambda width: BaseWidth(width=width)).min() > 0.3


def test_the_seed_decides_and_the_global_random_state_is_not_touched():
    state = torch.random.get_rng_state()
    first, again, other = (build() for _ in range(3))
    for model, seed in ((first, 0), (again, 0), (other, 1)):
        mup_initialise(model, BaseWidth(width=16), seed=seed)
    assert torch.equal(first.lm_head.weight, again.lm_head.weight)
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_cannot_be_is_an_error():
    with pytest.raises(ValueError, match="tied output layer"):
        mup_initialise(build(tied=True), BaseWidth(width=16), seed=0, zero_output=True)
    with pytest.raises(ValueError, match="width and head_size"):
        BaseWidth(width=0)
