"""Attention that keeps the documents of a packed sequence apart.

A document in a packed row gets the logits it would get alone: its positions count from 0 and its
tokens attend to nothing before it. The masks are those of `torch.nn.functional.
scaled_dot_product_attention`, four-dimensional, which Hugging Face's models take as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class PackedDocuments:
    """Where the documents of a batch of packed rows lie.

    Attributes:
        document: int64 ``[b, t]``, the number of the document in its row, from 0.
        positions: int64 ``[b, t]``, the place of the token in its document, from 0.
    """

    document: Tensor
    positions: Tensor

    @property
    def first(self) -> Tensor:
        """Boolean ``[b, t]``: the first token of a document.

        Nothing it may see predicts it: score it, and the end of one document has to guess the
        beginning of another.
        """
        return self.positions == 0

    def attention_mask(self, dtype: torch.dtype | None = None) -> Tensor | None:
        """``[b, 1, t, t]``: query ``i`` sees key ``j`` of the same document with ``j <= i``.

        Args:
            dtype: ``None`` for a boolean mask (true is seen), which the attention implementation
                ``sdpa`` takes; a floating dtype for one that is added to the scores, as
                ``eager`` needs it: there a boolean would be added as 1.

        Returns:
            ``None`` where every row is one document: the plain causal mask is implied, and its
            kernels are faster.
        """
        if not bool((self.document != 0).any()):
            return None
        length = self.document.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=self.document.device).tril()
        same = self.document[:, :, None] == self.document[:, None, :]
        seen = (same & causal)[:, None]
        if dtype is None:
            return seen
        return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(
            ~seen, torch.finfo(dtype).min
        )

    def to(self, device: torch.device | str) -> "PackedDocuments":
        """The same on another device."""
        return PackedDocuments(self.document.to(device), self.positions.to(device))


def packed_documents(starts: Sequence[Sequence[int]], length: int) -> PackedDocuments:
    """Documents of rows of ``length`` tokens from the places where they begin.

    Args:
        starts: of each row, ascending places of first tokens; the first is 0 (as
            `operators.tokenization.packing` writes them), or the row is empty of documents and
            taken for one. Padding on the right belongs to the last document of its row.
        length: tokens of a row.

    Raises:
        ValueError: places that do not ascend from 0 or lie outside the row.
    """
    begins = np.zeros((len(starts), length), dtype=np.int64)
    for row, places in enumerate(starts):
        given = np.asarray(places, dtype=np.int64)
        if given.size == 0:
            continue
        if given[0] != 0 or (np.diff(given) <= 0).any() or given[-1] >= max(length, 1):
            raise ValueError(
                f"row {row}: the starts of documents must ascend from 0 to below {length}, got "
                f"{given.tolist()}"
            )
        begins[row, given[1:]] = 1
    columns = np.arange(length)
    document = begins.cumsum(axis=1)
    first = np.maximum.accumulate(np.where(begins == 1, columns, 0), axis=1)
    return PackedDocuments(torch.from_numpy(document), torch.from_numpy(columns - first))
