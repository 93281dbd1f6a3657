"""Needle in a haystack: a value that was told once, somewhere in a long text.

"The key of harbour is 4821." stands at a stated depth between words that say nothing of it, and is
asked for at the end. With several needles, each has a key and a value of its own, and the values of
the others are among the choices (key-value retrieval). For what masked inputs do to retrieval
see Zhuang et al. 2025 (MEAP).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from operators.editing.row_draws import row_generator
from operators.evaluation.task_examples import (
    TaskExample,
    TaskSet,
    TrainingText,
    mixed_choices,
)

_LISTS = {
    "keys": "harbour lantern meadow violin copper walnut pepper saddle anchor basket candle dragon "
    "engine feather garden hammer island jacket kettle ladder magnet needle orange pillow quarry "
    "ribbon shovel teapot umbrella velvet window yogurt zebra bridge castle desert falcon goblet",
    "filler": "the a of and to in it was on with for as at by but not all one two then there when "
    "some said day man time way year thing world hand part child eye woman place work week case "
    "point home water room mother area money story fact month lot right study book word side kind "
    "head house friend father power hour game line end member law car city name team minute idea "
    "body back face level office door health person art war history party result change morning "
    "reason",
}
KEYS, FILLER_WORDS = (tuple(words.split()) for words in _LISTS.values())
MOST_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Haystack:
    """A text with needles in it.

    Attributes:
        text: words, needles and the question, up to where the answer begins.
        pairs: key and value of each needle; the first is asked for.
        last: the value that stands last.
    """

    text: str
    pairs: tuple[tuple[str, str], ...]
    last: str

    @property
    def value(self) -> str:
        """What is asked for."""
        return self.pairs[0][1]


def retrieval_tasks(
    *,
    lengths: Sequence[int] = (32, 64),
    depths: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    per_cell: int = 20,
    training: int = 0,
    needles: int = 1,
    digits: int = 4,
    choices: int = 4,
    texts: Sequence[str] = (),
    seed: int = 0,
) -> TaskSet:
    """Questions by length and depth, and texts that teach the form with other pairs.

    Groups are "64 words/depth 0.5". Training texts are of the same lengths, with depths drawn
    anywhere, and ask for all of their needles, one after the other in random order; none has a key
    with the value that it has in a question. The first question is also there by itself (`asked`),
    to learn from the answer alone. The trivial rule takes the value that stands last: with one
    needle it is always right, which says that then only the copying is tested, not the choice of
    what to copy.

    Args:
        lengths: words around the needles.
        depths: where the needle asked for stands: 0 is the beginning, 1 the end, right before the
            question. Other needles stand anywhere.
        per_cell: questions of each length and depth.
        training: texts to learn from.
        needles: pairs of key and value in a text, one of which is asked for.
        digits: of a value, 1 to 9.
        choices: answers to choose from, >= 2: values of other needles first, then random ones.
        texts: what the words around the needles are taken from, a run of words of one text at a
            time; none is words drawn from a list. No key is a word of the run.
        seed: of everything; a question's follow from its id.

    Raises:
        ValueError: no words to fill with, more needles than keys, or a setting out of range.
    """
    _check(lengths, depths, needles, digits, choices)
    # Every text to learn from has to find pairs that no question asks for.
    questions, most = len(lengths) * len(depths) * per_cell, len(KEYS) * 10**digits // (2 * needles)
    if training and questions > most:
        raise ValueError(
            f"{questions} questions leave too few pairs of key and value to learn from: ask for "
            f"{most} at most, or give values more digits"
        )
    filler = _filler(texts)
    examples = []
    told: set[tuple[str, str]] = set()
    for length in lengths:
        for depth in depths:
            for number in range(per_cell):
                name = f"retrieval:{length}:{depth:g}:{number}"
                generator = row_generator(seed, "retrieval", name)
                hay = _haystack(generator, filler, length, depth, needles, digits)
                told.add(hay.pairs[0])
                wrong = _wrong_values(hay, choices - 1, generator)
                answers, gold = mixed_choices(
                    f" {hay.value}.", (f" {value}." for value in wrong), generator
                )
                examples.append(
                    TaskExample(
                        id=name,
                        task="retrieval",
                        group=f"{length} words/depth {depth:g}",
                        prompt=hay.text,
                        choices=answers,
                        gold=gold,
                        baseline=answers.index(f" {hay.last}."),
                    )
                )
    lessons = []
    for number in range(training):
        name = f"retrieval:training:{number}"
        generator = row_generator(seed, "retrieval", name)
        length = int(generator.choice(lengths))
        while True:
            depth = float(generator.random())
            hay = _haystack(generator, filler, length, depth, needles, digits)
            if told.isdisjoint(hay.pairs):
                break
        # The pair that is asked for first stands anywhere, so the order is random already.
        further = "".join(f"{needle(*pair)}\n" for pair in hay.pairs[1:])
        answer = f" {hay.value}."
        text = f"{hay.text}{answer}\n{further}"
        lessons.append(TrainingText(name, text, asked=(hay.text, answer)))
    return TaskSet(examples, lessons)


def needle(key: str, value: str) -> str:
    """The sentence that is to be found again."""
    return f"The key of {key} is {value}."


def _haystack(
    generator: np.random.Generator,
    filler: Callable[[np.random.Generator, int], list[str]],
    length: int,
    depth: float,
    needles: int,
    digits: int,
) -> Haystack:
    words = filler(generator, length)
    free = sorted(set(KEYS) - {word.strip(".,;:!?").lower() for word in words})
    if len(free) < needles:
        raise ValueError(f"{needles} needles are too many for a text that holds their keys as well")
    keys = [free[place] for place in generator.permutation(len(free))[:needles].tolist()]
    values = [
        f"{number:0{digits}}"
        for number in generator.choice(10**digits, needles, replace=False).tolist()
    ]
    depths = [depth, *generator.random(needles - 1).tolist()]
    pairs = tuple(zip(keys, values, strict=True))
    # By depth and not by word: needles between the same two words keep their order.
    placed = sorted(zip(depths, pairs, strict=True))
    pieces, done = [], 0
    for at, pair in placed:
        place = round(at * length)
        pieces += [*words[done:place], needle(*pair)]
        done = place
    pieces += words[done:]
    asked = f"\nThe key of {keys[0]} is"
    return Haystack(" ".join(pieces) + asked, pairs, placed[-1][1][1])


def _wrong_values(hay: Haystack, count: int, generator: np.random.Generator) -> list[str]:
    """Values of other needles, first the one that stands last; then values of none."""
    others = [value for _, value in hay.pairs[1:]]
    wrong = sorted(others, key=lambda value: value != hay.last)[:count]
    while len(wrong) < count:
        value = f"{int(generator.integers(10 ** len(hay.value))):0{len(hay.value)}}"
        if value not in (hay.value, *others, *wrong):
            wrong.append(value)
    return wrong


def _filler(texts: Sequence[str]) -> Callable[[np.random.Generator, int], list[str]]:
    """What draws a run of words."""
    if not texts:
        return lambda generator, length: [
            FILLER_WORDS[place] for place in generator.integers(len(FILLER_WORDS), size=length)
        ]
    split = [words for text in texts if (words := text.split())]
    if not split:
        raise ValueError("the documents have no words to put needles between: give others, or none")

    def draw(generator: np.random.Generator, length: int) -> list[str]:
        words: list[str] = []
        while len(words) < length:
            text = split[int(generator.integers(len(split)))]
            missing = length - len(words)
            start = int(generator.integers(max(1, len(text) - missing + 1)))
            words += text[start : start + missing]
        return words

    return draw


def _check(
    lengths: Sequence[int],
    depths: Sequence[float],
    needles: int,
    digits: int,
    choices: int,
) -> None:
    if not lengths or min(lengths) < 1 or len(set(lengths)) < len(lengths):
        raise ValueError(f"lengths are {list(lengths)}, but must be different, and >= 1 word each")
    if not depths or not all(0 <= depth <= 1 for depth in depths) or len(set(depths)) < len(depths):
        raise ValueError(f"depths are {list(depths)}, but must be different, from 0 to 1")
    if not 1 <= digits <= MOST_DIGITS:
        raise ValueError(f"digits is {digits}, but must be from 1 to {MOST_DIGITS}")
    values = 10**digits
    # Needles have values of their own, and so have wrong answers.
    if not 1 <= needles <= min(len(KEYS), values // 2) or not 2 <= choices <= values // 2:
        raise ValueError(
            f"needles is {needles} and choices is {choices}, but with values of {digits} digits "
            f"needles must be from 1 to {min(len(KEYS), values // 2)} and choices from 2 to "
            f"{values // 2}"
        )
