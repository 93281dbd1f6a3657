"""From documents to tokens: train a tokenizer, encode and pack, measure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from stages.contract import (
    Artifact,
    Context,
    Field,
    Input,
    Kind,
    Output,
    RowStage,
    Sink,
    Stage,
    StageConfig,
)
from stages.kinds import METRICS

END_OF_TEXT = "<|endoftext|>"


class Train(Stage):
    """Train a byte-level tokenizer: any text comes back from its tokens byte for byte.

    The artifact opens with `tokenizers.Tokenizer.from_file` and `AutoTokenizer.from_pretrained`.
    """

    word = "tokenizer.train"
    libraries = ("tokenizers",)

    class Config(StageConfig):
        algorithm: Literal["bpe", "unigram"] = Field(
            "bpe", description="bpe (Sennrich et al. 2016, on bytes) or unigram (Kudo 2018)"
        )
        vocab_size: int = Field(
            4096, ge=257, description="ids wanted; fewer where the text cannot give so many"
        )
        min_frequency: int = Field(
            2, ge=0, description="a pair must occur so often (>=) to be merged; bpe only"
        )

    inputs = {"documents": Input(Kind.DOCUMENTS, "text to learn from")}
    outputs = {"tokenizer": Output(Kind.TOKENIZER, "tokenizer.json and its configuration")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.tokenization import to_transformers, train_tokenizer

        config = self.config
        tokenizer = train_tokenizer(
            _texts(inputs["documents"], context),
            algorithm=config.algorithm,
            vocab_size=config.vocab_size,
            min_frequency=config.min_frequency,
            end_of_text=END_OF_TEXT,
        )
        folder = outputs["tokenizer"].folder()
        to_transformers(tokenizer, END_OF_TEXT).save_pretrained(str(folder))
        context.metric("vocab_size", tokenizer.get_vocab_size())


def _texts(documents: Artifact, context: Context) -> Iterator[str]:
    done = 0
    for batch in documents.batches():
        yield from batch.column("text").to_pylist()
        done += batch.num_rows
        context.progress(done, documents.rows, "documents")


def load_tokenizer(artifact: Artifact) -> Any:
    """The `tokenizers.Tokenizer` of an artifact (a tokenizer, or a model that carries its own)."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(Path(artifact.folder(), "tokenizer.json")))


class Encode(RowStage):
    """Encode documents and pack them into sequences of one length, boundaries kept.

    Documents of a shard are laid end to end, each behind one end-of-text token, and cut; the
    incomplete last sequence of a shard is left out and counted in `dropped_tokens`.
    """

    word = "tokenizer.encode"
    libraries = ("tokenizers",)

    class Config(StageConfig):
        sequence_length: int = Field(128, ge=2, description="tokens in a sequence")

    inputs = {
        "documents": Input(Kind.DOCUMENTS, "text to encode"),
        "tokenizer": Input(Kind.TOKENIZER, "what encodes it"),
    }
    outputs = {"tokens": Output(Kind.TOKENS, "packed sequences")}

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        self.tokenizer = load_tokenizer(inputs["tokenizer"])

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.tokenization import pack_documents

        texts = rows.column("text").to_pylist()
        encodings = self.tokenizer.encode_batch(texts, add_special_tokens=False)
        packed = pack_documents(
            [encoding.ids for encoding in encodings],
            rows.column("id").to_pylist(),
            sequence_length=self.config.sequence_length,
            separator=self.tokenizer.token_to_id(END_OF_TEXT),
        )
        context.count("documents", rows.num_rows)
        context.count("tokens", packed.table.num_rows * self.config.sequence_length)
        context.count("dropped_tokens", packed.dropped_tokens)
        context.count("bytes", sum(len(text.encode()) for text in texts))
        return packed.table

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        tokens = counts["tokens"] + counts["dropped_tokens"] - counts["documents"]
        return {"bytes_per_token": counts["bytes"] / tokens} if tokens > 0 else {}


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
