"""The attention to the prompt is what the model itself would tell, layer by layer."""

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from operators.modeling.attention_to_prompt import AttentionToPrompt

LENGTH = 9


def tiny(attention="sdpa", kv_heads=2):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20, hidden_size=16, intermediate_size=24, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=kv_heads, attn_implementation=attention,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8.0)  # attention far from uniform
    return model.eval()


@pytest.fixture
def ids():
    return torch.randint(0, 20, (3, LENGTH), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def prompt():
    return torch.arange(LENGTH) < torch.tensor([[3], [1], [5]])


def told(model, ids, prompt, layer, **given):
    """What ``output_attentions`` says: [b, heads, t, t] of each layer."""
    with torch.no_grad():
        weights = model(input_ids=ids, output_attentions=True, **given).attentions[layer]
    return (weights.mean(dim=1) * prompt.unsqueeze(1)).sum(dim=-1)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("layer", [-1, 0, 1])
def test_it_is_what_an_eager_model_tells(ids, prompt, kv_heads, layer):
    fast, eager = tiny(kv_heads=kv_heads), tiny("eager", kv_heads)
    with AttentionToPrompt(fast, layer) as attention:
        fast(input_ids=ids, use_cache=False)
        shares = attention.shares(prompt)
    expected = told(eager, ids, prompt, layer)
    assert float(expected[0, 5:].max() - expected[0, 5:].min()) > 0.05, "the test says too little"
    torch.testing.assert_close(shares, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_mask_that_the_model_was_given_holds_here_too(ids, prompt, implementation):
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    model = tiny(implementation)
    with AttentionToPrompt(model) as attention:
        model(input_ids=ids, attention_mask=mask, use_cache=False)
        shares = attention.shares(prompt)
    expected = told(tiny("eager"), ids, prompt, -1, attention_mask=mask)
    torch.testing.assert_close(shares, expected, rtol=1e-4, atol=1e-5)


def test_a_token_of_the_prompt_pays_all_of_its_attention_to_it(ids, prompt):
    model = tiny()
    with AttentionToPrompt(model) as attention:
        model(input_ids=ids, use_cache=False)
        shares = attention.shares(prompt)
    assert shares[prompt].tolist() == pytest.approx([1.0] * int(prompt.sum()), abs=1e-6)
    assert (shares <= 1 + 1e-6).all()


def test_no_prompt_gets_no_attention(ids):
    model = tiny()
    with AttentionToPrompt(model) as attention:
        model(input_ids=ids, use_cache=False)
        shares = attention.shares(torch.zeros_like(ids, dtype=torch.bool))
    assert float(shares.abs().max()) == 0.0


def test_a_wrapped_model_in_training_is_watched_and_keeps_its_gradients(ids, prompt):
    model = tiny().train()
    wrapped = nn.ModuleDict({"inner": model})
    model(input_ids=ids, use_cache=False).logits.sum().backward()
    plain = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    with AttentionToPrompt(wrapped) as attention:
        logits = model(input_ids=ids, use_cache=False).logits
        assert not attention.shares(prompt).requires_grad
        logits.sum().backward()
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), plain, strict=True))


def test_it_computes_in_float32_under_autocast(ids, prompt):
    model = tiny()
    with AttentionToPrompt(model) as attention, torch.autocast("cpu", torch.bfloat16):
        model(input_ids=ids, use_cache=False)
        shares = attention.shares(prompt)
    assert shares.dtype == torch.float32
    torch.testing.assert_close(shares, told(tiny("eager"), ids, prompt, -1), rtol=0.2, atol=0.1)


def test_afterwards_the_hook_is_gone(ids, prompt):
    model = tiny()
    attention = AttentionToPrompt(model)
    with attention:
        pass
    model(input_ids=ids, use_cache=False)
    with pytest.raises(RuntimeError, match="no forward pass"):
        attention.shares(prompt)


def test_models_of_another_shape_are_named(ids, prompt):
    with pytest.raises(ValueError, match="layer 3 of a model with 3"):
        AttentionToPrompt(tiny(), 3)
    with pytest.raises(ValueError, match="0 self_attn layers"):
        AttentionToPrompt(nn.Linear(2, 2))
    other = nn.ModuleDict({"self_attn": nn.Linear(2, 2)})
    with pytest.raises(ValueError, match="Linear has no q_proj"):
        AttentionToPrompt(other)
    model = tiny()
    with AttentionToPrompt(model) as attention:
        model(input_ids=ids, use_cache=False)
        with pytest.raises(ValueError, match="does not belong"):
            attention.shares(prompt[:1])
