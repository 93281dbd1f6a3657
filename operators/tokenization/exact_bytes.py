"""Exact byte-level probabilities of a model of tokens (Phan et al. 2024).

A model that reads "hel" as [hel] gives almost nothing to [lo], because in its training "hello" was
one token. To condition on the *bytes* "hel" is another matter: the text may go on inside of a
token. By the Byte-Token Representation Lemma

    P(a text begins with x) = sum of P(t) over the covers t of x,

where a cover is a live sequence of tokens (`live_tokens`) whose bytes begin with x and whose last
token begins inside of x. All covers with the same left part, which ends at some byte of x, share
one forward pass. Where tokens are prefix-closed there is one left part at most at each byte;
where a pre-tokenizer looks ahead there may be several, and all are followed.

A model trained on encoded texts still gives some probability to tokens that cannot follow, and to
special tokens other than the end. That is set to zero at each step and the rest renormalised; the
end of the text counts where a text can end. What results is a distribution over texts, and every
number here is exact for it, up to float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from operators.tokenization.cover_tokenizer import CoverTokenizer, cover_tokenizer
from operators.tokenization.live_tokens import LiveTokens
from operators.tokenization.next_token_models import NextTokenModel
from operators.tokenization.text_endings import text_beginning

# The outcome behind the 256 bytes: the text ends here.
END = 256

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Covers:
    """Covers that share a left part and go on behind the bytes seen so far."""

    left: tuple[int, ...]
    starts: int  # byte at which the last token begins
    last: npt.NDArray[np.int64]
    logs: Floats  # of the whole cover


class ByteSource(ABC):
    """Something that gives next-byte distributions while bytes are read one by one."""

    @property
    @abstractmethod
    def prefix(self) -> bytes:
        """All bytes so far."""

    @abstractmethod
    def outcomes(self) -> Floats:
        """[257] probabilities of the next byte, and at `END` of the text's end. They sum to 1."""

    @abstractmethod
    def advance(self, byte: int) -> float:
        """Read a byte; its log-probability, given what came before.

        Raises:
            ValueError: if it is no byte or has probability 0; then nothing has moved.
        """

    @abstractmethod
    def copy(self) -> Self:
        """A source at the same place that moves by itself."""

    def distribution(self) -> Floats:
        """[256] probabilities of the next byte, given that the text goes on.

        Raises:
            ValueError: if it surely ends here.
        """
        going_on = self.outcomes()[:END]
        total = going_on.sum()
        if total == 0:
            raise ValueError(f"after {self.prefix[-40:]!r} the text ends: there is no next byte")
        return np.asarray(going_on / total)

    def end_probability(self) -> float:
        """Probability that the text ends here; 0 for a model without an end of text."""
        return float(self.outcomes()[END])

    def log_probability(self, data: bytes, *, ends: bool = False) -> float:
        """Log-probability that the text goes on with `data`, given what came before.

        The source itself stays where it is.

        Args:
            ends: and that it ends behind them.
        """
        ahead = self.copy()
        total = 0.0
        for byte in data:
            if ahead.outcomes()[byte] == 0:
                return -np.inf
            total += ahead.advance(byte)
        if ends:
            with np.errstate(divide="ignore"):
                total += float(np.log(ahead.end_probability()))
        return total


class ByteStream(ByteSource):
    """Next-byte distributions while bytes are read one by one: about one forward pass a byte.

    Args:
        model: of the next token.
        tokenizer: anything that `cover_tokenizer` takes.
        prefix: bytes to begin with; they may end inside of a character. Only its last pretokens
            are read byte by byte.
        live: to share between streams over the same tokenizer, which must then be
            `live.tokenizer`.

    Attributes:
        forward_passes: sequences that the model was asked about while the stream moved.

    Raises:
        ValueError: if the prefix is no beginning of UTF-8, a byte of it has probability 0, or
            the search for live tokens misses the prefix itself (see `live_tokens`).
    """

    def __init__(
        self,
        model: NextTokenModel,
        tokenizer: Any,
        prefix: bytes = b"",
        *,
        live: LiveTokens | None = None,
    ) -> None:
        self._model = model
        self._live = LiveTokens(cover_tokenizer(tokenizer)) if live is None else live
        self._tokenizer: CoverTokenizer = self._live.tokenizer
        tokens = self._tokenizer.tokens
        self._sizes = np.fromiter(map(len, tokens), np.int64, len(tokens))
        self._begins = np.cumsum(self._sizes) - self._sizes
        self._flat = np.frombuffer(b"".join(tokens) + b"\0", np.uint8)
        self.forward_passes = 0

        text, _ = text_beginning(prefix, "the prefix")
        self._known_text = tuple(self._tokenizer.encode(text))
        settled = self._live.settled(prefix)
        # Whatever follows, a text that begins with the prefix begins with these tokens.
        self._begin(self._known_text[: self._live.tokens_in(self._known_text, 0, settled)])
        for byte in prefix[settled:]:
            self.advance(byte)
        self._known_text = ()

    def _begin(self, ids: tuple[int, ...]) -> None:
        """Go to where these tokens, and no others for the same bytes, have been read."""
        self._data = bytearray(b"".join(self._tokenizer.tokens[one] for one in ids))
        self._settled_at = self._live.settled(bytes(self._data))
        self._settled_ids = ids[: self._live.tokens_in(ids, 0, self._settled_at)]
        self._lefts: list[tuple[tuple[int, ...], float]] = [(ids, 0.0)]
        self._covers: list[_Covers] = []
        self._end_log = -np.inf
        self._outcomes: Floats | None = None

    @classmethod
    def behind(cls, model: NextTokenModel, live: LiveTokens, ids: Sequence[int]) -> ByteStream:
        """A stream behind the bytes of these tokens, given that the text has exactly these."""
        stream = cls(model, live.tokenizer, live=live)
        stream._begin(tuple(ids))
        return stream

    @property
    def prefix(self) -> bytes:
        """See `ByteSource`."""
        return bytes(self._data)

    def outcomes(self) -> Floats:
        """See `ByteSource`."""
        if self._outcomes is None:
            self._expand()
            logs = np.concatenate([[self._end_log], *(covers.logs for covers in self._covers)])
            highest = logs.max()
            if highest == -np.inf:
                raise ValueError(
                    f"the model gives no probability to any continuation of {self._shown()}"
                )
            weights = np.exp(logs - highest)
            nexts = np.concatenate([[END], *map(self._next_bytes, self._covers)])
            sums = np.bincount(nexts, weights, 257)
            self._outcomes = sums / sums.sum()
        return self._outcomes.copy()

    def advance(self, byte: int) -> float:
        """See `ByteSource`."""
        if not 0 <= byte < END:
            raise ValueError(f"{byte} is not a byte")
        probability = float(self.outcomes()[byte])
        if probability == 0:
            raise ValueError(f"byte 0x{byte:02X} has probability 0 after {self._shown()}")
        self._outcomes = None
        kept: list[_Covers] = []
        here = len(self._data)
        for covers in self._covers:
            fits = self._next_bytes(covers) == byte
            ending = fits & (self._sizes[covers.last] == here + 1 - covers.starts)
            for at in np.flatnonzero(ending).tolist():
                ids = (*covers.left, int(covers.last[at]))
                self._lefts.append((ids, float(covers.logs[at])))
            going_on = fits & ~ending
            if going_on.any():
                kept.append(
                    _Covers(
                        covers.left, covers.starts, covers.last[going_on], covers.logs[going_on]
                    )
                )
        self._covers = kept
        self._end_log = -np.inf
        self._data.append(byte)
        self._settle()
        return float(np.log(probability))

    def copy(self) -> Self:
        """See `ByteSource`."""
        twin = copy(self)
        twin._data = bytearray(self._data)
        twin._lefts = list(self._lefts)
        twin._covers = list(self._covers)
        return twin

    def _expand(self) -> None:
        """One forward pass for each left part that ends here; its continuations become covers."""
        if not self._lefts:
            return
        lefts, self._lefts = self._lefts, []
        size = len(self._sizes)
        rows = self._model.log_probabilities([ids for ids, _ in lefts])
        self.forward_passes += len(lefts)
        if rows.shape[1] < size:
            raise ValueError(f"the model has {rows.shape[1]} tokens, the tokenizer {size}")
        ends = []
        for (ids, log), row in zip(lefts, rows, strict=True):
            window = ids[len(self._settled_ids) :]
            kept, logs, end = renormalised(row[:size], self._live, window, self._follower(ids))
            if len(kept):
                self._covers.append(_Covers(ids, len(self._data), kept, log + logs))
            ends.append(log + end)
        self._end_log = float(np.logaddexp.reduce(ends))

    def _follower(self, ids: tuple[int, ...]) -> int | None:
        """The next token of the text that the prefix is, if these are its first ones."""
        known = self._known_text
        if len(ids) < len(known) and known[: len(ids)] == ids:
            return known[len(ids)]
        return None

    def _next_bytes(self, covers: _Covers) -> npt.NDArray[np.int64]:
        """The byte behind those seen so far, of each cover."""
        offset = len(self._data) - covers.starts
        return np.asarray(self._flat[self._begins[covers.last] + offset], np.int64)

    def _settle(self) -> None:
        """Move the window on, where no cover in question reaches back behind its new start."""
        step = self._live.settled(bytes(self._data[self._settled_at :]))
        at = self._settled_at + step
        if not step or any(covers.starts < at for covers in self._covers):
            return
        heads = {
            ids[: max(self._live.tokens_in(ids, len(self._settled_ids), step), 0)]
            for ids in (*(ids for ids, _ in self._lefts), *(covers.left for covers in self._covers))
        }
        if len(heads) == 1 and () not in heads:
            (self._settled_ids,) = heads
            self._settled_at = at

    def _shown(self) -> str:
        return repr(bytes(self._data[-40:]))


def next_byte_distribution(model: NextTokenModel, tokenizer: Any, prefix: bytes) -> Floats:
    """[256] exact probabilities of the byte after `prefix`, given that the text goes on.

    See `ByteStream` for the arguments and errors; use one to read on from here.
    """
    return ByteStream(model, tokenizer, prefix).distribution()


def renormalised(
    row: Floats, live: LiveTokens, window: tuple[int, ...], follower: int | None = None
) -> tuple[npt.NDArray[np.int64], Floats, float]:
    """What a model's distribution over tokens says about live tokens and the end.

    Args:
        row: [V] log-probabilities of the model.
        window: see `LiveTokens.after`.
        follower: a token that does follow in a text.

    Returns:
        (live ids of probability > 0, their log-probabilities, that of the text's end), which sum
        to 1; all empty, and -inf, if nothing live has any probability.

    Raises:
        ValueError: if `follower` is taken for dead.
    """
    alive = live.after(window)
    tokens = live.tokenizer.tokens
    if follower is not None and not alive[follower]:
        written = b"".join(tokens[one] for one in window)
        raise ValueError(
            f"a text has token {tokens[follower]!r} after {written!r}, but no short ending shows "
            "that it may: the pre-tokenizer looks too far ahead for exact bytes"
        )
    kept = np.flatnonzero(alive & (row > -np.inf))
    end_id = live.tokenizer.end_id
    end = -np.inf
    if end_id is not None and row[end_id] > -np.inf and live.ends(window):
        end = float(row[end_id])
    if not len(kept) and end == -np.inf:
        return kept, row[kept], -np.inf
    highest = max(end, row[kept].max(initial=-np.inf))
    total = highest + np.log(np.exp(row[kept] - highest).sum() + np.exp(end - highest))
    return kept, row[kept] - total, float(end - total)
