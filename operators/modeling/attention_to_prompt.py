"""How much attention each token pays to its prompt, recomputed for one layer of a model.

ssToken (Qin et al. 2026, arXiv 2510.18250) scores a response token by the attention that it pays to
the prompt, summed over the prompt and averaged over the heads of one deep layer. Fast attention
gives no such numbers, and ``output_attentions=True`` makes every layer slow. Here a hook keeps the
hidden states that go into the attention of one layer during the ordinary forward pass, and only
its query and key are computed again.
"""

from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class AttentionToPrompt:
    """Watches one attention layer of a Llama-like model while it is open.

    ```python
    with AttentionToPrompt(model) as attention:
        logits = model(input_ids=ids, use_cache=False).logits
        shares = attention.shares(prompt)   # before the optimiser steps
    ```

    The model may be wrapped (LoRA, DDP). Its attention must be called ``self_attn`` and have
    ``q_proj``, ``k_proj``, ``head_dim`` and rotary position embeddings from outside: Llama,
    Mistral, Qwen2 and models of their shape.
    """

    def __init__(self, model: nn.Module, layer: int = -1) -> None:
        """
        Args:
            model: the model; nothing of it is changed.
            layer: which of its layers, from 0; below 0 from the last one.

        Raises:
            ValueError: a model of another shape, or no such layer.
        """
        layers = [m for name, m in model.named_modules() if name.split(".")[-1] == "self_attn"]
        if not -len(layers) <= layer < len(layers):
            raise ValueError(f"layer {layer} of a model with {len(layers)} self_attn layers")
        self._layer: Any = layers[layer]
        missing = [n for n in ("q_proj", "k_proj", "head_dim") if not hasattr(self._layer, n)]
        if missing or hasattr(self._layer, "q_norm"):
            what = f"has no {', '.join(missing)}" if missing else "normalises queries and keys"
            kind = type(self._layer).__name__
            raise ValueError(f"{kind} {what}: only attention like Llama's can be recomputed")
        self._seen: tuple[Tensor, tuple[Tensor, Tensor], Tensor | None] | None = None
        self._hook: Any = None

    def __enter__(self) -> "AttentionToPrompt":
        self._hook = self._layer.register_forward_pre_hook(self._keep, with_kwargs=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hook.remove()
        self._seen = None

    @torch.no_grad()
    def shares(self, prompt: Tensor) -> Tensor:
        """Attention of each token of the last forward pass to the prompt of its row.

        Uses the weights as they are now: ask before the optimiser steps.

        Args:
            prompt: boolean ``[b, t]``, the prompt of each row.

        Returns:
            ``[b, t]`` in ``[0, 1]``, float32 (float64 for a model in float64): at ``[i, j]`` the
            sum over the prompt of the attention that token ``j`` pays, averaged over heads. A
            token sees itself and what is before it, within its mask if the model was given one.

        Raises:
            RuntimeError: no forward pass was seen.
            ValueError: a prompt that does not belong to it, or a mask of a form not known.
        """
        if self._seen is None:
            raise RuntimeError("no forward pass was seen: run the model inside of the with block")
        hidden, (cos, sin), mask = self._seen
        b, t = hidden.shape[:2]
        if prompt.shape != (b, t):
            raise ValueError(
                f"prompt {tuple(prompt.shape)} does not belong to hidden states {(b, t)}"
            )
        size = self._layer.head_dim
        # [b, heads, t, size]; there may be fewer keys than queries.
        query = self._layer.q_proj(hidden).view(b, t, -1, size).transpose(1, 2)
        key = self._layer.k_proj(hidden).view(b, t, -1, size).transpose(1, 2)
        query, key = _turned(query, cos, sin), _turned(key, cos, sin)
        key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
        wide = torch.float64 if query.dtype == torch.float64 else torch.float32
        # What attention gives for values that are 1 at the prompt and 0 elsewhere is the sum
        # asked for: no [t, t] matrix is stored where the kernel stores none. (Kernels that store
        # none want values as wide as the keys, and contiguous.)
        values = prompt.to(wide)[:, None, :, None].expand(query.shape).contiguous()
        with torch.autocast(query.device.type, enabled=False):
            attended = functional.scaled_dot_product_attention(
                query.to(wide),
                key.to(wide),
                values,
                attn_mask=mask if mask is None or mask.dtype == torch.bool else mask.to(wide),
                is_causal=mask is None,
                scale=getattr(self._layer, "scaling", None),
            )
        return attended[..., 0].mean(dim=1)

    def _keep(self, layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        hidden = named["hidden_states"] if "hidden_states" in named else given[0]
        positions = named.get("position_embeddings")
        if positions is None:
            raise ValueError(
                f"{type(layer).__name__} was given no position_embeddings: a model like Llama of "
                "transformers 4.48 or later is needed"
            )
        mask = named.get("attention_mask")
        if mask is not None and not (isinstance(mask, Tensor) and mask.ndim == 4):
            raise ValueError(
                f"an attention mask of type {type(mask).__name__} cannot be used: take the "
                "attention implementation sdpa or eager"
            )
        self._seen = hidden.detach(), positions, mask


def _turned(vectors: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions: each pair ``(k, k + size/2)`` is turned by its angle."""
    first, second = vectors.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return vectors * cos.unsqueeze(1) + turned * sin.unsqueeze(1)
