"""Give a trained model another tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationInfo, field_validator

from stages.contract import (
    Artifact,
    Context,
    Field,
    Input,
    Kind,
    Output,
    Sink,
    Stage,
    StageConfig,
)
from stages.tokenizer_files import copy_tokenizer, load_tokenizer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from operators.tokenization.byte_tokenizer import ByteTokenizer


class Tokenizer(Stage):
    """Swap the tokenizer of a model; everything but the embeddings stays.

    Tokens that both vocabularies have keep their rows to the bit, so that swapping to the same
    tokenizer changes no logit. `method` says where the rows of the others come from. Train the
    model on with `training.language_model`, which takes it as `model`.
    """

    word = "transfer.tokenizer"
    libraries = ("numpy", "scikit-learn", "scipy", "torch", "transformers")

    class Config(StageConfig):
        method: Literal["identity", "mean", "script", "focus"] = Field(
            "mean", description="rows of new tokens: drawn like all old rows; the mean of their "
            "old pieces; drawn like the old rows of their script; FOCUS",
        )  # fmt: skip
        word_position: bool = Field(
            False, description="script: tokens that begin with a space are groups of their own"
        )
        copy_equal: bool = Field(
            True, validate_default=True,
            description="copy the rows of tokens in both vocabularies; false for script only",
        )  # fmt: skip
        specials: dict[str, str] = Field(
            {}, description="name of a new special token -> of the old one whose row and role it "
            "takes; equal names need not be given",
        )  # fmt: skip
        pad_to_multiple_of: int | None = Field(
            None, ge=1, description="rows of the embeddings; default: padded as they were"
        )
        dimensions: int = Field(100, ge=1, description="focus: of the tokens' auxiliary vectors")
        window: int = Field(5, ge=1, description="focus: tokens on either side that are neighbours")
        min_count: int = Field(
            10, ge=1, description="focus: tokens that are rarer (<) in the documents have no vector"
        )
        seed: int = Field(0, description="of rows that are drawn; each token has its own")

        @field_validator("copy_equal")
        @classmethod
        def _is_for_script(cls, copy_equal: bool, info: ValidationInfo) -> bool:
            if not copy_equal and info.data.get("method") != "script":
                raise ValueError("false is for method script only: others build on equal tokens")
            return copy_equal

    inputs = {
        "model": Input(Kind.MODEL, "a trained model with its tokenizer"),
        "tokenizer": Input(Kind.TOKENIZER, "the one it gets"),
        "documents": Input(
            Kind.DOCUMENTS, "focus: text in which tokens have neighbours", optional=True
        ),
    }
    outputs = {"model": Output(Kind.MODEL, "the model with the new tokenizer")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from threadpoolctl import threadpool_limits

        from operators.modeling import cpu_threads, load_model, parameter_count, save_model
        from operators.tokenization.transfer import swap_tokenizer

        config = self.config
        old, new = load_tokenizer(inputs["model"]), load_tokenizer(inputs["tokenizer"])
        if config.method == "focus" and "documents" not in inputs:
            raise ValueError(
                "method focus needs documents to learn from: wire some, or set another method"
            )
        # One thread: the order of float sums would depend on how many there are.
        with cpu_threads(1), threadpool_limits(limits=1):
            vectors = None
            if config.method == "focus":
                vectors = self._vectors(new, inputs["documents"], context)
            swapped = swap_tokenizer(
                load_model(str(inputs["model"].folder()), device="cpu"),
                old,
                new,
                method=config.method,
                specials=config.specials,
                vectors=vectors,
                word_position=config.word_position,
                copy_equal=config.copy_equal,
                pad_to_multiple_of=config.pad_to_multiple_of,
                seed=config.seed,
            )
        folder = outputs["model"].folder()
        save_model(swapped.model, str(folder))
        copy_tokenizer(inputs["tokenizer"], folder)
        context.metric("vocab_size", len(new.tokens))
        context.metric("parameters", parameter_count(swapped.model))
        context.metric("padding_rows", swapped.padding_rows)
        for origin, count in swapped.counts.items():
            context.metric(f"rows_{origin}", count)

    def _vectors(
        self, tokenizer: ByteTokenizer, documents: Artifact, context: Context
    ) -> npt.NDArray[np.float32]:
        """[vocabulary, dimensions]: what FOCUS compares tokens by."""
        from operators.tokenization.auxiliary_vectors import cooccurrence_vectors

        config = self.config

        def encoded() -> Iterator[list[int]]:
            done = 0
            for batch in documents.batches():
                yield from tokenizer.encode_batch(batch.column("text").to_pylist())
                done += batch.num_rows
                context.progress(done, documents.rows, "documents")

        return cooccurrence_vectors(
            encoded(),
            len(tokenizer.tokens),
            dimensions=config.dimensions,
            window=config.window,
            min_count=config.min_count,
            seed=config.seed,
        )
