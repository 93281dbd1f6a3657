"""Put the pieces of a task in front of a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import field_validator

from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.tokenizer import PRETOKENIZERS_TOLD, is_pretokenizer
from stages.tokenizer_files import (
    END_OF_TEXT,
    is_adapted,
    load_tokenizer,
    open_tokenizer,
    save_adapted,
)


class Adapt(Stage):
    """Pieces of a task, learnt by Unigram, spell a text first; the base spells the rest.

    Ids of the base stay what they are, and pieces that it lacks get ids behind them (Liu et al.
    2023). Give a model the result with `transfer.tokenizer`, method mean: the rows of new pieces
    are means of their old ones. `tokenizer.encode` with `sampling` draws spellings.
    """

    word = "tokenizer.adapt"
    libraries = ("tokenizers",)

    class Config(StageConfig):
        vocab_size: int = Field(
            1024,
            ge=257,
            description="ids of the task's Unigram, the 256 bytes and the end included",
        )
        pretokenizer: str = Field("none", description=PRETOKENIZERS_TOLD)
        max_token_bytes: int = Field(48, ge=1, description="bytes in a piece, at most")

        @field_validator("pretokenizer")
        @classmethod
        def _cuts(cls, name: str) -> str:
            return is_pretokenizer(name)

    inputs = {
        "tokenizer": Input(Kind.TOKENIZER, "the base, such as the one a model was trained with"),
        "documents": Input(Kind.DOCUMENTS, "texts of the task"),
    }
    outputs = {"tokenizer": Output(Kind.TOKENIZER, "the base in base/, the pieces in task.json")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.tokenization import TokenizerConfig
        from operators.tokenization.laboratory import train_tokenizer
        from operators.tokenization.task_adaptive import TaskAdaptiveTokenizer

        if is_adapted(inputs["tokenizer"].folder()):
            raise ValueError(
                "the base is adapted already: give the tokenizer that it was adapted from, and the "
                "documents of both tasks"
            )
        base = load_tokenizer(inputs["tokenizer"])
        texts = inputs["documents"].table().column("text").to_pylist()
        config = TokenizerConfig(
            algorithm="unigram",
            vocab_size=self.config.vocab_size,
            pretokenizer=self.config.pretokenizer,
            max_token_bytes=self.config.max_token_bytes,
            end_of_text=END_OF_TEXT,
        )
        task = train_tokenizer(iter(texts), config).model
        adapted = TaskAdaptiveTokenizer(base, task)
        folder = outputs["tokenizer"].folder()
        save_adapted(inputs["tokenizer"].folder(), task, folder)
        before, after = (
            sum(map(len, tokenizer.encode_batch(texts)))
            for tokenizer in (base, open_tokenizer(folder))
        )
        context.metric("vocab_size", adapted.vocab_size)
        context.metric("added_pieces", len(adapted.added))
        context.metric("tokens_before", before)
        context.metric("tokens_after", after)
