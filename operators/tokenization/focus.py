"""FOCUS: new tokens as sparse mixtures of the tokens that two vocabularies share.

Source: Dobler and de Melo 2023, and the authors' code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Rows of one step: bounds the memory of the similarities at 8 bytes times the shared tokens.
_ROWS_A_STEP = 1024

# The largest scores of a row that are sorted at first; a support that is larger is rare.
_FIRST_LOOK = 256


def sparsemax(scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The point of the simplex nearest to the scores (Martins and Astudillo 2016).

    max(scores - threshold, 0) with the one threshold per row that makes it sum to 1: a
    distribution, like softmax, but most of its weights are exactly 0.

    Args:
        scores: [..., n], finite, n >= 1.

    Raises:
        ValueError: for no scores, or some that are not finite.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError("sparsemax of no scores")
    if not np.isfinite(values).all():
        raise ValueError("sparsemax of a score that is not finite")
    values = values - values.max(axis=-1, keepdims=True)
    size = values.shape[-1]
    looked_at = min(size, _FIRST_LOOK)
    while True:
        largest = np.partition(values, size - looked_at, axis=-1)[..., size - looked_at :]
        largest = -np.sort(-largest, axis=-1)
        thresholds = (np.cumsum(largest, axis=-1) - 1) / np.arange(1, looked_at + 1)
        support = (largest > thresholds).sum(axis=-1, keepdims=True)
        # Where the support ends among the largest scores, no smaller one can belong to it.
        if looked_at == size or (support < looked_at).all():
            threshold = np.take_along_axis(thresholds, support - 1, axis=-1)
            return np.asarray(np.maximum(values - threshold, 0.0))
        looked_at = min(size, 4 * looked_at)


def focus_weights(
    vectors: npt.NDArray[np.floating[Any]],
    new_ids: npt.NDArray[np.int64],
    shared_ids: npt.NDArray[np.int64],
    old_ids: npt.NDArray[np.int64],
    old_size: int,
) -> Any:
    """How much of which old row each new token is: sparsemax over cosine similarities.

    Args:
        vectors: [new vocabulary, d] auxiliary vectors; a row of zeros is no vector.
        new_ids: [k] the tokens asked for; those without a vector get an empty row.
        shared_ids: [m] new ids of the tokens that both vocabularies have.
        old_ids: [m] their old ids.
        old_size: columns of the result.

    Returns:
        scipy csr [k, old_size], float64; a row sums to 1, or is empty where the token has no
        vector or no shared token has one.

    Raises:
        ValueError: for vectors that are not finite.
    """
    from scipy import sparse

    if not np.isfinite(vectors).all():
        raise ValueError("an auxiliary vector is not finite: give a row of zeros for no vector")
    norms = np.linalg.norm(np.asarray(vectors, dtype=np.float64), axis=1)
    usable = norms[shared_ids] > 0
    shared_ids, old_ids = shared_ids[usable], old_ids[usable]
    asked = np.flatnonzero(norms[new_ids] > 0)
    rows, columns, weights = [], [], []
    if len(shared_ids):
        shared = vectors[shared_ids] / norms[shared_ids, None]
        for first in range(0, len(asked), _ROWS_A_STEP):
            places = asked[first : first + _ROWS_A_STEP]
            step = new_ids[places]
            cosines = (vectors[step] / norms[step, None]) @ shared.T
            weighed = sparsemax(cosines)
            row, column = np.nonzero(weighed)
            rows.append(places[row])
            columns.append(old_ids[column])
            weights.append(weighed[row, column])
    none = np.empty(0, dtype=np.int64)
    return sparse.coo_matrix(
        (
            np.concatenate([*weights, none.astype(np.float64)]),
            (np.concatenate([*rows, none]), np.concatenate([*columns, none])),
        ),
        shape=(len(new_ids), old_size),
    ).tocsr()
