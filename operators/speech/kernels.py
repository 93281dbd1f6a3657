"""Needleman-Wunsch with affine gaps (Gotoh 1982) and edit distance, compiled.

Row i of the matrix stands for the first i elements of `a`, column j for the first j of `b`; row i
is computed in columns `low[i]` to `high[i]`, which is the band. A first pass keeps every `step`-th
row; the way back fills the rows between two of them again, now with directions. So memory is that
of two times the square root of the rows, not of all rows.
"""

from __future__ import annotations

import numpy as np

from operators.compiled import njit

_NEVER = np.int64(-(1 << 30))
# Directions of a cell: where its best value comes from, and whether its gaps begin here.
_DIAGONAL, _SKIP_A, _SKIP_B, _START = 0, 1, 2, 3
_OPENS_A, _OPENS_B = 4, 8


@njit(cache=True)
def _next_row(  # noqa: PLR0915 - the same loop with directions and without
    i, a, b, low, high, before, gap_before, row, gap_row, match, mismatch, opening, extension,
    free_a, trace,
):  # fmt: skip
    """Row i from row i - 1; column j stands at j - low[i] + 1, with `_NEVER` around the row.

    `gap_row` holds the best value of each cell that ends in a gap opposite of `a`.
    """
    begin, end = low[i], high[i]
    shift = begin - low[i - 1] + 1
    element = a[i - 1]
    gap_b = _NEVER
    left = _NEVER
    j = begin
    if j == 0:
        up = before[shift]
        gap_a = max(up + opening + extension, gap_before[shift] + extension, _NEVER)
        gap_row[1] = gap_a
        left = np.int64(0) if free_a else gap_a
        row[1] = left
        if len(trace):
            trace[0] = _START if free_a else _SKIP_A
            if up + opening + extension >= gap_before[shift] + extension:
                trace[0] |= _OPENS_A
        j = 1
    # Views that begin where column j stands, so that every index is the same plain counter.
    count = end - j + 1
    above, gap_above = before[j - begin + shift :], gap_before[j - begin + shift :]
    corner, elements = before[j - begin + shift - 1 :], b[j - 1 :]
    out, gap_out, way = row[j - begin + 1 :], gap_row[j - begin + 1 :], trace[j - begin :]
    if len(trace):
        for k in range(count):
            opened_a = above[k] + opening + extension
            gap_a = gap_above[k] + extension
            opened_b = left + opening + extension
            gap_b += extension
            best = corner[k] + (match if element == elements[k] else mismatch)
            direction = _DIAGONAL
            if opened_a >= gap_a:
                direction |= _OPENS_A
                gap_a = opened_a
            if opened_b >= gap_b:
                direction |= _OPENS_B
                gap_b = opened_b
            if gap_a > best:
                best = gap_a
                direction |= _SKIP_A
            if gap_b > best:
                best = gap_b
                direction = (direction & ~3) | _SKIP_B
            # What cannot be reached must not sink until it wraps around.
            left = max(best, _NEVER)
            gap_b = max(gap_b, _NEVER)
            out[k] = left
            gap_out[k] = max(gap_a, _NEVER)
            way[k] = direction
    else:
        for k in range(count):
            gap_a = max(above[k] + opening, gap_above[k]) + extension
            best = corner[k] + (match if element == elements[k] else mismatch)
            gap_a = max(gap_a, _NEVER)
            gap_out[k] = gap_a
            best = max(best, gap_a)
            gap_b = max(left + opening, gap_b) + extension
            left = max(best, gap_b)
            out[k] = left
    row[end - begin + 2 :] = _NEVER
    gap_row[end - begin + 2 :] = _NEVER


@njit(cache=True)
def align(  # noqa: PLR0915 - two passes over buffers that both share
    a, b, low, high, match, mismatch, opening, extension, free_a, free_a_end, free_b, free_b_end,
    step,
):  # fmt: skip
    """The best global alignment of two sequences of numbers.

    Args:
        a, b: numbers, [n] and [m].
        low, high: the columns of each row, [n + 1]; neither may fall from one row to the next.
        match, mismatch, opening, extension: scores; a gap of k costs opening + k * extension.
        free_a, free_b: elements of that side cost nothing before the first pair.
        free_a_end, free_b_end: they cost nothing after the last one.
        step: rows between two that are kept.

    Returns:
        The score, and for each of the n elements of `a` the one of `b` opposite of it or -1.
    """
    n, m = len(a), len(b)
    width = 1
    for i in range(n + 1):
        # A row is read as far as the next one reaches.
        width = max(width, high[min(i + 1, n)] - low[i] + 1)
    width += 2
    kept_rows = n // step + 1
    kept = np.full((kept_rows, width), _NEVER, np.int64)
    kept_gaps = np.full((kept_rows, width), _NEVER, np.int64)
    no_trace = np.empty(0, np.uint8)
    before = np.full(width, _NEVER, np.int64)
    gap_before = np.full(width, _NEVER, np.int64)
    row = np.full(width, _NEVER, np.int64)
    gap_row = np.full(width, _NEVER, np.int64)
    for j in range(high[0] + 1):
        before[j + 1] = 0 if (free_b or j == 0) else opening + extension * j
    kept[0, :] = before
    best, end_a, end_b = _NEVER, n, m
    if free_a_end and high[0] == m:
        best, end_a, end_b = before[m + 1], 0, m
    for i in range(1, n + 1):
        _next_row(i, a, b, low, high, before, gap_before, row, gap_row, match, mismatch, opening,
                  extension, free_a, no_trace)  # fmt: skip
        if free_a_end and high[i] == m and row[m - low[i] + 1] > best:
            best, end_a, end_b = row[m - low[i] + 1], i, m
        before, row = row, before
        gap_before, gap_row = gap_row, gap_before
        if i % step == 0:
            kept[i // step, :] = before
            kept_gaps[i // step, :] = gap_before
    if before[m - low[n] + 1] > best:
        best, end_a, end_b = before[m - low[n] + 1], n, m
    if free_b_end:
        for j in range(low[n], high[n] + 1):
            if before[j - low[n] + 1] > best:
                best, end_a, end_b = before[j - low[n] + 1], n, j

    links = np.full(n, -1, np.int64)
    trace = np.zeros((min(step, n) + 1, width), np.uint8)
    i, j = end_a, end_b
    state = _DIAGONAL
    filled = n + 1  # the rows from here on have directions in `trace`
    base = 0
    while i > 0:
        if i < filled:
            base = (i - 1) // step * step
            before[:] = kept[base // step]
            gap_before[:] = kept_gaps[base // step]
            for r in range(base + 1, i + 1):
                _next_row(r, a, b, low, high, before, gap_before, row, gap_row, match, mismatch,
                          opening, extension, free_a, trace[r - base])  # fmt: skip
                before, row = row, before
                gap_before, gap_row = gap_row, gap_before
            filled = base + 1
        direction = trace[i - base, j - low[i]]
        if state == _DIAGONAL:
            state = direction & 3
            if state == _START:
                break
            if state == _DIAGONAL:
                i -= 1
                j -= 1
                links[i] = j
                continue
        if state == _SKIP_A:
            state = _DIAGONAL if direction & _OPENS_A else _SKIP_A
            i -= 1
        else:
            state = _DIAGONAL if direction & _OPENS_B else _SKIP_B
            j -= 1
    return best, links


@njit(cache=True)
def edit_distance(a, b):
    """Levenshtein distance of two sequences of numbers."""
    row = np.arange(len(b) + 1)
    for i in range(len(a)):
        corner = row[0]
        row[0] = i + 1
        for j in range(len(b)):
            above = row[j + 1]
            row[j + 1] = min(corner + (a[i] != b[j]), above + 1, row[j] + 1)
            corner = above
    return row[len(b)]
