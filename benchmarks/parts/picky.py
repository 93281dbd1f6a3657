"""Picky BPE on tiny Shakespeare beside the figures of the authors' program.

`python -m benchmarks.parts.picky` prints it; the data lie in TOKENMILL_DATA. The program is no
package; its figures (tokens of the training text, and removals, at a vocabulary of 4,096) are
quoted, and its cost: 13 to 18 seconds a megabyte.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import numpy as np

from operators.tokenization.config import TokenizerConfig
from operators.tokenization.model import SPLIT
from operators.tokenization.picky_bpe import train_picky_bpe
from operators.tokenization.picky_encoding import picky_encoder
from operators.tokenization.pretokenization import count_pretokens
from operators.tokenization.symbols import symbols_of

# Threshold -> tokens and removals of the authors' program.
AUTHORS = {1.0: (278_105, 0), 0.9: (273_087, 419), 0.6: (271_304, 1029)}
ROUNDS = 3


def measure() -> str:
    text = Path(os.environ["TOKENMILL_DATA"], "books", "tinyshakespeare.txt").read_text()
    size = len(text.encode()) / 1e6
    rows = []
    for threshold, (tokens, removals) in AUTHORS.items():
        config = TokenizerConfig(
            algorithm="picky_bpe", vocab_size=4096, picky_threshold=threshold,
            min_frequency=1, conventions="picky",
        )  # fmt: skip
        train_picky_bpe(count_pretokens(["warm warm"], "picky"), config)
        seconds = []
        for _ in range(ROUNDS):
            began = time.process_time()
            counts = count_pretokens([text], "picky")
            model = train_picky_bpe(counts, config)
            seconds.append(time.process_time() - began)
        _, ends = picky_encoder(model).encode(*symbols_of(model)(counts.pretokens))
        used = int(np.diff(ends) @ counts.counts)
        removed = int((model.events[:, 0] == SPLIT).sum())
        rows.append(
            f"| {threshold} | {used:,} | {tokens:,} | {used / tokens - 1:+.3%} | {removed:,} | "
            f"{removals:,} | {statistics.median(seconds):.2f} |"
        )
        print(rows[-1], flush=True)
    return (
        f"Tiny Shakespeare ({size:.2f} MB), vocabulary 4,096, the authors' conventions; median of "
        f"{ROUNDS} trainings, counting included.\n\n"
        "| threshold | tokens | authors | difference | removals | authors | CPU s |\n"
        "|---|---|---|---|---|---|---|\n" + "\n".join(rows)
    )


if __name__ == "__main__":
    print(measure())
