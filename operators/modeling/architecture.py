"""Small decoder-only language models of the Llama architecture, built from a shape and a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


@dataclass(frozen=True)
class LlamaShape:
    """The size of a Llama model, without its vocabulary (which the tokenizer decides).

    Attributes:
        hidden_size: width of the residual stream; a multiple of ``heads``.
        layers: number of decoder blocks.
        heads: query heads; ``hidden_size / heads`` must be even (rotary positions turn pairs).
        kv_heads: key and value heads; divides ``heads``.
        intermediate_size: width of the gated feed-forward layer.
        context_length: longest input in tokens.
        tie_embeddings: whether the output layer is the input embedding.
        rope_theta: base of the rotary position frequencies.
    """

    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    intermediate_size: int
    context_length: int
    tie_embeddings: bool = True
    rope_theta: float = 10_000.0

    def __post_init__(self) -> None:
        for name in ("hidden_size", "layers", "heads", "kv_heads", "intermediate_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.context_length < 2:
            raise ValueError(f"context_length must be >= 2, got {self.context_length}")
        if self.hidden_size % self.heads or (self.hidden_size // self.heads) % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be an even multiple of heads {self.heads}"
            )
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads {self.kv_heads} must divide heads {self.heads}")
        if not self.rope_theta > 0:
            raise ValueError(f"rope_theta must be > 0, got {self.rope_theta}")


def build_llama(
    shape: LlamaShape,
    vocab_size: int,
    *,
    bos_token_id: int | None,
    eos_token_id: int | None,
    seed: int,
) -> LlamaForCausalLM:
    """A freshly initialised `transformers.LlamaForCausalLM` in float32 on the CPU.

    The weights are a function of ``shape``, ``vocab_size`` and ``seed`` alone; the global random
    state is left as it was. Weights are drawn from N(0, 0.02), norms are 1.

    Raises:
        ValueError: a vocabulary below 2, or a special token outside it.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    if vocab_size < 2:
        raise ValueError(f"vocab_size must be >= 2, got {vocab_size}")
    for name, token in (("bos_token_id", bos_token_id), ("eos_token_id", eos_token_id)):
        if token is not None and not 0 <= token < vocab_size:
            raise ValueError(f"{name} {token} is outside the vocabulary of {vocab_size}")

    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.context_length,
        tie_word_embeddings=shape.tie_embeddings,
        # Read by transformers 4 as it stands and by transformers 5 into `rope_parameters`.
        rope_theta=shape.rope_theta,
        bos_token_id=bos_token_id,
        eos_token_id=eos_token_id,
        attn_implementation="sdpa",
    )
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that one would also seed the GPUs, which are not forked here.
        torch.default_generator.manual_seed(seed)
        return LlamaForCausalLM(config).to(torch.float32)


def parameter_count(model: torch.nn.Module) -> int:
    """Number of parameters; a tensor that is used twice (tied embeddings) counts once."""
    return sum(parameter.numel() for parameter in model.parameters())
