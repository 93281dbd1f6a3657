"""The exact negative log-likelihood of a text's bytes, beside that of its tokens.

The loss of the canonical encoding is an upper bound on the loss of the bytes (methods of Phan et
al. 2024), for two reasons:

1. A model gives some probability to tokens that can never follow. Renormalised at each token, the
   text gets its share back. Of a text *with its end* that is all: exactly one live sequence of
   tokens is this text and then ends. So one reading of the text gives its exact loss.
2. That a text *begins* with the bytes can also come true by tokens that reach beyond them. Then
   the covers of the last pretokens are summed, byte by byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.evaluation.bits_per_byte import bits_per_byte
from operators.tokenization.cover_tokenizer import cover_tokenizer
from operators.tokenization.exact_bytes import ByteStream, Floats, renormalised
from operators.tokenization.live_tokens import LiveTokens
from operators.tokenization.next_token_models import NextTokenModel, TextModel


@dataclass(frozen=True, slots=True)
class ExactBytesNll:
    """Losses of one text in nats; add them up over a corpus, never their ratios.

    Attributes:
        utf8_bytes: of the text.
        tokens: of its encoding, without the end.
        exact_nats: -log P(bytes), with the end if that was asked for.
        token_nats: -log P(canonical encoding), likewise; never less than `exact_nats`.
    """

    utf8_bytes: int
    tokens: int
    exact_nats: float
    token_nats: float

    @property
    def exact_bits_per_byte(self) -> float:
        """NaN for an empty text."""
        return bits_per_byte(self.exact_nats, self.utf8_bytes) if self.utf8_bytes else float("nan")

    @property
    def token_bits_per_byte(self) -> float:
        """NaN for an empty text."""
        return bits_per_byte(self.token_nats, self.utf8_bytes) if self.utf8_bytes else float("nan")


def exact_bytes_nll(
    model: NextTokenModel,
    tokenizer: Any,
    text: str,
    *,
    ends: bool = True,
    live: LiveTokens | None = None,
) -> ExactBytesNll:
    """Exact loss of a text's bytes.

    A `TextModel` reads the text at once; other models are asked token by token. Without the end,
    one more forward pass is made for each byte of the last pretokens.

    Args:
        tokenizer: anything that `cover_tokenizer` takes.
        ends: whether the end of the text belongs to it.
        live: to share between texts, whose windows repeat.

    Raises:
        ValueError: if `ends` and the tokenizer has no end of text; if the search for live tokens
            misses the text itself (see `live_tokens`).
    """
    search = LiveTokens(cover_tokenizer(tokenizer)) if live is None else live
    own = search.tokenizer
    if ends and own.end_id is None:
        raise ValueError(
            "the tokenizer has no end of text: name it to cover_tokenizer, or ends=False"
        )
    ids = own.encode(text)
    data = text.encode()
    settled = 0 if ends else search.settled(data)

    exact = tokens = 0.0
    size = len(own.tokens)
    first = start = end = 0
    for number, row in enumerate(_rows(model, ids)):
        following = ids[number] if number < len(ids) else own.end_id
        if number == len(ids) and not ends:
            break
        assert following is not None
        tokens -= float(row[following])
        if ends or end < settled:
            step = search.settled(data[start:end])
            if step:
                first, start = search.tokens_in(ids, first, step), start + step
            exact -= _log_share(row[:size], search, tuple(ids[first:number]), following)
        if number < len(ids):
            end += len(own.tokens[following])
    if not ends:
        read = ids[: search.tokens_in(ids, 0, settled)]
        stream = ByteStream.behind(model, search, read)
        exact -= stream.log_probability(data[settled:])
    return ExactBytesNll(len(data), len(ids), exact + 0.0, tokens + 0.0)


def _log_share(row: Floats, live: LiveTokens, window: tuple[int, ...], following: int) -> float:
    """The renormalised log-probability of what follows."""
    end_id = live.tokenizer.end_id
    follower = None if following == end_id else following
    kept, logs, end = renormalised(row, live, window, follower)
    if follower is None:
        return end
    found = np.flatnonzero(kept == follower)
    return float(logs[found[0]]) if len(found) else -np.inf


def _rows(model: NextTokenModel, ids: list[int]) -> Iterator[Floats]:
    """Log-probabilities before each token, and behind the last one."""
    if isinstance(model, TextModel):
        yield from model.running_log_probabilities(ids)
        return
    for number in range(len(ids) + 1):
        yield model.log_probabilities([ids[:number]])[0]
