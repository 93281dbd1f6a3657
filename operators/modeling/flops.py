"""Floating-point operations of training a decoder, and the share of a device they make use of.

Convention (Chowdhery et al., "PaLM", 2022, appendix B): training on one token takes ``6 N``
operations for the ``N`` parameters that multiply it (2 in the forward pass, 4 in the backward
pass), and ``12 L d t`` for attention over ``t`` tokens in ``L`` layers of width ``d = heads x head
size``. The attention term counts all ``t`` keys of every query, although half of them are masked,
as PaLM and nanoGPT count it. What is computed again (activation checkpointing, chunked losses) is
not counted: model FLOPs utilisation measures use, not effort.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Dense bfloat16 operations per second, without sparsity, from the data sheets. The first name found
# in the device's name counts, so the special forms stand before the common ones.
PEAK_FLOPS: tuple[tuple[str, float], ...] = (
    ("H100 PCIe", 756e12),
    ("H100 NVL", 835e12),
    ("H100", 989e12),
    ("H200 NVL", 835e12),
    ("H200", 989e12),
    ("A100", 312e12),
)


@dataclass(frozen=True)
class TokenFlops:
    """Operations of training on one token.

    Attributes:
        parameters: parameters that multiply every token.
        matrices: ``6 * parameters``.
        attention: ``12 * layers * width * context_length``.
    """

    parameters: int
    matrices: int
    attention: int

    @property
    def total(self) -> int:
        """Both; the number to use for utilisation unless `matrices` alone is asked for."""
        return self.matrices + self.attention


def token_flops(model: PreTrainedModel, context_length: int) -> TokenFlops:
    """Operations of training a Hugging Face decoder on a token of sequences of ``context_length``.

    The input embedding is looked up, not multiplied: it is left out, unless it is tied to the
    output layer, which multiplies. Frozen parameters count like the others.

    Args:
        model: a causal language model.
        context_length: tokens a query attends to, ``>= 1``.

    Raises:
        ValueError: a context without tokens.
    """
    if context_length < 1:
        raise ValueError(f"context_length must be >= 1, got {context_length}")
    config = model.config
    parameters = sum(parameter.numel() for parameter in model.parameters())
    looked_up = model.get_input_embeddings().weight
    output = model.get_output_embeddings()
    if output is None or output.weight is not looked_up:
        parameters -= looked_up.numel()
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return TokenFlops(
        parameters=parameters,
        matrices=6 * parameters,
        attention=12 * config.num_hidden_layers * heads * head_size * context_length,
    )


def peak_flops(device_name: str) -> float | None:
    """Dense bfloat16 operations per second of a device; ``None`` where no data sheet is known.

    Args:
        device_name: as `torch.cuda.get_device_name` gives it, such as ``NVIDIA H100 80GB HBM3``.
    """
    for name, flops in PEAK_FLOPS:
        if name.lower() in device_name.lower():
            return flops
    return None


def device_peak_flops(device: torch.device) -> float | None:
    """`peak_flops` of a device of this machine; a CPU has no number that would mean anything."""
    if device.type != "cuda":
        return None
    return peak_flops(torch.cuda.get_device_name(device))


def model_flops_utilization(
    tokens_per_second: float, flops_per_token: float, peak: float | None, devices: int = 1
) -> float | None:
    """Share of the devices' peak that a run makes use of (MFU), or ``None`` without a peak.

    Args:
        tokens_per_second: that went through the model, on all devices together; padding and
            unscored tokens are work too and count.
        flops_per_token: of training, from `token_flops`.
        peak: operations per second of one device.
        devices: how many.

    Raises:
        ValueError: a peak or a number of devices that is not positive.
    """
    if peak is None:
        return None
    if not peak > 0 or devices < 1:
        raise ValueError(f"peak must be > 0 and devices >= 1, got {peak} and {devices}")
    return tokens_per_second * flops_per_token / (peak * devices)
