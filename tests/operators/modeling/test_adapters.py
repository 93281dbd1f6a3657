"""Adapters change nothing until they are trained, and can be merged away."""

import importlib.util
import json
import sys

import pytest
import torch

from operators.modeling.adapters import (
    BLOCK_MATRICES,
    LowRank,
    add_adapters,
    load_adapters,
    merge_adapters,
    save_adapters,
)
from operators.modeling.architecture import LlamaShape, build_llama, parameter_count
from operators.modeling.checkpoints import load_model, save_model
from operators.modeling.decoder import decoder_of

needs_peft = pytest.mark.skipif(
    importlib.util.find_spec("peft") is None, reason="peft is not installed"
)
SIZE = LowRank(rank=2, alpha=4.0)


def build():
    shape = LlamaShape(
        hidden_size=16, layers=2, heads=2, kv_heads=2, intermediate_size=24, context_length=16
    )
    return build_llama(shape, 9, bos_token_id=None, eos_token_id=None, seed=1)


IDS = torch.arange(8)[None]


def logits(model):
    return model(input_ids=IDS, use_cache=False).logits


def trained(seed=0):
    """A model with adapters after a few steps."""
    adapted = add_adapters(build(), SIZE, seed)
    optimizer = torch.optim.SGD([p for p in adapted.parameters() if p.requires_grad], lr=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        logits(adapted)[:, :, 3].sum().neg().backward()
        optimizer.step()
    return adapted


def test_without_the_library_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'tokenmill\[adapters\]'"):
        add_adapters(build(), SIZE, seed=0)


@needs_peft
def test_fresh_adapters_change_nothing_to_the_bit():
    plain = logits(build())
    assert torch.equal(logits(add_adapters(build(), SIZE, seed=0)), plain)


@needs_peft
def test_only_the_adapters_are_trained():
    model = build()
    base = {name: value.clone() for name, value in model.state_dict().items()}
    adapted = add_adapters(model, SIZE, seed=0)
    trainable = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert all("lora_" in name for name in trainable)
    # Two layers; rank 2 times the inputs and the outputs of four square and three flat matrices.
    expected = 2 * 2 * (4 * (16 + 16) + 3 * (16 + 24))
    assert sum(p.numel() for p in adapted.parameters() if p.requires_grad) == expected
    logits(adapted)[:, :, 3].sum().backward()
    torch.optim.SGD(adapted.parameters(), lr=1.0).step()
    values = adapted.state_dict()
    for name, value in base.items():
        adapted_name = next(
            n for n in values if n.replace(".base_layer", "").endswith(f"model.{name}")
        )
        assert torch.equal(values[adapted_name], value)


@needs_peft
def test_a_merged_model_is_a_plain_one_with_the_same_outputs(tmp_path):
    adapted = trained()
    outputs = logits(adapted)
    assert not torch.allclose(outputs, logits(build()), atol=1e-3)
    merged = merge_adapters(adapted)
    assert list(merged.state_dict()) == list(build().state_dict())
    assert parameter_count(merged) == parameter_count(build())
    assert all(parameter.requires_grad for parameter in merged.parameters())
    assert torch.allclose(logits(merged), outputs, atol=1e-5)
    save_model(merged, tmp_path)
    assert torch.equal(logits(load_model(tmp_path, device="cpu")), logits(merged))


@needs_peft
@pytest.mark.parametrize("trainable", [False, True])
def test_saved_adapters_are_read_again(tmp_path, trainable):
    adapted = trained()
    save_adapters(adapted, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    config = json.loads((tmp_path / "adapter_config.json").read_text("utf-8"))
    assert config["target_modules"] == sorted(BLOCK_MATRICES)
    again = load_adapters(build(), tmp_path, trainable=trainable)
    assert torch.equal(logits(again), logits(adapted))
    assert any(parameter.requires_grad for parameter in again.parameters()) == trainable


@needs_peft
def test_the_seed_decides_and_the_global_random_state_is_not_touched():
    state = torch.random.get_rng_state()
    first, again, other = (logits(trained(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


@needs_peft
def test_the_decoder_is_found_beneath_adapters():
    assert len(decoder_of(add_adapters(build(), SIZE, seed=0)).layers) == 2


@needs_peft
def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no linear layers called c_attn; it has .*q_proj"):
        add_adapters(build(), LowRank(targets=["q_proj", "c_attn"]), seed=0)
    with pytest.raises(ValueError, match="LlamaForCausalLM has no adapters"):
        merge_adapters(build())
    with pytest.raises(FileNotFoundError, match=r"adapter_config.json is missing"):
        load_adapters(build(), tmp_path, trainable=False)


@pytest.mark.parametrize(
    "change",
    [{"rank": 0}, {"alpha": 0.0}, {"dropout": 1.0}, {"targets": []}, {"targets": "q_proj"}],
)
def test_an_impossible_size_is_named(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        LowRank(**change)
