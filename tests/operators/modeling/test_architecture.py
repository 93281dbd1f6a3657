"""A model is a function of its shape, vocabulary and seed, and of nothing else."""

import pytest
import torch

from operators.modeling import LlamaShape, build_llama, parameter_count

SIZES = {
    "hidden_size": 16,
    "layers": 2,
    "heads": 4,
    "kv_heads": 2,
    "intermediate_size": 24,
    "context_length": 32,
}
SHAPE = LlamaShape(**SIZES)


def build(seed=0, **changes):
    shape = LlamaShape(**{**SIZES, **changes})
    return build_llama(shape, 50, bos_token_id=0, eos_token_id=1, seed=seed)


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    assert torch.equal(weights(build(seed=3)), weights(build(seed=3)))
    assert not torch.equal(weights(build(seed=3)), weights(build(seed=4)))


def test_the_global_random_state_neither_matters_nor_moves():
    torch.manual_seed(1)
    first = weights(build())
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(weights(build()), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_shape_and_the_tokens_reach_the_configuration():
    model = build(rope_theta=5000.0)
    config = model.config
    assert (config.hidden_size, config.num_hidden_layers, config.intermediate_size) == (16, 2, 24)
    assert (config.num_attention_heads, config.num_key_value_heads) == (4, 2)
    assert (config.max_position_embeddings, config.vocab_size) == (32, 50)
    assert (config.bos_token_id, config.eos_token_id) == (0, 1)
    assert config._attn_implementation == "sdpa"
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    # head_dim is 4: the second of its two frequencies is theta^(-2/4).
    assert model.model.rotary_emb.inv_freq.tolist() == pytest.approx([1.0, 5000.0**-0.5])


def test_parameters_are_counted_once_when_embeddings_are_tied():
    # Per layer: q and o 16x16, k and v 16x8, three 16x24 feed-forward matrices, two norms.
    layer = 2 * 256 + 2 * 128 + 3 * 384 + 2 * 16
    assert parameter_count(build()) == 50 * 16 + 2 * layer + 16
    assert parameter_count(build(tie_embeddings=False)) == 2 * 50 * 16 + 2 * layer + 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 18}, "hidden_size 18"),
        ({"hidden_size": 12}, "even multiple"),
        ({"kv_heads": 3}, "kv_heads 3"),
        ({"layers": 0}, "layers"),
        ({"context_length": 1}, "context_length"),
        ({"rope_theta": 0.0}, "rope_theta"),
    ],
)
def test_an_impossible_shape_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        LlamaShape(**{**SIZES, **changes})


def test_a_special_token_outside_the_vocabulary_is_an_error():
    with pytest.raises(ValueError, match="eos_token_id 50"):
        build_llama(SHAPE, 50, bos_token_id=None, eos_token_id=50, seed=0)
    with pytest.raises(ValueError, match="vocab_size"):
        build_llama(SHAPE, 1, bos_token_id=None, eos_token_id=None, seed=0)
