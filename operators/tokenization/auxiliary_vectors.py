"""Vectors of tokens from the company they keep, for FOCUS: PPMI and a truncated SVD.

FOCUS (Dobler and de Melo 2023) trains fastText CBOW on the new tokenizer's text. This is the
other standard way to the same kind of vector, without another library: positive pointwise mutual
information of tokens and their neighbours, factored (Levy, Goldberg and Dagan 2015, who find it on
a par with CBOW and skip-gram when tuned alike; their settings are the defaults here). It does not
look inside tokens as fastText does, so rare tokens have no vector. Any other vectors can be given
to `focus_rows` instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# Tokens of one step of counting: bounds the memory of the pairs (16 bytes each way and offset).
_TOKENS_A_STEP = 1_000_000

# Levy et al.: contexts by their frequency to the power of 0.75, so rare ones weigh less.
_CONTEXT_SMOOTHING = 0.75


def cooccurrence_vectors(
    encoded: Iterable[Sequence[int]],
    vocab_size: int,
    *,
    dimensions: int = 100,
    window: int = 5,
    min_count: int = 10,
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """A vector for each token that is frequent enough, from the texts of one tokenizer.

    Neighbours up to `window` tokens away count, nearer ones more ((window + 1 - distance) /
    window, the mean of word2vec's random windows), and never across texts.

    Args:
        encoded: token ids of each text, without special tokens.
        vocab_size: ids are below it.
        dimensions: columns of the result; those beyond the rank of the data are zero.
        window: largest distance of neighbours, >= 1.
        min_count: tokens occurring fewer times get no vector and are nobody's context.
        seed: of the randomised SVD.

    Returns:
        [vocab_size, dimensions]; a row of zeros is a token without a vector.

    Raises:
        ValueError: for a setting out of range, or an id that is not below vocab_size.
    """
    from scipy import sparse

    for name, value in (
        ("vocab_size", vocab_size), ("dimensions", dimensions), ("window", window),
    ):  # fmt: skip
        if value < 1:
            raise ValueError(f"{name} is {value}, but must be >= 1")
    occurrences = np.zeros(vocab_size, dtype=np.int64)
    pairs = sparse.csr_matrix((vocab_size, vocab_size), dtype=np.float64)
    for ids, texts in _steps(encoded, vocab_size):
        occurrences += np.bincount(ids, minlength=vocab_size)
        for distance in range(1, min(window, len(ids) - 1) + 1):
            beside = texts[distance:] == texts[:-distance]
            here, there = ids[:-distance][beside], ids[distance:][beside]
            weight = np.full(len(here), (window + 1 - distance) / window)
            pairs += sparse.coo_matrix((weight, (here, there)), shape=pairs.shape).tocsr()
    kept = np.flatnonzero(occurrences >= max(min_count, 1))
    vectors = np.zeros((vocab_size, dimensions), dtype=np.float32)
    counts = (pairs + pairs.T).tocsr()[kept][:, kept]
    if counts.nnz:
        vectors[kept] = _factor(_positive_information(counts), dimensions, seed)
    return vectors


def _steps(
    encoded: Iterable[Sequence[int]], vocab_size: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Whole texts laid end to end, ids and the number of the text, some million tokens a time."""
    parts: list[npt.NDArray[np.int64]] = []
    size = 0
    for text in encoded:
        ids = np.asarray(text, dtype=np.int64)
        if ids.size and not 0 <= ids.min() <= ids.max() < vocab_size:
            raise ValueError(f"ids range from {ids.min()} to {ids.max()}, vocab_size {vocab_size}")
        parts.append(ids)
        size += len(ids)
        if size >= _TOKENS_A_STEP:
            yield _joined(parts)
            parts, size = [], 0
    if size:
        yield _joined(parts)


def _joined(
    parts: Sequence[npt.NDArray[np.int64]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _positive_information(counts: Any) -> Any:
    """max(0, log(p(token, context) / (p(token) p(context)))) of the pairs seen, sparse."""
    pairs = counts.tocoo()
    tokens = np.asarray(counts.sum(axis=1)).ravel()
    contexts = tokens**_CONTEXT_SMOOTHING
    expected = tokens[pairs.row] * contexts[pairs.col] / contexts.sum()
    information = np.maximum(np.log(pairs.data / expected), 0.0)
    positive = type(pairs)((information, (pairs.row, pairs.col)), shape=pairs.shape).tocsr()
    positive.eliminate_zeros()
    return positive


def _factor(matrix: Any, dimensions: int, seed: int) -> npt.NDArray[np.float32]:
    """U sqrt(S) of the largest singular values, [rows, dimensions]."""
    from sklearn.utils.extmath import randomized_svd

    rank = min(dimensions, matrix.shape[0])
    left, values, _ = randomized_svd(matrix, n_components=rank, n_iter=7, random_state=seed)
    factors = np.zeros((matrix.shape[0], dimensions), dtype=np.float32)
    # Singular values that are noise would only be scaled up by the cosine of later steps.
    real = values > 1e-10 * max(values[0], 1e-300)
    factors[:, :rank][:, real] = left[:, real] * np.sqrt(values[real])
    return factors
