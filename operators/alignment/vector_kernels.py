"""Sentence alignment by vectors, compiled: vecalign's search in a band."""

from __future__ import annotations

import numpy as np

from operators.compiled import njit

_TIE = 1e-9


@njit(cache=True)
def _cosine(source, a, i, target, b, j):
    """Of the a sentences before place i and the b sentences before place j."""
    x, y = source[a - 1, i - 1], target[b - 1, j - 1]
    cosine = 0.0
    for d in range(len(x)):
        cosine += x[d] * y[d]
    return cosine


@njit(cache=True)
def _has_a_stranger(source, a, i, target, b, j, cosine):
    """Whether a bead were nearer without the first or the last sentences of one of its sides."""
    for fewer in range(1, a):
        for end in range(i - a + fewer, i + 1):
            if _cosine(source, fewer, end, target, b, j) > cosine + _TIE:
                return True
    for fewer in range(1, b):
        for end in range(j - b + fewer, j + 1):
            if _cosine(source, a, i, target, fewer, end) > cosine + _TIE:
                return True
    return False


@njit(cache=True)
def vector_path(source, target, source_norm, target_norm, low, high, at, moves, skip):
    """The cheapest path; bands, moves and result as in `sentence_kernels.length_path`.

    `source[a - 1, i]` is the unit vector of the a sentences that end with sentence i, and
    `source_norm[a - 1, i]` its normaliser. A move with an empty side costs `skip`.
    """
    n, m = source.shape[1], target.shape[1]
    cost = np.full(at[n + 1], np.inf)
    taken = np.full(at[n + 1], 255, np.uint8)
    options = np.empty(len(moves))
    cost[0] = 0.0
    for i in range(n + 1):
        for j in range(low[i], high[i]):
            if i == 0 and j == 0:
                continue
            least = np.inf
            for k in range(len(moves)):
                a, b = moves[k, 0], moves[k, 1]
                options[k] = np.inf
                if i < a or j - b < low[i - a] or j - b >= high[i - a]:
                    continue
                value = cost[at[i - a] + j - b - low[i - a]]
                if value == np.inf:
                    continue
                if a == 0 or b == 0:
                    value += skip
                else:
                    cosine = _cosine(source, a, i, target, b, j)
                    norm = source_norm[a - 1, i - 1] + target_norm[b - 1, j - 1]
                    value += 2 * a * b * (1 - cosine) / (1e-6 + norm)
                    if value > least or _has_a_stranger(source, a, i, target, b, j, cosine):
                        continue
                options[k] = value
                least = min(least, value)
            if least == np.inf:
                continue
            for k in range(len(moves)):
                if options[k] <= least + _TIE:
                    taken[at[i] + j - low[i]] = k
                    cost[at[i] + j - low[i]] = options[k]
                    break
    return cost[at[n] + m - low[n]], cost, taken
