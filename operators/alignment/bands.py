"""Bands: the part of the table of two documents in which the path of an alignment is sought."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

# Rows of source begin, source end, target begin, target end: one a bead, in order.
Spans = npt.NDArray[np.int64]


class Band(NamedTuple):
    """Row r has columns low[r] .. high[r] - 1, its cells begin at at[r]; low and high only grow."""

    low: Ints
    high: Ints
    at: Ints

    @property
    def cells(self) -> int:
        return int(self.at[-1])


def band(low: Ints, high: Ints) -> Band:
    return Band(low, high, np.concatenate([[0], np.cumsum(high - low)]).astype(np.int64))


def whole(rows: int, columns: int) -> Band:
    """All of the table."""
    return band(np.zeros(rows, np.int64), np.full(rows, columns, np.int64))


def beside(first: Ints, last: Ints, columns: int, radius: int) -> Band:
    """Cells at most `radius` rows and columns from a path that runs from column first[r] to column
    last[r] in row r."""
    rows = len(first)
    above = np.maximum(np.arange(rows) - radius, 0)
    below = np.minimum(np.arange(rows) + radius, rows - 1)
    return band(np.maximum(first[above] - radius, 0), np.minimum(last[below] + radius + 1, columns))


def along(spans: Spans, n: int, m: int, radius: int) -> Band:
    """Places (rows 0..n, columns 0..m) around the path of an alignment."""
    first, last = np.full(n + 1, m, np.int64), np.zeros(n + 1, np.int64)
    for i, i_end, j, j_end in spans.tolist():
        np.minimum(first[i : i_end + 1], j, out=first[i : i_end + 1])
        np.maximum(last[i : i_end + 1], j_end, out=last[i : i_end + 1])
    return beside(first, last, m + 1, radius)


def magnified(spans: Spans, factor: int, n: int, m: int) -> Spans:
    """An alignment of blocks of `factor` sentences, as one of the n and m sentences in them."""
    return np.asarray(np.minimum(spans * factor, [n, n, m, m]), np.int64)


def sentence_bands(places: Band, reach: int) -> tuple[Band, Band]:
    """What the path may compare: sources by target sentence, and targets by source sentence.

    A bead of up to `reach` sentences a side that ends at a place of the band compares each of its
    sentences with all blocks of the other side that end there.
    """
    n, m = len(places.low) - 1, int(places.high[-1]) - 1
    columns = np.arange(m + 1)
    # The same band by columns: the first row that goes so far, and the last that begins so early.
    first = np.searchsorted(places.high, columns, side="right")
    last = np.searchsorted(places.low, columns, side="right")
    j, i = np.arange(m), np.arange(n)
    by_target = band(
        np.maximum(first[j + 1] - reach, 0),
        np.maximum(last[np.minimum(j + reach, m)] - 1, 1) if m else np.zeros(0, np.int64),
    )
    by_source = band(
        np.maximum(places.low[i + 1] - reach, 0),
        np.maximum(places.high[np.minimum(i + reach, n)] - 1, 1) if n else np.zeros(0, np.int64),
    )
    return by_target, by_source


def touches(spans: Spans, places: Band, m: int, margin: int) -> bool:
    """Whether a path comes so near to an edge of its band that a better one may lie outside."""
    rows = np.concatenate([spans[:, 0], spans[-1:, 1]])
    columns = np.concatenate([spans[:, 2], spans[-1:, 3]])
    low, high = places.low[rows], places.high[rows] - 1
    near = ((low > 0) & (columns - low < margin)) | ((high < m) & (high - columns < margin))
    return bool(near.any())


def widened(
    search: Callable[[Band], Spans | None],
    around: Callable[[int], Band],
    radius: int,
    n: int,
    m: int,
) -> Spans | None:
    """Search in wider and wider bands until the path keeps away from their edges.

    `search` gives the path in a band, None where there is none; `around` a band of some radius.
    """
    while True:
        places = around(radius)
        spans = search(places)
        if places.cells >= (n + 1) * (m + 1):
            return spans
        if spans is not None and not touches(spans, places, m, max(radius // 4, 1)):
            return spans
        radius *= 2
