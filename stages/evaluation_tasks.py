"""Score models on tasks: questions with choices, by likelihood or by what a model writes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Literal

import pyarrow as pa

from stages.compute_settings import ComputeSettings
from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage
from stages.editing_prior import Prior, open_prior
from stages.kinds import METRICS, TASKS
from stages.report_page import slug

# Questions between two moves of the live display. No score depends on it.
_AT_A_TIME = 256
# More groups than that make no readable plot: then a bar is a task.
_MOST_BARS = 60

SCORES = pa.schema([*METRICS, ("answer", pa.string())])


class Tasks(Stage):
    """Accuracy on tasks, one row a question, with the accuracy of trivial answers beside it.

    By `choices`: the answer is the choice to which the model gives the highest log-probability
    behind the prompt. By `generate`: the model writes on, greedily, and `rule` compares what it
    wrote with the right choice. End of text stands before every prompt and is never scored.
    """

    word = "evaluation.tasks"
    libraries = ("torch", "transformers")

    class Config(ComputeSettings):
        method: Literal["choices", "generate"] = Field(
            "choices", description="choices: the most probable one; generate: what the model writes"
        )
        ties: Literal["wrong", "first"] = Field(
            "wrong", description="choices of equal probability: wrong answers, or the first is "
            "taken as in lm_eval",
        )  # fmt: skip
        rule: Literal["text", "prefix", "integer", "first_integer"] = Field(
            "text", description="of generate: equal texts; the answer begins with the right one; "
            "it is an integer and nothing else; its first integer",
        )  # fmt: skip
        max_tokens: int = Field(32, ge=1, description="of generate: tokens of an answer at most")
        stops: tuple[str, ...] = Field(
            ("\n",), description="of generate: texts that end an answer, besides the end of text"
        )
        batch_size: int = Field(16, ge=1, description="rows in a forward pass")

    inputs = {
        "model": Input(Kind.MODEL, "what is evaluated; it carries its tokenizer"),
        "tasks": Input(Kind.TASKS, "questions with their answers"),
    }
    outputs = {
        "scores": Output(
            Kind.METRICS,
            "accuracy of each question, 0 or 1, and that of the trivial rule; of choices also "
            "accuracy_per_byte, log_probability (nats, of the right one) and margin (to the best "
            "wrong one); `answer` is what was taken or written",
        )
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        config = self.config
        tasks = inputs["tasks"].table().select(TASKS.names).to_pylist()
        check(tasks, 2 if config.method == "choices" else 1)
        prior = open_prior(inputs["model"], config.device)
        ask = self._by_choices if config.method == "choices" else self._by_generating
        answers: list[dict[str, Any]] = []
        counts: Counter[str] = Counter()
        for start in range(0, len(tasks), _AT_A_TIME):
            answers += ask(prior, tasks[start : start + _AT_A_TIME], counts)
            context.progress(len(answers), len(tasks), "questions")
        for task, answer in zip(tasks, answers, strict=True):
            if task["baseline"] is not None:
                answer["baseline_accuracy"] = float(task["baseline"] == task["gold"])
        rows = [
            {"id": task["id"], "metric": metric, "value": value, "weight": 1.0,
             "group": label(task), "answer": answer["answer"]}
            for task, answer in zip(tasks, answers, strict=True)
            for metric, value in answer.items() if metric != "answer"
        ]  # fmt: skip
        outputs["scores"].write(pa.Table.from_pylist(rows, SCORES))
        for name, amount in sorted(counts.items()):
            context.metric(name, amount / len(tasks))
        self._tell(tasks, answers, context)

    def _by_choices(
        self, prior: Prior, tasks: Sequence[Mapping[str, Any]], counts: Counter[str]
    ) -> list[dict[str, Any]]:
        from operators.evaluation.choices import encode_choices, per_byte, score_choices, select

        config = self.config
        pairs = [(task["prompt"], choice) for task in tasks for choice in task["choices"]]
        encoded = encode_choices(prior.tokenizer, pairs, prior.end_of_text)
        scores = score_choices(
            prior.model,
            encoded,
            context=prior.context,
            batch_size=config.batch_size,
            device=config.device,
            threads=config.threads,
        )
        scored = zip(encoded, scores, strict=True)
        answers = []
        for task in tasks:
            choices, gold = task["choices"], task["gold"]
            own = list(islice(scored, len(choices)))
            logs = [score.log_probability for _, score in own]
            whole, scaled = select(logs, gold), select(per_byte(logs, choices), gold)
            counts["tied"] += whole.tied
            counts["merged_boundaries"] += any(one.merged for one, _ in own)
            answers.append(
                {
                    "answer": choices[whole.index],
                    "accuracy": self._credit(whole, gold),
                    "accuracy_per_byte": self._credit(scaled, gold),
                    "log_probability": logs[gold],
                    "margin": whole.margin,
                }
            )
        return answers

    def _credit(self, selection: Any, gold: int) -> float:
        if self.config.ties == "first":
            return float(selection.index == gold)
        return float(selection.margin > 0)

    def _by_generating(
        self, prior: Prior, tasks: Sequence[Mapping[str, Any]], counts: Counter[str]
    ) -> list[dict[str, Any]]:
        from operators.evaluation.generated_answers import generate_answers, is_right, read_answer

        config = self.config
        written = generate_answers(
            prior.model,
            prior.tokenizer,
            [task["prompt"] for task in tasks],
            begin=prior.end_of_text,
            context=prior.context,
            max_tokens=config.max_tokens,
            stops=config.stops,
            never_drawn=prior.never_drawn,
            batch_size=config.batch_size,
            device=config.device,
            threads=config.threads,
        )
        answers = []
        for task, answer in zip(tasks, written, strict=True):
            right = is_right(answer.text, task["choices"][task["gold"]], config.rule)
            # How many answers the rule could read at all: a rule that reads few judges few.
            counts["answered"] += read_answer(answer.text, config.rule) is not None
            counts["cut_off"] += answer.ended_by == "limit"
            answers.append({"answer": answer.text, "accuracy": float(right)})
        return answers

    def _tell(
        self,
        tasks: Sequence[Mapping[str, Any]],
        answers: Sequence[Mapping[str, Any]],
        context: Context,
    ) -> None:
        """Accuracies as metrics and as a plot: the model's, and what trivial answers get."""
        from operators.plotting.bar_panels import bar_panels

        by_task = grouped(tasks, answers, lambda task: task["task"])
        by_group = grouped(tasks, answers, label)
        context.metric("accuracy", _mean(answers, "accuracy"))
        context.metric("questions", len(tasks))
        for name, (asked, given) in by_task.items():
            for measure, value in self._beside(asked, given).items():
                context.metric(f"{slug(name)}.{measure}", value)
            within = [one for own, one in by_group.values() if own[0]["task"] == name]
            macro = math.fsum(_mean(one, "accuracy") for one in within) / len(within)
            context.metric(f"{slug(name)}.macro_accuracy", macro)
        for name, (_, given) in by_group.items():
            if name not in by_task:
                context.metric(f"{slug(name)}.accuracy", _mean(given, "accuracy"))
        shown = by_group if len(by_group) <= _MOST_BARS else by_task
        measured = [self._beside(asked, given) for asked, given in shown.values()]
        panels = {
            measure.replace("_", " "): [one.get(measure, math.nan) for one in measured]
            for measure in ("accuracy", "baseline_accuracy", "constant_accuracy", "chance")
            if any(measure in one for one in measured)
        }
        context.figure("accuracy", bar_panels(list(shown), panels, title="Accuracy by task"))

    def _beside(
        self, tasks: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]
    ) -> dict[str, float]:
        """Accuracy, and what stands beside it, of some questions."""
        constant = Counter(task["choices"][task["gold"]].strip() for task in tasks)
        measures = {
            "accuracy": _mean(answers, "accuracy"),
            # Always the one text that is right most often.
            "constant_accuracy": constant.most_common(1)[0][1] / len(tasks),
        }
        if self.config.method == "choices":
            measures["accuracy_per_byte"] = _mean(answers, "accuracy_per_byte")
            measures["margin"] = _mean(answers, "margin")
            measures["chance"] = math.fsum(1 / len(t["choices"]) for t in tasks) / len(tasks)
        ruled = [answer for answer in answers if "baseline_accuracy" in answer]
        if ruled:
            measures["baseline_accuracy"] = _mean(ruled, "baseline_accuracy")
        return measures


def label(task: Mapping[str, Any]) -> str:
    """What scores are told apart by: the task, and its group where it has any."""
    return f"{task['task']}/{task['group']}" if task["group"] else str(task["task"])


def grouped(
    tasks: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]], name: Any
) -> dict[str, tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]]:
    """Questions and their answers by a name, in alphabetical order."""
    groups: dict[str, tuple[list[Any], list[Any]]] = {}
    for task, answer in zip(tasks, answers, strict=True):
        asked, given = groups.setdefault(name(task), ([], []))
        asked.append(task)
        given.append(answer)
    return dict(sorted(groups.items()))


def check(tasks: Sequence[Mapping[str, Any]], fewest: int) -> None:
    """Refuse questions that cannot be scored.

    Raises:
        ValueError: no question, one id twice, too few choices, or a gold that is none of them.
    """
    if not tasks:
        raise ValueError("there is no question to score: the tasks are empty")
    twice = [id_ for id_, count in Counter(task["id"] for task in tasks).items() if count > 1]
    if twice:
        raise ValueError(
            f'{len(twice)} ids stand for several questions, such as "{twice[0]}": ids must be '
            "unique, since scores of arms are paired by them"
        )
    for task in tasks:
        size = len(task["choices"])
        if size < fewest:
            raise ValueError(
                f'the question "{task["id"]}" has {size} choices, and {fewest} are needed'
                + ("; method: generate needs the right one only" if fewest > 1 else "")
            )
        for field, index in (("gold", task["gold"]), ("baseline", task["baseline"])):
            if (index is None and field == "gold") or not 0 <= (index or 0) < size:
                raise ValueError(
                    f'the question "{task["id"]}" has {size} choices and {field} {index}: it must '
                    f"be 0 to {size - 1}"
                )


def _mean(answers: Sequence[Mapping[str, Any]], measure: str) -> float:
    return math.fsum(answer[measure] for answer in answers) / len(answers)
