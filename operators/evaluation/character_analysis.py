"""What makes a question about characters hard: its length, its answer, or the tokens of its word.

Source: Uzan and Pinter, "CharBench" (AAAI 2026): Pearson correlations of six variables with being
right, the overlap of the errors of two models, and whether wrong numbers are too low or too high.
Tokens are those of the *prompt*: a word has others with a space before it than behind a quotation
mark, and with another tokenizer's context it may share one with what surrounds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from operators.evaluation.character_tasks import CharacterExample
from operators.tokenization.byte_tokenizer import ByteTokenizer

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CharacterVariables:
    """One value a question; float64 [n], NaN where it does not apply.

    Attributes:
        word_length: WL, characters.
        gold: GT, the right number.
        gold_over_length: GT/WL.
        tokens: NT, tokens of the prompt that hold a character of the word.
        characters_per_token: CR, WL/NT.
        token_length: TTL, characters of the word in the token that holds the occurrence asked for;
            for a frequency the first one; NaN where no character is asked for.
        space_before: whether the word stands behind a space in the prompt, bool [n].
    """

    word_length: Floats
    gold: Floats
    gold_over_length: Floats
    tokens: Floats
    characters_per_token: Floats
    token_length: Floats
    space_before: npt.NDArray[np.bool_]

    def named(self) -> dict[str, Floats]:
        """The six variables by name."""
        names = ("word_length", "gold", "gold_over_length", "tokens", "characters_per_token",
                 "token_length")  # fmt: skip
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class ErrorDirections:
    """How many answers were right, too low, too high, and no number."""

    right: int
    too_low: int
    too_high: int
    no_number: int


def character_variables(
    examples: Sequence[CharacterExample], tokenizer: ByteTokenizer
) -> CharacterVariables:
    """The variables of each question, with the tokens of its prompt.

    Args:
        examples: words of a to z, a byte a character.
        tokenizer: of the model that answers.

    Raises:
        ValueError: a prompt that its tokens do not spell.
    """
    columns = np.full((4, len(examples)), np.nan)
    spaces = np.zeros(len(examples), np.bool_)
    encoded = tokenizer.encode_batch([example.prompt for example in examples])
    for place, (example, ids) in enumerate(zip(examples, encoded, strict=True)):
        owners = _owners(example, ids, tokenizer)
        occurrence = _occurrence(example)
        columns[0, place] = len(example.word)
        columns[1, place] = example.gold
        columns[2, place] = len(set(owners))
        if occurrence is not None:
            columns[3, place] = owners.count(owners[occurrence])
        spaces[place] = example.prompt[: example.word_start].endswith(" ")
    lengths, gold, tokens, token_length = columns
    return CharacterVariables(
        lengths, gold, gold / lengths, tokens, lengths / tokens, token_length, spaces
    )


def correlations(
    variables: Mapping[str, npt.ArrayLike], correct: npt.ArrayLike
) -> dict[str, float]:
    """Pearson's correlation of each variable with being right (0 or 1).

    Questions where a variable is NaN are left out of its correlation. NaN where nothing varies.
    """
    right = np.asarray(correct, np.float64)
    return {
        name: _pearson(np.asarray(values, np.float64), right) for name, values in variables.items()
    }


def error_overlap(wrong: npt.ArrayLike, wrong_too: npt.ArrayLike) -> float:
    """|A and B| / |A or B| of the questions that two models got wrong; NaN if there are none.

    Args:
        wrong, wrong_too: bool [n], of the same questions.
    """
    one, other = np.asarray(wrong, np.bool_), np.asarray(wrong_too, np.bool_)
    if one.shape != other.shape:
        raise ValueError(f"{one.size} and {other.size} answers are not of the same questions")
    either = int((one | other).sum())
    return int((one & other).sum()) / either if either else float("nan")


def error_directions(answers: Sequence[int | None], gold: Sequence[int]) -> ErrorDirections:
    """On which side of the right numbers answers lie.

    Args:
        answers: as `operators.evaluation.generated_answers.read_answer` reads them; None is no
            number. Say which of its rules was used.
    """
    numbers = [answer for answer in answers if answer is not None]
    sides = [
        (answer > right) - (answer < right)
        for answer, right in zip(answers, gold, strict=True)
        if answer is not None
    ]
    return ErrorDirections(
        right=sides.count(0),
        too_low=sides.count(-1),
        too_high=sides.count(1),
        no_number=len(answers) - len(numbers),
    )


def _owners(example: CharacterExample, ids: Sequence[int], tokenizer: ByteTokenizer) -> list[int]:
    """For each character of the word, which token of the prompt holds it."""
    pieces = [bytes(tokenizer.tokens[number]) for number in ids]
    if b"".join(pieces) != example.prompt.encode():
        raise ValueError(
            f"the tokens of the prompt of {example.id} are not its text: this tokenizer changes "
            "what it reads, so no token can be said to hold a character"
        )
    ends = np.cumsum([len(piece) for piece in pieces])
    start = len(example.prompt[: example.word_start].encode())
    places = np.arange(start, start + len(example.word))
    owners: list[int] = np.searchsorted(ends, places, side="right").tolist()
    return owners


def _occurrence(example: CharacterExample) -> int | None:
    if example.character is None:
        return None
    if example.task.endswith(".last"):
        return example.word.rindex(example.character)
    return example.word.index(example.character)


def _pearson(values: Floats, right: Floats) -> float:
    kept = np.isfinite(values)
    values, right = values[kept], right[kept]
    if len(values) < 2 or np.ptp(values) == 0 or np.ptp(right) == 0:
        return float("nan")
    return float(np.corrcoef(values, right)[0, 1])
