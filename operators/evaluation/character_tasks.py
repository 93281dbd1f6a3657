"""CharBench: how often a character occurs in a word, how many there are, and where.

Source: Uzan and Pinter, "CharBench" (AAAI 2026). Words are taken from text by the regex
`\\b[a-zA-Z]+\\b`, with as many of each length for each task, and no word in two tasks. The
character asked for is drawn from the word's own. Indices start at 0, and upper and lower case
differ.

Two readings of ours: words that differ in case only are one word, of which one spelling is drawn;
and a character is drawn by its place, so one that occurs twice is asked for twice as often.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Literal, get_args

from operators.editing.row_draws import row_generator
from operators.evaluation.task_examples import TaskExample

CharacterQuery = Literal["frequency", "unique", "first", "last"]
CHARACTER_QUERIES: tuple[CharacterQuery, ...] = get_args(CharacterQuery)

_WORD = re.compile(r"\b[a-zA-Z]+\b")
_QUESTIONS: dict[CharacterQuery, str] = {
    "frequency": 'How many times does the character "{character}" occur in "{word}"?',
    "unique": 'How many different characters does "{word}" have?',
    "first": 'At which index is the first character "{character}" of "{word}"?',
    "last": 'At which index is the last character "{character}" of "{word}"?',
}
_CASE = "Upper and lower case differ."
_INDEX = "Indices start at 0."
_FORM = "Answer only with the number."


@dataclass(frozen=True, slots=True)
class CharacterExample(TaskExample):
    """A question about the characters of a word.

    Attributes:
        word: what is asked about.
        character: what is asked for; None where the question names none.
        word_start: index of the word's first character in the prompt.
    """

    word: str
    character: str | None
    word_start: int


@dataclass(frozen=True, slots=True)
class WordHand:
    """The words of one task; no two hands of a deal share a word."""

    test: list[str]
    shots: list[str]
    training: list[str]


def text_words(texts: Iterable[str], *, shortest: int = 4, longest: int = 10) -> set[str]:
    """The different words of texts with so many letters, a to z in either case."""
    return {
        word for text in texts for word in _WORD.findall(text) if shortest <= len(word) <= longest
    }


def deal_words(
    words: Iterable[str],
    tasks: Sequence[str],
    *,
    shortest: int = 4,
    longest: int = 10,
    per_length: int,
    shots: int = 0,
    training_per_length: int = 0,
    seed: int = 0,
) -> dict[str, WordHand]:
    """Divide words among tasks, so many of each length for each.

    Which word goes where follows from the seed and the set of words, not from their order.

    Args:
        words: any; those of other lengths are left out. Of words that differ in case only, one is
            drawn.
        tasks: names, all different.
        per_length: test words of each length and task.
        shots: examples of each task that prompts show; their lengths go round from the shortest.
        training_per_length: words of each length and task for training texts.
        seed: of the deal.

    Raises:
        ValueError: too few words of a length; it says how many there are.
    """
    hands = {task: WordHand([], [], []) for task in tasks}
    lengths = range(shortest, longest + 1)
    pools: dict[int, dict[str, str]] = {length: {} for length in lengths}
    for word in sorted(set(words), key=lambda word: _lot(seed, word)):
        if len(word) in pools:
            pools[len(word)].setdefault(word.lower(), word)
    for place, length in enumerate(lengths):
        pool = list(pools[length].values())
        shown = len(range(place, shots, len(lengths)))
        needed = len(tasks) * (per_length + shown + training_per_length)
        if len(pool) < needed:
            raise ValueError(
                f"there are {len(pool)} different words of {length} letters, but {len(tasks)} "
                f"tasks need {needed}: give more documents, ask for fewer words of each length, "
                "or narrow the lengths"
            )
        deal = iter(pool)
        # Test words first: to ask for training texts later leaves the test as it was.
        for task in tasks:
            hands[task].test.extend(islice(deal, per_length))
        for task in tasks:
            hands[task].shots.extend(islice(deal, shown))
        for task in tasks:
            hands[task].training.extend(islice(deal, training_per_length))
    return hands


def character_answer(query: CharacterQuery, word: str, character: str | None) -> int:
    """The right number.

    Args:
        character: one of the word's own; None for "unique", which asks for none.

    Raises:
        ValueError: a character that is not in the word.
    """
    if query == "unique":
        return len(set(word))
    if character is None or len(character) != 1 or character not in word:
        raise ValueError(f"{character!r} is no character of {word!r}")
    if query == "frequency":
        return word.count(character)
    return word.index(character) if query == "first" else word.rindex(character)


def trivial_answer(query: CharacterQuery, word: str) -> int:
    """What a rule says that does not look: 1, all characters differ, at the beginning, at the end.

    Most characters occur once, so the first one is often right.
    """
    return {"frequency": 1, "unique": len(word), "first": 0, "last": len(word) - 1}[query]


def charbench_examples(
    query: CharacterQuery,
    words: Sequence[str],
    *,
    shots: Sequence[str] = (),
    largest: int = 10,
    rules: bool = True,
    seed: int = 0,
) -> list[CharacterExample]:
    """One question a word; the choices are the numbers from 0 to `largest`.

    Args:
        query: what is asked.
        words: all different.
        shots: words of solved questions that stand before each.
        largest: the last choice; the length of the longest word, so that all answers are there.
        rules: whether a prompt begins by saying how characters and indices count.
        seed: of the characters that are asked for.

    Raises:
        ValueError: a word that is among the shots as well.
    """
    shared = {word.lower() for word in words} & {word.lower() for word in shots}
    if shared:
        raise ValueError(f"the word {min(shared)!r} is asked for and shown solved: use others")
    solved = "".join(charbench_text(query, word, rules=False, seed=seed) + "\n" for word in shots)
    head = (character_rules(query) if rules else "") + solved
    choices = tuple(f" {number}\n" for number in range(largest + 1))
    examples = []
    for word in words:
        character, question, at = _question(query, word, seed)
        examples.append(
            CharacterExample(
                id=f"charbench:{query}:{word}",
                task=f"charbench.{query}",
                group=f"{len(word)} letters",
                prompt=head + question,
                choices=choices,
                gold=character_answer(query, word, character),
                baseline=trivial_answer(query, word),
                word=word,
                character=character,
                word_start=len(head) + at,
            )
        )
    return examples


def charbench_text(query: CharacterQuery, word: str, *, rules: bool = True, seed: int = 0) -> str:
    """A solved question, as prompts are written."""
    character, question, _ = _question(query, word, seed)
    head = character_rules(query) if rules else ""
    return f"{head}{question} {character_answer(query, word, character)}\n"


def character_rules(query: CharacterQuery) -> str:
    """What a prompt says of how to count, and an empty line."""
    parts = [_CASE, _INDEX, _FORM] if query in ("first", "last") else [_CASE, _FORM]
    return " ".join(parts) + "\n\n"


def _question(query: CharacterQuery, word: str, seed: int) -> tuple[str | None, str, int]:
    """The character asked for, the prompt without rules, and where the word begins in it."""
    character = None
    if query != "unique":
        generator = row_generator(seed, f"charbench.{query}", word)
        character = word[int(generator.integers(len(word)))]
    form = f"Question: {_QUESTIONS[query]}\nAnswer:"
    at = len(form.partition("{word}")[0].format(character=character))
    return character, form.format(character=character, word=word), at


def _lot(seed: int, word: str) -> bytes:
    return blake2b(f"{seed}\x00words\x00{word}".encode(), digest_size=16).digest()
