"""Byte-level BPE on 20 MB: merge for merge that of `tokenizers`, and what both take.

`python -m benchmarks.parts.bpe` prints it; the data lie in TOKENMILL_DATA. Both begin with texts
and end with a tokenizer that can encode. CPU seconds are those of all threads.
"""

from __future__ import annotations

import json
import time
from typing import Any

from benchmarks.results import TABLE, row
from benchmarks.tokenizer_peers import END_OF_TEXT, books, train_with_library
from operators.tokenization.byte_alphabet import to_characters
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.laboratory import train_tokenizer

MEGABYTES = 20
VOCAB_SIZE = 32_000
ROUNDS = 3


def same(ours: Any, theirs: Any) -> tuple[int, int]:
    """Tokens and merges, after a check that they are identical, in order."""
    model = ours.model
    names = [END_OF_TEXT, *map(to_characters, model.tokens[1:])]
    vocabulary = theirs.get_vocab()
    assert names == sorted(vocabulary, key=vocabulary.__getitem__), "other tokens"
    merges = [tuple(pair) for pair in json.loads(theirs.to_str())["model"]["merges"]]
    mine = [(names[left], names[right]) for left, right, _ in model.merges.tolist()]
    assert mine == merges, "other merges"
    return len(names), len(merges)


def measure() -> str:
    texts = books(MEGABYTES)
    size = sum(len(text.encode()) for text in texts) / 1e6
    config = TokenizerConfig(algorithm="bpe", vocab_size=VOCAB_SIZE)
    # Once unmeasured: what counts large texts is compiled for those only.
    train_tokenizer(texts, config)
    times: dict[str, list[float]] = {name: [] for name in ("cpu", "wall", "cpu'", "wall'")}
    for _ in range(ROUNDS):
        made = []
        for mark, train in (
            ("", lambda: train_tokenizer(texts, config)),
            ("'", lambda: train_with_library(texts, "bpe", VOCAB_SIZE)),
        ):
            cpu, wall = time.process_time(), time.perf_counter()
            made.append(train())
            times[f"cpu{mark}"].append(time.process_time() - cpu)
            times[f"wall{mark}"].append(time.perf_counter() - wall)
        tokens, merges = same(*made)
    what = f"BPE of {tokens:,} tokens from {size:.1f} MB"
    rows = [
        row(f"{what}, CPU", times["cpu"], "tokenizers", times["cpu'"], "s"),
        row(f"{what}, clock", times["wall"], "tokenizers", times["wall'"], "s"),
    ]
    return (
        f"English books, pre-tokenizer gpt2. All {tokens:,} tokens and {merges:,} merges are "
        "identical and in the same order, in every round.\n\n" + TABLE + "\n".join(rows)
    )


if __name__ == "__main__":
    print(measure())
