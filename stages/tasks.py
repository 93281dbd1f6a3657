"""Tasks with known answers, made of nothing but a seed: sums, facts in two directions, needles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import DOCUMENTS, TASKS

if TYPE_CHECKING:
    from operators.evaluation.task_examples import TaskExample, TaskSet, TrainingText

# Columns of an example to learn from, as tokenizer.examples reads them.
_EXAMPLE = ("instruction", "input", "target")


def task_rows(examples: Sequence[TaskExample]) -> list[dict[str, Any]]:
    """Questions as rows of `tasks`."""
    return [
        {
            "id": example.id,
            "task": example.task,
            "group": example.group,
            "prompt": example.prompt,
            "choices": list(example.choices),
            "gold": example.gold,
            "baseline": example.baseline,
        }
        for example in examples
    ]


def training_documents(texts: Sequence[TrainingText], *, language: str, source: str) -> pa.Table:
    """Texts to learn a task from as rows of `documents`.

    Where they end with a question, they are examples for `tokenizer.examples` as well: the columns
    `instruction` (empty), `input` and `target`.
    """
    rows: list[dict[str, Any]] = [
        {
            "id": text.id,
            "text": text.text,
            "language": language,
            "source": f"tasks://{source}",
            "group": text.group,
            "edits": [],
        }
        for text in texts
    ]
    made = pa.Table.from_pylist(rows, DOCUMENTS)
    if texts and all(text.asked for text in texts):
        asked = [text.asked or ("", "") for text in texts]
        columns = ([""] * len(texts), *map(list, zip(*asked, strict=True)))
        for name, column in zip(_EXAMPLE, columns, strict=True):
            made = made.append_column(name, pa.array(column, pa.string()))
    return made


def write_tasks(
    made: TaskSet, outputs: Mapping[str, Sink], context: Context, *, language: str, source: str
) -> None:
    """Both outputs of a maker of tasks, and how many there are."""
    outputs["tasks"].write(pa.Table.from_pylist(task_rows(made.examples), TASKS))
    documents = training_documents(made.training, language=language, source=source)
    outputs["documents"].write(documents)
    context.metric("tasks", len(made.examples))
    context.metric("documents", len(made.training))


class Arithmetic(Stage):
    """Sums of whole numbers, or which of two is larger: questions, and texts with other problems.

    For how a tokenizer cuts digits (Singh and Strouse 2024). Groups are by digits and carries. A
    problem that is held out stands in no text, in neither order of its numbers.
    """

    word = "tasks.arithmetic"

    class Config(StageConfig):
        kind: Literal["addition", "comparison"] = Field(
            "addition", description="123+456=579, or which of two numbers is larger"
        )
        shortest: int = Field(1, ge=1, le=9, description="digits of a number, at least")
        longest: int = Field(3, ge=1, le=9, description="digits of a number, at most")
        problems: int = Field(
            300, ge=1, description="held-out problems, spread evenly over digits as far as they go"
        )
        training: int = Field(3000, ge=0, description="problems to learn from, spread likewise")
        both_orders: bool = Field(
            True, description="each problem to learn from stands there in both orders"
        )
        lines: int = Field(1, ge=1, description="problems in a training document, a line each")
        choices: int = Field(
            4, ge=2, le=4, description="addition: answers to choose from; wrong ones are made by "
            "rule, the first without carries",
        )  # fmt: skip
        seed: int = Field(0, description="of problems and orders")

    outputs = {
        "tasks": Output(Kind.TASKS, "held-out problems"),
        "documents": Output(Kind.DOCUMENTS, "other problems, to learn from"),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.arithmetic_tasks import addition_tasks, comparison_tasks

        config = self.config
        shared: dict[str, Any] = {
            "shortest": config.shortest,
            "longest": config.longest,
            "problems": config.problems,
            "training": config.training,
            "both_orders": config.both_orders,
            "per_text": config.lines,
            "seed": config.seed,
        }
        if config.kind == "addition":
            made = addition_tasks(**shared, choices=config.choices)
        else:
            made = comparison_tasks(**shared)
        write_tasks(made, outputs, context, language="und", source=config.kind)


class Reversal(Stage):
    """The reversal curse: facts about made-up people, told in one direction and asked in both.

    Berglund et al. 2023. A third of the facts is told name first (p2d), a third description first
    (d2p), a third both ways, as the proof that the reversed form can be answered. What is asked
    follows templates that no text has. Names and descriptions are units for `editing.permute`.
    """

    word = "tasks.reversal"

    class Config(StageConfig):
        facts: int = Field(20, ge=1, description="of each of the three groups")
        templates: int = Field(
            6, ge=1, le=10, description="paraphrases of a fact in each direction it is told in"
        )
        choices: int = Field(
            4, ge=2, description="the right answer and those of other facts of the group"
        )
        seed: int = Field(0, description="of names, descriptions and choices")

    outputs = {
        "tasks": Output(Kind.TASKS, "each fact in both directions; groups: p2d/same, p2d/reversed"),
        "documents": Output(Kind.DOCUMENTS, "a sentence each; versions of a fact share `group`"),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.reversal_tasks import fictitious_facts, reversal_tasks

        config = self.config
        made = reversal_tasks(
            fictitious_facts(config.facts, seed=config.seed),
            templates=config.templates,
            choices=config.choices,
            seed=config.seed,
        )
        write_tasks(made, outputs, context, language="eng_Latn", source="reversal")


class Retrieval(Stage):
    """Needle in a haystack: a value told at some depth of a text, and asked for at its end.

    Groups are by length and depth. With several needles, the values of the others are among the
    choices. Training documents have the same form and other pairs of key and value.
    """

    word = "tasks.retrieval"

    class Config(StageConfig):
        lengths: tuple[int, ...] = Field((32, 64), description="words around the needles")
        depths: tuple[float, ...] = Field(
            (0.0, 0.25, 0.5, 0.75, 1.0),
            description="where the needle stands that is asked for: 0 is the beginning, 1 the end",
        )
        questions: int = Field(20, ge=1, description="of each length and depth")
        training: int = Field(1000, ge=0, description="documents to learn from")
        needles: int = Field(1, ge=1, description="in a text; one of them is asked for")
        digits: int = Field(4, ge=1, le=9, description="of a value")
        choices: int = Field(
            4, ge=2, description="the right value, then those of other needles, then random ones"
        )
        seed: int = Field(0, description="of words, pairs and depths")

    inputs = {
        "documents": Input(
            Kind.DOCUMENTS, "words to put needles between; default a list of plain words",
            optional=True,
        )
    }  # fmt: skip
    outputs = {
        "tasks": Output(Kind.TASKS, "questions by length and depth"),
        "documents": Output(
            Kind.DOCUMENTS,
            "texts with other pairs, to learn from; input and target: the first "
            "question and its answer, for tokenizer.examples",
        ),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.retrieval_tasks import retrieval_tasks

        config = self.config
        texts: list[str] = []
        if "documents" in inputs:
            # In the order of ids: neither the order of rows nor shards matter.
            rows = inputs["documents"].table().select(["id", "text"]).sort_by("id")
            texts = rows.column("text").to_pylist()
            if not any(text.strip() for text in texts):
                raise ValueError(
                    "the documents have no words to put needles between: give others, or leave "
                    "them out for a list of plain words"
                )
        made = retrieval_tasks(
            lengths=config.lengths,
            depths=config.depths,
            per_cell=config.questions,
            training=config.training,
            needles=config.needles,
            digits=config.digits,
            choices=config.choices,
            texts=texts,
            seed=config.seed,
        )
        write_tasks(made, outputs, context, language="eng_Latn", source="retrieval")
