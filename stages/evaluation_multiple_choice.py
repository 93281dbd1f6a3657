"""Multiple choice with letters: what a model writes, and which letter it finds most probable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from stages.compute_settings import ComputeSettings
from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage
from stages.editing_prior import Prior, open_prior
from stages.evaluation_tasks import check, label
from stages.kinds import METRICS, TASKS

# Questions between two moves of the live display. No score depends on it.
_AT_A_TIME = 64

READINGS = ("text", "first_token")


class MultipleChoice(Stage):
    """Multiple choice in two readings: the option that the answer's text names, and its letter.

    Wang et al. 2024 ("Look at the text"): the letter that is most probable as the first token is
    often not what the model then writes. Each question is asked with its options as letters, once
    as it is and then with its options in other orders, and each reading is judged by the same
    items, refusals included. The text is read by a rule, whose coverage is told.
    """

    word = "evaluation.multiple_choice"
    libraries = ("torch", "transformers")

    class Config(ComputeSettings):
        orders: int = Field(
            4, ge=1, description="times each question is asked: as it is, then in drawn orders"
        )
        samples: int = Field(
            0, ge=0, description="answers drawn of each question, for the entropy of their options"
        )
        temperature: float = Field(1.0, gt=0, description="of these draws")
        refusals: Literal["wrong", "dropped"] = Field(
            "wrong", description="answers without an option: wrong in either reading, or what "
            "either reading cannot read is left out of both",
        )  # fmt: skip
        max_tokens: int = Field(16, ge=1, description="of an answer at most; it ends with its line")
        seed: int = Field(0, ge=0, description="of the orders and the draws; by the question's id")
        batch_size: int = Field(16, ge=1, description="rows in a forward pass")

    inputs = {
        "model": Input(Kind.MODEL, "what is evaluated; it carries its tokenizer"),
        "tasks": Input(Kind.TASKS, "questions with 2 to 26 options"),
    }
    outputs = {
        "scores": Output(
            Kind.METRICS,
            "of each question as it is: text_accuracy, first_token_accuracy and mismatch, 0 or 1; "
            "of its other orders: text_consistency and first_token_consistency (weight: orders)",
        )
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        config = self.config
        tasks = inputs["tasks"].table().select(TASKS.names).to_pylist()
        check(tasks, 2)
        prior = open_prior(inputs["model"], config.device)
        orders = [_orders(task, config.orders, config.seed) for task in tasks]
        chosen: dict[str, list[list[int | None]]] = {reading: [] for reading in READINGS}
        drawn: list[list[int | None]] = []
        for start in range(0, len(tasks), _AT_A_TIME):
            here = slice(start, start + _AT_A_TIME)
            for reading, options in self._ask(prior, tasks[here], orders[here]).items():
                chosen[reading] += options
            if config.samples:
                drawn += self._draw(prior, tasks[here])
            context.progress(len(chosen["text"]), len(tasks), "questions")
        outputs["scores"].write(pa.Table.from_pylist(self._rows(tasks, chosen), METRICS))
        self._tell(tasks, orders, chosen, drawn, context)

    def _ask(
        self, prior: Prior, tasks: Sequence[Mapping[str, Any]], orders: Sequence[list[list[int]]]
    ) -> dict[str, list[list[int | None]]]:
        """For each reading and question the options chosen in its orders."""
        from operators.evaluation.choices import encode_choices, score_choices
        from operators.evaluation.generated_answers import generate_answers
        from operators.evaluation.multiple_choice import LETTERS, option_in_text, unpermuted

        config = self.config
        settings: dict[str, Any] = {
            "context": prior.context, "batch_size": config.batch_size, "device": config.device,
            "threads": config.threads,
        }  # fmt: skip
        shown = [
            [[task["choices"][option] for option in order] for order in own]
            for task, own in zip(tasks, orders, strict=True)
        ]
        prompts = [
            _question(task, options)
            for task, own in zip(tasks, shown, strict=True)
            for options in own
        ]
        written = generate_answers(
            prior.model, prior.tokenizer, prompts, begin=prior.end_of_text,
            max_tokens=config.max_tokens, never_drawn=prior.never_drawn, **settings,
        )  # fmt: skip
        sizes = [len(options) for own in shown for options in own]
        pairs = [
            (prompt, f" {letter}")
            for prompt, size in zip(prompts, sizes, strict=True)
            for letter in LETTERS[:size]
        ]
        encoded = encode_choices(prior.tokenizer, pairs, prior.end_of_text)
        scores = iter(score_choices(prior.model, encoded, **settings))
        answers = iter(written)
        chosen: dict[str, list[list[int | None]]] = {reading: [] for reading in READINGS}
        for own, options_of in zip(orders, shown, strict=True):
            texts, letters = [], []
            for order, options in zip(own, options_of, strict=True):
                texts.append(unpermuted(option_in_text(next(answers).text, options), order))
                logs = [next(scores).log_probability for _ in options]
                letters.append(unpermuted(_first(logs), order))
            chosen["text"].append(texts)
            chosen["first_token"].append(letters)
        return chosen

    def _draw(self, prior: Prior, tasks: Sequence[Mapping[str, Any]]) -> list[list[int | None]]:
        """For each question the options of answers that are drawn."""
        from operators.editing.drawing import SamplingRule
        from operators.editing.generation import continue_prompts
        from operators.evaluation.multiple_choice import option_in_text

        config = self.config
        limit = min(config.max_tokens, prior.context - 1)
        texts = [_question(task, task["choices"]) for task in tasks]
        prompts = [
            [prior.end_of_text, *ids][limit - prior.context :]
            for ids in prior.tokenizer.encode_batch(texts)
        ]
        made = iter(
            continue_prompts(
                prior.model,
                [prompt for prompt in prompts for _ in range(config.samples)],
                [f"{task['id']}\x00{number}" for task in tasks for number in range(config.samples)],
                limits=limit,
                context=prior.context,
                end_of_text=prior.end_of_text,
                rule=SamplingRule(temperature=config.temperature),
                never_drawn=prior.never_drawn,
                seed=config.seed,
                batch_size=config.batch_size,
                device=config.device,
                threads=config.threads,
            )
        )
        return [
            [
                option_in_text(
                    prior.tokenizer.decode(next(made).tokens.tolist()).partition("\n")[0],
                    task["choices"],
                )
                for _ in range(config.samples)
            ]
            for task in tasks
        ]

    def _rows(
        self, tasks: Sequence[Mapping[str, Any]], chosen: Mapping[str, list[list[int | None]]]
    ) -> list[dict[str, Any]]:
        from operators.evaluation.multiple_choice import compare_readings, selection_consistency

        refusals = self.config.refusals
        rows = []
        for number, task in enumerate(tasks):
            first, text = chosen["first_token"][number], chosen["text"][number]
            both = compare_readings([task["gold"]], [first[0]], [text[0]], refusals=refusals)
            measures = {
                "text_accuracy": (both.text_accuracy, 1),
                "first_token_accuracy": (both.first_token_accuracy, 1),
                "mismatch": (both.mismatch, 1),
            }
            for reading in READINGS:
                own = chosen[reading][number]
                others = own[1:]
                if refusals == "dropped":
                    others = [option for option in others if option is not None]
                value = selection_consistency([own], refusals=refusals)
                measures[f"{reading}_consistency"] = (value, len(others))
            rows += [
                {"id": task["id"], "metric": metric, "value": float(value),
                 "weight": float(weight), "group": label(task)}
                for metric, (value, weight) in measures.items() if not math.isnan(value)
            ]  # fmt: skip
        return rows

    def _tell(
        self,
        tasks: Sequence[Mapping[str, Any]],
        orders: Sequence[list[list[int]]],
        chosen: Mapping[str, list[list[int | None]]],
        drawn: Sequence[Sequence[int | None]],
        context: Context,
    ) -> None:
        from dataclasses import asdict

        from operators.evaluation.multiple_choice import (
            choice_entropy,
            compare_readings,
            option_recalls,
            recall_deviation,
            selection_consistency,
        )

        refusals = self.config.refusals
        both = compare_readings(
            [task["gold"] for task in tasks],
            [own[0] for own in chosen["first_token"]],
            [own[0] for own in chosen["text"]],
            refusals=refusals,
        )
        measures = {name: float(value) for name, value in asdict(both).items()}
        # Places and not options: what is looked for is a liking of a letter.
        asked = [
            (order.index(task["gold"]), order, number, place)
            for number, (task, own) in enumerate(zip(tasks, orders, strict=True))
            for place, order in enumerate(own)
        ]
        most = max(len(task["choices"]) for task in tasks)
        for reading in READINGS:
            options = [chosen[reading][number][place] for _, _, number, place in asked]
            places = [
                None if option is None else order.index(option)
                for option, (_, order, _, _) in zip(options, asked, strict=True)
            ]
            recalls = option_recalls([gold for gold, *_ in asked], places, most, refusals=refusals)
            if not np.isnan(recalls).all():
                measures[f"{reading}_recall_deviation"] = recall_deviation(recalls)
            measures[f"{reading}_consistency"] = selection_consistency(
                chosen[reading], refusals=refusals
            )
        if drawn:
            measures["choice_entropy"] = choice_entropy(drawn, refusals=refusals)
        for name, value in measures.items():
            if not math.isnan(value):
                context.metric(name, value)


def _question(task: Mapping[str, Any], options: Sequence[str]) -> str:
    from operators.evaluation.multiple_choice import lettered_question

    return lettered_question(task["prompt"], options)


def _orders(task: Mapping[str, Any], count: int, seed: int) -> list[list[int]]:
    """The options as they are, and in orders that are drawn by the id of the question."""
    digest = blake2b(f"{seed}\x00{task['id']}".encode(), digest_size=16).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
    size = len(task["choices"])
    drawn = [generator.permutation(size).tolist() for _ in range(count - 1)]
    return [list(range(size)), *drawn]


def _first(logs: Sequence[float]) -> int | None:
    """The most probable letter; None where two are just as probable."""
    best = max(logs)
    return logs.index(best) if list(logs).count(best) == 1 else None
