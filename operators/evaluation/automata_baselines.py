"""What can be said of the next symbol by counting in the context: n-grams with back-off.

A model that is not better than these on documents of automata has learnt no automaton, only which
symbols follow which (Akyürek et al. 2024 compare with n = 2 and 3).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from operators.evaluation.automata import ALPHABET, SEPARATOR

_BEGIN = "^"


def ngram_predictions(
    text: str, order: int, *, alphabet: str = ALPHABET, separator: str = SEPARATOR
) -> npt.NDArray[np.float64]:
    """The distribution of each symbol, from what stands before it in the same text.

    The last ``order - 1`` symbols are the context; it does not reach beyond the beginning of a
    string, which is a context itself. A symbol that was seen c times among C in the context has
    c / (C + 1); the rest, 1 / (C + 1), goes to the symbols not seen there, in proportion to what
    the shorter context says of them, and in the end equally. (It is what the authors' back-off
    comes to: they count the context once more than it was continued.)

    Args:
        text: strings with separators between them.
        order: n >= 1; 1 has no context.

    Returns:
        ``[len(text), len(alphabet)]``. Rows sum to 1; at a separator they speak of the symbol that
        might have stood there.

    Raises:
        ValueError: an order below 1, or a symbol outside of the alphabet.
    """
    if order < 1:
        raise ValueError(f"order is {order}, but must be >= 1")
    number_of = {symbol: number for number, symbol in enumerate(alphabet)}
    seen: dict[str, npt.NDArray[np.int64]] = {}
    predictions = np.empty((len(text), len(alphabet)))
    history = _BEGIN
    for place, symbol in enumerate(text):
        contexts = [history[len(history) - size :] for size in range(min(order, len(history) + 1))]
        predictions[place] = _back_off([seen.get(c) for c in reversed(contexts)], len(alphabet))
        if symbol == separator:
            history = _BEGIN
            continue
        if symbol not in number_of:
            raise ValueError(f'"{symbol}" at position {place} is not in the alphabet "{alphabet}"')
        for context in contexts:
            seen.setdefault(context, np.zeros(len(alphabet), np.int64))[number_of[symbol]] += 1
        history += symbol
    return predictions


def _back_off(counts: list[npt.NDArray[np.int64] | None], symbols: int) -> npt.NDArray[np.float64]:
    """A distribution from the counts in contexts, the longest first."""
    made = np.zeros(symbols)
    unseen = np.ones(symbols, dtype=bool)
    mass = 1.0
    for count in counts:
        if count is None:
            continue
        here = np.where(unseen, count, 0)
        total = int(here.sum())
        if not total:
            continue
        made += mass * here / (total + 1)
        mass /= total + 1
        unseen &= here == 0
        if not unseen.any():
            return np.asarray(made / made.sum())
    made[unseen] += mass / unseen.sum()
    return made
