"""Measure tokenizers: one on bitext, or many side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from stages.contract import Artifact, Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import METRICS, REPORT
from stages.tokenizer_files import load_tokenizer

# Measures that the page of plots shows, and what it calls them.
PANELS = {
    "bytes_per_token": "bytes a token",
    "fertility": "tokens a word (fertility)",
    "nsl": "tokens, relative (NSL)",
    "renyi_efficiency": "Rényi efficiency, alpha 2.5",
    "vocabulary_use": "share of the vocabulary used",
    "undertrained": "rare tokens",
    "closeness_to_characters": "tokens a character",
    "overlap": "overlap with the baseline (Jaccard)",
    "superwords": "tokens across spaces",
}


class Report(Stage):
    """Measure a tokenizer on bitext: fertility, bytes a token, and what each language pays.

    The token premium of a language is the tokens of its side of the aligned beads over the tokens
    of the other side (Petrov et al. 2023); 1 is parity with the source language.
    """

    word = "tokenizer.report"

    inputs = {
        "tokenizer": Input(Kind.TOKENIZER, "what is measured"),
        "bitext": Input(Kind.BITEXT, "the same content in several languages"),
    }
    outputs = {"measures": Output(Kind.METRICS, "one row a language and measure")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.plotting import bars_by_language
        from operators.tokenization import (
            TokenizerMeasures,
            byte_premiums,
            measure,
            premiums_of_counts,
            round_trip_failures,
        )

        tokenizer = load_tokenizer(inputs["tokenizer"])
        rows: list[dict[str, Any]] = []
        premiums: dict[str, float] = {}
        failures = 0

        def add(language: str, values: Mapping[str, float], of: TokenizerMeasures) -> None:
            for name, value in values.items():
                rows.append({"id": language, "metric": name, "value": value,
                             "weight": float(of.tokens), "group": reference})  # fmt: skip

        bitext = inputs["bitext"].table()
        pairs: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
        for row in bitext.select(
            ["source_language", "target_language", "source_text", "target_text"]
        ).to_pylist():
            sides = pairs.setdefault((row["source_language"], row["target_language"]), ([], []))
            sides[0].append(row["source_text"])
            sides[1].append(row["target_text"])
        if not pairs:
            raise ValueError("there is no bitext to measure the tokenizer on")
        for (reference, language), (source, target) in sorted(pairs.items()):
            here, there = measure(tokenizer, source), measure(tokenizer, target)
            counts = {reference: here.tokens, language: there.tokens}
            premiums.setdefault(reference, 1.0)
            premiums[language] = premiums_of_counts(counts, reference)[language]
            bytes_ = byte_premiums({reference: source, language: target}, reference)[language]
            failures += len(round_trip_failures(tokenizer, [*source, *target]))
            values = {"token_premium": premiums[language], "byte_premium": bytes_}
            add(language, values | _ratios(there), there)
        for reference in sorted({source for source, _ in pairs}):
            # A sentence aligned with many languages is one sentence.
            texts = dict.fromkeys(text for pair, sides in pairs.items() if pair[0] == reference
                                  for text in sides[0])  # fmt: skip
            measured = measure(tokenizer, list(texts))
            values = {"token_premium": 1.0, "byte_premium": 1.0}
            add(reference, values | _ratios(measured), measured)
        outputs["measures"].write(pa.Table.from_pylist(rows, METRICS))
        for language, premium in premiums.items():
            context.metric(f"token_premium.{language}", premium)
        context.metric("round_trip_failures", failures)
        context.figure(
            "token_premiums",
            bars_by_language(
                premiums,
                title="Token premium by language",
                ylabel="tokens for the same content, relative",
                reference_line=1.0,
            ),
        )


def _ratios(measures: Any) -> dict[str, float]:
    return {
        "fertility": measures.fertility,
        "bytes_per_token": measures.bytes_per_token,
        "characters_per_token": measures.characters_per_token,
    }


class Compare(Stage):
    """Every measure of several tokenizers on the same text, in one table and one page of plots."""

    word = "tokenizer.compare"

    class Config(StageConfig):
        baseline: str | None = Field(
            None,
            description="matrix values of the tokenizer that others are compared with, as in the "
            "table: algorithm=bpe; default the first",
        )
        undertrained_below: int = Field(
            100, ge=1, description="a token occurring fewer times (<) in the text is called rare"
        )
        title: str = Field("Tokenizers", description="heading of the report")

    inputs = {
        "tokenizers": Input(Kind.TOKENIZER, "what is compared: all cells of a matrix", many=True),
        "documents": Input(Kind.DOCUMENTS, "the text that all are measured on"),
    }
    outputs = {
        "report": Output(Kind.REPORT, "report.md and page.png"),
        "measures": Output(Kind.METRICS, "one row a tokenizer and measure"),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.plotting import bar_panels
        from operators.tokenization import compare_tokenizers

        tokenizers = {
            _name(artifact): load_tokenizer(artifact) for artifact in inputs["tokenizers"]
        }
        texts = inputs["documents"].table().column("text").to_pylist()
        if not any(texts):
            raise ValueError("there is no text to compare tokenizers on")
        table = compare_tokenizers(
            tokenizers,
            texts,
            baseline=self.config.baseline,
            below=self.config.undertrained_below,
        )
        names = table["tokenizer"].to_list()
        page = bar_panels(
            names,
            {told: table[name].to_list() for name, told in PANELS.items()},
            title=self.config.title,
        )
        context.figure("tokenizers", page)
        files = [
            {"id": "report.md", "media_type": "text/markdown",
             "content": _markdown(self.config.title, table).encode()},
            {"id": "page.png", "media_type": "image/png", "content": page},
        ]  # fmt: skip
        outputs["report"].write(pa.Table.from_pylist(files, REPORT))
        rows = [
            {"id": row["tokenizer"], "metric": name, "value": float(value),
             "weight": float(row["tokens"]), "group": self.config.baseline or names[0]}
            for row in table.to_dicts()
            for name, value in row.items()
            if isinstance(value, (int, float))
        ]  # fmt: skip
        outputs["measures"].write(pa.Table.from_pylist(rows, METRICS))
        for row in table.to_dicts():
            # A record takes no "=" and "," in names.
            name = row["tokenizer"].replace("=", ":").replace(",", " ")
            context.metric(f"bytes_per_token.{name}", row["bytes_per_token"])
            context.metric(f"round_trip_failures.{name}", row["round_trip_failures"])


def _name(artifact: Artifact) -> str:
    cell = ",".join(f"{axis}={value}" for axis, value in artifact.cell.items())
    return cell or artifact.digest[:10]


def _markdown(title: str, table: Any) -> str:
    """The table on its side: measures are many, tokenizers few."""
    names = table["tokenizer"].to_list()
    lines = [f"# {title}", "", f"| measure | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for name in table.columns[1:]:
        lines.append(f"| {name} | {' | '.join(_written(value) for value in table[name])} |")
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


class Measures(Stage):
    """Every measure of one tokenizer, to be compared over samples of text that it learnt from.

    With a model that was trained with it, also the tokens whose input embeddings are the smallest
    and that are rare: what Land and Bartolo 2024 call under-trained.
    """

    word = "tokenizer.measures"
    libraries = ("torch", "transformers")

    class Config(StageConfig):
        undertrained_below: int = Field(
            100, ge=1, description="a token occurring fewer times (<) in the text is called rare"
        )

    inputs = {
        "tokenizer": Input(Kind.TOKENIZER, "what is measured"),
        "documents": Input(Kind.DOCUMENTS, "the text that it is measured on"),
        "model": Input(Kind.MODEL, "trained with this tokenizer", optional=True),
    }
    outputs = {"measures": Output(Kind.METRICS, "one row a measure")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.tokenization import compare_tokenizers
        from operators.tokenization.vocabulary_measures import token_counts, undertrained_candidates

        tokenizer = load_tokenizer(inputs["tokenizer"])
        texts = inputs["documents"].table().column("text").to_pylist()
        if not any(texts):
            raise ValueError("there is no text to measure a tokenizer on")
        below = self.config.undertrained_below
        (row,) = compare_tokenizers({"": tokenizer}, texts, below=below).to_dicts()
        values = {name: float(v) for name, v in row.items() if isinstance(v, (int, float))}
        if "model" in inputs:
            from operators.modeling import load_model

            model = load_model(str(inputs["model"].folder()), device="cpu")
            embeddings = model.get_input_embeddings().weight.detach().float().numpy()
            counts = token_counts(tokenizer, texts)
            found = undertrained_candidates(tokenizer, counts, below=below, embeddings=embeddings)
            values["undertrained_embeddings"] = float(len(found.both))
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        for name, value in finite.items():
            context.metric(name, value)
        rows = [
            {"id": name, "metric": name, "value": value, "weight": 1.0, "group": ""}
            for name, value in finite.items()
        ]
        outputs["measures"].write(pa.Table.from_pylist(rows, METRICS))
