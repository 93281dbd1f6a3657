"""Rows of tokens as Arrow keeps them, read batch by batch: a memory map stays one.

Columns (`tokens` must be there): `tokens`, the true tokens, which are the targets; `inputs`, what
the model sees instead of them; `scored`, which tokens are targets; `reference_losses`, stored
losses of another model in nats; `starts`, where in a row the pieces of its documents begin. All but
`starts` are lists of one length a row; the first token of a row is never scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# Column -> the type its values are read as.
_COLUMNS = {"tokens": np.int64, "inputs": np.int64, "scored": np.bool_,
            "reference_losses": np.float32}  # fmt: skip


@dataclass(frozen=True)
class RowBatch:
    """Rows of one width ``[b, t]``, padded on the right.

    Attributes:
        tokens: int64, the targets; padding is token 0.
        inputs: int64, what the model sees; `tokens` itself where nothing else was given.
        scored: bool, true where a token is a target; never at index 0 nor in the padding.
        reference_losses: float32 in nats, or None.
        starts: of each row, where its documents begin; None where that is not known.
        rows: int64 [b], which rows these are.
    """

    tokens: NDArray[np.int64]
    inputs: NDArray[np.int64]
    scored: NDArray[np.bool_]
    reference_losses: NDArray[np.float32] | None
    starts: tuple[NDArray[np.int64], ...] | None
    rows: NDArray[np.int64]


class TokenRows:
    """Rows of an Arrow table with the columns above, or of arrays ``[n, t]``.

    Attributes:
        lengths: int64 [n], tokens of each row.
        columns: names of the optional columns that are there.
    """

    def __init__(self, table: pa.Table) -> None:
        """Look at the columns; no value is copied.

        Raises:
            ValueError: `tokens` is missing, or another column has rows of other lengths.
        """
        if "tokens" not in table.column_names:
            raise ValueError(f"there is no column tokens, only {', '.join(table.column_names)}")
        names = [name for name in (*_COLUMNS, "starts") if name in table.column_names]
        self._lists = {name: _Lists(table.column(name)) for name in names}
        self.lengths = self._lists["tokens"].lengths
        self.columns = frozenset(names) - {"tokens"}
        for name in self.columns - {"starts"}:
            other = np.flatnonzero(self._lists[name].lengths != self.lengths)
            if len(other):
                raise ValueError(
                    f"row {other[0]} has {self.lengths[other[0]]} tokens, but "
                    f"{self._lists[name].lengths[other[0]]} {name}"
                )

    @classmethod
    def of_arrays(
        cls,
        sequences: NDArray[np.integer[Any]],
        scored: NDArray[np.bool_] | None = None,
    ) -> TokenRows:
        """Rows of one length; the arrays are viewed, not copied, where they are int32 and bool."""
        columns = {"tokens": _as_lists(sequences)}
        if scored is not None:
            columns["scored"] = _as_lists(scored)
        return cls(pa.table(columns))

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: NDArray[np.int64], width: int | None = None) -> RowBatch:
        """Some rows, padded to `width` tokens (default: the longest of them)."""
        width = int(self.lengths[rows].max(initial=0)) if width is None else width
        found = {
            name: self._lists[name].padded(rows, width, dtype)
            for name, dtype in _COLUMNS.items()
            if name in self._lists
        }
        there = np.arange(width) < self.lengths[rows][:, None]
        there[:, :1] = False
        scored = found["scored"] & there if "scored" in found else there
        starts = None
        if "starts" in self._lists:
            lists = self._lists["starts"]
            starts = tuple(np.asarray(lists.row(int(row)), np.int64) for row in rows)
        return RowBatch(
            tokens=found["tokens"],
            inputs=found.get("inputs", found["tokens"]),
            scored=scored,
            reference_losses=found.get("reference_losses"),
            starts=starts,
            rows=rows,
        )

    def ids(self) -> tuple[int, int]:
        """The lowest and the highest id of `tokens`, the targets; (0, -1) where there is none."""
        return self._lists["tokens"].ends() or (0, -1)

    def seen_ids(self) -> tuple[int, int]:
        """The same of what the model sees."""
        return self._lists["inputs" if "inputs" in self._lists else "tokens"].ends() or (0, -1)

    def scored_counts(self) -> NDArray[np.int64]:
        """int64 [n]: how many tokens of each row are targets."""
        if "scored" not in self._lists:
            return np.asarray(np.maximum(self.lengths - 1, 0), np.int64)
        scored = self._lists["scored"]
        return np.array([int(scored.row(row)[1:].sum()) for row in range(len(self))], np.int64)


class _Lists:
    """A column of lists: its chunks as Arrow has them, and where each row lies."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._values = [chunk.values for chunk in column.chunks]
        offsets = [np.asarray(chunk.offsets) for chunk in column.chunks]
        self._starts = np.concatenate([o[:-1] for o in offsets] or [np.empty(0, np.int64)]).astype(
            np.int64
        )
        ends = np.concatenate([o[1:] for o in offsets] or [np.empty(0, np.int64)])
        self.lengths = ends.astype(np.int64) - self._starts
        self._chunk = np.repeat(np.arange(len(offsets)), [len(o) - 1 for o in offsets])
        # Bits are no array that NumPy can look at; they are unpacked row by row.
        self._arrays = [
            None if pa.types.is_boolean(values.type) else values.to_numpy(zero_copy_only=True)
            for values in self._values
        ]

    def row(self, row: int) -> Any:
        """The values of one row."""
        chunk, start, length = self._chunk[row], int(self._starts[row]), int(self.lengths[row])
        array = self._arrays[chunk]
        if array is None:
            return self._values[chunk].slice(start, length).to_numpy(zero_copy_only=False)
        return array[start : start + length]

    def padded(self, rows: NDArray[np.int64], width: int, dtype: Any) -> NDArray[Any]:
        made = np.zeros((len(rows), width), dtype)
        for place, row in enumerate(rows):
            values = self.row(int(row))[:width]
            made[place, : len(values)] = values
        return made

    def ends(self) -> tuple[int, int] | None:
        """The lowest and the highest value; None where there is none."""
        used = [
            array[starts.min() : (starts + lengths).max()]
            for chunk, array in enumerate(self._arrays)
            if array is not None
            and len(starts := self._starts[self._chunk == chunk])
            and (lengths := self.lengths[self._chunk == chunk]).any()
        ]
        if not used:
            return None
        return min(int(a.min()) for a in used), max(int(a.max()) for a in used)


def _as_lists(array: NDArray[Any]) -> pa.Array:
    offsets = np.arange(len(array) + 1, dtype=np.int32) * array.shape[1]
    dtype = np.bool_ if array.dtype == np.bool_ else np.int32
    values: NDArray[Any] = np.ascontiguousarray(array).reshape(-1).astype(dtype, copy=False)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def concatenated(batches: Sequence[RowBatch]) -> RowBatch:
    """Batches of one width as one; a column that one of them lacks is lacking."""
    references = [batch.reference_losses for batch in batches]
    starts = [batch.starts for batch in batches]
    return RowBatch(
        tokens=np.concatenate([batch.tokens for batch in batches]),
        inputs=np.concatenate([batch.inputs for batch in batches]),
        scored=np.concatenate([batch.scored for batch in batches]),
        reference_losses=(
            None
            if any(found is None for found in references)
            else np.concatenate([found for found in references if found is not None])
        ),
        starts=(
            None
            if any(found is None for found in starts)
            else tuple(start for found in starts if found is not None for start in found)
        ),
        rows=np.concatenate([batch.rows for batch in batches]),
    )
