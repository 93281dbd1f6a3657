"""Give a trained causal language model another tokenizer.

Everything but the embeddings stays. Input embeddings, output embeddings and the output bias get a
row for each new token (`embedding_rows` says from where), tied matrices stay tied, and the special
ids of the configuration and of the generation configuration move. The result is a model like any
other: it can be trained on, and `save_pretrained` writes it.

Swapping to the same tokenizer changes no logit, bit for bit. The first loss after a swap tells
whether rows stand where they should: near ln(vocabulary) they do not.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from operators.tokenization.byte_tokenizer import ByteTokenizer, as_byte_tokenizer
from operators.tokenization.embedding_rows import (
    ORIGINS,
    RowPlan,
    TransferMethod,
    make_rows,
    plan_rows,
)
from operators.tokenization.special_ids import move_special_ids
from operators.tokenization.vocabulary_matching import match_specials, match_tokens

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True, eq=False)
class SwappedModel:
    """A model with its new vocabulary.

    Attributes:
        model: the swapped model, on the device and in the mode of the one given.
        origins: uint8 [new vocabulary], indices into `ORIGINS`: where each token's row is from.
        padding_rows: rows behind the vocabulary. Each is a copy of an old padding row, or the
            mean of all rows, whose probability is at most 1 / vocabulary; `generate` suppresses
            them.
    """

    model: PreTrainedModel
    origins: npt.NDArray[np.uint8]
    padding_rows: int

    @property
    def counts(self) -> dict[str, int]:
        """New tokens by where their rows are from, every origin named."""
        sizes = np.bincount(self.origins, minlength=len(ORIGINS))
        return dict(zip(ORIGINS, sizes.tolist(), strict=True))


def swap_tokenizer(
    model: PreTrainedModel,
    old: Any,
    new: Any,
    *,
    method: TransferMethod = "mean",
    specials: Mapping[str, str] | None = None,
    vectors: npt.NDArray[np.floating[Any]] | None = None,
    word_position: bool = False,
    copy_equal: bool = True,
    pad_to_multiple_of: int | None = None,
    seed: int = 0,
) -> SwappedModel:
    """A copy of `model` whose vocabulary is that of `new`.

    Args:
        model: a causal language model of Transformers; it is not changed.
        old: the tokenizer it was trained with: a `ByteTokenizer` or a `tokenizers.Tokenizer`.
        new: the tokenizer it gets.
        method: where rows of tokens come from that are not copied: see `plan_rows`.
        specials: name of a new special token -> name of the old one whose row and roles it
            takes. Equal names need not be given, nor the only special token of each.
        vectors: for "focus", [new vocabulary, d].
        word_position: for "script", tell tokens that begin with a space from others.
        copy_equal: for "script", copy the rows of equal tokens.
        pad_to_multiple_of: the number of rows is a multiple of it; None keeps what the model
            has: the smallest power of two that explains its padding, or as many spare rows.
        seed: of rows that are drawn.

    Raises:
        ValueError: if the model has fewer rows than the old tokenizer has tokens, embeddings
            that are not floats, or a special id that no new token takes over; and for the
            settings that `plan_rows` and `match_specials` refuse.
    """
    import torch

    here, there = as_byte_tokenizer(old), as_byte_tokenizer(new)
    old_rows = _check(model, here, pad_to_multiple_of)
    matched = match_specials(here, there, specials)
    plan = plan_rows(
        here, there, matched,
        method=method, vectors=vectors, word_position=word_position, copy_equal=copy_equal,
    )  # fmt: skip
    size = len(there.tokens)
    rows = _padded_rows(size, old_rows, len(here.tokens), pad_to_multiple_of)
    # Made before the copy, and of the model given: a failure leaves nothing half done.
    matrices = _new_matrices(model, plan, rows, seed)
    moves = _moves(here, there, matched)
    swapped = copy.deepcopy(model)
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        # It changes the modules and the configuration; the random rows it makes are overwritten.
        swapped.resize_token_embeddings(rows, mean_resizing=False)
        inputs, outputs = swapped.get_input_embeddings(), swapped.get_output_embeddings()
        inputs.weight.copy_(matrices["input"])
        if "output" in matrices:
            outputs.weight.copy_(matrices["output"])
        else:
            # Resizing ties what the configuration calls tied; these were tied whatever it says.
            outputs.weight = inputs.weight
        if "bias" in matrices:
            outputs.bias.copy_(matrices["bias"])
    move_special_ids(swapped, moves, suppressed=range(size, rows))
    return SwappedModel(swapped, plan.origins, rows - size)


def _check(model: PreTrainedModel, old: ByteTokenizer, pad_to_multiple_of: int | None) -> int:
    """Rows of the model's embeddings."""
    weight = model.get_input_embeddings().weight
    outputs = model.get_output_embeddings()
    if not weight.is_floating_point():
        raise ValueError(f"embeddings are {weight.dtype}: load the model with floating point ones")
    if outputs is None:
        raise ValueError(f"{type(model).__name__} has no output embeddings: a causal model has")
    tied = getattr(model.config.get_text_config(), "tie_word_embeddings", False)
    if tied and outputs.weight is not weight:
        raise ValueError(
            "the configuration calls the embeddings tied, but they are two matrices: set "
            "tie_word_embeddings to False, or call tie_weights()"
        )
    if pad_to_multiple_of is not None and pad_to_multiple_of < 1:
        raise ValueError(f"pad_to_multiple_of is {pad_to_multiple_of}, but must be >= 1")
    if len(weight) < len(old.tokens):
        raise ValueError(
            f"the model has {len(weight)} rows, but the old tokenizer {len(old.tokens)} tokens: "
            "it is not the one the model was trained with"
        )
    return len(weight)


def _padded_rows(size: int, old_rows: int, old_size: int, multiple: int | None) -> int:
    if multiple is None:
        if old_rows == old_size:
            return size
        multiple = 1
        while multiple < old_rows and -(-old_size // multiple) * multiple != old_rows:
            multiple *= 2
        if -(-old_size // multiple) * multiple != old_rows:
            return size + old_rows - old_size
    return -(-size // multiple) * multiple


def _new_matrices(
    model: PreTrainedModel, plan: RowPlan, rows: int, seed: int
) -> dict[str, torch.Tensor]:
    """The new weights: "input", "output" where untied, "bias" where there is one."""
    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    matrices = {"input": _new_weight(inputs.weight, plan, rows, seed, "input")}
    if outputs.weight is not inputs.weight:
        matrices["output"] = _new_weight(outputs.weight, plan, rows, seed, "output")
    bias = getattr(outputs, "bias", None)
    if bias is not None:
        column = _new_weight(bias.unsqueeze(1), plan, rows, seed, "bias")
        matrices["bias"] = column.squeeze(1)
    return matrices


def _new_weight(
    weight: torch.Tensor, plan: RowPlan, rows: int, seed: int, label: str
) -> torch.Tensor:
    import torch

    old = weight.detach()
    # NumPy has no bfloat16, and sums in half precision would lose digits.
    wide = (old if old.dtype == torch.float64 else old.float()).cpu().numpy()
    new = torch.from_numpy(make_rows(plan, wide, seed=seed, label=label)).to(old)
    copied = torch.from_numpy(np.flatnonzero(plan.copies >= 0))
    new[copied.to(old.device)] = old[torch.from_numpy(plan.copies)[copied].to(old.device)]
    spare = rows - len(new)
    if not spare:
        return new
    old_spare = old[plan.mixtures.shape[1] :]
    if len(old_spare):
        padding = old_spare[torch.arange(spare, device=old.device) % len(old_spare)]
    else:
        padding = new.mean(dim=0, keepdim=True).expand(spare, -1)
    return torch.cat([new, padding])


def _moves(old: ByteTokenizer, new: ByteTokenizer, matched: Mapping[int, int]) -> dict[int, int]:
    """Old id -> new id of the same token."""
    back = match_tokens(new, old)
    moves = {place: int(number) for place, number in enumerate(back.tolist()) if number >= 0}
    # Of several new tokens that take over from one old token, the first.
    for new_id in sorted(matched, reverse=True):
        moves[matched[new_id]] = new_id
    return moves
