"""The rows of one optimiser step as tensors, cut into micro-batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.modeling.document_masks import PackedDocuments, packed_documents
from operators.modeling.token_rows import RowBatch, TokenRows, concatenated


@dataclass(frozen=True)
class MicroBatch:
    """Rows of one forward pass, ``[b, t]``; what the columns mean says `RowBatch`.

    Attributes:
        input_ids: int64, what the model sees.
        targets: int64, the true tokens.
        scored: bool.
        reference_losses: float32 in nats, or None.
        documents: where the documents of each row lie, if they are kept apart.
    """

    input_ids: Tensor
    targets: Tensor
    scored: Tensor
    reference_losses: Tensor | None
    documents: PackedDocuments | None


def micro_batches(
    sources: Sequence[TokenRows],
    of_source: NDArray[np.int64],
    rows: NDArray[np.int64],
    mine: range,
    parts: int,
    device: torch.device,
    *,
    documents_apart: bool = False,
) -> list[MicroBatch]:
    """Some of the micro-batches of a step.

    All of a step have one width, that of its longest row, so that what one of them gives does not
    depend on which worker has it.

    Args:
        sources: where the rows are from.
        of_source, rows: [batch], source and row of each sample of the step.
        mine: which of the micro-batches are wanted.
        parts: into how many the step is cut.
        device: where the tensors are to lie.
        documents_apart: tell where documents lie; their first tokens, which nothing predicts then,
            are not scored.
    """
    width = max(int(sources[s].lengths[rows[of_source == s]].max()) for s in np.unique(of_source))
    size = len(rows) // parts
    return [
        _on_device(
            _taken(sources, of_source[part * size :][:size], rows[part * size :][:size], width),
            device,
            documents_apart,
        )
        for part in mine
    ]


def _taken(
    sources: Sequence[TokenRows],
    of_source: NDArray[np.int64],
    rows: NDArray[np.int64],
    width: int,
) -> RowBatch:
    if len(sources) == 1:
        return sources[0].take(rows, width)
    return concatenated(
        [
            sources[int(source)].take(rows[place : place + 1], width)
            for place, source in enumerate(of_source)
        ]
    )


def _on_device(batch: RowBatch, device: torch.device, documents_apart: bool) -> MicroBatch:
    def moved(array: NDArray[np.generic]) -> Tensor:
        tensor = torch.from_numpy(array)
        if device.type == "cuda":
            return tensor.pin_memory().to(device, non_blocking=True)
        return tensor

    documents = None
    scored = batch.scored
    if documents_apart and batch.starts is not None:
        documents = packed_documents(batch.starts, batch.tokens.shape[1])  # type: ignore[arg-type]
        scored = scored & ~documents.first.numpy()
        documents = documents.to(device)
    targets = moved(batch.tokens)
    return MicroBatch(
        input_ids=targets if batch.inputs is batch.tokens else moved(batch.inputs),
        targets=targets,
        scored=moved(scored),
        reference_losses=(
            None if batch.reference_losses is None else moved(batch.reference_losses)
        ),
        documents=documents,
    )
