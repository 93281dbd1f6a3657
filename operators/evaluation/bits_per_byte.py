"""Bits per byte: the loss of a language model in a unit that no tokenizer can change."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from operators.tokenization.byte_tokenizer import ByteTokenizer


# What a byte costs that the tokens cannot give back: that of a uniform choice among all bytes.
_BITS_OF_A_LOST_BYTE = 8


def bits_per_byte(
    nats: npt.ArrayLike, utf8_bytes: npt.ArrayLike, lost_bytes: npt.ArrayLike = 0
) -> float:
    """Pooled bits per byte: sum(nats) / (ln 2 * sum(utf8_bytes)), and 8 bits a lost byte.

    The two need not have the same shape: losses may be by token and bytes by document. Only their
    sums matter, and they are exactly rounded (`math.fsum`), so no order of rows and no split into
    shards changes a bit of the result.

    Args:
        nats: negative log-likelihoods, natural log, each scored token once.
        utf8_bytes: bytes of the *original* text of the same tokens, before any normalisation.
        lost_bytes: those of them that an unknown token stands for (`unknown_bytes`). Such a
            token is cheap and says nothing of its text, so each byte is charged 8 bits on top.

    Raises:
        ValueError: if a value is negative, NaN or infinite, there are no bytes, or more lost
            bytes than bytes.
    """
    losses = _finite(nats, "nats").tolist()
    size = math.fsum(_finite(utf8_bytes, "utf8_bytes").tolist())
    lost = math.fsum(_finite(lost_bytes, "lost_bytes").tolist())
    if size == 0:
        raise ValueError("utf8_bytes sum to 0: there is no text to divide by")
    if lost > size:
        raise ValueError(f"lost_bytes sum to {lost:g}, but the text has {size:g} bytes")
    if lost:
        losses.append(_BITS_OF_A_LOST_BYTE * math.log(2) * lost)
    return math.fsum(losses) / (math.log(2) * size)


def unknown_bytes(tokenizer: ByteTokenizer, text: str) -> int:
    """UTF-8 bytes of a text that the tokenizer can only write as its unknown token.

    What a normaliser of the tokenizer changes (case, accents) is not seen here: of such a
    tokenizer the loss is that of another text.

    Raises:
        ValueError: the tokenizer has an unknown token, and nothing says where in the text it
            stands (`HubByteTokenizer` does).
    """
    if tokenizer.unknown_id is None:
        return 0
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        if tokenizer.unknown_id not in tokenizer.encode(text):
            return 0
        raise ValueError(
            f"a {type(tokenizer).__name__} does not say which part of the text its unknown token "
            f"{tokenizer.unknown_id} stands for: its lost bytes cannot be counted"
        )
    encoding = backend.encode(text, add_special_tokens=False)
    lost = np.zeros(len(text), bool)
    for number, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
        if number == tokenizer.unknown_id:
            lost[start:end] = True
    return sum(len(text[place].encode()) for place in np.flatnonzero(lost))


def _finite(values: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).ravel()
    wrong = ~(np.isfinite(array) & (array >= 0))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(f"{name}[{at}] is {array[at]}, but must be finite and >= 0")
    return array
