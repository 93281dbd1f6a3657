"""Levenshtein distance, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from operators.compiled import njit


@njit(cache=True)  # type: ignore[untyped-decorator]
def levenshtein(before: npt.NDArray[np.uint32], after: npt.NDArray[np.uint32], band: int) -> Any:
    """Insertions, deletions and substitutions between two sequences, or -1 if above `band`.

    Ukkonen 1985: with at most `band` edits no path leaves the diagonals up to `band` away, so
    only those cells are filled: O((2 band + 1) n).
    """
    rows, columns = len(before), len(after)
    if abs(rows - columns) > band:
        return -1
    far = rows + columns + 1
    # Cell k of a row is column row + k - band.
    width = 2 * band + 1
    row = np.full(width + 1, far, np.int64)
    for k in range(band, width):
        if k - band <= columns:
            row[k] = k - band
    for i in range(1, rows + 1):
        left = far
        for k in range(width):
            j = i + k - band
            if j < 0 or j > columns:
                row[k] = far
                left = far
                continue
            # Not yet written this round: row[k] is the diagonal cell, row[k + 1] the one above.
            best = min(row[k + 1], left) + 1
            if j > 0:
                best = min(best, row[k] + (before[i - 1] != after[j - 1]))
            row[k] = best
            left = best
    distance = row[columns - rows + band]
    return distance if distance <= band else -1
