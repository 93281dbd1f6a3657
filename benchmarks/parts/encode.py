"""Encoding: `encode_batch` beside that of `tokenizers`, and every encoder on one core.

`python -m benchmarks.parts.encode` prints it; the data lie in TOKENMILL_DATA.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence

from benchmarks.results import TABLE, row
from benchmarks.tokenizer_peers import books, cpu_seconds, flores, wall_seconds
from operators.tokenization.config import EncoderName, TokenizerConfig
from operators.tokenization.laboratory import train_tokenizer
from operators.tokenization.tokenizer import Tokenizer

MEGABYTES = 10
VOCAB_SIZE = 32_000
ROUNDS = 5
ENCODERS: Sequence[EncoderName] = (
    "merges", "longest_first", "longest_merge", "pathpiece", "pathpiece_random", "greedy",
)  # fmt: skip


def megabytes(texts: Sequence[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def beside(texts: Sequence[str], what: str, tokenizer: Tokenizer) -> list[str]:
    """Rows: lists of ids of all texts, on all cores; theirs with offsets, and without ("fast")."""
    theirs = tokenizer.to_hf()
    size = megabytes(texts)
    calls = {
        "ours": lambda: tokenizer.encode_batch(texts),
        "tokenizers": lambda: [
            encoding.ids for encoding in theirs.encode_batch(texts, add_special_tokens=False)
        ],
        "tokenizers, fast": lambda: [
            encoding.ids for encoding in theirs.encode_batch_fast(texts, add_special_tokens=False)
        ],
    }
    speeds: dict[str, list[float]] = {name: [] for name in calls}
    expected = tokenizer.encode_batch(texts)
    # The first round warms the caches of both.
    for _ in range(ROUNDS + 1):
        for name, call in calls.items():
            seconds, ids = wall_seconds(call)
            speeds[name].append(size / seconds)
            assert ids == expected, "other ids"
            del ids
    ours = speeds.pop("ours")[1:]
    return [
        row(f"BPE, {what}, {size:.1f} MB, all cores", ours, name, other[1:], "MB/s")
        for name, other in speeds.items()
    ]


def one_core(texts: Sequence[str], what: str, tokenizer: Tokenizer) -> list[str]:
    size = megabytes(texts)
    lines = []
    for name in ENCODERS:
        encoder = Tokenizer(tokenizer.model, encoder=name)
        encoder.encode_arrays(texts[:50], threads=1)
        speeds, tokens = [], 0
        for _ in range(ROUNDS):
            seconds, encoded = cpu_seconds(lambda: encoder.encode_arrays(texts, threads=1))  # noqa: B023
            speeds.append(size / seconds)
            tokens = len(encoded.ids)
        lines.append(
            f"| {name} | {what} | {statistics.median(speeds):.1f} | "
            f"{min(speeds):.1f}-{max(speeds):.1f} | {tokens:,} |"
        )
        print(lines[-1], flush=True)
    return lines


def measure() -> str:
    chapters = books(MEGABYTES)
    paragraphs = [part for text in chapters for part in text.split("\n") if part]
    sentences = [text for texts in flores().values() for text in texts]
    config = TokenizerConfig(algorithm="bpe", vocab_size=VOCAB_SIZE)
    english = train_tokenizer(chapters, config)
    every = train_tokenizer(sentences, config)
    rows = [
        *beside(paragraphs, "paragraphs of English books", english),
        *beside(sentences, "sentences in 60 languages", every),
    ]
    lines = one_core(paragraphs, "English books", english)
    lines += one_core(sentences, "60 languages", every)
    return (
        f"Vocabularies of {english.vocab_size:,} and {every.vocab_size:,} tokens, each trained on "
        f"its texts, pre-tokenizer gpt2, {os.cpu_count()} cores. Both give lists of ids, which are "
        "equal.\n\n"
        + TABLE
        + "\n".join(rows)
        + "\n\nOne thread, text to arrays of ids, splitting included:\n\n"
        "| encoder | texts | MB a CPU second | range | tokens |\n|---|---|---|---|---|\n"
        + "\n".join(lines)
    )


if __name__ == "__main__":
    print(measure())
