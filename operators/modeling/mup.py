"""Maximal update parametrisation (muP): a learning rate found on a narrow model fits a wide one.

Source: Yang et al., "Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter
Transfer" (2022, arXiv 2203.03466), with Adam. With ``m = width / base width``:

=================== ===================== ============= =====================
tensor              initial deviation     learning rate forward pass
=================== ===================== ============= =====================
embeddings, norms   sigma                 eta           times 1
hidden matrices     sigma / sqrt(m)       eta / m       times 1
output layer        sigma, or 0           eta           times 1 / m
attention scores    -                     -             1 / head size
=================== ===================== ============= =====================

Scores are divided by ``head size / sqrt(base head size)``, so that the base width is the plain
model to the bit. The feed-forward width is taken to grow like the width of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from operators.modeling.decoder import decoder_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class BaseWidth:
    """The model on which the learning rate was found.

    Attributes:
        width: its hidden size.
        head_size: size of its attention heads; ``None`` where it does not change with the width
            (wider models have more heads).
    """

    width: int
    head_size: int | None = None

    def __post_init__(self) -> None:
        if self.width < 1 or (self.head_size is not None and self.head_size < 1):
            raise ValueError(
                f"width and head_size must be >= 1, got {self.width} and {self.head_size}"
            )

    def multiplier(self, model: PreTrainedModel) -> float:
        """``m``: how many times wider ``model`` is."""
        return float(model.config.hidden_size / self.width)

    def score_scale(self, head_size: int) -> float:
        """What attention scores are multiplied by."""
        if self.head_size is None or self.head_size == head_size:
            return float(head_size**-0.5)
        return float(self.head_size**0.5 / head_size)


def mup_initialise(
    model: PreTrainedModel,
    base: BaseWidth,
    *,
    seed: int,
    sigma: float = 0.02,
    zero_query: bool = False,
    zero_output: bool = False,
) -> None:
    """Draw the weights of a Llama-shaped model anew, in place; norms become 1.

    Args:
        model: the model.
        base: where the learning rate was found.
        seed: the global random state is left as it was.
        sigma: standard deviation at the base width.
        zero_query: queries begin at 0, so that attention begins uniform (recommended by the paper).
        zero_output: the output layer begins at 0, as recommended; impossible where it is tied.

    Raises:
        ValueError: ``zero_output`` with tied embeddings.
    """
    hidden = {id(matrix) for matrix in _hidden_matrices(model)}
    embedding = model.get_input_embeddings().weight
    output = model.get_output_embeddings().weight
    if zero_output and output is embedding:
        raise ValueError("a tied output layer cannot begin at 0: the embeddings would too")
    narrower = base.multiplier(model) ** -0.5
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            drawn = torch.randn(parameter.shape) * sigma
            parameter.copy_(drawn * narrower if id(parameter) in hidden else drawn)
            if (zero_query and name.endswith("q_proj.weight")) or (
                zero_output and parameter is output
            ):
                parameter.zero_()


def mup_parameter_groups(
    model: PreTrainedModel, base: BaseWidth, learning_rate: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Groups for AdamW: what is not decayed, embeddings and output layer, hidden matrices.

    Each group has, besides ``lr`` and ``weight_decay``, the key ``lr_share``: a trainer with a
    schedule sets ``lr`` to the rate of the step times it. AdamW multiplies the decay by the rate;
    the decay of the hidden matrices is ``m`` times as large, so that the width does not change it.

    Args:
        model: the model; frozen parameters are left out.
        base: where the learning rate was found.
        learning_rate: the rate at the base width.
        weight_decay: the decay at the base width; tensors of one dimension are not decayed.
    """
    multiplier = base.multiplier(model)
    hidden = {id(matrix) for matrix in _hidden_matrices(model)}
    flat: list[nn.Parameter] = []
    outer: list[nn.Parameter] = []
    inner: list[nn.Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            chosen = inner if id(parameter) in hidden else outer
            (flat if parameter.ndim < 2 else chosen).append(parameter)
    rows = [
        (flat, 1.0, 0.0),
        (outer, 1.0, weight_decay),
        (inner, 1.0 / multiplier, weight_decay * multiplier),
    ]
    return [
        {"params": chosen, "lr": learning_rate * share, "lr_share": share, "weight_decay": decay}
        for chosen, share, decay in rows
    ]


@contextmanager
def mup_forward(model: PreTrainedModel, base: BaseWidth) -> Iterator[None]:
    """Run ``model`` with the multipliers of muP for the length of the block.

    The factor of the output layer stands at the last norm, so that losses made from hidden states
    without the output layer have it too.
    """
    decoder = decoder_of(model)
    multiplier = base.multiplier(model)
    attentions = _attentions(decoder)
    before = [attention.scaling for attention in attentions]
    for attention in attentions:
        attention.scaling = base.score_scale(attention.head_dim)

    def divide(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return output / multiplier

    norm: Any = decoder.norm
    hooks = [norm.register_forward_hook(divide)] if multiplier != 1 else []
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for attention, scaling in zip(attentions, before, strict=True):
            attention.scaling = scaling


def fold_mup(model: PreTrainedModel, base: BaseWidth) -> None:
    """Write the multipliers into the weights, in place: the plain model then gives what
    `mup_forward` gave. For a model that is trained and about to be saved."""
    decoder = decoder_of(model)
    norm: Any = decoder.norm
    with torch.no_grad():
        norm.weight.div_(base.multiplier(model))
        for attention in _attentions(decoder):
            factor = base.score_scale(attention.head_dim) / attention.scaling
            for parameter in attention.q_proj.parameters():
                parameter.mul_(factor)


def _attentions(decoder: nn.Module) -> list[Any]:
    blocks: Any = decoder.layers
    return [block.self_attn for block in blocks]


def _hidden_matrices(model: PreTrainedModel) -> list[nn.Parameter]:
    """Matrices whose inputs and outputs both grow with the width: those of the blocks."""
    blocks: Any = decoder_of(model).layers
    return [parameter for parameter in blocks.parameters() if parameter.ndim > 1]
