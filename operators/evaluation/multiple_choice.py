"""Multiple choice by the text of an answer, and by its first token alone.

"Look at the text" (Wang et al. 2024): what a model writes and which option letter it finds most
probable as the first token are two readings of one answer, and they often differ. Here both are
judged alike, refusals included: an answer that names no option is `None` in either reading.

The study reads texts with a trained classifier. `option_in_text` is a rule instead; how many
answers it could read must be reported with every number (`Readings.text_answered`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

# The index of an option, or None: the answer names none of them.
Choice = int | None
# Refusals are wrong answers, and choices of their own; or what either reading refuses is left out
# of both.
Refusals = Literal["wrong", "dropped"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Readings:
    """Two readings of the same answers.

    Attributes:
        items: that are counted, in both readings the same ones.
        mismatch: share of them whose choices differ; NaN without any, as the accuracies.
        text_accuracy, first_token_accuracy: of them.
        text_answered, first_token_answered: shares of all items, counted or not, at which the
            reading found an option: the coverage.
    """

    items: int
    mismatch: float
    text_accuracy: float
    first_token_accuracy: float
    text_answered: float
    first_token_answered: float


def compare_readings(
    gold: Sequence[int],
    first_token: Sequence[Choice],
    text: Sequence[Choice],
    *,
    refusals: Refusals = "wrong",
) -> Readings:
    """How far two readings of the same answers agree, and how often each is right.

    Args:
        gold: index of the right option of each item.
        first_token: index of the option whose letter is the most probable first token.
        text: index of the option that the text names.
        refusals: what becomes of items without an option, in both readings alike.

    Raises:
        ValueError: different lengths.
    """
    if not len(gold) == len(first_token) == len(text):
        raise ValueError(
            f"{len(gold)} right options have {len(first_token)} first tokens and {len(text)} texts"
        )
    kept = [
        row
        for row in zip(gold, first_token, text, strict=True)
        if refusals == "wrong" or None not in row
    ]
    return Readings(
        len(kept),
        _share([first != said for _, first, said in kept]),
        _share([said == right for right, _, said in kept]),
        _share([first == right for right, first, _ in kept]),
        _share([said is not None for said in text]),
        _share([first is not None for first in first_token]),
    )


def option_recalls(
    gold: Sequence[int],
    chosen: Sequence[Choice],
    options: int,
    *,
    refusals: Refusals = "wrong",
) -> npt.NDArray[np.float64]:
    """Share of the items of each right option that were answered with it, ``[options]``.

    NaN for an option that is never right.

    Raises:
        ValueError: different lengths, or an index that is no option.
    """
    if len(gold) != len(chosen):
        raise ValueError(f"{len(gold)} right options have {len(chosen)} choices")
    right = np.zeros(options)
    asked = np.zeros(options)
    for number, choice in zip(gold, chosen, strict=True):
        if not 0 <= number < options or (choice is not None and not 0 <= choice < options):
            raise ValueError(f"options are 0 to {options - 1}, got {number} and {choice}")
        if choice is None and refusals == "dropped":
            continue
        asked[number] += 1
        right[number] += choice == number
    recalls: npt.NDArray[np.float64] = np.full(options, np.nan)
    np.divide(right, asked, out=recalls, where=asked > 0)
    return recalls


def recall_deviation(recalls: npt.ArrayLike) -> float:
    """RStd: the population standard deviation of the recalls of the options (Zheng et al. 2024).

    0 where no position is preferred. Options that are never right (NaN) do not count.

    Raises:
        ValueError: no recall at all.
    """
    values = np.asarray(recalls, dtype=np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        raise ValueError("no option is ever right: there is no recall to compare")
    return float(values.std())


def unpermuted(chosen: Choice, order: Sequence[int]) -> Choice:
    """The option that was chosen, whatever place it stood in.

    Args:
        chosen: index of the place, as asked.
        order: option that stands in each place.
    """
    return None if chosen is None else order[chosen]


def selection_consistency(
    chosen: Sequence[Sequence[Choice]], *, refusals: Refusals = "wrong"
) -> float:
    """How often a perturbed question gets the answer of the unperturbed one.

    Args:
        chosen: for each item the option chosen for the question as it is, and then for each of its
            perturbations (options permuted, letters misspelled, words swapped, options added), as
            indices of the original options: see `unpermuted`.
        refusals: "wrong": a refusal agrees with a refusal only; "dropped": askings without an
            option do not count.

    Returns:
        Share of all perturbed askings that agree; NaN where there is none.

    Raises:
        ValueError: an item without an answer to the question as it is.
    """
    agree = []
    for number, askings in enumerate(chosen):
        if not askings:
            raise ValueError(f"item {number} has no answer to the question as it is")
        first, *others = askings
        if refusals == "dropped":
            others = [] if first is None else [other for other in others if other is not None]
        agree += [other == first for other in others]
    return _share(agree)


def choice_entropy(samples: Sequence[Sequence[Choice]], *, refusals: Refusals = "wrong") -> float:
    """Mean entropy, in nats, of the options chosen in repeated draws of an answer.

    0 where each item always gets the same option, ln(options) where all are drawn alike.

    Args:
        samples: for each item the options chosen in its draws.
        refusals: "wrong": a refusal is a choice of its own; "dropped": it is no draw, and items
            without any draw do not count.

    Returns:
        NaN where no item counts.
    """
    entropies = []
    for drawn in samples:
        counts = Counter(one for one in drawn if one is not None or refusals == "wrong")
        total = counts.total()
        if total:
            entropies.append(
                -math.fsum(count / total * math.log(count / total) for count in counts.values())
            )
    return abs(math.fsum(entropies) / len(entropies)) if entropies else math.nan


def lettered_question(question: str, options: Sequence[str]) -> str:
    """A question with its options, a letter and a line each, that asks for the letter.

    Raises:
        ValueError: more options than letters, or fewer than two.
    """
    if not 2 <= len(options) <= len(LETTERS):
        raise ValueError(f"a question has 2 to {len(LETTERS)} options, got {len(options)}")
    lines = [
        f"{letter}. {option.strip()}" for letter, option in zip(LETTERS, options, strict=False)
    ]
    return "\n".join([question.rstrip(), *lines, "Answer:"])


def option_in_text(answer: str, options: Sequence[str]) -> Choice:
    """The option that an answer names; None where it names none, or several.

    In this order: the text of one option and nothing else; a letter at its beginning ("B", "(B)",
    "B. Paris"), where it stands alone; a letter behind "answer" or "option" ("The answer is (B)");
    the text of exactly one option somewhere in it, as whole words. Upper and lower case are one in
    texts. In letters they are not: "a" is a word.
    """
    said = answer.strip()
    texts = [option.strip() for option in options]
    same = [index for index, text in enumerate(texts) if text.casefold() == said.casefold()]
    if len(same) == 1:
        return same[0]
    letters = LETTERS[: len(options)]
    if found := re.match(rf"\(?([{letters}])(?:[).:,]|\s*$)", said):
        return letters.index(found[1])
    named = re.findall(rf"(?i:\b(?:answer|option)\b(?:\s+is)?)[\s:]*\(?([{letters}])\b", said)
    if named:
        return letters.index(named[0]) if len(set(named)) == 1 else None
    inside = [
        index
        for index, text in enumerate(texts)
        if text and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", said, re.IGNORECASE)
    ]
    return inside[0] if len(inside) == 1 else None


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits) if hits else math.nan
