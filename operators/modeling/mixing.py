"""The order in which a run sees the rows of several sources: new data and replayed old data, say.

The order is one endless line of rows, cut into batches. A place on it is a function of the place,
the seed and the sources alone: there is nothing to save but the number of the step, and the line
does not depend on the batch size or on the number of workers.

The mix is an exact quota, not a lottery. Of the first ``k`` rows of the line, the first source has
``k * share`` of them, rounded; of the rest, the second source has its share of the rest, rounded;
and so on. Drawing sources at random would hold the mix in expectation only, and a budget of replay
is small enough to care.

Replay is compute-equivalent (Ibrahim et al. 2024, arXiv 2403.08763): shares are shares of the
budget, and what is replayed is taken out of it. The control without replay sees as many tokens.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

# Shares are read as the nearest fraction with at most this denominator, so that 0.05 is 1/20.
_FINEST_SHARE = 10**9


class MixedOrder:
    """Batches of ``(source, row)`` by step, with the wanted share of tokens from each source.

    Guarantees:

    - of any first ``k`` rows, with two sources, each has its share to within half a row; with ``m``
      sources of equal row lengths to within ``(m - 1) / 2`` rows;
    - each source is read epoch by epoch; epoch ``e`` of source ``i`` is the permutation of
      ``Generator(PCG64([seed, i, e]))``, so that no row comes again before all others came;
    - a source with share 0 changes nothing: the order is that of the other sources alone (put it
      last, since a source's number is part of its seed).

    Args:
        lengths: rows of each source.
        shares: wanted share of the tokens of each source, ``>= 0``, together 1.
        batch_size: rows a step.
        seed: ``>= 0``.
        tokens_per_row: mean tokens of a row of each source; ``None`` where all rows are of one
            length, as packed ones are. Shares are of tokens: a source with rows twice as long gets
            half as many rows.

    Raises:
        ValueError: numbers out of range, or a share of an empty source.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        shares: Sequence[float],
        batch_size: int,
        seed: int,
        tokens_per_row: Sequence[float] | None = None,
    ) -> None:
        tokens = [1.0] * len(lengths) if tokens_per_row is None else list(tokens_per_row)
        if not len(lengths) == len(shares) == len(tokens) > 0:
            raise ValueError(
                f"lengths, shares and tokens_per_row must name the same sources, got "
                f"{len(lengths)}, {len(shares)} and {len(tokens)}"
            )
        if batch_size < 1 or seed < 0:
            raise ValueError(f"batch_size must be >= 1 and seed >= 0, got {batch_size} and {seed}")
        if not all(0 <= share <= 1 for share in shares) or abs(sum(shares) - 1) > 1e-6:
            raise ValueError(f"shares must be in [0, 1] and sum to 1, got {list(shares)}")
        for source, (length, share, mean) in enumerate(zip(lengths, shares, tokens, strict=True)):
            if share > 0 and length < 1:
                raise ValueError(f"source {source} has a share of {share} and no rows")
            if share > 0 and not 0 < mean < np.inf:
                raise ValueError(f"tokens_per_row of source {source} must be > 0, got {mean}")
        self.lengths = tuple(lengths)
        self.batch_size = batch_size
        self.seed = seed
        # Rows of a source among the rows that the sources before it leave over.
        of_the_rest: list[Fraction] = []
        rows = [
            _fraction(share) / _fraction(mean) if share > 0 else Fraction(0)
            for share, mean in zip(shares, tokens, strict=True)
        ]
        for source, wanted in enumerate(rows):
            rest = sum(rows[source:], Fraction(0))
            of_the_rest.append(wanted / rest if rest else Fraction(0))
        self._of_the_rest = tuple(of_the_rest)
        self._permutations: dict[tuple[int, int], NDArray[np.int64]] = {}

    def rows(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Sources ``[batch_size]`` and rows ``[batch_size]`` of a step, counted from 1.

        Raises:
            ValueError: a step below 1.
        """
        if step < 1:
            raise ValueError(f"step must be >= 1, got {step}")
        first = (step - 1) * self.batch_size
        # Rows of each source before each place of the batch, and before the place after it.
        before = self._counts(range(first, first + self.batch_size + 1))
        sources: NDArray[np.int64] = np.diff(before, axis=0).argmax(axis=1)
        rows = np.empty(self.batch_size, dtype=np.int64)
        needed: set[tuple[int, int]] = set()
        for source, length in enumerate(self.lengths):
            places = np.flatnonzero(sources == source)
            if places.size == 0:
                continue
            epochs, offsets = np.divmod(before[places, source], length)
            for epoch in np.unique(epochs).tolist():
                needed.add((source, epoch))
                here = epochs == epoch
                rows[places[here]] = self._permutation(source, epoch)[offsets[here]]
        # Only what the steps around this one use stays in memory.
        self._permutations = {key: self._permutations[key] for key in needed}
        return sources, rows

    def rows_drawn(self, steps: int) -> NDArray[np.int64]:
        """Rows ``[m]`` that the first ``steps`` steps take from each source.

        Raises:
            ValueError: a negative number of steps.
        """
        if steps < 0:
            raise ValueError(f"steps must be >= 0, got {steps}")
        drawn: NDArray[np.int64] = self._counts([steps * self.batch_size])[0]
        return drawn

    def _counts(self, places: Sequence[int]) -> NDArray[np.int64]:
        """Rows ``[len(places), m]`` of each source before each of some places of the line."""
        counts = np.zeros((len(places), len(self.lengths)), dtype=np.int64)
        rest = np.array(places, dtype=np.int64)
        for source, share in enumerate(self._of_the_rest):
            if share == 1:
                counts[:, source] = rest
                break
            if share == 0:
                continue
            # Python's integers: places times numerators may pass 64 bits, floats would round.
            top, bottom = 2 * share.numerator, 2 * share.denominator
            half = share.denominator
            counts[:, source] = [(top * place + half) // bottom for place in rest.tolist()]
            rest = rest - counts[:, source]
        return counts

    def _permutation(self, source: int, epoch: int) -> NDArray[np.int64]:
        key = (source, epoch)
        if key not in self._permutations:
            generator = np.random.Generator(np.random.PCG64([self.seed, source, epoch]))
            self._permutations[key] = generator.permutation(self.lengths[source])
        return self._permutations[key]


def _fraction(number: float) -> Fraction:
    return Fraction(number).limit_denominator(_FINEST_SHARE)
