"""Variables of CharBench with the tokens of the prompt, correlations, and kinds of errors."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.evaluation.character_analysis import (
    character_variables,
    correlations,
    error_directions,
    error_overlap,
)
from operators.evaluation.character_tasks import charbench_examples


class Cut:
    """A tokenizer that knows some pieces and spells all else byte by byte; longest piece first."""

    def __init__(self, *pieces):
        self.tokens = [bytes([byte]) for byte in range(256)] + [piece.encode() for piece in pieces]

    def encode(self, text):
        data, ids = text.encode(), []
        while data:
            number = max(
                (n for n, token in enumerate(self.tokens) if data.startswith(token)),
                key=lambda n: len(self.tokens[n]),
            )
            ids.append(number)
            data = data[len(self.tokens[number]) :]
        return ids

    def encode_batch(self, texts):
        return [self.encode(text) for text in texts]


def asked(query, word, character):
    (example,) = charbench_examples(query, [word])
    answers = {"first": word.find(character or "?"), "last": word.rfind(character or "?"),
               "frequency": word.count(character or "?"), "unique": len(set(word))}  # fmt: skip
    return replace(example, character=character, gold=answers[query])


def test_the_variables_are_those_of_the_paper():
    examples = [
        asked("first", "cheese", "e"),
        asked("last", "cheese", "e"),
        asked("unique", "cheese", None),
        asked("frequency", "cheese", "s"),
    ]
    found = character_variables(examples, Cut("che", "es"))  # che | es | e
    assert found.word_length.tolist() == [6, 6, 6, 6]
    assert found.gold.tolist() == [2, 5, 4, 1]
    assert found.gold_over_length.tolist() == [2 / 6, 5 / 6, 4 / 6, 1 / 6]
    assert found.tokens.tolist() == [3, 3, 3, 3]
    assert found.characters_per_token.tolist() == [2, 2, 2, 2]
    np.testing.assert_array_equal(found.token_length, [3, 1, math.nan, 2])
    assert list(found.named()) == ["word_length", "gold", "gold_over_length", "tokens",
                                   "characters_per_token", "token_length"]  # fmt: skip


def test_tokens_are_those_of_the_prompt_and_of_a_shared_one_the_letters_count():
    example = asked("last", "cheese", "e")
    # Behind a quotation mark the word has other tokens than behind a space.
    found = character_variables([example], Cut(" cheese", '"che', 'ese"'))
    assert (found.tokens[0], found.token_length[0], found.space_before[0]) == (2, 3, False)
    spaced = replace(example, prompt=example.prompt.replace('"', " "))
    found = character_variables([spaced], Cut(" cheese", '"che', 'ese"'))
    assert (found.tokens[0], found.token_length[0], found.space_before[0]) == (1, 6, True)


def test_bytes_before_the_word_are_not_taken_for_characters():
    example = asked("first", "cheese", "s")
    further = replace(
        example, prompt="Ξένες " + example.prompt, word_start=example.word_start + len("Ξένες ")
    )
    found = character_variables([further], Cut("ches", "che", "ese"))
    assert (found.tokens[0], found.token_length[0]) == (2, 3)


def test_a_tokenizer_that_changes_the_text_is_refused():
    class Lower(Cut):
        def encode(self, text):
            return super().encode(text.lower())

    with pytest.raises(ValueError, match="charbench:first:cheese are not its text"):
        character_variables([asked("first", "cheese", "e")], Lower())


def test_no_questions_have_no_variables():
    found = character_variables([], Cut())
    assert all(len(values) == 0 for values in found.named().values())


def test_a_correlation_is_pearsons_and_leaves_out_what_does_not_apply():
    correct = [1.0, 0.0, 1.0, 0.0, 1.0]
    values = [1.0, 2.0, 2.0, 5.0, math.nan]
    found = correlations({"a": values, "b": [1, 0, 1, 0, 1], "c": [0, 1, 0, 1, 0]}, correct)
    assert found["a"] == pytest.approx(np.corrcoef(values[:4], correct[:4])[0, 1])
    assert found["b"] == pytest.approx(1)
    assert found["c"] == pytest.approx(-1)


@pytest.mark.parametrize(
    ("values", "correct"),
    [
        ([], []),
        ([1.0], [1.0]),
        ([3.0, 3.0], [0, 1]),
        ([1.0, 2.0], [1, 1]),
        ([math.nan] * 3, [0, 1, 0]),
    ],
)
def test_where_nothing_varies_there_is_no_correlation(values, correct):
    assert math.isnan(correlations({"a": values}, correct)["a"])


def test_the_overlap_of_errors_is_that_of_their_sets():
    assert error_overlap([1, 1, 0, 0], [1, 0, 1, 0]) == pytest.approx(1 / 3)
    assert error_overlap([1, 0], [1, 0]) == 1
    assert error_overlap([1, 0], [0, 1]) == 0
    assert math.isnan(error_overlap([0, 0], [0, 0]))
    with pytest.raises(ValueError, match="2 and 3 answers are not of the same questions"):
        error_overlap([0, 0], [0, 0, 1])


@given(st.lists(st.tuples(st.none() | st.integers(0, 5), st.integers(0, 5))))
def test_every_answer_is_right_too_low_too_high_or_no_number(pairs):
    found = error_directions([answer for answer, _ in pairs], [gold for _, gold in pairs])
    assert found.right + found.too_low + found.too_high + found.no_number == len(pairs)


def test_directions_are_those_of_the_numbers():
    found = error_directions([1, 2, 3, 9, None], [2, 2, 2, 2, 2])
    assert (found.right, found.too_low, found.too_high, found.no_number) == (1, 1, 2, 1)
