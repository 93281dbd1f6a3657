"""Multi-token prediction: extra heads that predict the tokens after the next one.

Source: Gloeckle et al., "Better & Faster Large Language Models via Multi-token Prediction" (ICML
2024, arXiv 2404.19737). All blocks of the model but the last are the trunk. The last block is head
1, which predicts the next token; head ``i`` is one more block on the same trunk, which predicts the
token ``i`` places ahead. The last norm and the unembedding are shared.

So head 1 alone is the plain model, to the bit, and a model trained like this is saved and used as
any other: the extra heads are a module of their own, for training (or for speculative decoding).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from operators.modeling.cross_entropy import chunked_token_losses
from operators.modeling.decoder import decoder_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

IGNORED = -100


def future_targets(input_ids: Tensor, heads: int, ignore: Tensor | None = None) -> Tensor:
    """What each head should predict at each place: ``[b, t, heads]``.

    Element ``[i, j, k]`` is ``input_ids[i, j + k + 1]``, or -100 where there is no such token or it
    is ignored.

    Args:
        input_ids: integer ``[b, t]``.
        heads: ``>= 1``.
        ignore: boolean ``[b, t]``, true where a token is not a target.

    Raises:
        ValueError: no heads, or shapes that differ.
    """
    if heads < 1:
        raise ValueError(f"heads must be >= 1, got {heads}")
    if ignore is not None and ignore.shape != input_ids.shape:
        raise ValueError(
            f"ignore {tuple(ignore.shape)} does not belong to ids {tuple(input_ids.shape)}"
        )
    tokens = input_ids.long() if ignore is None else input_ids.long().masked_fill(ignore, IGNORED)
    padded = nn.functional.pad(tokens, (0, heads), value=IGNORED)
    length = input_ids.shape[1]
    return torch.stack([padded[:, k + 1 : k + 1 + length] for k in range(heads)], dim=-1)


class ExtraHeads(nn.Module):
    """Heads 2 to ``heads``: one decoder block each, freshly initialised as the model's own were.

    Its parameters are trained with the model's and saved apart from them (``state_dict``).

    Args:
        model: a Llama-shaped causal language model with at least two blocks.
        heads: all heads, with the model's own; ``>= 1``. With 1 there is nothing extra.
        seed: of the initialisation; the global random state is left as it was.

    Raises:
        ValueError: no heads, or a model without a trunk.
    """

    def __init__(self, model: PreTrainedModel, heads: int, seed: int) -> None:
        super().__init__()
        if heads < 1:
            raise ValueError(f"heads must be >= 1, got {heads}")
        decoder = decoder_of(model)
        blocks: Any = decoder.layers
        if len(blocks) < 2:
            raise ValueError("extra heads need a trunk: give the model at least two layers")
        last = blocks[-1]
        reference = next(last.parameters())
        self.heads = heads
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.blocks = nn.ModuleList(
                type(last)(decoder.config, len(blocks) - 1) for _ in range(heads - 1)
            )
            self.blocks.apply(model._init_weights)
        self.blocks.to(device=reference.device, dtype=reference.dtype)
        self.train(model.training)


def multi_token_states(
    model: PreTrainedModel, extra: ExtraHeads, input_ids: Tensor, **inputs: Any
) -> list[Tensor]:
    """Normed hidden states of every head, ``heads`` times ``[b, t, d]``; the first is the model's.

    Logits are these times the unembedding: make them head by head, or in chunks
    (`operators.modeling.cross_entropy`), and there are never those of two heads at once.

    Args:
        model: the model `extra` was made for.
        extra: the heads.
        input_ids: integer ``[b, t]``.
        inputs: for the decoder, such as ``position_ids`` and ``attention_mask``.
    """
    decoder = decoder_of(model)
    blocks: Any = decoder.layers
    trunk: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def remember(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        trunk.append((args, kwargs))

    hook = blocks[-1].register_forward_pre_hook(remember, with_kwargs=True)
    try:
        own: Tensor = decoder(input_ids=input_ids, use_cache=False, **inputs).last_hidden_state
    finally:
        hook.remove()
    args, kwargs = trunk[0]
    return [own, *(decoder.norm(block(*args, **kwargs)) for block in extra.blocks)]  # type: ignore[operator]


def multi_token_losses(
    model: PreTrainedModel,
    extra: ExtraHeads,
    input_ids: Tensor,
    ignore: Tensor | None = None,
    *,
    chunk_tokens: int | None = None,
    **inputs: Any,
) -> Tensor:
    """Losses of every head ``[heads, b, t]`` in nats; the method minimises their sum.

    Element ``[k, i, j]`` stands at the token that is predicted: ``-log p(input_ids[i, j])`` as head
    ``k + 1`` has it ``k + 1`` places before. The first ``k + 1`` tokens are 0.

    Args:
        model: the model `extra` was made for.
        extra: the heads.
        input_ids: integer ``[b, t]``.
        ignore: boolean ``[b, t]``, true where a token is not scored.
        chunk_tokens: rows of logits that exist at a time.
        inputs: for the decoder. With ``position_ids`` that restart at each document (packed rows
            kept apart), a head scores only tokens whose predicting state is of their document.
    """
    unembedding = model.get_output_embeddings().weight
    positions: Tensor | None = inputs.get("position_ids")
    losses = []
    states = multi_token_states(model, extra, input_ids, **inputs)
    for ahead, hidden in enumerate(states, start=1):
        unscored = ignore
        if positions is not None:
            crossing = (positions < ahead).expand_as(input_ids)
            unscored = crossing if ignore is None else ignore | crossing
        losses.append(
            chunked_token_losses(
                hidden, unembedding, input_ids, unscored, ahead=ahead, chunk_tokens=chunk_tokens
            )
        )
    return torch.stack(losses)
