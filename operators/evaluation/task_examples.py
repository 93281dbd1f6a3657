"""Questions with answers to choose from, and the texts that teach a model to answer them.

Every maker closes its answers ("\\n", or a full stop where values are of one length): no answer
is then the beginning of another one. "1" could never be less probable than "10", which it begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True, slots=True)
class TaskExample:
    """One question.

    Attributes:
        id: its name, unique in the set.
        task: what is asked ("charbench.first").
        group: what is told apart in a task: a length, a direction.
        prompt: all that stands before the answer.
        choices: two or more answers as they follow the prompt; none begins with another one.
        gold: index of the right one.
        baseline: index of the one that a trivial rule of the task takes; None where it has none.

    Raises:
        ValueError: choices that begin with each other, or an index that is none of them.
    """

    id: str
    task: str
    group: str
    prompt: str
    choices: tuple[str, ...]
    gold: int
    baseline: int | None

    def __post_init__(self) -> None:
        if len(self.choices) < 2:
            raise ValueError(f"{self.id} has {len(self.choices)} choices, but needs two")
        # In sorted order a string stands right before the first one that begins with it.
        for one, other in pairwise(sorted(self.choices)):
            if other.startswith(one):
                raise ValueError(f"{self.id}: choice {other!r} begins with choice {one!r}")
        for index in (self.gold, 0 if self.baseline is None else self.baseline):
            if not 0 <= index < len(self.choices):
                raise ValueError(f"{self.id} has {len(self.choices)} choices, and no {index}")

    @property
    def answer(self) -> str:
        """The right choice."""
        return self.choices[self.gold]


@dataclass(frozen=True, slots=True)
class TrainingText:
    """A text to learn a task from.

    Attributes:
        id: of the text.
        text: all of it.
        group: what it is a version of, if any.
        asked: where it ends with a question: the text before the answer, and the answer.
    """

    id: str
    text: str
    group: str | None = None
    asked: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class TaskSet:
    """Held-out questions, and texts that teach what they ask without holding one of them."""

    examples: Sequence[TaskExample]
    training: Sequence[TrainingText]


def mixed_choices(
    gold: str, others: Iterable[str], generator: np.random.Generator
) -> tuple[tuple[str, ...], int]:
    """The choices in a random order, and where the right one is."""
    choices = [gold, *others]
    order = generator.permutation(len(choices)).tolist()
    return tuple(choices[place] for place in order), order.index(0)


def shortest_choice(choices: Sequence[str]) -> int:
    """Index of the shortest one, the first of several: what a model prefers that knows nothing.

    A sum of log-probabilities is the higher the fewer its terms.
    """
    return min(range(len(choices)), key=lambda index: len(choices[index]))
