"""Several models with different vocabularies as one model of bytes, and text drawn from it.

Tokens of two vocabularies cannot be averaged; distributions over the next byte can (Phan et al.
2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from operators.tokenization.exact_bytes import END, ByteStream, Floats


class ByteSource(Protocol):
    """What gives next-byte distributions: a `ByteStream` or a `ByteEnsemble`."""

    def outcomes(self) -> Floats:
        """[257] probabilities of the next byte, and at `END` of the text's end."""

    def advance(self, byte: int) -> float:
        """Read a byte; its log-probability."""


class ByteEnsemble:
    """The weighted mean of byte distributions, taken anew at each byte.

    Args:
        streams: all with the same bytes so far. They are moved by the ensemble: pass copies to
            keep your own.
        weights: one for each stream, >= 0, scaled to sum to 1; equal if not given.

    Raises:
        ValueError: for no streams, streams at different places, or weights that do not fit.
    """

    def __init__(self, streams: Sequence[ByteStream], weights: npt.ArrayLike | None = None) -> None:
        if not streams:
            raise ValueError("an ensemble of no streams has no distribution")
        places = {stream.prefix for stream in streams}
        if len(places) > 1:
            raise ValueError(f"the streams are at different places: {sorted(places)}")
        shares = np.ones(len(streams)) if weights is None else np.asarray(weights, np.float64)
        if shares.shape != (len(streams),) or not np.all(shares >= 0) or not shares.sum() > 0:
            raise ValueError(
                f"weights are {shares.tolist()}, but {len(streams)} numbers >= 0 that do not "
                "sum to 0 are needed"
            )
        self._streams = list(streams)
        self._weights = shares / shares.sum()

    @property
    def prefix(self) -> bytes:
        """All bytes so far."""
        return self._streams[0].prefix

    @property
    def forward_passes(self) -> int:
        """Sequences that the models were asked about, of all streams."""
        return sum(stream.forward_passes for stream in self._streams)

    def outcomes(self) -> Floats:
        """[257] probabilities of the next byte, and at `END` of the text's end. They sum to 1."""
        each = [stream.outcomes() for stream in self._streams]
        return np.asarray(self._weights @ np.stack(each))

    def distribution(self) -> Floats:
        """[256] probabilities of the next byte, given that the text goes on.

        Raises:
            ValueError: if it surely ends here.
        """
        going_on = self.outcomes()[:END]
        if going_on.sum() == 0:
            raise ValueError(f"after {self.prefix[-40:]!r} the text ends: there is no next byte")
        return np.asarray(going_on / going_on.sum())

    def end_probability(self) -> float:
        """Probability that the text ends here."""
        return float(self.outcomes()[END])

    def advance(self, byte: int) -> float:
        """Read a byte; its log-probability, given what came before.

        Raises:
            ValueError: if one of the streams gives it probability 0.
        """
        probability = float(self.outcomes()[byte]) if 0 <= byte < END else 0.0
        moved = [stream.copy() for stream in self._streams]
        for stream in moved:
            stream.advance(byte)
        self._streams = moved  # all or none
        return float(np.log(probability))

    def log_probability(self, data: bytes, *, ends: bool = False) -> float:
        """Log-probability that the text goes on with `data` (and ends there), given the past."""
        ahead = ByteEnsemble([stream.copy() for stream in self._streams], self._weights)
        total = 0.0
        for byte in data:
            if ahead.outcomes()[byte] == 0:
                return -np.inf
            total += ahead.advance(byte)
        if ends:
            with np.errstate(divide="ignore"):
                total += float(np.log(ahead.outcomes()[END]))
        return total


def generate_bytes(
    source: ByteSource,
    most: int,
    *,
    temperature: float = 1.0,
    generator: np.random.Generator | None = None,
) -> bytes:
    """Draw bytes until the text ends, at most `most` of them; `source` is moved along.

    What comes out always begins some UTF-8 text; cut off at `most`, it may end inside of a
    character.

    Args:
        temperature: 0 takes the most probable outcome, of equals the lowest byte, and the end
            last. Otherwise outcomes are drawn by P ** (1 / temperature).
        generator: what is drawn with; needed unless the temperature is 0.

    Raises:
        ValueError: for a negative length or temperature, or draws without a generator.
    """
    if most < 0:
        raise ValueError(f"most is {most}, but must be >= 0")
    if not temperature >= 0:
        raise ValueError(f"temperature is {temperature}, but must be >= 0")
    if temperature > 0 and generator is None:
        raise ValueError("drawing needs a generator, so that it can be repeated; or temperature=0")
    written = bytearray()
    while len(written) < most:
        outcomes = source.outcomes()
        if temperature == 0:
            chosen = int(outcomes.argmax())
        else:
            assert generator is not None
            with np.errstate(divide="ignore"):
                logs = np.log(outcomes) / temperature
            weights = np.exp(logs - logs.max())
            chosen = int(generator.choice(END + 1, p=weights / weights.sum()))
        if chosen == END:
            break
        source.advance(chosen)
        written.append(chosen)
    return bytes(written)
