"""The token ids that a model's configuration holds, and how they move to another vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# One id, or a list of them (several ends of text).
_IDS = (
    "bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sep_token_id",
    "cls_token_id", "mask_token_id", "decoder_start_token_id", "forced_bos_token_id",
    "forced_eos_token_id",
)  # fmt: skip

# Lists of ids that must not be generated: one without a counterpart needs no mention any more.
_SUPPRESSED = ("suppress_tokens", "begin_suppress_tokens")

# Spelled in old tokens. What they mean in new ones is the user's to say.
_SPELLED = ("bad_words_ids", "force_words_ids", "sequence_bias")


def move_special_ids(
    model: PreTrainedModel, moves: Mapping[int, int], *, suppressed: Iterable[int] = ()
) -> None:
    """Rewrite, in place, the ids in the configuration, generation configuration and embedding.

    Args:
        model: with its new embeddings.
        moves: old id -> new id.
        suppressed: new ids that `generate` shall never choose (padded rows).

    Raises:
        ValueError: naming an id without a counterpart, or a setting that holds spelled words.
    """
    configurations = [("config", model.config)]
    text = model.config.get_text_config()
    if text is not model.config:
        configurations.append(("text_config", text))
    generation = getattr(model, "generation_config", None)
    if generation is not None:
        configurations.append(("generation_config", generation))
    for where, configuration in configurations:
        for name in _SPELLED:
            if getattr(configuration, name, None):
                raise ValueError(
                    f"{where}.{name} holds ids of the old tokenizer: set it to None, and after "
                    "the swap to ids of the new one"
                )
        for name in _IDS:
            value = getattr(configuration, name, None)
            if value is not None:
                setattr(configuration, name, _moved(value, moves, f"{where}.{name}"))
        for name in _SUPPRESSED:
            ids = getattr(configuration, name, None)
            if ids:
                setattr(configuration, name, [moves[number] for number in ids if number in moves])
    never = [int(number) for number in suppressed]
    if never and generation is not None:
        known = generation.suppress_tokens or []
        generation.suppress_tokens = sorted({*known, *never})
    _move_padding_index(model)


def _moved(value: Any, moves: Mapping[int, int], where: str) -> Any:
    if isinstance(value, (list, tuple)):
        return [_moved(one, moves, where) for one in value]
    if value not in moves:
        raise ValueError(
            f"{where} is {value}, a token that the new vocabulary does not have: name the special "
            "token that takes over in specials, or set it to None before the swap"
        )
    return moves[value]


def _move_padding_index(model: PreTrainedModel) -> None:
    """The row that gets no gradient is that of the padding token."""
    padding = model.config.get_text_config().pad_token_id
    embedding = model.get_input_embeddings()
    if getattr(embedding, "padding_idx", None) is not None:
        embedding.padding_idx = padding
    base = getattr(model, model.base_model_prefix, model)
    if getattr(base, "padding_idx", None) is not None:
        base.padding_idx = padding
