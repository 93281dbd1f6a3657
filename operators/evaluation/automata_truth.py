"""What is legal where in a document of an automaton, and how close predictions come to it.

The metrics of Akyürek et al. 2024 (arXiv 2401.12973), at the positions that the authors score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from operators.evaluation.automata import ALPHABET, SEPARATOR, Automaton


@dataclass(frozen=True, slots=True)
class LegalSymbols:
    """The truth about a document.

    Attributes:
        positions: of the symbols that are scored, int64 [n]: all but separators, which the truth
            says nothing about, and the first symbol, before which nothing is known.
        legal: which symbols of `ALPHABET` are legal there, bool [n, 18].
    """

    positions: npt.NDArray[np.int64]
    legal: npt.NDArray[np.bool_]


def legal_symbols(automaton: Automaton, text: str) -> LegalSymbols:
    """What can follow where, in a document of `automaton_text`.

    Raises:
        ValueError: the document is not one of this automaton.
    """
    rows = np.array(
        [[symbol in automaton.legal(state) for symbol in ALPHABET]
         for state in range(len(automaton.edges))]
    )  # fmt: skip
    positions: list[int] = []
    states: list[int] = []
    begin = 0
    for string in text.split(SEPARATOR):
        positions += range(begin, begin + len(string))
        states += automaton.states_before(string)
        begin += len(string) + 1
    scored = slice(1 if positions[:1] == [0] else 0, None)
    places = np.array(positions[scored], dtype=np.int64)
    return LegalSymbols(places, rows[np.array(states[scored], dtype=np.int64)])


@dataclass(frozen=True, slots=True)
class Closeness:
    """How close predictions are to the truth, means over positions.

    Attributes:
        positions: how many.
        accuracy: share of positions whose most probable symbol is legal. Of several that are
            equally probable each counts its share.
        tvd: total variation distance to the uniform distribution over the legal symbols, in [0, 1].
    """

    positions: int
    accuracy: float
    tvd: float


def closeness(
    legal: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    other_mass: npt.ArrayLike = 0.0,
    best_other: npt.ArrayLike = 0.0,
) -> Closeness:
    """Compare predictions with what is legal.

    Args:
        legal: bool [n, k], one true at least in each row.
        probabilities: [n, k]; with `other_mass` each row sums to 1.
        other_mass: [n] or a number, what the prediction gives to anything else; never legal.
        best_other: [n] or a number, the most that it gives to one other thing.

    Raises:
        ValueError: no position, shapes that differ, a row without a legal symbol, or one that is no
            distribution.
    """
    can = np.asarray(legal, dtype=bool)
    given = np.asarray(probabilities, dtype=np.float64)
    if can.ndim != 2 or can.shape != given.shape or not len(can):
        raise ValueError(
            f"legal is {can.shape} and probabilities are {given.shape}, but both must be [n, k] "
            "with n >= 1"
        )
    if not can.any(axis=1).all():
        raise ValueError(f"position {int(np.argmin(can.any(axis=1)))} has no legal symbol")
    mass = np.broadcast_to(np.asarray(other_mass, dtype=np.float64), len(can))
    other = np.broadcast_to(np.asarray(best_other, dtype=np.float64), len(can))
    if (given < 0).any():
        raise ValueError("a probability is negative")
    sums = given.sum(axis=1) + mass
    if not (np.abs(sums - 1) < 1e-6).all():
        raise ValueError(f"a prediction sums to {sums[np.argmax(np.abs(sums - 1))]}, and not to 1")
    best = np.maximum(given.max(axis=1), other)
    highest = given == best[:, None]
    among = highest.sum(axis=1) + ((other == best) & (mass > 0))
    right = (highest & can).sum(axis=1) / among
    truth = can / can.sum(axis=1, keepdims=True)
    distances = (np.abs(given - truth).sum(axis=1) + mass) / 2
    return Closeness(len(can), float(right.mean()), float(distances.mean()))
