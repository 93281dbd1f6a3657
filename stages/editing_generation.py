"""Documents that a model makes up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from stages.compute_settings import ComputeSettings
from stages.contract import (
    Artifact,
    Context,
    Field,
    Input,
    Kind,
    Output,
    Sink,
    Stage,
)
from stages.editing_prior import open_prior
from stages.kinds import DOCUMENTS, TOKENS

# Documents that are written at a time, and lie in one shard.
_SHARD_ROWS = 1024


class Sampling(ComputeSettings):
    """How a model draws its tokens, and what it runs on."""

    temperature: float = Field(1.0, ge=0, description="of the draws; 0: the most probable token")
    top_k: int | None = Field(None, ge=1, description="draw among so many; default all")
    top_p: float = Field(1.0, gt=0, le=1, description="draw among those that hold this mass")
    batch_size: int = Field(32, ge=1, description="sequences in a forward pass")
    seed: int = Field(0, description="of the draws; each row has a stream of its own")

    def settings(self) -> dict[str, Any]:
        """What the operators call these."""
        from operators.editing.drawing import SamplingRule

        rule = SamplingRule(temperature=self.temperature, top_k=self.top_k, top_p=self.top_p)
        return {
            "rule": rule, "batch_size": self.batch_size, "threads": self.threads,
            "seed": self.seed, "device": self.device,
        }  # fmt: skip


class Generate(Stage):
    """Purely synthetic documents: what a model writes on its own, or behind human beginnings.

    With `documents` each of them lends its first tokens, and the model writes the rest; what it
    makes keeps the id. Without, `count` documents are written from the end-of-text token alone.
    Nothing that stands for no text is ever drawn: special tokens, unused rows of the vocabulary.
    """

    word = "editing.generate"
    libraries = ("torch", "transformers")

    class Config(Sampling):
        count: int = Field(100, ge=1, description="documents to write where none are given")
        prompt_tokens: int = Field(
            32, ge=0, description="tokens that are taken from the beginning of each document given"
        )
        max_tokens: int = Field(256, ge=1, description="to be written behind the prompt, at most")

    inputs = {
        "model": Input(Kind.MODEL, "what writes; with its tokenizer"),
        "documents": Input(Kind.DOCUMENTS, "human text, for its beginnings", optional=True),
    }
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "prompt and continuation, as text"),
        "tokens": Output(Kind.TOKENS, "the same as tokens, one document a row, of many lengths"),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.editing.generation import continue_prompts

        config = self.config
        prior = open_prior(inputs["model"], config.device)
        given = inputs.get("documents")
        total = config.count if given is None else given.rows
        written = ended = done = 0
        for rows in self._rows(given):
            texts = [row["text"] for row in rows]
            taken = config.prompt_tokens if given is not None else 0
            encoded = prior.tokenizer.encode_batch(texts) if taken else [[] for _ in texts]
            prompts = [[prior.end_of_text, *ids[:taken]] for ids in encoded]
            made = continue_prompts(
                prior.model,
                prompts,
                [row["id"] for row in rows],
                limits=config.max_tokens,
                context=prior.context,
                end_of_text=prior.end_of_text,
                never_drawn=prior.never_drawn,
                **config.settings(),
            )
            documents, tokens = [], []
            for row, prompt, new in zip(rows, prompts, made, strict=True):
                ids = [*prompt, *new.tokens.tolist()]
                edit = f"generated behind {len(prompt) - 1} tokens"
                text = prior.tokenizer.decode(ids[1:])
                documents.append({**row, "text": text, "edits": [*row["edits"], edit]})
                tokens.append(
                    {"id": row["id"], "tokens": ids, "documents": [row["id"]], "starts": [0],
                     "edits": []}
                )  # fmt: skip
                written += len(new.tokens)
                ended += new.ended
            outputs["documents"].write(pa.Table.from_pylist(documents, DOCUMENTS))
            outputs["tokens"].write(pa.Table.from_pylist(tokens, TOKENS))
            done += len(rows)
            context.progress(done, total, "documents")
        context.metric("documents", done)
        context.metric("tokens_written", written)
        context.metric("ended_share", ended / done if done else 0.0)

    def _rows(self, given: Artifact | None) -> Iterator[list[dict[str, Any]]]:
        """Rows to write, a shard at a time; there is one shard at least."""
        if given is None:
            for first in range(0, self.config.count, _SHARD_ROWS):
                yield [
                    {"id": f"generated-{number}", "text": "", "language": "und",
                     "source": "generated://end-of-text", "group": None, "edits": []}
                    for number in range(first, min(first + _SHARD_ROWS, self.config.count))
                ]  # fmt: skip
            return
        if given.rows == 0:
            yield []
        for batch in given.batches():
            for first in range(0, batch.num_rows, _SHARD_ROWS):
                yield batch.select(DOCUMENTS.names).slice(first, _SHARD_ROWS).to_pylist()
