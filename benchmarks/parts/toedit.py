"""ToEdit from tokens to edited tokens, beside a bare forward pass of the same model and batches.

`python -m benchmarks.parts.toedit` prints it. What the weights and the tokens say does not matter
for the time, but the share of tokens that are drawn does: the threshold is set so that it is that
which the authors report (12.5 % of the tokens of Natural-Instructions), and once so that it is 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.results import TABLE, row
from operators.editing.resampling import resample_tokens
from operators.modeling.architecture import LlamaShape, build_llama

BATCHES, BATCH_SIZE, LENGTH, VOCABULARY = 4, 32, 128, 4096
DRAWN = 0.125
ROUNDS = 15
SHAPE = LlamaShape(
    hidden_size=128, layers=2, heads=4, kv_heads=4, intermediate_size=341, context_length=LENGTH,
    tie_embeddings=False,
)  # fmt: skip


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure() -> str:
    torch.set_num_threads(1)
    model = build_llama(SHAPE, VOCABULARY, bos_token_id=0, eos_token_id=1, seed=0).eval()
    with torch.no_grad():
        # As sharp as a trained model's: fresh weights give all tokens nearly the same probability.
        model.lm_head.weight.mul_(20)
    rows = np.random.default_rng(0).integers(2, VOCABULARY, (BATCHES * BATCH_SIZE, LENGTH))
    names = [f"row-{number}" for number in range(len(rows))]
    batches = torch.from_numpy(rows).split(BATCH_SIZE)

    def bare() -> None:
        with torch.inference_mode():
            for batch in batches:
                model(input_ids=batch, use_cache=False)

    def edit(threshold: float) -> np.ndarray:
        done = resample_tokens(
            model, rows, names, threshold=threshold, batch_size=BATCH_SIZE, device="cpu", threads=1
        )
        return done.drawn if threshold else done.probabilities

    usual = float(np.nanquantile(edit(0.0), 1 - DRAWN))
    thresholds = {f"{DRAWN:.1%} of the tokens drawn": usual, "none drawn": 1.0}
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in thresholds}
    for number in range(ROUNDS + 1):
        for name, threshold in thresholds.items():
            pair = (rows.size / seconds(lambda: edit(threshold)), rows.size / seconds(bare))  # noqa: B023
            if number:  # the first round warms up
                speeds[name].append(pair)
    lines = [
        row(f"ToEdit, {name}", *_sides(pairs, "a forward pass"), "tokens/s")
        for name, pairs in speeds.items()
    ]
    return (
        f"A model of {SHAPE.layers} layers, width {SHAPE.hidden_size}, {VOCABULARY:,} tokens, "
        f"{BATCHES} batches of {BATCH_SIZE} x {LENGTH}, float32, one CPU thread. Ours: rows to "
        "edited rows; beside it: the logits of the same batches, and nothing made of them.\n\n"
        + TABLE
        + "\n".join(lines)
    )


def _sides(pairs: list[tuple[float, float]], other: str) -> tuple[list[float], str, list[float]]:
    return [ours for ours, _ in pairs], other, [theirs for _, theirs in pairs]


if __name__ == "__main__":
    print(measure())
