"""What editors share: the model with its tokenizer, and rows of tokens as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stages.contract import Artifact
from stages.tokenizer_files import end_of_text_id, load_tokenizer

if TYPE_CHECKING:
    from operators.tokenization.byte_tokenizer import ByteTokenizer


@dataclass(frozen=True)
class Prior:
    """A model that edits, scores or writes.

    Attributes:
        model: in evaluation mode, on its device.
        tokenizer: that it carries.
        end_of_text: the id in front of every document.
        never_drawn: ids that stand for no text: special ones, unused ones, and rows of the
            vocabulary beyond the tokenizer's. The end of text is one of them.
        context: tokens that the model sees at most.
    """

    model: Any
    tokenizer: ByteTokenizer
    end_of_text: int
    never_drawn: list[int]
    context: int


def open_prior(artifact: Artifact, device: str) -> Prior:
    """The model of an artifact with its tokenizer.

    Raises:
        ValueError: its tokenizer has ids that the model does not know, or no end of text.
    """
    from operators.modeling.checkpoints import load_model

    model = load_model(str(artifact.folder()), device=device)
    tokenizer = load_tokenizer(artifact)
    config = model.config.get_text_config()
    known, size = len(tokenizer.tokens), int(config.vocab_size)
    if known > size:
        raise ValueError(
            f"the tokenizer of the model has {known} ids, but the model knows {size}: give it a "
            "tokenizer with transfer.tokenizer"
        )
    unused = [number for number, token in enumerate(tokenizer.tokens) if not token]
    return Prior(
        model,
        tokenizer,
        end_of_text_id(tokenizer),
        sorted({*tokenizer.special_ids, *unused, *range(known, size)}),
        int(config.max_position_embeddings),
    )


def lists_of(rows: pa.Table, name: str) -> list[Any]:
    """A column of lists as one array a row."""
    column = rows.column(name).combine_chunks()
    values = column.flatten().to_numpy(zero_copy_only=False)
    ends = np.cumsum(column.value_lengths().to_numpy(zero_copy_only=False), dtype=np.int64)
    return np.split(values, ends[:-1]) if len(ends) else []


def check_known(rows: Sequence[Any], prior: Prior) -> None:
    """Refuse tokens that the prior does not know.

    Raises:
        ValueError: naming the highest.
    """
    highest = max((int(row.max()) for row in rows if len(row)), default=-1)
    known = int(prior.model.config.get_text_config().vocab_size)
    if highest >= known:
        raise ValueError(
            f"the tokens go up to {highest}, but the model knows {known}: encode with the "
            "tokenizer that the model was trained with"
        )


def with_column(rows: pa.Table, name: str, values: Any, type_: pa.DataType) -> pa.Table:
    """The rows with a column put in place of the one of that name, or at the end."""
    column = pa.array(values, type_)
    if name in rows.column_names:
        return rows.set_column(rows.schema.get_field_index(name), name, column)
    return rows.append_column(name, column)
