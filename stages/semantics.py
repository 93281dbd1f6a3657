"""Texts of two corpora made ready: cleaned, measured in word pieces, cut into chunks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.contract import (
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
from stages.kinds import DROPPED
from stages.tokenizer_files import load_library_tokenizer


class Clean(RowStage):
    """Drop texts that are mostly no letters, or too short, as Historical Ink does (Montes et al.
    2024).

    Exact duplicates and empty texts are what `corpus.clean` drops with `dedup: exact`.
    """

    word = "semantics.clean"

    class Config(StageConfig):
        letters: str = Field("a-zA-ZÀ-ÿ", description="characters and ranges that count as letters")
        max_other_fraction: float = Field(
            0.5, ge=0, le=1, description="more (>) characters that are no letters: dropped; spaces "
            "are none",
        )  # fmt: skip
        min_tokens: int = Field(
            6, ge=0, description="fewer (<) tokens, begin and end counted: dropped; needs a "
            "tokenizer",
        )  # fmt: skip

    inputs = {
        "documents": Input(Kind.DOCUMENTS, "texts as read"),
        "tokenizer": Input(Kind.TOKENIZER, "what counts their tokens", optional=True),
    }
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "the texts that are kept, as they were"),
        "dropped": Output(Kind.DROPPED, "the texts that are not, with the reason"),
    }

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        self.tokenizer = (
            load_library_tokenizer(inputs["tokenizer"]) if "tokenizer" in inputs else None
        )

    def apply(self, rows: pa.Table, context: Context) -> Mapping[str, pa.Table]:
        from operators.semantics import count_wordpieces, letter_share

        config = self.config
        texts = rows.column("text").to_pylist()
        verdicts: list[tuple[str, float] | None] = []
        for text in texts:
            others = 1 - letter_share(text, config.letters)
            few = others > config.max_other_fraction
            verdicts.append(("few_letters", others) if few else None)
        if self.tokenizer is not None:
            for row, count in enumerate(count_wordpieces(self.tokenizer, texts)):
                if verdicts[row] is None and count < config.min_tokens:
                    verdicts[row] = ("few_tokens", float(count))
        dropped = [
            {"id": row["id"], "source": row["source"], "reason": verdict[0], "value": verdict[1],
             "text": row["text"]}
            for row, verdict in zip(rows.to_pylist(), verdicts, strict=True)
            if verdict is not None
        ]  # fmt: skip
        return {
            "documents": rows.filter(pa.array([v is None for v in verdicts], pa.bool_())),
            "dropped": pa.Table.from_pylist(dropped, DROPPED),
        }


class Wordpiece(Stage):
    """Train a WordPiece tokenizer, as BERT models have it, to count tokens by.

    Texts are divided at white space and punctuation; letters and accents stay as they are. The
    artifact opens with `tokenizers.Tokenizer.from_file`. It does not give every text back, so it is
    for measuring, not for training (`tokenizer.train`).
    """

    word = "semantics.wordpiece"
    libraries = ("tokenizers",)

    class Config(StageConfig):
        vocab_size: int = Field(52_000, ge=100, description="tokens wanted")
        min_frequency: int = Field(2, ge=0, description="a pair must occur so often (>=)")

    inputs = {"documents": Input(Kind.DOCUMENTS, "text to learn from")}
    outputs = {"tokenizer": Output(Kind.TOKENIZER, "tokenizer.json")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.semantics.wordpiece import train_wordpiece

        texts = (
            text
            for batch in inputs["documents"].batches()
            for text in batch.column("text").to_pylist()
        )
        tokenizer = train_wordpiece(
            texts, vocab_size=self.config.vocab_size, min_frequency=self.config.min_frequency
        )
        tokenizer.save(str(Path(outputs["tokenizer"].folder(), "tokenizer.json")))
        context.metric("vocab_size", tokenizer.get_vocab_size())


class Chunks(RowStage):
    """Cut documents between sentences into chunks that a model takes as a whole."""

    word = "semantics.chunks"
    expands = True

    class Config(StageConfig):
        max_tokens: int = Field(
            254, ge=1, description="tokens of a chunk at most, without begin and end; a longer "
            "sentence is a chunk of its own",
        )  # fmt: skip

    inputs = {
        "documents": Input(Kind.DOCUMENTS, "texts"),
        "tokenizer": Input(Kind.TOKENIZER, "what counts their tokens"),
    }
    outputs = {"documents": Output(Kind.DOCUMENTS, "one row a chunk, with the id ID#NUMBER")}

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        self.tokenizer = load_library_tokenizer(inputs["tokenizer"])

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.alignment import split_sentences
        from operators.semantics import sentence_chunks

        made: list[dict[str, Any]] = []
        for row in rows.to_pylist():
            sentences = split_sentences(row["text"], row["language"])
            encoded = self.tokenizer.encode_batch(sentences, add_special_tokens=False)
            lengths = [len(encoding.ids) for encoding in encoded]
            chunks = sentence_chunks(sentences, lengths, self.config.max_tokens)
            for number, chunk in enumerate(chunks):
                text = " ".join(sentences[k] for k in chunk)
                made.append({**row, "id": f"{row['id']}#{number}", "text": text})
                context.count("too_long", sum(lengths[k] for k in chunk) > self.config.max_tokens)
        return pa.Table.from_pylist(made, rows.schema)
