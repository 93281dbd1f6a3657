"""Random layer-token dropping: the middle layers see a random part of the tokens.

Source: Yao et al., "Random-LTD: Random and Layerwise Token Dropping Brings Efficient Training for
Large-scale Transformers" (2022, arXiv 2211.11586), and DeepSpeed's scheduler.

Each middle layer draws its own positions, keeps them in order (causal attention stays causal), and
works on them alone; a token that is left out passes the layer unchanged. Rotary positions are those
of the whole sequence. The loss is over all tokens, and evaluation drops none.

Works through hooks on the layers of a Hugging Face decoder: no module is replaced, so parameters,
their names and checkpoints are those of the plain model.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from operators.modeling.decoder import decoder_of


@dataclass(frozen=True, kw_only=True)
class KeptTokens:
    """How many tokens a middle layer keeps (DeepSpeed's ``fixed_linear``).

    Attributes:
        minimum: at the start, ``>= increment``.
        maximum: from ``steps`` on; the length of the sequences. A multiple of ``increment``, or it
            would never be reached.
        steps: over which the number grows, ``>= 1``.
        increment: the number is rounded down to a multiple of it; tensor shapes change only as
            often as it does.
    """

    minimum: int
    maximum: int
    steps: int
    increment: int = 1

    def __post_init__(self) -> None:
        if self.increment < 1 or self.steps < 1:
            raise ValueError(
                f"increment and steps must be >= 1, got {self.increment} and {self.steps}"
            )
        if not self.increment <= self.minimum <= self.maximum or self.maximum % self.increment:
            raise ValueError(
                f"minimum {self.minimum} must lie between increment {self.increment} and maximum "
                f"{self.maximum}, and the maximum must be a multiple of the increment"
            )

    def after(self, steps_done: int) -> int:
        """Tokens to keep in the step that comes after ``steps_done`` steps (0 at first).

        Raises:
            ValueError: a negative number of steps.
        """
        if steps_done < 0:
            raise ValueError(f"steps_done must be >= 0, got {steps_done}")
        kept = self.minimum + (self.maximum - self.minimum) * steps_done // self.steps
        return min(kept - kept % self.increment, self.maximum)


def layer_tokens(batch: int, length: int, kept: int, layers: int, dropping_layers: int) -> int:
    """Tokens that all layers of a step see together: ``batch (kept L_ltd + length (L - L_ltd))``.

    The unit in which runs with and without dropping are compared.
    """
    return batch * (kept * dropping_layers + length * (layers - dropping_layers))


class TokenDropping:
    """The switch of `random_layer_token_dropping`.

    Attributes:
        kept: tokens each middle layer keeps; ``None``, or as many as the sequence has, drops none
            and leaves the forward pass as it is, to the bit.
        generator: where the positions are drawn from, on the CPU, so that every device gets the
            same. Seed it by the step (and the rank), and a resumed run draws as if it had not
            stopped.
        layers: the numbers of the layers that drop.
        layer_tokens: tokens that all layers saw in the last forward pass of training.
    """

    def __init__(self, decoder: nn.Module, layers: Sequence[int]) -> None:
        self.kept: int | None = None
        self.generator = torch.Generator()
        self.layers = tuple(layers)
        self.layer_tokens = 0
        self._total_layers = len(decoder.layers)  # type: ignore[arg-type]
        self._positions: dict[int, Tensor] = {}
        self._whole: dict[int, Tensor] = {}

    def _draw(self, decoder: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Draw for all layers when a forward pass begins: a layer that is run again in the
        backward pass (activation checkpointing) must find the positions it had."""
        given = args[0] if args else kwargs.get("input_ids", kwargs.get("inputs_embeds"))
        if not decoder.training or given is None:
            self._positions = {}
            return
        batch, length = given.shape[:2]
        kept = length if self.kept is None else min(self.kept, length)
        self._positions = {}
        if kept < length:
            for layer in self.layers:
                order = torch.rand(batch, length, generator=self.generator)
                chosen = order.topk(kept, dim=-1).indices.sort(dim=-1).values
                self._positions[layer] = chosen.to(given.device)
        self.layer_tokens = layer_tokens(batch, length, kept, self._total_layers, len(self.layers))

    def _gather(
        self, layer: int, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        positions = self._positions.get(layer)
        if positions is None:
            return None
        if kwargs.get("past_key_values") is not None:
            raise ValueError("tokens cannot be dropped with a cache; call with use_cache=False")
        hidden = args[0] if args else kwargs["hidden_states"]
        self._whole[layer] = hidden
        part = _at(hidden, positions)
        changed = {name: value for name, value in kwargs.items() if name != "hidden_states"}
        if changed.get("attention_mask") is not None:
            changed["attention_mask"] = _mask_at(changed["attention_mask"], positions)
        if changed.get("position_ids") is not None:
            changed["position_ids"] = _at(changed["position_ids"], positions)
        if changed.get("position_embeddings") is not None:
            changed["position_embeddings"] = tuple(
                _at(table, positions) for table in changed["position_embeddings"]
            )
        return (part, *args[1:]), changed

    def _scatter(self, layer: int, output: Tensor) -> Tensor | None:
        whole = self._whole.pop(layer, None)
        if whole is None:
            return None
        places = self._positions[layer][..., None].expand_as(output)
        return whole.scatter(1, places, output.to(whole.dtype))


@contextmanager
def random_layer_token_dropping(
    model: nn.Module, layers: Sequence[int] | None = None
) -> Iterator[TokenDropping]:
    """Drop tokens in some layers of ``model`` for the length of the block.

    Set `TokenDropping.kept` and seed its generator before each step.

    Args:
        model: a Llama-shaped causal language model with the attention ``sdpa`` or ``eager``.
        layers: numbers of the layers that drop; ``None`` takes all but the first and the last.

    Raises:
        ValueError: a model, a layer or an attention that this cannot work with; a forward pass of
            training with a cache.
    """
    decoder = decoder_of(model)
    blocks = list(decoder.layers)  # type: ignore[arg-type]
    chosen = tuple(range(1, len(blocks) - 1)) if layers is None else tuple(layers)
    if not all(0 <= layer < len(blocks) for layer in chosen):
        raise ValueError(f"layers {list(chosen)} of a model that has {len(blocks)}")
    attention = getattr(decoder.config, "_attn_implementation", "sdpa")
    if attention not in ("sdpa", "eager"):
        raise ValueError(
            f"tokens cannot be dropped with the attention {attention!r}; use sdpa or eager"
        )
    dropping = TokenDropping(decoder, chosen)
    hooks = [decoder.register_forward_pre_hook(dropping._draw, with_kwargs=True)]
    for layer in chosen:
        hooks += _hooks(blocks[layer], layer, dropping)
    try:
        yield dropping
    finally:
        for hook in hooks:
            hook.remove()


def _hooks(block: nn.Module, layer: int, dropping: TokenDropping) -> list[RemovableHandle]:
    def before(
        _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        return dropping._gather(layer, args, kwargs)

    def after(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        return dropping._scatter(layer, output)

    return [
        block.register_forward_pre_hook(before, with_kwargs=True),
        block.register_forward_hook(after),
    ]


def _at(values: Tensor, positions: Tensor) -> Tensor:
    """``[b, s, ...]``: the rows of ``values`` ``[b or 1, t, ...]`` at ``positions`` ``[b, s]``."""
    rows = values.expand(positions.shape[0], *values.shape[1:])
    index = positions.view(*positions.shape, *[1] * (values.ndim - 2))
    return rows.gather(1, index.expand(*positions.shape, *values.shape[2:]))


def _mask_at(mask: Tensor, positions: Tensor) -> Tensor:
    """``[b, h, s, s]`` of a mask ``[b or 1, h, t, t]``: queries and keys are picked."""
    queries = mask.expand(positions.shape[0], *mask.shape[1:])
    batch, heads, _, keys = queries.shape
    kept = positions.shape[1]
    queries = queries.gather(2, positions[:, None, :, None].expand(batch, heads, kept, keys))
    return queries.gather(3, positions[:, None, None, :].expand(batch, heads, kept, kept))
