"""Evaluate language models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import METRICS
from stages.tokenizer import END_OF_TEXT, load_tokenizer


class LanguageModel(Stage):
    """Bits per byte on held-out documents, one row a document, and loss by token frequency.

    Every token is scored once, in a sliding window; begin of text is context, never scored; the
    bytes are those of the text as given. Frequencies are those in the training tokens, where given
    (Pinto et al. 2024 look at rare tokens apart: a mean over tokens hides them).
    """

    word = "evaluation.language_model"
    libraries = ("torch", "transformers")

    class Config(StageConfig):
        stride: int | None = Field(
            None, ge=1, description="new tokens a window; default half of the context"
        )
        batch_size: int = Field(16, ge=1, description="windows in a forward pass")
        frequency_bins: int = Field(
            4, ge=1, description="bins of training frequency, log-spaced; unseen tokens are apart"
        )
        threads: int = Field(
            1, ge=1, description="CPU threads; in the key because the order of float sums is"
        )
        device: Literal["auto", "cpu", "cuda"] = Field(
            "auto", description="auto: a GPU where the task was given one"
        )

    inputs = {
        "model": Input(Kind.MODEL, "what is evaluated; it carries its tokenizer"),
        "documents": Input(Kind.DOCUMENTS, "held-out documents"),
        "tokens": Input(Kind.TOKENS, "training tokens, for their frequencies", optional=True),
    }
    outputs = {
        "scores": Output(
            Kind.METRICS,
            "bits_per_byte by document (weight: bytes); loss_by_frequency by bin (weight: tokens)",
        )
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation import bits_per_byte
        from operators.modeling import load_model, score_documents

        config = self.config
        folder = inputs["model"].folder()
        model = load_model(str(folder), device=config.device)
        tokenizer = load_tokenizer(inputs["model"])
        length = int(model.config.max_position_embeddings)
        table = inputs["documents"].table()
        texts = table.column("text").to_pylist()
        encoded = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
        nats: list[Any] = []
        # In slices, so that the live display moves; fixed ones, so that no float depends on them.
        for start in range(0, len(encoded), 32):
            nats += score_documents(
                model,
                encoded[start : start + 32],
                context_length=length,
                stride=config.stride or max(1, length // 2),
                bos_token_id=tokenizer.token_to_id(END_OF_TEXT),
                batch_size=config.batch_size,
                device=config.device,
                threads=config.threads,
            )
            context.progress(len(nats), len(encoded), "documents")
        sizes = [len(text.encode()) for text in texts]
        totals = [float(losses.sum()) for losses in nats]
        rows = [
            {"id": id_, "metric": "bits_per_byte", "value": bits_per_byte([total], [size]),
             "weight": float(size), "group": language}
            for id_, language, total, size in zip(
                table.column("id").to_pylist(), table.column("language").to_pylist(),
                totals, sizes, strict=True)
            if size
        ]  # fmt: skip
        if not rows:
            raise ValueError("there is no held-out text to score")
        context.metric("bits_per_byte", bits_per_byte(totals, sizes))
        context.metric("nats_per_token", sum(totals) / max(1, sum(map(len, nats))))
        context.metric("documents", len(rows))
        if "tokens" in inputs:
            rows += self._by_frequency(
                np.concatenate([np.asarray(ids, np.int64) for ids in encoded]),
                np.concatenate(nats),
                inputs["tokens"],
                tokenizer.get_vocab_size(),
                context,
            )
        outputs["scores"].write(pa.Table.from_pylist(rows, METRICS))

    def _by_frequency(
        self, tokens: Any, nats: Any, training: Any, vocab_size: int, context: Context
    ) -> list[dict[str, Any]]:
        from operators.evaluation import frequency_bins, loss_by_bin

        counts = np.zeros(vocab_size, np.int64)
        for batch in training.batches():
            seen = batch.column("tokens").flatten().to_numpy()
            counts += np.bincount(seen, minlength=vocab_size)
        bins = frequency_bins(counts, self.config.frequency_bins)
        rows = []
        for entry in loss_by_bin(tokens, nats, bins).to_dicts():
            number = entry["bin"]
            members = counts[bins == number]
            if not entry["tokens"]:
                continue
            label = "unseen" if number == 0 else f"seen {members.min()}-{members.max()}"
            for metric, value in (
                ("loss_by_frequency", entry["mean_nats"]),
                ("macro_loss_by_frequency", entry["macro_nats"]),
            ):
                rows.append({"id": f"bin {number}", "metric": metric, "value": value,
                             "weight": float(entry["tokens"]), "group": label})  # fmt: skip
            context.metric(f"loss_by_frequency.bin_{number}", entry["mean_nats"])
        return rows
