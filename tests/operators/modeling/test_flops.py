"""Operations are counted as PaLM counts them."""

import pytest
import torch

from operators.modeling.architecture import LlamaShape, build_llama, parameter_count
from operators.modeling.flops import (
    device_peak_flops,
    model_flops_utilization,
    peak_flops,
    token_flops,
)


def build(tied):
    shape = LlamaShape(
        hidden_size=16, layers=2, heads=4, kv_heads=2, intermediate_size=24, context_length=32,
        tie_embeddings=tied,
    )  # fmt: skip
    return build_llama(shape, 50, bos_token_id=None, eos_token_id=None, seed=0)


def test_a_token_takes_six_operations_a_parameter_and_twelve_for_each_key_and_channel():
    model = build(tied=True)
    flops = token_flops(model, context_length=32)
    attention = 2 * (16 * 16 + 2 * 16 * 8 + 16 * 16)
    feed_forward = 2 * 3 * 16 * 24
    norms = (2 * 2 + 1) * 16
    assert flops.parameters == attention + feed_forward + norms + 50 * 16 == parameter_count(model)
    assert flops.matrices == 6 * flops.parameters
    assert flops.attention == 12 * 2 * 16 * 32
    assert flops.total == flops.matrices + flops.attention


def test_an_embedding_that_is_only_looked_up_takes_none():
    assert token_flops(build(tied=False), 8) == token_flops(build(tied=True), 8)


def test_a_context_without_tokens_is_an_error():
    with pytest.raises(ValueError, match="context_length"):
        token_flops(build(tied=True), 0)


@pytest.mark.parametrize(
    ("name", "flops"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-40GB", 312e12),
        ("NVIDIA GeForce GTX 1080", None),
    ],
)
def test_the_peak_is_that_of_the_data_sheet(name, flops):
    assert peak_flops(name) == flops


def test_a_cpu_has_no_utilisation_unless_a_peak_is_given():
    peak = device_peak_flops(torch.device("cpu"))
    assert peak is None
    assert model_flops_utilization(1000.0, 6e9, peak) is None
    assert model_flops_utilization(1000.0, 6e9, 1e13) == pytest.approx(0.6)
    assert model_flops_utilization(1000.0, 6e9, 1e13, devices=2) == pytest.approx(0.3)


@pytest.mark.parametrize(("peak", "devices"), [(0.0, 1), (1e12, 0)])
def test_an_impossible_machine_is_an_error(peak, devices):
    with pytest.raises(ValueError, match="peak must be > 0"):
        model_flops_utilization(1.0, 1.0, peak, devices)
