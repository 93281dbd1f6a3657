"""Questions about the characters of words of held-out text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
from pydantic import ValidationInfo, field_validator

from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import METRICS, TASKS
from stages.tasks import task_rows, training_documents
from stages.tokenizer_files import load_tokenizer

if TYPE_CHECKING:
    from operators.evaluation.character_tasks import CharacterExample, WordHand
    from operators.evaluation.task_examples import TrainingText

Rows = list[dict[str, Any]]

# What analyses need to know of a question, beside what every task has.
CHARACTER_TASKS = pa.schema(
    [
        *TASKS,
        ("word", pa.string()),
        ("character", pa.string()),  # null where the question names none
        ("word_start", pa.int32()),  # where the word begins in the prompt; null in CUTE-like ones
    ]
)

Task = Literal[
    "charbench.frequency", "charbench.unique", "charbench.first", "charbench.last", "cute.spell",
    "cute.unspell", "cute.contains", "cute.insert", "cute.delete", "cute.substitute", "cute.swap",
]  # fmt: skip


class Characters(Stage):
    """CharBench, and CUTE-like editing of words: what a model knows about the characters of words.

    Uzan and Pinter 2026; Edman et al. 2024. Words are those of the documents, as many of each
    length for each task, and none in two tasks, in an example that a prompt shows, or in a training
    document as well. Indices start at 0.
    """

    word = "tasks.characters"

    class Config(StageConfig):
        tasks: tuple[Task, ...] = Field(
            ("charbench.frequency", "charbench.unique", "charbench.first", "charbench.last"),
            min_length=1,
            description="charbench.frequency, unique, first, last; cute.spell, unspell, contains, "
            "insert, delete, substitute, swap",
        )
        shortest: int = Field(4, ge=3, description="letters of a word, at least")
        longest: int = Field(
            10, ge=3, validate_default=True, description="letters of a word, at most"
        )
        words: int = Field(25, ge=1, description="of each length and task")
        shots: int = Field(0, ge=0, description="solved questions that stand before each one")
        training: int = Field(
            0, ge=0, description="words of each length and task for training documents"
        )
        rules: bool = Field(
            True, description="charbench: prompts begin by saying how to count and answer"
        )
        choices: int = Field(4, ge=2, le=4, description="cute: answers to choose from")
        seed: int = Field(0, description="of words, characters and wrong answers")

        @field_validator("tasks")
        @classmethod
        def _are_different(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
            if len(set(tasks)) < len(tasks):
                raise ValueError("names a task twice")
            return tasks

        @field_validator("longest")
        @classmethod
        def _is_the_larger(cls, longest: int, info: ValidationInfo) -> int:
            shortest = info.data.get("shortest")
            if shortest is not None and longest < shortest:
                raise ValueError(f"must be >= shortest, which is {shortest}")
            return longest

    inputs = {"documents": Input(Kind.DOCUMENTS, "held-out documents, whose words are asked about")}
    outputs = {
        "tasks": Output(Kind.TASKS, "questions; with `word`, `character` and `word_start`"),
        "documents": Output(Kind.DOCUMENTS, "solved questions about other words, to learn from"),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.character_tasks import deal_words, text_words

        config = self.config
        found: set[str] = set()
        for batch in inputs["documents"].batches():
            found |= text_words(
                batch.column("text").to_pylist(), shortest=config.shortest, longest=config.longest
            )
        hands = deal_words(
            # A word of one letter only ("aaaa") leaves nothing to edit.
            [word for word in found if len(set(word)) > 1],
            config.tasks,
            shortest=config.shortest,
            longest=config.longest,
            per_length=config.words,
            shots=config.shots,
            training_per_length=config.training,
            seed=config.seed,
        )
        rows: list[dict[str, Any]] = []
        texts: list[TrainingText] = []
        for task, hand in hands.items():
            suite, _, asked = task.partition(".")
            make = self._charbench if suite == "charbench" else self._edits
            asked_rows, solved = make(asked, hand)
            rows += asked_rows
            texts += solved
        outputs["tasks"].write(pa.Table.from_pylist(rows, CHARACTER_TASKS))
        outputs["documents"].write(
            training_documents(texts, language="eng_Latn", source="characters")
        )
        context.metric("words", len(found))
        context.metric("tasks", len(rows))
        context.metric("documents", len(texts))

    def _charbench(self, query: Any, hand: WordHand) -> tuple[Rows, list[TrainingText]]:
        from operators.evaluation.character_tasks import charbench_examples, charbench_text
        from operators.evaluation.task_examples import TrainingText

        config = self.config
        examples = charbench_examples(
            query,
            hand.test,
            shots=hand.shots,
            largest=config.longest,
            rules=config.rules,
            seed=config.seed,
        )
        rows = [
            row | {"word": one.word, "character": one.character, "word_start": one.word_start}
            for row, one in zip(task_rows(examples), examples, strict=True)
        ]
        return rows, [
            TrainingText(
                f"charbench:{query}:training:{word}",
                charbench_text(query, word, rules=config.rules, seed=config.seed),
            )
            for word in hand.training
        ]

    def _edits(self, edit: Any, hand: WordHand) -> tuple[Rows, list[TrainingText]]:
        from operators.evaluation.character_edits import (
            character_edit_examples,
            character_edit_text,
        )
        from operators.evaluation.task_examples import TrainingText

        config = self.config
        examples = character_edit_examples(
            edit, hand.test, shots=hand.shots, choices=config.choices, seed=config.seed
        )
        rows = [
            row | {"word": word, "character": None, "word_start": None}
            for row, word in zip(task_rows(examples), hand.test, strict=True)
        ]
        return rows, [
            TrainingText(
                f"cute:{edit}:training:{word}",
                character_edit_text(edit, word, number, seed=config.seed),
            )
            for number, word in enumerate(hand.training)
        ]


class CharacterAnalysis(Stage):
    """What goes with being right on CharBench: length, answer, or the tokens of the word.

    Uzan and Pinter 2026: Pearson correlations with being right of word length, right number, right
    number over length, tokens of the word, characters a token, and length of the token that holds
    the occurrence asked for; tokens are those of the prompt. And whether wrong numbers are too low
    or too high, and how many errors are those of a second model too.
    """

    word = "tasks.character_analysis"

    class Config(StageConfig):
        rule: Literal["integer", "first_integer"] = Field(
            "integer", description="how a written answer is read: it is an integer and nothing "
            "else, or its first integer; as the scores were made",
        )  # fmt: skip

    inputs = {
        "tasks": Input(Kind.TASKS, "of tasks.characters; questions of other kinds are left out"),
        "scores": Input(Kind.METRICS, "of evaluation.tasks on these"),
        "tokenizer": Input(Kind.TOKENIZER, "of the model"),
        "others": Input(Kind.METRICS, "scores of a second model on these", optional=True),
    }
    outputs = {
        "measures": Output(
            Kind.METRICS,
            "by task: correlation of each variable (weight: questions); too_low, too_high, "
            "no_number: shares of the wrong answers; error_overlap of two models",
        )
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.character_analysis import (
            character_variables,
            correlations,
            error_directions,
            error_overlap,
        )
        from operators.evaluation.generated_answers import read_answer

        by_task: dict[str, list[CharacterExample]] = {}
        for example in _charbench(inputs["tasks"].table()):
            by_task.setdefault(example.task, []).append(example)
        scores = _scores(inputs["scores"], "scores")
        others = _scores(inputs["others"], "others") if "others" in inputs else None
        tokenizer = load_tokenizer(inputs["tokenizer"])
        rows: list[dict[str, Any]] = []

        def tell(task: str, metric: str, value: float, weight: int, name: str = "") -> None:
            # Where nothing varies there is no correlation, and no share of no errors.
            if math.isnan(value):
                return
            told = f"{task}.{name or metric}"
            rows.append({"id": told, "metric": metric, "value": value, "weight": float(weight),
                         "group": task})  # fmt: skip
            context.metric(f"{metric}.{told}" if name else told, value)

        for task, examples in sorted(by_task.items()):
            given = [_score_of(scores, example.id) for example in examples]
            correct = [row["value"] for row in given]
            variables = character_variables(examples, tokenizer)
            for name, value in correlations(variables.named(), correct).items():
                tell(task, "correlation", value, len(examples), name)
            context.metric(f"{task}.space_before", float(variables.space_before.mean()))
            read = [read_answer(row["answer"], self.config.rule) for row in given]
            sides = error_directions(
                [number if isinstance(number, int) else None for number in read],
                [int(example.answer) for example in examples],
            )
            wrong = sides.too_low + sides.too_high + sides.no_number
            for side in ("too_low", "too_high", "no_number"):
                tell(task, side, getattr(sides, side) / wrong if wrong else math.nan, wrong)
            if others is not None:
                missed = [_score_of(others, example.id)["value"] < 1 for example in examples]
                overlap = error_overlap([value < 1 for value in correct], missed)
                tell(task, "error_overlap", overlap, len(examples))
        outputs["measures"].write(pa.Table.from_pylist(rows, METRICS))


def _charbench(tasks: pa.Table) -> list[CharacterExample]:
    from operators.evaluation.character_tasks import CharacterExample

    if not set(CHARACTER_TASKS.names) <= set(tasks.column_names):
        raise ValueError("these tasks do not say which word they ask about: give those of "
                         "tasks.characters")  # fmt: skip
    rows = tasks.select(CHARACTER_TASKS.names).to_pylist()
    examples = [
        CharacterExample(**row | {"choices": tuple(row["choices"])})
        for row in rows
        if row["task"].startswith("charbench.")
    ]
    if not examples:
        raise ValueError("there is no question of CharBench among these tasks")
    return examples


def _scores(artifact: Any, name: str) -> dict[str, dict[str, Any]]:
    """The accuracy of each question, and the answer that was given."""
    table = artifact.table()
    if "answer" not in table.column_names:
        raise ValueError(f"the {name} have no column answer: give those of evaluation.tasks")
    return {row["id"]: row for row in table.to_pylist() if row["metric"] == "accuracy"}


def _score_of(scores: Mapping[str, dict[str, Any]], id_: str) -> dict[str, Any]:
    if id_ not in scores:
        raise ValueError(f'the question "{id_}" has no score: give the scores of these tasks')
    return scores[id_]
