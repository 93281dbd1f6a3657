"""Evaluate language models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa

from stages.compute_settings import WindowSettings
from stages.contract import Artifact, Context, Field, Input, Kind, Output, Sink, Stage
from stages.evaluation_surprisals import surprisals
from stages.kinds import METRICS
from stages.tokenizer_files import end_of_text_id, load_own_tokenizer, load_tokenizer


class LanguageModel(Stage):
    """Bits per byte on held-out documents, one row a document, and loss by token frequency.

    Every token is scored once, in a sliding window; begin of text is context, never scored; the
    bytes are those of the text as given, and one that only an unknown token stands for costs 8 bits
    on top. Frequencies are those in the training tokens, where given
    (Pinto et al. 2024 look at rare tokens apart: a mean over tokens hides them).

    The loss of the tokens is an upper bound on that of the bytes, which other encodings of a text
    share. `exact_bytes` computes the latter for some of the text (Phan et al. 2024).
    """

    word = "evaluation.language_model"
    libraries = ("torch", "transformers")

    class Config(WindowSettings):
        frequency_bins: int = Field(
            4, ge=1, description="bins of training frequency, log-spaced; unseen tokens are apart"
        )
        exact_bytes: int = Field(
            0, ge=0, description="bytes of documents whose exact loss is computed too; 0: none"
        )

    inputs = {
        "model": Input(Kind.MODEL, "what is evaluated; it carries its tokenizer"),
        "documents": Input(Kind.DOCUMENTS, "held-out documents"),
        "tokens": Input(Kind.TOKENS, "training tokens, for their frequencies", optional=True),
    }
    outputs = {
        "scores": Output(
            Kind.METRICS,
            "bits_per_byte by document (weight: bytes), for some of them exact_bits_per_byte and "
            "token_bits_per_byte; loss_by_frequency by bin (weight: tokens)",
        )
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.bits_per_byte import bits_per_byte, unknown_bytes
        from operators.modeling import load_model

        config = self.config
        model = load_model(str(inputs["model"].folder()), device=config.device)
        tokenizer = load_tokenizer(inputs["model"])
        table = inputs["documents"].table()
        texts = table.column("text").to_pylist()
        encoded = tokenizer.encode_batch(texts)
        nats = surprisals(model, tokenizer, encoded, config, context)
        sizes = [len(text.encode()) for text in texts]
        totals = [float(losses.sum()) for losses in nats]
        lost = [unknown_bytes(tokenizer, text) for text in texts]
        rows = [
            {"id": id_, "metric": "bits_per_byte", "value": bits_per_byte([total], [size], gone),
             "weight": float(size), "group": language}
            for id_, language, total, size, gone in zip(
                table.column("id").to_pylist(), table.column("language").to_pylist(),
                totals, sizes, lost, strict=True)
            if size
        ]  # fmt: skip
        if not rows:
            raise ValueError("there is no held-out text to score")
        context.metric("bits_per_byte", bits_per_byte(totals, sizes, lost))
        context.metric("lost_bytes", sum(lost))
        context.metric("nats_per_token", sum(totals) / max(1, sum(map(len, nats))))
        context.metric("documents", len(rows))
        if config.exact_bytes:
            rows += self._exactly(model, inputs["model"], table, context)
        if "tokens" in inputs:
            rows += self._by_frequency(
                np.concatenate([np.asarray(ids, np.int64) for ids in encoded]),
                np.concatenate(nats),
                inputs["tokens"],
                len(tokenizer.tokens),
                context,
            )
        outputs["scores"].write(pa.Table.from_pylist(rows, METRICS))

    def _exactly(
        self, model: Any, artifact: Artifact, table: pa.Table, context: Context
    ) -> list[dict[str, Any]]:
        from operators.evaluation import bits_per_byte
        from operators.evaluation.exact_bytes_nll import ExactBytesNll, exact_bytes_nll
        from operators.modeling import inference
        from operators.tokenization.cover_tokenizer import cover_tokenizer
        from operators.tokenization.live_tokens import LiveTokens
        from operators.tokenization.next_token_models import CausalLanguageModel

        ids, languages, texts = (
            table.column(name).to_pylist() for name in ("id", "language", "text")
        )
        sample = _sample(ids, texts, self.config.exact_bytes)
        tokenizer = load_tokenizer(artifact)
        with suppress(ValueError):
            # The same ids, where the tokenizer is ours; many short texts are encoded faster.
            tokenizer = load_own_tokenizer(artifact)
        live = LiveTokens(cover_tokenizer(tokenizer))
        losses: list[ExactBytesNll] = []
        with inference(model, self.config.device, self.config.threads):
            reader = CausalLanguageModel(model, begin=[end_of_text_id(tokenizer)])
            for _, text in sample:
                losses.append(exact_bytes_nll(reader, live.tokenizer, text, ends=False, live=live))
                context.progress(
                    sum(loss.utf8_bytes for loss in losses),
                    sum(len(text.encode()) for _, text in sample),
                    "bytes scored exactly",
                )
        sizes = [loss.utf8_bytes for loss in losses]
        rows = []
        for metric, nats in (
            ("exact_bits_per_byte", [loss.exact_nats for loss in losses]),
            ("token_bits_per_byte", [loss.token_nats for loss in losses]),
        ):
            context.metric(metric, bits_per_byte(nats, sizes))
            rows += [
                {"id": ids[number], "metric": metric, "value": bits_per_byte([loss], [size]),
                 "weight": float(size), "group": languages[number]}
                for (number, _), loss, size in zip(sample, nats, sizes, strict=True)
            ]  # fmt: skip
        return rows

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


def _sample(ids: Sequence[str], texts: Sequence[str], size: int) -> list[tuple[int, str]]:
    """Numbers and texts of documents, so many bytes in all; the last one is cut to fit.

    Their order is drawn by their ids, so that neither the order of rows nor shards matter.
    """
    drawn = sorted(range(len(ids)), key=lambda number: blake2b(ids[number].encode()).digest())
    sample = []
    for number in drawn:
        text = texts[number].encode()[:size].decode(errors="ignore")
        size -= len(text.encode())
        if text:
            sample.append((number, text))
    return sample
