"""In-context language learning: infer a random automaton from strings of it (RegBench).

Akyürek et al. 2024 (arXiv 2401.12973); the generator and the scored positions are those of the
authors' code. A document holds strings of one probabilistic automaton, and a model is asked which
symbols are legal next. Each document has an automaton of its own, so nothing can be known by heart:
what counts is what is inferred from the strings before.

An automaton that is held out is no training automaton under other names. Which side it is on
follows from its shape alone (`is_held_out`), so no number of automata, no seed and no order of
making them can put one shape on both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import permutations

import numpy as np

from operators.editing.row_draws import row_generator

ALPHABET = "abcdefghijklmnopqr"
SEPARATOR = "|"


@dataclass(frozen=True, slots=True)
class Automaton:
    """A deterministic automaton whose every state accepts. It begins in state 0, and all edges that
    leave a state are equally probable.

    Attributes:
        edges: for each state its (symbol, next state), by symbol.
    """

    edges: tuple[tuple[tuple[str, int], ...], ...]

    def legal(self, state: int) -> str:
        """The symbols that can follow in a state."""
        return "".join(symbol for symbol, _ in self.edges[state])

    def states_before(self, string: str) -> list[int]:
        """The state before each symbol of one string.

        Raises:
            ValueError: a symbol is not legal there.
        """
        state, before = 0, []
        for place, symbol in enumerate(string):
            before.append(state)
            reached = dict(self.edges[state]).get(symbol)
            if reached is None:
                raise ValueError(
                    f'"{symbol}" at position {place} of "{string}" is not legal in this automaton: '
                    f"{self.legal(state)} are"
                )
            state = reached
        return before

    def to_json(self) -> str:
        """As a list of states, each a mapping from symbol to state."""
        return json.dumps([dict(edges) for edges in self.edges], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Automaton:
        """The inverse of `to_json`."""
        return cls(tuple(tuple(sorted(edges.items())) for edges in json.loads(text)))


@dataclass(frozen=True, slots=True)
class Family:
    """What automata are drawn from. All ends are included; these are the authors' values, whose
    configuration says at most 4 edges and whose generator stops before it.

    Attributes:
        states: fewest and most, before states that cannot be reached or told apart are taken out.
        symbols: fewest and most, out of `ALPHABET`.
        edges: fewest and most that leave a state.
        strings: fewest and most in a document.
        lengths: fewest and most symbols in a string.
    """

    states: tuple[int, int] = (4, 12)
    symbols: tuple[int, int] = (4, 18)
    edges: tuple[int, int] = (1, 3)
    strings: tuple[int, int] = (10, 20)
    lengths: tuple[int, int] = (1, 49)

    def __post_init__(self) -> None:
        for name in ("states", "symbols", "edges", "strings", "lengths"):
            low, high = getattr(self, name)
            if not 1 <= low <= high:
                raise ValueError(f"{name} are {low} to {high}, but must be 1 or more, fewest first")
        if self.symbols[1] > len(ALPHABET):
            raise ValueError(
                f"symbols are {self.symbols[1]} at most, but there are {len(ALPHABET)}"
            )
        if self.edges[1] > min(self.symbols[0], self.states[0] - 1):
            raise ValueError(
                f"{self.edges[1]} edges may leave a state, with different symbols to different "
                f"states: symbols must be >= {self.edges[1]} and states >= {self.edges[1] + 1}"
            )


def automata(
    names: Iterable[str], *, held_out: bool, family: Family | None = None, seed: int
) -> Iterator[Automaton]:
    """An automaton for each name, no two alike, minimal, without a state that leads to itself.

    Training automata differ in what they accept. Those held out differ even in shape, from each
    other and from every training automaton: none is another with its symbols renamed.

    Each depends on its name, the seed and those before it. More names change none of them.

    Raises:
        ValueError: the family is too small for so many.
    """
    family = Family() if family is None else family
    found: set[object] = set()
    for name in names:
        numbers = row_generator(seed, f"automaton, held out: {held_out}", name)
        for _ in range(10_000):
            made = minimal(_draw(numbers, family))
            if any(
                state == reached for state, edges in enumerate(made.edges) for _, reached in edges
            ):
                continue  # two states that were merged had an edge between them
            shaped = shape(made)
            if is_held_out(shaped) != held_out:
                continue
            mark: object = shaped if held_out else made
            if mark not in found:
                found.add(mark)
                yield made
                break
        else:
            raise ValueError(
                f"after {len(found)} automata there are hardly any others: ask for fewer, or allow "
                "more states, symbols or edges"
            )


def automaton_text(
    automaton: Automaton, name: str, *, family: Family | None = None, seed: int
) -> str:
    """Strings of an automaton, `SEPARATOR` between them; all from its name and the seed."""
    family = Family() if family is None else family
    numbers = row_generator(seed, "strings of an automaton", name)
    strings = []
    for _ in range(_between(numbers, family.strings)):
        state, symbols = 0, []
        for number in numbers.random(_between(numbers, family.lengths)).tolist():
            symbol, state = automaton.edges[state][int(number * len(automaton.edges[state]))]
            symbols.append(symbol)
        strings.append("".join(symbols))
    return SEPARATOR.join(strings)


def minimal(automaton: Automaton) -> Automaton:
    """The smallest automaton with the same strings, its states in order of their first visit (edges
    taken by symbol): two automata have the same strings if and only if these are equal."""
    block = [0] * len(automaton.edges)
    while True:
        kinds = [tuple((symbol, block[to]) for symbol, to in edges) for edges in automaton.edges]
        numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
        if len(numbers) == len(set(block)):
            break
        block = [numbers[kind] for kind in kinds]
    # One state speaks for its block; a block that is never visited is left out.
    order = {block[0]: 0}
    speakers = [0]
    for state in speakers:
        for _, to in automaton.edges[state]:
            if block[to] not in order:
                order[block[to]] = len(speakers)
                speakers.append(to)
    return Automaton(
        tuple(
            tuple((symbol, order[block[to]]) for symbol, to in automaton.edges[state])
            for state in speakers
        )
    )


def shape(automaton: Automaton) -> tuple[tuple[tuple[int, int], ...], ...]:
    """A minimal automaton without the names of its symbols: two have the same shape if and only if
    renaming symbols makes one of the other.

    Of all ways to number symbols in the order in which states visit them, the one that gives the
    smallest code; partial numberings are followed as long as their code is the smallest.
    """
    # A numbering: state -> number and symbol -> number, in the order of the numbers.
    numberings: list[tuple[dict[int, int], dict[str, int]]] = [({0: 0}, {})]
    code: list[tuple[tuple[int, int], ...]] = []
    while len(code) < len(numberings[0][0]):
        ways: dict[tuple[tuple[int, int], ...], list[tuple[dict[int, int], dict[str, int]]]] = {}
        for states, symbols in numberings:
            here = dict(automaton.edges[list(states)[len(code)]])
            known = sorted(
                (symbol for symbol in here if symbol in symbols), key=symbols.__getitem__
            )
            new = [symbol for symbol in here if symbol not in symbols]
            for order in permutations(new):
                more_states, more_symbols, line = dict(states), dict(symbols), []
                for symbol in (*known, *order):
                    number = more_symbols.setdefault(symbol, len(more_symbols))
                    line.append((number, more_states.setdefault(here[symbol], len(more_states))))
                ways.setdefault(tuple(line), []).append((more_states, more_symbols))
        best = min(ways)
        code.append(best)
        numberings = ways[best]
    return tuple(code)


def is_held_out(shaped: Sequence[Sequence[tuple[int, int]]]) -> bool:
    """Whether automata of this shape are for testing only: half of all shapes are."""
    return bool(blake2b(repr(shaped).encode(), digest_size=1).digest()[0] & 1)


def _draw(numbers: np.random.Generator, family: Family) -> Automaton:
    states = _between(numbers, family.states)
    alphabet = numbers.permutation(len(ALPHABET))[: _between(numbers, family.symbols)]
    edges = []
    for state in range(states):
        count = _between(numbers, family.edges)
        symbols = sorted(ALPHABET[n] for n in numbers.permutation(alphabet)[:count].tolist())
        others = numbers.permutation(states - 1)[:count]
        targets = (others + (others >= state)).tolist()
        edges.append(tuple(zip(symbols, targets, strict=True)))
    return Automaton(tuple(edges))


def _between(numbers: np.random.Generator, ends: tuple[int, int]) -> int:
    return int(numbers.integers(ends[0], ends[1] + 1))
