"""Look into models: which tokens of a context an answer rests on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from stages.compute_settings import ComputeSettings
from stages.contract import Artifact, Context, Field, Input, Kind, Output, Sink, Stage
from stages.evaluation_attribution_page import (
    METHODS,
    Example,
    Explained,
    files,
    metric_of,
    token_text,
)
from stages.kinds import METRICS, REPORT
from stages.tokenizer_files import end_of_text_id, load_tokenizer

if TYPE_CHECKING:
    from operators.evaluation.reagent import Importance
    from operators.evaluation.replacements import ReplacementSampler
    from operators.tokenization.byte_tokenizer import ByteTokenizer


class Attribution(Stage):
    """Which tokens of a context a model's next token rests on, by ReAGent, and how faithfully.

    Zhao and Shan 2024: tokens are replaced again and again, and those matter without which the
    target is less probable. Beside the faithfulness of what is found stands that of a random
    importance, and of the same importances shuffled.
    """

    word = "evaluation.attribution"
    libraries = ("torch", "transformers")

    class Config(ComputeSettings):
        target: Literal["gold", "predicted"] = Field(
            "gold", description="what is explained: gold, the token that stands there, of a task "
            "the first in which the right choice differs; predicted, what the model says",
        )  # fmt: skip
        examples: int = Field(
            100, ge=1, description="contexts to explain, drawn by their ids; each costs thousands "
            "of forward passes",
        )  # fmt: skip
        targets_per_document: int = Field(
            1, ge=1, description="places that are drawn in each document"
        )
        context: int = Field(
            64, ge=2, description="tokens before the target at most; earlier ones are cut off"
        )
        sampler: Literal["model", "unigram", "uniform"] = Field(
            "model", description="what stands in for a token: what the model itself expects there; "
            "a token by its frequency (in `tokens`, else in what is explained); any token",
        )  # fmt: skip
        replaced_share: float = Field(
            0.3, gt=0, le=1, description="of the tokens of a context, at each update"
        )
        rationale: int = Field(
            8, ge=1, description="most important tokens: a run stops when they alone keep the "
            "target among the top_k; a context of no more tokens never stops early",
        )  # fmt: skip
        top_k: int = Field(3, ge=0, description="0 never stops before max_updates")
        min_updates: int = Field(
            100, ge=1, description="updates before a run may stop; the authors have 1, and then "
            "the importance of an easy target is little more than random",
        )  # fmt: skip
        max_updates: int = Field(3000, ge=1, description="at most")
        runs: int = Field(5, ge=1, description="whose importances are averaged")
        draws: int = Field(10, ge=1, description="of dropped elements, to measure faithfulness")
        shown: int = Field(20, ge=0, description="examples that the page shows")
        title: str = Field("Attribution", description="heading of the page")
        seed: int = Field(0, ge=0, description="of every draw; each example has its own")
        batch_size: int = Field(64, ge=1, description="contexts in a forward pass")

    inputs = {
        "model": Input(Kind.MODEL, "what is looked into; it carries its tokenizer"),
        "documents": Input(Kind.DOCUMENTS, "texts, of which places are drawn", optional=True),
        "tasks": Input(Kind.TASKS, "prompts whose answers are explained", optional=True),
        "tokens": Input(
            Kind.TOKENS, "training tokens, for the frequencies of sampler unigram", optional=True
        ),
    }  # fmt: skip
    outputs = {
        "scores": Output(
            Kind.METRICS, "faithfulness by example; measures of what it is compared with end in "
            "_random and _shuffled",
        ),
        "importances": Output(
            Kind.METRICS, "a row a token: id EXAMPLE@POSITION, group the text of the token"
        ),
        "report": Output(Kind.REPORT, "attribution.html: tokens coloured by their importance"),
    }  # fmt: skip

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.faithfulness import position_correlation
        from operators.modeling import load_model

        config = self.config
        model = load_model(str(inputs["model"].folder()), device=config.device).float()
        tokenizer = load_tokenizer(inputs["model"])
        end = end_of_text_id(tokenizer)
        length = min(config.context, int(model.config.max_position_embeddings) - 1)
        found = self._examples(inputs, tokenizer, length)
        examples = sorted(found, key=lambda e: blake2b(e.id.encode()).digest())[: config.examples]
        if not examples:
            raise ValueError("there is no token with a context to explain it by")
        sampler = self._sampler(model, tokenizer, examples, inputs.get("tokens"), end)
        explained: list[Explained] = []
        for number, example in enumerate(examples):
            if config.target == "predicted":
                example = replace(example, target=self._predicted(model, example, end))  # noqa: PLW2901
            result = self._explained(model, example, sampler, end)
            measured = self._measured(model, example, result.importance, end)
            explained.append(Explained(example, result, measured))
            context.progress(number + 1, len(examples), "contexts")
        rows = [row for each in explained for row in _score_rows(each)]
        outputs["scores"].write(pa.Table.from_pylist(rows, METRICS))
        importances = [row for each in explained for row in _token_rows(each, tokenizer)]
        outputs["importances"].write(pa.Table.from_pylist(importances, METRICS))
        means = _means(rows)
        for name, value in means.items():
            context.metric(name, value)
        context.metric("examples", len(examples))
        context.metric("examples_left_out", len(found) - len(examples))
        measured_ones = sum(row["metric"] == "soft_ns" for row in rows)
        context.metric("examples_without_measure", len(examples) - measured_ones)
        correlation = position_correlation([each.result.importance for each in explained])
        if not math.isnan(correlation):
            context.metric("position_correlation", correlation)
        made = files(config.title, explained, means, correlation, tokenizer, shown=config.shown)
        context.figure("faithfulness", made["faithfulness.png"][1])
        content = [{"id": n, "media_type": t, "content": c} for n, (t, c) in made.items()]
        outputs["report"].write(pa.Table.from_pylist(content, REPORT))

    def _examples(
        self, inputs: Mapping[str, Any], tokenizer: ByteTokenizer, length: int
    ) -> list[Example]:
        given = [name for name in ("documents", "tasks") if name in inputs]
        if len(given) != 1:
            raise ValueError(
                f"{'both documents and tasks are' if given else 'neither documents nor tasks are'} "
                "wired: wire one of them"
            )
        made = _of_tasks if given == ["tasks"] else self._of_documents
        cut = (
            replace(example, context=example.context[-length:])
            for example in made(inputs[given[0]], tokenizer)
        )
        return [example for example in cut if example.context]

    def _of_documents(self, documents: Artifact, tokenizer: ByteTokenizer) -> Iterator[Example]:
        from operators.editing.row_draws import row_generator

        for batch in documents.batches():
            texts = tokenizer.encode_batch(batch.column("text").to_pylist())
            columns = (batch.column(name).to_pylist() for name in ("id", "language"))
            for ids, name, language in zip(texts, *columns, strict=True):
                places = np.arange(1, len(ids))
                wanted = min(self.config.targets_per_document, len(places))
                generator = row_generator(self.config.seed, "attribution", name)
                for place in sorted(generator.permutation(places)[:wanted].tolist()):
                    yield Example(f"{name}#{place}", language, ids[:place], ids[place])

    def _sampler(
        self,
        model: Any,
        tokenizer: ByteTokenizer,
        examples: Sequence[Example],
        tokens: Artifact | None,
        end: int,
    ) -> ReplacementSampler:
        from operators.evaluation.replacements import (
            causal_predictions,
            prediction_sampler,
            unigram_sampler,
        )

        config = self.config
        size = int(model.get_input_embeddings().weight.shape[0])
        special = {*tokenizer.special_ids, end}
        barred = sorted({*special, *range(len(tokenizer.tokens), size)})
        if config.sampler == "model":
            predictions = causal_predictions(
                model, [end], device=config.device, threads=config.threads
            )
            return prediction_sampler(predictions, barred)
        counts = np.ones(size, np.int64)
        if config.sampler == "unigram":
            counts[:] = 0
            seen = (
                (batch.column("tokens").flatten().to_numpy() for batch in tokens.batches())
                if tokens is not None
                else (np.asarray(example.context, np.int64) for example in examples)
            )
            for ids in seen:
                counts += np.bincount(ids, minlength=size)
        counts[barred] = 0
        return unigram_sampler(counts)

    def _predicted(self, model: Any, example: Example, end: int) -> int:
        import torch

        from operators.modeling.execution import inference, next_token_logits

        with inference(model, self.config.device, self.config.threads) as place:
            stream = torch.tensor([[end, *example.context]], device=place)
            return int(next_token_logits(model, stream)[0, -1].argmax())

    def _explained(
        self, model: Any, example: Example, sampler: ReplacementSampler, end: int
    ) -> Importance:
        from operators.evaluation.reagent import ReagentRule, reagent

        config = self.config
        rule = ReagentRule(
            replaced_share=config.replaced_share,
            rationale=config.rationale,
            top_k=config.top_k,
            min_updates=min(config.min_updates, config.max_updates),
            max_updates=config.max_updates,
            runs=config.runs,
        )
        return reagent(
            model,
            example.context,
            example.target,
            row_id=example.id,
            sampler=sampler,
            rule=rule,
            prefix=[end],
            seed=config.seed,
            batch_size=config.batch_size,
            device=config.device,
            threads=config.threads,
        )

    def _measured(
        self, model: Any, example: Example, importance: Any, end: int
    ) -> dict[str, dict[str, float]]:
        """Faithfulness by method and measure."""
        from operators.evaluation.faithfulness import (
            MEASURES,
            faithfulness,
            random_importance,
            shuffled_importance,
        )

        config = self.config
        drawn = {"row_id": example.id, "seed": config.seed}
        compared = (
            importance,
            random_importance(len(importance), **drawn),
            shuffled_importance(importance, **drawn),
        )
        measured = {}
        for method, values in zip(METHODS, compared, strict=True):
            found = faithfulness(
                model,
                example.context,
                values,
                rationale=config.rationale,
                prefix=[end],
                draws=config.draws,
                batch_size=config.batch_size,
                device=config.device,
                threads=config.threads,
                **drawn,
            )
            measured[method] = {name: getattr(found, name) for name in MEASURES}
        return measured


def _of_tasks(tasks: Artifact, tokenizer: ByteTokenizer) -> Iterator[Example]:
    for batch in tasks.batches():
        for row in batch.to_pylist():
            prompt = tokenizer.encode(row["prompt"])
            choices = [tokenizer.encode(choice) for choice in row["choices"]]
            right = choices[row["gold"]]
            if not right:
                continue
            place = _first_difference(right, [choice for choice in choices if choice != right])
            yield Example(row["id"], row["task"], [*prompt, *right[:place]], right[place])


def _first_difference(right: list[int], others: Sequence[list[int]]) -> int:
    """Where an answer first says something that another one does not: there it is decided."""
    for place in range(len(right)):
        if any(choice[: place + 1] != right[: place + 1] for choice in others):
            return place
    return len(right) - 1 if others else 0


def _score_rows(explained: Explained) -> list[dict[str, Any]]:
    result, example = explained.result, explained.example
    values = {
        "probability": result.probability,
        "updates": float(result.updates.mean()),
        "stopped": float(result.stopped.mean()),
        "changed_share": result.changed / result.replaced,
    }
    for method, found in explained.faithfulness.items():
        values |= {metric_of(measure, method): value for measure, value in found.items()}
    return [
        {"id": example.id, "metric": name, "value": value, "weight": 1.0, "group": example.group}
        for name, value in values.items()
        if not math.isnan(value)  # where no input says what all of it says
    ]


def _token_rows(explained: Explained, tokenizer: ByteTokenizer) -> list[dict[str, Any]]:
    example, importance = explained.example, explained.result.importance
    return [
        {"id": f"{example.id}@{place}", "metric": "importance", "value": float(value),
         "weight": 1.0, "group": token_text(tokenizer, token)}
        for place, (token, value) in enumerate(zip(example.context, importance, strict=True))
    ]  # fmt: skip


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row["metric"], []).append(row["value"])
    return {name: math.fsum(each) / len(each) for name, each in values.items()}
