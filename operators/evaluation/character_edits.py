"""Spelling and editing words, after CUTE: does a model know what its tokens are made of?

Source: Edman, Schmid and Fraser, "CUTE: Measuring LLMs' Understanding of Their Tokens" (EMNLP
2024): spelling, the reverse, whether a word has a character, and four edits that concern every
occurrence of a character. Wording and wrong answers are ours: wrong answers are made by rule, so
that a question can be scored by choice as well as by what a model writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import ascii_lowercase
from typing import Literal, get_args

import numpy as np

from operators.editing.row_draws import row_generator
from operators.evaluation.task_examples import TaskExample, mixed_choices, shortest_choice

CharacterEdit = Literal[
    "spell", "unspell", "contains", "insert", "delete", "substitute", "swap"
]  # fmt: skip
CHARACTER_EDITS: tuple[CharacterEdit, ...] = get_args(CharacterEdit)

# Wrong answers that can always be made, whatever the word.
MOST_CHOICES = 4

_QUESTIONS: dict[CharacterEdit, str] = {
    "spell": 'How is "{word}" spelled, with spaces between characters?',
    "unspell": 'Which word is spelled "{spelled}"?',
    "contains": 'Does "{word}" have the character "{one}"?',
    "insert": 'Add "{other}" behind every "{one}" of "{word}".',
    "delete": 'Delete every "{one}" of "{word}".',
    "substitute": 'Replace every "{one}" of "{word}" by "{other}".',
    "swap": 'Put every "{one}" of "{word}" in place of every "{other}", and the reverse.',
}


def edit_word(edit: CharacterEdit, word: str, one: str, other: str = "") -> str:
    """The word after an edit that concerns every occurrence of a character.

    Args:
        edit: "insert" puts `other` behind each `one`; "delete" takes each `one` out; "substitute"
            writes `other` for it; "swap" writes each of the two for the other. "spell" and
            "unspell" give the characters with spaces between them, and the word itself.

    Raises:
        ValueError: "contains", which is no edit.
    """
    if edit == "spell":
        return " ".join(word)
    if edit == "unspell":
        return word
    if edit == "insert":
        return word.replace(one, one + other)
    if edit == "delete":
        return word.replace(one, "")
    if edit == "substitute":
        return word.replace(one, other)
    if edit == "swap":
        return word.translate(str.maketrans(one + other, other + one))
    raise ValueError(f"{edit!r} is no edit of a word")


def character_edit_examples(
    edit: CharacterEdit,
    words: Sequence[str],
    *,
    shots: Sequence[str] = (),
    choices: int = MOST_CHOICES,
    seed: int = 0,
) -> list[TaskExample]:
    """One question a word.

    Wrong answers are the same edit of another character, the word as it was, and the right answer
    with a character doubled, left out, or in its neighbour's place. The trivial rule takes the
    shortest answer; of "contains", where the right answer is Yes for every second word and No for
    the others, it says Yes.

    Args:
        edit: what is asked.
        words: all different, of three letters or more and two different ones at least.
        shots: words of solved questions that stand before each; "contains" alternates in them too.
        choices: answers to choose from, 2 to 4; "contains" has Yes and No.
        seed: of characters, wrong answers and their order; a word's follow from the word.

    Raises:
        ValueError: a word that cannot be edited or is among the shots, or choices out of range.
    """
    if not 2 <= choices <= MOST_CHOICES:
        raise ValueError(f"choices is {choices}, but must be from 2 to {MOST_CHOICES}")
    shared = {word.lower() for word in words} & {word.lower() for word in shots}
    if shared:
        raise ValueError(f"the word {min(shared)!r} is asked for and shown solved: use others")
    solved = "".join(
        character_edit_text(edit, word, number, seed=seed) + "\n"
        for number, word in enumerate(shots)
    )
    examples = []
    for number, word in enumerate(words):
        generator, one, other = _drawn(edit, word, number, seed)
        question = _question(edit, word, one, other)
        if edit == "contains":
            answers: tuple[str, ...] = (" Yes\n", " No\n")
            gold, baseline = int(one not in word), 0
        else:
            right = edit_word(edit, word, one, other)
            wrong = _wrong_answers(edit, word, one, other, generator)[: choices - 1]
            answers, gold = mixed_choices(
                f" {right}\n", (f" {answer}\n" for answer in wrong), generator
            )
            baseline = shortest_choice(answers)
        examples.append(
            TaskExample(
                id=f"cute:{edit}:{word}",
                task=f"cute.{edit}",
                group=f"{len(word)} letters",
                prompt=solved + question,
                choices=answers,
                gold=gold,
                baseline=baseline,
            )
        )
    return examples


def character_edit_text(edit: CharacterEdit, word: str, number: int = 0, *, seed: int = 0) -> str:
    """A solved question, as prompts are written.

    Args:
        number: of the word in its list: "contains" is true of every second one.
    """
    _, one, other = _drawn(edit, word, number, seed)
    answer = edit_word(edit, word, one, other) if edit != "contains" else _said(one in word)
    return f"{_question(edit, word, one, other)} {answer}\n"


def _said(true: bool) -> str:
    return "Yes" if true else "No"


def _question(edit: CharacterEdit, word: str, one: str, other: str) -> str:
    asked = _QUESTIONS[edit].format(word=word, spelled=" ".join(word), one=one, other=other)
    return f"Question: {asked}\nAnswer:"


def _drawn(
    edit: CharacterEdit, word: str, number: int, seed: int
) -> tuple[np.random.Generator, str, str]:
    """The two characters of a question; the generator goes on to draw wrong answers."""
    own = sorted(set(word))
    if len(word) < 3 or len(own) < 2:
        raise ValueError(
            f"the word {word!r} cannot be edited: it needs three letters, and two different ones"
        )
    generator = row_generator(seed, f"cute.{edit}", word)
    foreign = [letter for letter in ascii_lowercase if letter not in word.lower()]
    one, another = (own[place] for place in generator.permutation(len(own))[:2])
    other = foreign[int(generator.integers(len(foreign)))]
    if edit == "swap":
        other = another
    if edit == "contains" and number % 2:
        one = other
    return generator, one, other


def _wrong_answers(
    edit: CharacterEdit, word: str, one: str, other: str, generator: np.random.Generator
) -> list[str]:
    """All that the rules give, in a random order, none of them right and no two alike."""
    right = edit_word(edit, word, one, other)
    if edit in ("spell", "unspell"):
        found = [edit_word(edit, slip, one, other) for slip in _slips(word)]
    else:
        of_others = [
            edit_word(edit, word, letter, other)
            for letter in sorted(set(word))
            if letter not in (one, other)
        ]
        found = [*of_others, word, *_slips(right)]
    wrong = list(dict.fromkeys(answer for answer in found if answer and answer != right))
    return [wrong[place] for place in generator.permutation(len(wrong))]


def _slips(word: str) -> Iterator[str]:
    """The word with a character doubled, one left out, or two neighbours in each other's place."""
    for place in range(len(word)):
        yield word[: place + 1] + word[place:]
        yield word[:place] + word[place + 1 :]
        yield word[:place] + word[place : place + 2][::-1] + word[place + 2 :]
