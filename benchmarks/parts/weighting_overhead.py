"""What weighting and selection cost over uniform training, on one CPU thread.

`python -m benchmarks.parts.weighting_overhead` prints it. The second half of each row is scored, in
all of them. The methods take turns, one step at a time; each ratio is of two steps of one turn.
"""

from __future__ import annotations

import contextlib
import copy
import statistics
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch

from operators.modeling.architecture import LlamaShape, build_llama
from operators.modeling.recipe import TrainingRecipe
from operators.modeling.token_rows import TokenRows
from operators.modeling.training import Training

LENGTH, VOCABULARY, ROWS = 128, 4096, 256
# Steps of each method; the first ones make the state of the optimiser and warm up.
STEPS, WARM_UP = 50, 2
SHAPE = LlamaShape(
    hidden_size=256, layers=4, heads=4, kv_heads=4, intermediate_size=688, context_length=LENGTH
)
UNIFORM = TrainingRecipe(steps=STEPS, batch_size=16, device="cpu", threads=1, learning_rate=1e-4)
# Name -> recipe, and the most it may cost.
METHODS: dict[str, tuple[TrainingRecipe, float | None]] = {
    "uniform": (UNIFORM, None),
    "uniform, once more": (UNIFORM, None),
    "sample weights, linupper": (replace(UNIFORM, strategy="linupper"), 0.02),
    "Rho-1, stored reference losses": (replace(UNIFORM, selection="rho1"), 0.03),
    "ssToken, stored history losses": (replace(UNIFORM, selection="sstoken"), 0.10),
}


def prompts_and_answers() -> TokenRows:
    """Rows of which the second half is scored, with losses as of a reference."""
    drawn = np.random.default_rng(0)
    tokens = drawn.integers(2, VOCABULARY, (ROWS, LENGTH)).astype(np.int32)
    losses = drawn.uniform(2, 10, (ROWS, LENGTH)).astype(np.float32)
    scored = [[False] * (LENGTH // 2) + [True] * (LENGTH - LENGTH // 2)] * ROWS
    columns = {
        "tokens": pa.array(list(tokens), pa.list_(pa.int32())),
        "scored": pa.array(scored, pa.list_(pa.bool_())),
        "reference_losses": pa.array(list(losses), pa.list_(pa.float32())),
    }
    return TokenRows(pa.table(columns))


class Paused(Exception):
    """A step was made."""


def step_seconds(training: Training) -> float:
    """CPU seconds of the process, of the next step."""
    began = ended = time.process_time()

    def pause(report: object) -> None:
        nonlocal ended
        ended = time.process_time()
        raise Paused

    with contextlib.suppress(Paused):
        training.run(pause)
    return ended - began


def measure() -> str:
    torch.set_num_threads(1)
    model = build_llama(SHAPE, VOCABULARY, bos_token_id=0, eos_token_id=1, seed=0)
    rows = prompts_and_answers()
    trainings = {
        name: Training(copy.deepcopy(model), [rows], recipe)
        for name, (recipe, _) in METHODS.items()
    }
    turns: dict[str, list[float]] = {name: [] for name in METHODS}
    for number in range(STEPS):
        # Each turn begins with another one.
        first = number % len(METHODS)
        for name in [*METHODS][first:] + [*METHODS][:first]:
            seconds = step_seconds(trainings[name])
            if number >= WARM_UP:
                turns[name].append(seconds)
        if number % 10 == 0:
            print(f"step {number}", flush=True)
    alike = turns.pop("uniform")
    lines = [_line(name, seconds, alike) for name, seconds in turns.items()]
    return (
        f"Llama, {SHAPE.layers} layers, width {SHAPE.hidden_size}, {VOCABULARY:,} tokens, batches "
        f"of {UNIFORM.batch_size} x {LENGTH}, float32, one thread. CPU time of the process, step "
        f"by step in turn with uniform training (median {statistics.median(alike):.3f} s a step), "
        f"{len(alike)} turns. Uniform training beside itself shows the machine's noise."
        "\n\n| beside uniform training | more, median | middle half | range | at most | kept |"
        "\n|---|---|---|---|---|---|\n" + "\n".join(lines)
    )


def _line(name: str, seconds: list[float], alike: list[float]) -> str:
    more = [one / other - 1 for one, other in zip(seconds, alike, strict=True)]
    low, middle, high = statistics.quantiles(more, n=4)
    most = METHODS[name][1]
    kept = ("", "") if most is None else (f"{most:.0%}", "yes" if middle <= most else "NO")
    text = (
        f"| {name} | {middle:+.1%} | {low:+.1%} to {high:+.1%} | {min(more):+.1%} to "
        f"{max(more):+.1%} | {kept[0]} | {kept[1]} |"
    )
    print(text, flush=True)
    return text


if __name__ == "__main__":
    print(measure())
