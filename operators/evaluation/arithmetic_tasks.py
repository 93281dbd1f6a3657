"""Sums and comparisons of whole numbers, with the answers that a wrong procedure gives.

For how a tokenizer cuts digits (Singh and Strouse 2024): what goes wrong with a cut shows by the
number of digits and of carries. Problems are pairs of numbers without order, so that a sum that is
held out is held out in both orders of its operands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np

from operators.editing.row_draws import row_generator
from operators.evaluation.task_examples import (
    TaskExample,
    TaskSet,
    TrainingText,
    mixed_choices,
)

# Pairs of numbers with so many digits are still counted by an int64.
MOST_DIGITS = 9
# Wrong sums that can always be made, 0 + 0 included.
MOST_CHOICES = 4


@dataclass(frozen=True, slots=True)
class NumberPairs:
    """All pairs of whole numbers without order, by the digits of the longer one.

    Attributes:
        shortest, longest: digits of a number, 1 to 9; 0 has one digit.
        equal: whether a number makes a pair with itself.
    """

    shortest: int
    longest: int
    equal: bool

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest <= MOST_DIGITS:
            raise ValueError(
                f"digits go from {self.shortest} to {self.longest}, but must be from 1 to "
                f"{MOST_DIGITS}, the smaller number first"
            )

    @property
    def digits(self) -> range:
        """Numbers of digits."""
        return range(self.shortest, self.longest + 1)

    def size(self, digits: int) -> int:
        """How many pairs there are whose longer number has so many digits."""
        own = self._numbers(digits)
        return own * self._shorter(digits) + own * (own + (1 if self.equal else -1)) // 2

    def pair(self, digits: int, rank: int) -> tuple[int, int]:
        """A pair by its rank in [0, size(digits)): the larger number, then the smaller one."""
        # Before the i-th number with these digits there are i * (i + b) / 2 pairs.
        b = 2 * self._shorter(digits) + (1 if self.equal else -1)
        place = (isqrt(b * b + 8 * rank) - b) // 2
        smaller = rank - place * (place + b) // 2
        first = self._first(self.shortest)
        return self._first(digits) + place, first + smaller

    def _first(self, digits: int) -> int:
        return 0 if digits == 1 else 10 ** (digits - 1)

    def _numbers(self, digits: int) -> int:
        return int(10**digits) - self._first(digits)

    def _shorter(self, digits: int) -> int:
        """How many numbers with fewer digits take part."""
        return self._first(digits) - self._first(self.shortest)


def addition_tasks(
    *,
    shortest: int = 1,
    longest: int = 3,
    problems: int,
    training: int = 0,
    choices: int = MOST_CHOICES,
    both_orders: bool = True,
    per_text: int = 1,
    seed: int = 0,
) -> TaskSet:
    """Held-out sums, and texts with other sums: "123+456=579", a line each.

    As many problems have one digit in their longer number as two, and so on, as far as there are
    so many. Groups are by these digits and by carries ("digits 3/carries 1"). Wrong answers: the
    sum without its carries, which is what the trivial rule takes, and sums that are 1, 2 or a power
    of ten off.

    Args:
        shortest, longest: digits of a number, 1 to 9.
        problems: held-out sums; the order of the operands is drawn.
        training: sums to learn from; none is held out, in either order.
        choices: answers to choose from, 2 to 4.
        both_orders: each sum to learn from stands in the texts in both orders.
        per_text: lines in a training text.
        seed: of everything.

    Raises:
        ValueError: more problems than there are, or a setting out of range.
    """
    if not 2 <= choices <= MOST_CHOICES:
        raise ValueError(f"choices is {choices}, but must be from 2 to {MOST_CHOICES}")
    pairs = NumberPairs(shortest, longest, equal=True)
    held_out, learnt = _drawn_pairs(pairs, problems, training, seed, "addition")
    examples = []
    for larger, smaller in held_out:
        generator = row_generator(seed, "addition", f"{larger}+{smaller}")
        one, other = _in_order(larger, smaller, generator)
        gold = one + other
        carried, lazy = carries(one, other), sum_without_carries(one, other)
        wrong = _wrong_sums(gold, lazy, generator)[: choices - 1]
        answers, right = mixed_choices(f"{gold}\n", (f"{number}\n" for number in wrong), generator)
        examples.append(
            TaskExample(
                id=f"addition:{one}+{other}",
                task="addition",
                group=f"digits {len(str(larger))}/carries {carried}",
                prompt=f"{one}+{other}=",
                choices=answers,
                gold=right,
                baseline=answers.index(f"{lazy}\n"),
            )
        )
    lines = _lines(learnt, both_orders, seed, "{}+{}={}\n", sum)
    return TaskSet(examples, _texts("addition", lines, per_text, seed))


def comparison_tasks(
    *,
    shortest: int = 1,
    longest: int = 3,
    problems: int,
    training: int = 0,
    both_orders: bool = True,
    per_text: int = 1,
    seed: int = 0,
) -> TaskSet:
    """Held-out questions which of two numbers is larger, and texts with others.

    The choices are the two numbers in the order of the question. The trivial rule takes the one
    with more digits, and else the first. Groups say whether digits decide ("digits 3 and 2").
    Arguments and errors are those of `addition_tasks`.
    """
    pairs = NumberPairs(shortest, longest, equal=False)
    held_out, learnt = _drawn_pairs(pairs, problems, training, seed, "comparison")
    examples = []
    for larger, smaller in held_out:
        generator = row_generator(seed, "comparison", f"{larger}>{smaller}")
        numbers = _in_order(larger, smaller, generator)
        lengths = [len(str(number)) for number in numbers]
        examples.append(
            TaskExample(
                id="comparison:{}:{}".format(*numbers),
                task="comparison",
                group="digits {} and {}".format(*sorted(lengths, reverse=True)),
                prompt=_COMPARISON.format(*numbers),
                choices=tuple(f" {number}\n" for number in numbers),
                gold=numbers.index(larger),
                baseline=lengths.index(max(lengths)),
            )
        )
    lines = _lines(learnt, both_orders, seed, _COMPARISON + " {}\n", max)
    return TaskSet(examples, _texts("comparison", lines, per_text, seed))


_COMPARISON = "Which is larger, {} or {}?"


def carries(one: int, other: int) -> int:
    """How many columns of a sum in base ten carry over."""
    count = carry = 0
    while one or other:
        carry = int(one % 10 + other % 10 + carry > 9)
        count += carry
        one, other = one // 10, other // 10
    return count


def sum_without_carries(one: int, other: int) -> int:
    """Each column by itself, modulo ten."""
    result, place = 0, 1
    while one or other:
        result += (one + other) % 10 * place
        one, other, place = one // 10, other // 10, 10 * place
    return result


def _wrong_sums(gold: int, lazy: int, generator: np.random.Generator) -> list[int]:
    """The sum without carries first, where it is wrong; others in a random order."""
    steps = [1, 2, *(10**place for place in range(1, len(str(gold)) + 1))]
    near = {gold + sign * step for step in steps for sign in (1, -1)} - {lazy}
    others = sorted(number for number in near if number >= 0)
    mixed = [others[place] for place in generator.permutation(len(others))]
    return mixed if lazy == gold else [lazy, *mixed]


def _in_order(one: int, other: int, generator: np.random.Generator) -> tuple[int, int]:
    return (one, other) if generator.integers(2) else (other, one)


def _drawn_pairs(
    pairs: NumberPairs, held_out: int, learnt: int, seed: int, purpose: str
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Pairs to hold out and pairs to learn from, spread evenly over the digits."""
    sizes = [pairs.size(digits) for digits in pairs.digits]
    # Of a short list not all may be held out: there would be nothing left to learn it from.
    kept = _evenly(held_out, [size // 2 if learnt else size for size in sizes])
    other = _evenly(learnt, [size - part for size, part in zip(sizes, kept, strict=True)])
    if sum(kept) < held_out or sum(other) < learnt:
        raise ValueError(
            f"{held_out} held-out and {learnt} training problems are too many: there are "
            f"{sum(sizes)} with {pairs.shortest} to {pairs.longest} digits, and at most half of "
            "them are held out; ask for fewer, or allow more digits"
        )
    parts: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    for digits, test, train, size in zip(pairs.digits, kept, other, sizes, strict=True):
        generator = row_generator(seed, purpose, f"{digits} digits")
        ranks = generator.choice(size, test + train, replace=False).tolist()
        parts[0].extend(pairs.pair(digits, rank) for rank in ranks[:test])
        parts[1].extend(pairs.pair(digits, rank) for rank in ranks[test:])
    return parts


def _evenly(count: int, room: Sequence[int]) -> list[int]:
    """Spread over places as evenly as their room allows; less than `count` where all are full."""
    given = [0] * len(room)
    # The smallest first: what it has no room for is shared by the others.
    for left, place in zip(
        range(len(room), 0, -1), sorted(range(len(room)), key=room.__getitem__), strict=True
    ):
        given[place] = min(room[place], -(-count // left))
        count -= given[place]
    return given


def _lines(
    pairs: Sequence[tuple[int, int]],
    both_orders: bool,
    seed: int,
    form: str,
    answer: Callable[[tuple[int, int]], int],
) -> Iterator[str]:
    for larger, smaller in pairs:
        generator = row_generator(seed, "training order", f"{larger},{smaller}")
        order = _in_order(larger, smaller, generator)
        yield form.format(*order, answer(order))
        if both_orders and larger != smaller:
            yield form.format(*order[::-1], answer(order))


def _texts(name: str, lines: Iterator[str], per_text: int, seed: int) -> list[TrainingText]:
    """Lines in a random order, so many a text."""
    if per_text < 1:
        raise ValueError(f"a training text has {per_text} lines, but must have >= 1")
    given = list(lines)
    order = row_generator(seed, "training lines", name).permutation(len(given)).tolist()
    mixed = [given[place] for place in order]
    return [
        TrainingText(
            f"{name}:training:{start // per_text}", "".join(mixed[start : start + per_text])
        )
        for start in range(0, len(mixed), per_text)
    ]
