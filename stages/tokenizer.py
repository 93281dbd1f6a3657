"""From documents to tokens: train a tokenizer, choose its encoder, encode and pack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pyarrow as pa
from pydantic import ValidationInfo, field_validator

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
from stages.tokenizer_files import (
    END_OF_TEXT,
    end_of_text_id,
    is_adapted,
    load_own_tokenizer,
    load_tokenizer,
    open_adapted,
    save_tokenizer,
)

SMALLEST = 257  # the 256 bytes and the end of text

Algorithm = Literal["bpe", "unigram", "wordpiece", "picky_bpe", "superbpe", "lib"]
EncoderName = Literal[
    "merges", "events", "longest_first", "longest_merge", "pathpiece", "greedy", "greedy_suffix",
    "unigram",
]  # fmt: skip
PRETOKENIZERS_TOLD = (
    "no token crosses its pieces: gpt2, gpt4, llama3, none, whitespace, spaces-apart, digits-ltr, "
    "digits-rtl, digits-single, punctuation, superbpe-stage1, or a regex"
)


def is_pretokenizer(name: str) -> str:
    """The name itself.

    Raises:
        ValueError: if it is neither known nor a regex.
    """
    from operators.tokenization import pretokenizer

    pretokenizer(name)
    return name


class Learning(StageConfig):
    """What decides a vocabulary, apart from algorithm, size, pre-tokenizer and text."""

    min_frequency: int = Field(
        2, ge=0, description="a pair must occur so often (>=) to be merged; BPE family"
    )
    picky_threshold: float = Field(
        0.9, ge=0, description="picky_bpe: IoS above which (>) a token is removed; 1: plain BPE"
    )
    transition: float = Field(
        0.8, ge=0, le=1,
        description="superbpe: share of vocab_size that is learnt before tokens may cross spaces",
    )  # fmt: skip
    max_words: int = Field(4, ge=1, description="superbpe: words in a token, at most")
    max_token_bytes: int = Field(
        48, ge=1, description="unigram, wordpiece, lib: bytes in a token, at most"
    )
    seed: int = Field(0, ge=0, description="of what is drawn: lib's sampling")

    def tokenizer_config(self, algorithm: str, vocab_size: int, pretokenizer: str) -> Any:
        """The operator's configuration for one tokenizer."""
        from operators.tokenization import TokenizerConfig

        transition = None
        if algorithm == "superbpe":
            transition = min(vocab_size, max(SMALLEST, round(self.transition * vocab_size)))
        return TokenizerConfig(
            algorithm=algorithm,  # type: ignore[arg-type]
            vocab_size=vocab_size,
            pretokenizer=pretokenizer,
            min_frequency=self.min_frequency,
            end_of_text=END_OF_TEXT,
            picky_threshold=self.picky_threshold,
            transition_size=transition,
            max_words=self.max_words,
            max_token_bytes=self.max_token_bytes,
            seed=self.seed,
        )


class Train(Stage):
    """Train a byte-level tokenizer: any text comes back from its tokens byte for byte.

    Where the library `tokenizers` can express it (bpe, unigram, wordpiece), the artifact opens with
    `tokenizers.Tokenizer.from_file` and `AutoTokenizer.from_pretrained` too.
    """

    word = "tokenizer.train"
    libraries = ("tokenizers",)

    class Config(Learning):
        algorithm: Algorithm = Field(
            "bpe",
            description="bpe (Sennrich et al. 2016, on bytes), unigram (Kudo 2018), wordpiece "
            "(Schuster and Nakajima 2012), picky_bpe (Chizhov et al. 2024), superbpe (Liu et al. "
            "2025), lib (Yang et al. 2020)",
        )
        vocab_size: int = Field(
            4096,
            ge=SMALLEST,
            description="ids wanted; fewer where the text cannot give so many",
        )
        pretokenizer: str = Field("gpt2", description=PRETOKENIZERS_TOLD)

        @field_validator("pretokenizer")
        @classmethod
        def _cuts(cls, name: str) -> str:
            return is_pretokenizer(name)

    inputs = {"documents": Input(Kind.DOCUMENTS, "text to learn from")}
    outputs = {"tokenizer": Output(Kind.TOKENIZER, "tokenmill.json; tokenizer.json where it can")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.tokenization.laboratory import train_tokenizer

        config = self.config
        tokenizer = train_tokenizer(
            _texts(inputs["documents"], context),
            config.tokenizer_config(config.algorithm, config.vocab_size, config.pretokenizer),
        )
        _write(tokenizer, outputs["tokenizer"], context)


class Encoder(Stage):
    """The same vocabulary with another encoder: what spells a text changes, not what it can say.

    A model has to be trained on what the encoder gives, so it stands before `tokenizer.encode`.
    """

    word = "tokenizer.encoder"
    libraries = ("tokenizers",)

    class Config(StageConfig):
        encoder: EncoderName = Field(
            description="merges (BPE), events (Picky BPE), longest_first (LBPE, Lian et al. 2025), "
            "longest_merge (LBPE, the other reading), pathpiece (fewest tokens, Schmidt et al. "
            "2024), greedy (longest prefix), greedy_suffix, unigram (most probable)",
        )

    inputs = {"tokenizer": Input(Kind.TOKENIZER, "a tokenizer of tokenizer.train")}
    outputs = {"tokenizer": Output(Kind.TOKENIZER, "the same ids, given out in another way")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from dataclasses import replace

        from operators.tokenization.tokenizer import Tokenizer

        model = load_own_tokenizer(inputs["tokenizer"]).model
        config = replace(model.config, encoder=self.config.encoder)
        _write(Tokenizer(replace(model, config=config)), outputs["tokenizer"], context)


def _write(tokenizer: Any, sink: Sink, context: Context) -> None:
    opens = save_tokenizer(tokenizer, sink.folder())
    context.metric("vocab_size", tokenizer.vocab_size)
    context.metric("opens_with_libraries", float(opens))


def _texts(documents: Artifact, context: Context) -> Iterator[str]:
    done = 0
    for batch in documents.batches():
        yield from batch.column("text").to_pylist()
        done += batch.num_rows
        context.progress(done, documents.rows, "documents")


class Encode(RowStage):
    """Encode documents and pack them into sequences of one length, boundaries kept.

    Documents of a shard are laid end to end, each behind one end-of-text token, and cut; the
    incomplete last sequence of a shard is left out and counted in `dropped_tokens`.
    """

    word = "tokenizer.encode"
    libraries = ("tokenizers",)

    class Config(StageConfig):
        sequence_length: int = Field(128, ge=2, description="tokens in a sequence")
        dropout: float = Field(
            0.0,
            ge=0,
            le=1,
            description="BPE-dropout (Provilkov et al. 2020): share of merges left out at random; "
            "for training only, a model is evaluated without",
        )
        sampling: float | None = Field(
            None,
            gt=0,
            validate_default=True,
            description="unigram, adapted: draw a segmentation in proportion to its probability to "
            "this power (Kudo 2018); default the most probable one",
        )
        epoch: int = Field(0, ge=0, description="another draw of the same texts in each epoch")
        seed: int = Field(0, ge=0, description="of what is drawn")

        @field_validator("sampling")
        @classmethod
        def _draws_in_one_way(cls, sampling: float | None, info: ValidationInfo) -> float | None:
            if sampling is not None and info.data.get("dropout"):
                raise ValueError("goes with unigram and dropout with BPE: set one of them")
            return sampling

    inputs = {
        "documents": Input(Kind.DOCUMENTS, "text to encode"),
        "tokenizer": Input(Kind.TOKENIZER, "what encodes it"),
    }
    outputs = {"tokens": Output(Kind.TOKENS, "packed sequences")}

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        config = self.config
        self.tokenizer = load_tokenizer(inputs["tokenizer"])
        self.drawing = None
        if config.dropout or config.sampling is not None:
            self.drawing = self._drawing(inputs["tokenizer"])

    def _drawing(self, artifact: Artifact) -> Any:
        """What draws the spellings of texts."""
        from dataclasses import replace

        from operators.tokenization.tokenizer import Tokenizer

        config = self.config
        if is_adapted(artifact.folder()) and not config.dropout:
            return open_adapted(artifact.folder(), alpha=config.sampling, seed=config.seed)
        model = load_own_tokenizer(artifact).model
        model = replace(model, config=replace(model.config, seed=config.seed))
        if config.sampling is None:
            return Tokenizer(model, dropout=config.dropout)
        return Tokenizer(model, encoder="unigram_sampled", power=config.sampling)

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.tokenization import pack_documents

        texts, ids = rows.column("text").to_pylist(), rows.column("id").to_pylist()
        if self.drawing is None:
            encoded = self.tokenizer.encode_batch(texts)
        else:
            encoded = self.drawing.encode_batch(texts, names=ids, epoch=self.config.epoch)
        packed = pack_documents(
            encoded,
            ids,
            sequence_length=self.config.sequence_length,
            separator=end_of_text_id(self.tokenizer),
        )
        context.count("documents", rows.num_rows)
        context.count("tokens", packed.table.num_rows * self.config.sequence_length)
        context.count("dropped_tokens", packed.dropped_tokens)
        context.count("bytes", sum(len(text.encode()) for text in texts))
        return packed.table

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        tokens = counts["tokens"] + counts["dropped_tokens"] - counts["documents"]
        return {"bytes_per_token": counts["bytes"] / tokens} if tokens > 0 else {}
