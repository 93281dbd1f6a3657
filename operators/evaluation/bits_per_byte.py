"""Bits per byte: the loss of a language model in a unit that no tokenizer can change."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def bits_per_byte(nats: npt.ArrayLike, utf8_bytes: npt.ArrayLike) -> float:
    """Pooled bits per byte: sum(nats) / (ln 2 * sum(utf8_bytes)).

    The two need not have the same shape: losses may be by token and bytes by document. Only their
    sums matter, and they are exactly rounded (`math.fsum`), so no order of rows and no split into
    shards changes a bit of the result.

    Args:
        nats: negative log-likelihoods, natural log, each scored token once.
        utf8_bytes: bytes of the *original* text of the same tokens, before any normalisation.

    Raises:
        ValueError: if a value is negative, NaN or infinite, or there are no bytes.
    """
    losses = _finite(nats, "nats")
    sizes = _finite(utf8_bytes, "utf8_bytes")
    size = math.fsum(sizes.tolist())
    if size == 0:
        raise ValueError("utf8_bytes sum to 0: there is no text to divide by")
    return math.fsum(losses.tolist()) / (math.log(2) * size)


def _finite(values: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).ravel()
    wrong = ~(np.isfinite(array) & (array >= 0))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(f"{name}[{at}] is {array[at]}, but must be finite and >= 0")
    return array
