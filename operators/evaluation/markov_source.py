"""Markov sources of any order, with their entropies to the last bit of a float.

A source of order k draws each symbol given the k before it. Its entropy rate is what no model can
beat; its unigram entropy is what is left to a model that sees no dependency. Rajaraman et al. 2024
(arXiv 2404.08335) train transformers on such sources: on characters they stay at the unigram
entropy, or leave it only after a long time; on tokens even a model without context comes near the
entropy rate, since most of the dependency lies inside of the tokens.

A symbol is a letter, one byte a symbol: bits per byte of a text are bits per symbol.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from operators.editing.row_draws import row_generator

LETTERS = string.ascii_lowercase
# Stationary distributions are solved for exactly, in a dense matrix of this side at most.
MOST_CONTEXTS = 1024

# Texts that are drawn at a time.
_AT_A_TIME = 4096


@dataclass(frozen=True, eq=False)
class MarkovSource:
    """A stationary source: its first k symbols are drawn from the stationary distribution.

    Attributes:
        table: probability of each symbol after each context of k symbols, float64 [a**k, a]. A
            context is numbered as a number in base a, its oldest symbol the first digit.

    Raises:
        ValueError: rows that are no distributions, a number of them that is no power of a or above
            `MOST_CONTEXTS`, or a source with no single stationary distribution.
    """

    table: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        table = np.asarray(self.table, dtype=np.float64)
        if table.ndim != 2 or not len(table) or not 2 <= table.shape[1] <= len(LETTERS):
            raise ValueError(
                f"the table has shape {table.shape}, but must be [contexts, symbols] with 2 to "
                f"{len(LETTERS)} symbols"
            )
        contexts, symbols = table.shape
        order = max(1, round(float(np.log(contexts) / np.log(symbols))))
        if symbols**order != contexts:
            raise ValueError(
                f"the table has {contexts} rows for {symbols} symbols: a source of order k needs "
                f"{symbols}**k, one for each context"
            )
        if contexts > MOST_CONTEXTS:
            raise ValueError(
                f"{symbols} symbols at order {order} have {contexts} contexts, and more than "
                f"{MOST_CONTEXTS} are not solved for: lower the order or the number of symbols"
            )
        if not (table >= 0).all() or not (np.abs(table.sum(axis=1) - 1) < 1e-9).all():
            row = int(np.argmax((table < 0).any(axis=1) | (np.abs(table.sum(axis=1) - 1) >= 1e-9)))
            raise ValueError(
                f"row {row} of the table is {table[row].tolist()}, but must be probabilities that "
                "sum to 1"
            )
        object.__setattr__(self, "table", table)
        _ = self.stationary  # refuses what has none

    @property
    def symbols(self) -> int:
        """Size a of the alphabet."""
        return int(self.table.shape[1])

    @cached_property
    def order(self) -> int:
        """How many symbols before it a symbol depends on, k."""
        return max(1, round(float(np.log(len(self.table)) / np.log(self.symbols))))

    @cached_property
    def following(self) -> npt.NDArray[np.int64]:
        """The context behind each context and symbol, int64 [a**k, a]."""
        contexts, symbols = self.table.shape
        kept = np.arange(contexts)[:, None] * symbols % contexts
        return np.asarray(kept + np.arange(symbols), dtype=np.int64)

    @cached_property
    def stationary(self) -> npt.NDArray[np.float64]:
        """How often each context occurs in the long run, [a**k]."""
        from scipy.sparse import csr_matrix
        from scipy.sparse.csgraph import connected_components

        contexts = len(self.table)
        steps = np.zeros((contexts, contexts))
        rows = np.repeat(np.arange(contexts), self.symbols)
        np.add.at(steps, (rows, self.following.ravel()), self.table.ravel())
        count, part = connected_components(csr_matrix(steps > 0), connection="strong")
        left = np.unique(part[rows][(part[rows] != part[self.following.ravel()])
                                    & (self.table.ravel() > 0)])  # fmt: skip
        if count - len(left) != 1:
            raise ValueError(
                f"the source has {count - len(left)} parts that it never leaves: what it does in "
                "the long run depends on how it begins; let it come from each to the other"
            )
        # pi (steps - 1) = 0 has one equation too many: the last one says that pi sums to 1.
        equations = steps.T - np.eye(contexts)
        equations[-1] = 1.0
        wanted = np.zeros(contexts)
        wanted[-1] = 1.0
        found = np.linalg.solve(equations, wanted).clip(min=0.0)
        return np.asarray(found / found.sum())

    @cached_property
    def unigram(self) -> npt.NDArray[np.float64]:
        """How often each symbol occurs in the long run, [a]."""
        return np.asarray(self.stationary @ self.table)

    @property
    def unigram_entropy(self) -> float:
        """Bits per symbol of a model that knows how often each symbol occurs, and nothing more."""
        return _bits(self.unigram)

    @property
    def entropy_rate(self) -> float:
        """Bits per symbol of a model that knows the source."""
        return float(sum(
            weight * _bits(row) for weight, row in zip(self.stationary, self.table, strict=True)
        ))  # fmt: skip

    def expected_bits(self, length: int) -> float:
        """Bits of a text that knowledge of the source leaves, on average over texts: the first k
        symbols of a text have no whole context yet.

        Raises:
            ValueError: a text shorter than the order.
        """
        self._check_length(length)
        return _bits(self.stationary) + (length - self.order) * self.entropy_rate

    def texts(self, names: Sequence[str], length: int, *, seed: int) -> Iterator[str]:
        """A text of so many symbols for each name: it follows from name and seed alone.

        Raises:
            ValueError: a text shorter than the order.
        """
        self._check_length(length)
        behind = self.table.cumsum(axis=1)
        behind[:, -1] = 1.0
        beginnings = self.stationary.cumsum()
        letters = np.frombuffer(LETTERS.encode(), dtype=np.uint8)
        for first in range(0, len(names), _AT_A_TIME):
            rows = names[first : first + _AT_A_TIME]
            uniforms = np.stack(
                [row_generator(seed, "markov source", name).random(length) for name in rows]
            )
            drawn = np.empty((len(rows), length), dtype=np.int64)
            # The first number decides the first k symbols at once.
            contexts = np.searchsorted(beginnings, uniforms[:, 0], side="right")
            contexts = contexts.clip(max=len(self.table) - 1)
            for place in range(self.order):
                drawn[:, place] = (
                    contexts // self.symbols ** (self.order - 1 - place) % self.symbols
                )
            for place in range(self.order, length):
                new = (uniforms[:, place, None] >= behind[contexts]).sum(axis=1)
                drawn[:, place] = new
                contexts = self.following[contexts, new]
            for row in letters[drawn]:
                yield row.tobytes().decode()

    def bits(self, text: str) -> float:
        """-log2 of the probability of a text under the source itself; infinite where it has none.

        Raises:
            ValueError: a text shorter than the order, or a letter that is no symbol of the source.
        """
        self._check_length(len(text))
        numbers = self._numbers(text)
        digits = self.symbols ** np.arange(self.order - 1, -1, -1)
        windows = np.lib.stride_tricks.sliding_window_view(numbers, self.order)
        contexts = windows @ digits
        with np.errstate(divide="ignore"):
            first = -np.log2(self.stationary[contexts[0]])
            others = -np.log2(self.table[contexts[:-1], numbers[self.order :]])
        return float(first + others.sum())

    def unigram_bits(self, text: str) -> float:
        """-log2 of the probability of a text where symbols are independent, as often as here."""
        with np.errstate(divide="ignore"):
            return float(-np.log2(self.unigram[self._numbers(text)]).sum())

    def _numbers(self, text: str) -> npt.NDArray[np.int64]:
        codes = np.frombuffer(text.encode("ascii", errors="replace"), dtype=np.uint8)
        numbers = codes.astype(np.int64) - ord(LETTERS[0])
        wrong = (numbers < 0) | (numbers >= self.symbols)
        if wrong.any():
            place = int(np.argmax(wrong))
            raise ValueError(
                f'"{text[place]}" at position {place} is no symbol of this source: they are '
                f"{LETTERS[0]} to {LETTERS[self.symbols - 1]}"
            )
        return numbers

    def _check_length(self, length: int) -> None:
        if length < self.order:
            raise ValueError(
                f"a text of {length} symbols is shorter than the order {self.order} of the source"
            )


def switching(order: int, p: float, q: float) -> MarkovSource:
    """Two symbols, each given the one `order` places before it: P(b | a) = `p`, P(a | b) = `q`.

    At order 1 this is the chain of two states. At order k it is k such chains that take turns, with
    the same entropies: what is to be learnt is as simple, and farther away.

    Args:
        order: >= 1.
        p, q: in (0, 1]; at p = q = 1/2 all symbols are independent.

    Raises:
        ValueError: a probability that is not in (0, 1], or too large an order.
    """
    for name, value in (("p", p), ("q", q)):
        if not 0 < value <= 1:
            raise ValueError(f"{name} is {value}, but must be > 0 and <= 1: a symbol must be left")
    contexts = _contexts(order, 2)
    oldest = np.arange(contexts) >= contexts // 2
    rows = np.array([[1 - p, p], [q, 1 - q]])
    return MarkovSource(rows[oldest.astype(np.int64)])


def random_source(
    order: int, symbols: int, *, concentration: float = 1.0, seed: int
) -> MarkovSource:
    """Each context has a distribution of its own, drawn from a symmetric Dirichlet distribution.

    Args:
        order: >= 1.
        symbols: of the alphabet, 2 to 26.
        concentration: > 0; small ones give distributions near a single symbol, and a low entropy
            rate.
        seed: of the draw.
    """
    if not concentration > 0:
        raise ValueError(f"concentration is {concentration}, but must be > 0")
    if not 2 <= symbols <= len(LETTERS):
        raise ValueError(f"symbols is {symbols}, but must be 2 to {len(LETTERS)}")
    numbers = row_generator(seed, "markov table", f"{symbols} symbols, order {order}")
    drawn = numbers.dirichlet(np.full(symbols, concentration), _contexts(order, symbols))
    # A probability that was rounded to 0 would cut the source into parts.
    drawn = drawn.clip(min=1e-12)
    return MarkovSource(drawn / drawn.sum(axis=1, keepdims=True))


def _contexts(order: int, symbols: int) -> int:
    if order < 1:
        raise ValueError(f"order is {order}, but must be >= 1")
    if symbols**order > MOST_CONTEXTS:
        raise ValueError(
            f"{symbols} symbols at order {order} have {symbols**order} contexts, and more than "
            f"{MOST_CONTEXTS} are not solved for: lower the order or the number of symbols"
        )
    return int(symbols**order)


def _bits(distribution: npt.NDArray[np.float64]) -> float:
    kept = distribution[distribution > 0]
    return float(-(kept * np.log2(kept)).sum()) + 0.0
