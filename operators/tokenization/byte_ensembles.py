"""Several models with different vocabularies as one model of bytes, and text drawn from it.

Tokens of two vocabularies cannot be averaged; distributions over the next byte can (Phan et al.
2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Self

import numpy as np
import numpy.typing as npt

from operators.tokenization.exact_bytes import END, ByteSource, Floats


class ByteEnsemble(ByteSource):
    """The weighted mean of byte distributions, taken anew at each byte.

    Args:
        sources: all with the same bytes so far; they themselves are not moved.
        weights: one for each source, >= 0, scaled to sum to 1; equal if not given.

    Raises:
        ValueError: for no sources, sources at different places, or weights that do not fit.
    """

    def __init__(self, sources: Sequence[ByteSource], weights: npt.ArrayLike | None = None) -> None:
        if not sources:
            raise ValueError("an ensemble of no streams has no distribution")
        places = {source.prefix for source in sources}
        if len(places) > 1:
            raise ValueError(f"the streams are at different places: {sorted(places)}")
        shares = np.ones(len(sources)) if weights is None else np.asarray(weights, np.float64)
        if shares.shape != (len(sources),) or not np.all(shares >= 0) or not shares.sum() > 0:
            raise ValueError(
                f"weights are {shares.tolist()}, but {len(sources)} numbers >= 0 that do not "
                "sum to 0 are needed"
            )
        self._sources: list[ByteSource] = list(sources)
        self._weights = shares / shares.sum()

    @property
    def prefix(self) -> bytes:
        """See `ByteSource`."""
        return self._sources[0].prefix

    def outcomes(self) -> Floats:
        """See `ByteSource`."""
        return np.asarray(self._weights @ np.stack([each.outcomes() for each in self._sources]))

    def advance(self, byte: int) -> float:
        """See `ByteSource`; a byte that one of the sources rules out is refused, too."""
        probability = float(self.outcomes()[byte]) if 0 <= byte < END else 0.0
        moved = [source.copy() for source in self._sources]
        for source in moved:
            source.advance(byte)
        self._sources = moved  # all or none
        return float(np.log(probability))

    def copy(self) -> Self:
        """See `ByteSource`."""
        twin = copy(self)
        twin._sources = [source.copy() for source in self._sources]
        return twin


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
