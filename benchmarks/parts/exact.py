"""Exact bytes: what the loss of the bytes costs, beside the loss of the tokens of the same text.

`python -m benchmarks.parts.exact` prints it; the data lie in TOKENMILL_DATA. A small Llama is
trained on English books and reads what it has not seen: once as `evaluation` scores tokens, then
exactly.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.tokenizer_peers import books, cpu_seconds
from operators.evaluation.exact_bytes_nll import exact_bytes_nll
from operators.modeling import LlamaShape, TrainingRecipe, build_llama, score_documents, train
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.cover_tokenizer import cover_tokenizer
from operators.tokenization.exact_bytes import ByteStream
from operators.tokenization.laboratory import train_tokenizer
from operators.tokenization.live_tokens import LiveTokens
from operators.tokenization.next_token_models import CausalLanguageModel, LogProbabilities
from operators.tokenization.tokenizer import Tokenizer

MEGABYTES = 10
HELD_OUT_BYTES = 200_000
READ_BYTES = 2_000
VOCAB_SIZES = (4_096, 32_000)
CONTEXT, STEPS, BATCH = 256, 80, 8
SHAPE = LlamaShape(
    hidden_size=128, layers=4, heads=4, kv_heads=4, intermediate_size=352, context_length=CONTEXT
)


class Clocked:
    """A model whose time is taken."""

    def __init__(self, model: CausalLanguageModel) -> None:
        self.model = model
        self.seconds = 0.0

    def log_probabilities(self, sequences: Sequence[Sequence[int]]) -> LogProbabilities:
        seconds, rows = cpu_seconds(lambda: self.model.log_probabilities(sequences))
        self.seconds += seconds
        return rows  # type: ignore[no-any-return]

    def running_log_probabilities(self, ids: Sequence[int]) -> Iterator[LogProbabilities]:
        rows = self.model.running_log_probabilities(ids)
        while True:
            seconds, row = cpu_seconds(lambda: next(rows, None))
            self.seconds += seconds
            if row is None:
                return
            yield row


def trained(texts: Sequence[str], tokenizer: Tokenizer) -> Any:
    end = tokenizer.end_of_text_id
    stream = [one for ids in tokenizer.encode_batch(texts) for one in (end, *ids)]
    rows = np.array(stream[: len(stream) // CONTEXT * CONTEXT]).reshape(-1, CONTEXT)
    model = build_llama(SHAPE, tokenizer.vocab_size, bos_token_id=end, eos_token_id=end, seed=1)
    recipe = TrainingRecipe(
        steps=STEPS, batch_size=BATCH, learning_rate=3e-3, warmup_steps=20, device="cpu"
    )
    train(model, rows, None, recipe)
    return model.eval()


def by_tokens(model: Any, tokenizer: Tokenizer, text: str) -> str:
    """A row: the text as `evaluation` scores it."""
    ids = tokenizer.encode(text)
    seconds, (nats,) = cpu_seconds(
        lambda: score_documents(
            model, [ids], context_length=CONTEXT, stride=CONTEXT // 2, batch_size=16,
            bos_token_id=tokenizer.end_of_text_id, device="cpu",
        )
    )  # fmt: skip
    windows = 1 + max(0, math.ceil((len(ids) + 1 - CONTEXT) / (CONTEXT // 2)))
    return line("tokens", tokenizer, text, windows, seconds, seconds, float(nats.sum()))


def exactly(model: Any, tokenizer: Tokenizer, text: str, *, by_byte: bool) -> Iterator[str]:
    """Two rows: read for the first time, and again, when it is known what can follow where."""
    own = cover_tokenizer(tokenizer)
    live = LiveTokens(own)
    for again in (False, True):
        reader = CausalLanguageModel(model, begin=[tokenizer.end_of_text_id])
        clocked = Clocked(reader)
        began = time.process_time()
        if by_byte:
            stream = ByteStream(clocked, own, live=live)
            nats = -sum(stream.advance(byte) for byte in text.encode())
        else:
            nats = exact_bytes_nll(clocked, own, text, ends=False, live=live).exact_nats
        seconds = time.process_time() - began
        what = "bytes, one by one" if by_byte else "bytes, in one reading"
        what += ", again" if again else ""
        yield line(what, tokenizer, text, reader.forward_passes, seconds, clocked.seconds, nats)


def line(
    what: str, tokenizer: Tokenizer, text: str, passes: int, seconds: float, in_model: float,
    nats: float,
) -> str:  # fmt: skip
    size = len(text.encode())
    row = (
        f"| {what} | {tokenizer.vocab_size:,} | {passes / size:.3f} | {seconds / size * 1e3:.3f} | "
        f"{in_model / size * 1e3:.3f} | {nats / size / math.log(2):.5f} |"
    )
    print(row, flush=True)
    return row


def measure() -> str:
    import torch

    torch.set_num_threads(1)
    texts = books(MEGABYTES)
    joined = "\n".join(texts)
    text, texts = joined[-HELD_OUT_BYTES:][:READ_BYTES], [joined[:-HELD_OUT_BYTES]]
    lines = []
    for size in VOCAB_SIZES:
        tokenizer = train_tokenizer(texts, TokenizerConfig(algorithm="bpe", vocab_size=size))
        model = trained(texts, tokenizer)
        lines.append(by_tokens(model, tokenizer, text))
        for by_byte in (False, True):
            lines += exactly(model, tokenizer, text, by_byte=by_byte)
    parameters = sum(p.numel() for p in model.parameters())
    return (
        f"A Llama of {SHAPE.layers} layers of {SHAPE.hidden_size} ({parameters / 1e6:.1f} M "
        f"parameters with the larger vocabulary), context {CONTEXT}, trained for {STEPS} steps on "
        f"{MEGABYTES} MB of English books, reads {len(text.encode()):,} bytes it has not seen; "
        'BPE, pre-tokenizer gpt2, one thread, float32. "Again" is the same text when it is known '
        "what can follow where. One by one, a distribution over all 256 bytes and the end is there "
        "after each byte; keys and values are kept.\n\n"
        "| loss of | vocabulary | forward passes a byte | CPU ms a byte | of it the model | "
        "bits a byte |\n|---|---|---|---|---|---|\n" + "\n".join(lines)
    )


if __name__ == "__main__":
    print(measure())
