"""How texts differ that were written, edited or made up: the diagnostics of the ToEdit study.

Source: Zhu et al. (ICML 2025, arXiv 2412.14689), who compare human and synthetic corpora by
perplexity under one model, by hashed n-grams (the features of DSIR, Xie et al. 2023), and by how
probability is spread over tokens. Synthetic text lacks the long tail: its perplexities are low and
close together, its n-grams fall into few buckets.

A row is an array of symbols: token ids, or words by number.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from operators.editing.prior_passes import predictions
from operators.modeling.execution import inference
from operators.modeling.windows import sliding_windows

BUCKETS = 10_000
_WORD = re.compile(r"\w+|[^\w\s]+")


def row_losses(
    model: torch.nn.Module,
    rows: Sequence[NDArray[np.integer[Any]]],
    *,
    context: int,
    batch_size: int = 16,
    device: str = "auto",
    threads: int = 1,
) -> list[NDArray[np.float64]]:
    """Loss in nats of each token of each row but its first, in float32.

    Args:
        model: called as `operators.modeling.execution.next_token_logits` says.
        rows: token ids, of any lengths; longer ones than ``context`` are read in windows that
            overlap by half.
        context, batch_size, device, threads: as in `operators.editing.resampling`.

    Returns:
        One array a row, one shorter than it (empty for an empty row).
    """
    losses = [np.zeros(max(0, len(row) - 1)) for row in rows]
    span = min(context, max(map(len, rows), default=0))
    # Windows of all rows lie in one array: rows are of as many lengths as there are rows.
    windows = [
        (index, window)
        for index, row in enumerate(rows)
        for window in (sliding_windows(len(row), span, max(1, span // 2)) if span > 1 else ())
    ]
    laid = np.zeros((len(windows), span), dtype=np.int64)
    for place, (index, window) in enumerate(windows):
        laid[place, : len(window)] = rows[index][window.start : window.end]
    with inference(model, device, threads) as target:
        for part in predictions(model, laid, batch_size=batch_size, context=None, device=target):
            for place, (index, window) in enumerate(windows[part.rows]):
                found = functional.cross_entropy(
                    part.logits[place].float(), part.observed[place], reduction="none"
                )
                # Element k is of token k + 1 of the window.
                new = slice(window.first_new - window.start - 1, len(window) - 1)
                losses[index][window.first_new - 1 : window.end - 1] = found[new].cpu().numpy()
    return losses


def perplexities(losses: Sequence[NDArray[np.floating[Any]]]) -> NDArray[np.float64]:
    """``exp`` of the mean loss of each row; NaN for a row without a loss."""
    return np.array([np.exp(row.mean()) if len(row) else np.nan for row in losses])


def decile_table(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """How many token probabilities lie in ``[0, 0.1), [0.1, 0.2), ..., [0.9, 1]``.

    Raises:
        ValueError: a number outside of [0, 1], or a NaN.
    """
    values = np.asarray(probabilities).ravel()
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("probabilities must lie in [0, 1]")
    # In their own precision: the float32 nearest to 0.7 is less than the float64.
    edges = (np.arange(1, 10) / 10).astype(values.dtype)
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=10).astype(np.int64)


def number_words(texts: Sequence[str]) -> tuple[list[NDArray[np.int64]], list[str]]:
    """Words and runs of punctuation, lower case, as numbers; and the word of each number."""
    numbers: dict[str, int] = {}
    rows = [
        np.array(
            [numbers.setdefault(word, len(numbers)) for word in _WORD.findall(text.lower())],
            dtype=np.int64,
        )
        for text in texts
    ]
    return rows, list(numbers)


def word_keys(words: Sequence[str]) -> NDArray[np.uint64]:
    """A stable number for each word, to hash n-grams from."""
    digests = b"".join(blake2b(word.encode(), digest_size=8).digest() for word in words)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def ngram_buckets(
    keys: NDArray[np.integer[Any]], order: int, buckets: int = BUCKETS
) -> NDArray[np.int64]:
    """The bucket of each n-gram of a row.

    Args:
        keys: ``[t]``, a number for each symbol: its id, or its `word_keys`.
        order: 1 for unigrams, 2 for bigrams, ...
        buckets: how many there are; n-grams that share one are not told apart.

    Returns:
        ``[max(0, t - order + 1)]``.

    Raises:
        ValueError: an order or a number of buckets below 1.
    """
    if order < 1 or buckets < 1:
        raise ValueError(f"order and buckets must be >= 1, got {order} and {buckets}")
    symbols = np.asarray(keys).astype(np.uint64)
    count = max(0, len(symbols) - order + 1)
    # The order goes in, so that a word and a pair of words do not meet by rule.
    hashed = np.full(count, order, dtype=np.uint64)
    for place in range(order):
        hashed = _mixed(hashed ^ _mixed(symbols[place : place + count]))
    return (hashed % np.uint64(buckets)).astype(np.int64)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64: every bit of the input reaches every bit of the output."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def bucket_counts(rows: Sequence[NDArray[np.int64]], buckets: int = BUCKETS) -> NDArray[np.int64]:
    """How many n-grams of all rows fell into each bucket, ``[buckets]``."""
    total = np.zeros(buckets, dtype=np.int64)
    for row in rows:
        total += np.bincount(row, minlength=buckets)
    return total


def entropy(counts: NDArray[np.number[Any]]) -> float:
    """Of the distribution that counts are proportional to, in nats; 0 without any count."""
    masses = np.asarray(counts, dtype=np.float64)
    masses = masses[masses > 0] / max(masses.sum(), 1e-300)
    return float(-(masses * np.log(masses)).sum()) + 0.0


def frequency_curve(counts: NDArray[np.number[Any]]) -> NDArray[np.float64]:
    """Shares of the buckets, the fullest first, without the empty ones."""
    ranked = np.sort(np.asarray(counts, dtype=np.float64))[::-1]
    ranked = ranked[ranked > 0]
    return np.asarray(ranked / max(ranked.sum(), 1e-300), dtype=np.float64)


def top_bigrams(
    rows: Sequence[NDArray[np.integer[Any]]], count: int
) -> tuple[list[tuple[int, int, int]], int]:
    """The most frequent pairs of neighbours (left, right, how often), and the number of all pairs.

    The most frequent first; of equally frequent ones the pair of smaller numbers.
    """
    pairs = [
        (row[:-1].astype(np.int64) << 32) | row[1:].astype(np.int64) for row in rows if len(row) > 1
    ]
    if not pairs:
        return [], 0
    values, counts = np.unique(np.concatenate(pairs), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:count]
    told = [
        (int(pair >> 32), int(pair & 0xFFFFFFFF), int(often))
        for pair, often in zip(values[order], counts[order], strict=True)
    ]
    return told, int(counts.sum())


def bucket_probabilities(
    counts: NDArray[np.number[Any]], smoothing: float = 1.0
) -> NDArray[np.float64]:
    """Probability of each bucket, ``smoothing`` added to each count so that none is impossible."""
    masses = np.asarray(counts, dtype=np.float64) + smoothing
    return np.asarray(masses / masses.sum(), dtype=np.float64)


def dsir_log_weights(
    rows: Sequence[NDArray[np.int64]],
    target: NDArray[np.float64],
    source: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Log importance weight of each row: ``sum_b count_b * log(target_b / source_b)``.

    Source: Xie et al. 2023 (arXiv 2302.03169). Above 0 a row looks more like the target.

    Args:
        rows: the buckets of the n-grams of each row.
        target: probability of each bucket, positive.
        source: likewise, of what the rows were taken from.

    Raises:
        ValueError: distributions of different sizes, or with a bucket of no probability.
    """
    if target.shape != source.shape or target.min() <= 0 or source.min() <= 0:
        raise ValueError(
            f"target {target.shape} and source {source.shape} must give every bucket a "
            "probability above 0"
        )
    ratios = np.log(target) - np.log(source)
    return np.array([float(ratios[row].sum()) for row in rows])
