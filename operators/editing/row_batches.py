"""Rows of tokens of many lengths, as rectangles that a model can read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MULTIPLE = 8


@dataclass(frozen=True)
class RowGroup:
    """Rows of one padded length.

    Attributes:
        indices: ``[n]``, which of the given rows they are, in order.
        tokens: int64 ``[n, t]``, padded on the right, where a causal model does not look.
        real: boolean ``[n, t]``, false on padding.
    """

    indices: NDArray[np.int64]
    tokens: NDArray[np.int64]
    real: NDArray[np.bool_]


def groups_of_one_length(
    rows: Sequence[NDArray[np.integer[Any]]], padding: int = 0
) -> Iterator[RowGroup]:
    """Groups of rows whose lengths, rounded up to a multiple of 8, are equal; shortest first.

    The rectangle that a row stands in follows from its own length alone, so what a model computes
    for it depends on no other row, to the bit.
    """
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    padded = -(-lengths // _MULTIPLE) * _MULTIPLE
    for length in np.unique(padded).tolist():
        indices = np.flatnonzero(padded == length)
        tokens = np.full((len(indices), length), padding, dtype=np.int64)
        real = np.arange(length) < lengths[indices][:, None]
        if length:
            tokens[real] = np.concatenate([rows[index] for index in indices.tolist()])
        yield RowGroup(indices, tokens, real)
