"""The trainer beside that of `transformers` and a hand-written loop, on one CPU thread.

`python -m benchmarks.parts.peers` prints it.
"""

from __future__ import annotations

import copy
import time
import warnings

import numpy as np
import torch

from benchmarks.results import TABLE, row
from benchmarks.training_peers import (
    NEEDS_ACCELERATE,
    Run,
    has_trainer,
    loop,
    ours,
    tokens_per_second,
    transformers_trainer,
)
from operators.modeling.architecture import LlamaShape, build_llama
from operators.modeling.recipe import TrainingRecipe

LENGTH, VOCABULARY, ROUNDS, WARM_UP = 128, 4096, 7, 2
RECIPE = TrainingRecipe(steps=8, batch_size=16, device="cpu", threads=1)
SHAPE = LlamaShape(
    hidden_size=256, layers=4, heads=4, kv_heads=4, intermediate_size=688, context_length=LENGTH
)


def measure() -> str:
    if not has_trainer():
        raise SystemExit(NEEDS_ACCELERATE)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    fresh = build_llama(SHAPE, VOCABULARY, bos_token_id=0, eos_token_id=1, seed=0)
    rows = np.random.default_rng(0).integers(2, VOCABULARY, (512, LENGTH)).astype(np.int32)
    runs: dict[str, Run] = {
        "ours": ours,
        "transformers.Trainer": transformers_trainer,
        "a loop like nanoGPT's": loop,
    }
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    began = time.perf_counter()
    for number in range(ROUNDS + 1):
        # Each round begins with another one.
        names = list(runs)[number % 3 :] + list(runs)[: number % 3]
        for name in names:
            speed = tokens_per_second(
                runs[name], copy.deepcopy(fresh), rows, RECIPE, WARM_UP, cpu_time=True
            )
            if number:  # the first round warms up
                speeds[name].append(speed)
        print(f"round {number}, {time.perf_counter() - began:.0f} s", flush=True)
    mine = speeds.pop("ours")
    lines = [row("training", mine, name, other, "tokens/s") for name, other in speeds.items()]
    return (
        f"Llama, {SHAPE.layers} layers, width {SHAPE.hidden_size}, {VOCABULARY:,} tokens, batches "
        f"of {RECIPE.batch_size} x {LENGTH}, float32, fused AdamW, one thread; tokens a CPU second "
        f"(of the process) over steps {WARM_UP + 1} to {RECIPE.steps}.\n\n" + TABLE
        + "\n".join(lines)
    )  # fmt: skip


if __name__ == "__main__":
    print(measure())
