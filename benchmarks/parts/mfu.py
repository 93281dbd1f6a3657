"""How much of a GPU the trainer uses, beside the Trainer of `transformers` and a hand-written loop.

    python -m benchmarks.parts.mfu                       all of it, printed
    python -m benchmarks.parts.mfu --size 350M --compile one size, compiled only
    python -m benchmarks.parts.mfu --tiny                the same code at tiny sizes, on any machine

It needs no more than torch, transformers, tokenizers and pyarrow; the Trainer needs accelerate as
well and is left out, which is said, where it is missing. Nothing is read from TOKENMILL_DATA.
"""

from __future__ import annotations

import argparse
import copy
import gc
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

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
from operators.modeling.flops import device_peak_flops, model_flops_utilization, token_flops
from operators.modeling.recipe import Precision, TrainingRecipe

COMMAND = "python -m benchmarks.parts.mfu"
NO_GPU = (
    "No GPU is at hand: nothing was measured. On a machine with one, "
    f"`{COMMAND}` does (torch, transformers, tokenizers and pyarrow suffice)."
)
ROUNDS = 3
PRECISIONS: tuple[Precision, ...] = ("bfloat16", "pure_bfloat16")


@dataclass(frozen=True)
class Size:
    """A model and its batch: sequences of the context length in one forward pass."""

    shape: LlamaShape
    vocabulary: int
    batch_size: int
    steps: int = 24
    warm_up: int = 8


def llama(width: int, layers: int, heads: int, intermediate: int, context: int) -> LlamaShape:
    return LlamaShape(
        hidden_size=width, layers=layers, heads=heads, kv_heads=heads,
        intermediate_size=intermediate, context_length=context,
    )  # fmt: skip


SIZES = {
    "125M": Size(llama(768, 14, 12, 2048, 1024), 32_000, 32),
    "350M": Size(llama(1024, 25, 16, 2816, 1024), 32_000, 16),
}
# The vocabulary is large enough for the chunked losses of a GPU.
TINY = {"tiny": Size(llama(32, 2, 2, 64, 32), 9_000, 4, steps=4, warm_up=2)}


def speed(run: Run, size: Size, recipe: TrainingRecipe, fresh: Any) -> float | None:
    """Tokens a second; None where the memory does not suffice."""
    rows = np.random.default_rng(0).integers(
        2, size.vocabulary, (8 * size.batch_size, size.shape.context_length)
    )
    model = copy.deepcopy(fresh)
    try:
        return tokens_per_second(
            run, model, rows.astype(np.int32), recipe, size.warm_up, cpu_time=False
        )
    except torch.OutOfMemoryError:
        return None
    finally:
        del model
        gc.collect()
        torch.compiler.reset()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def lines_of(name: str, size: Size, precision: Precision, compiled: bool, device: str) -> list[str]:
    """A line of the table for each trainer; rounds in turn."""
    fresh = build_llama(size.shape, size.vocabulary, bos_token_id=0, eos_token_id=1, seed=0)
    flops = token_flops(fresh, size.shape.context_length)
    peak = device_peak_flops(torch.device(device))
    recipe = TrainingRecipe(
        steps=size.steps, batch_size=size.batch_size, learning_rate=3e-4, device=device,
        precision=precision, compile=compiled,
    )  # fmt: skip
    runs: dict[str, Run] = {"ours": ours, "a loop like nanoGPT's": loop}
    if has_trainer():
        runs["transformers.Trainer"] = transformers_trainer
    speeds: dict[str, list[float | None]] = {run: [] for run in runs}
    for _ in range(1 if compiled else ROUNDS):  # to compile takes longer than to measure
        for run, call in runs.items():
            speeds[run].append(speed(call, size, recipe, fresh))
    lines = []
    mine = _median(speeds["ours"])
    for run, found in speeds.items():
        middle = _median(found)
        if middle is None:
            figures = "out of memory | | |"
        else:
            share = model_flops_utilization(middle, flops.total, peak)
            figures = (
                f"{middle:,.0f} | {'unknown' if share is None else f'{share:.1%}'} | "
                f"{'' if mine is None else f'{mine / middle:.2f}'} |"
            )
        lines.append(
            f"| {name}, {flops.parameters / 1e6:.0f} million that multiply | {precision} | "
            f"{'yes' if compiled else 'no'} | {run} | {figures}"
        )
        print(lines[-1], flush=True)
    return lines


def _median(found: Sequence[float | None]) -> float | None:
    there = [each for each in found if each is not None]
    return statistics.median(there) if there else None


def measure(
    sizes: dict[str, Size] | None = None,
    compiled: Sequence[bool] = (False, True),
    precisions: Sequence[Precision] = PRECISIONS,
    device: str = "cuda",
) -> str:
    if device == "cuda" and not torch.cuda.is_available():
        print(NO_GPU, flush=True)
        return NO_GPU
    sizes = SIZES if sizes is None else sizes
    lines = [
        line
        for name, size in sizes.items()
        for precision in precisions
        for switch in compiled
        for line in lines_of(name, size, precision, switch, device)
    ]
    what = torch.cuda.get_device_name() if device == "cuda" else f"CPU ({platform.machine()})"
    batches = ", ".join(
        f"{size.batch_size} x {size.shape.context_length} ({name})" for name, size in sizes.items()
    )
    left_out = "" if has_trainer() else f"\n\nLeft out: {NEEDS_ACCELERATE}."
    return (
        f"{what}, torch {torch.__version__}. Llama shapes, batches of {batches}, no accumulation, "
        "fused AdamW; pure_bfloat16 of ours keeps small updates by stochastic rounding, that of "
        "the others rounds them off. MFU: `operators.modeling.flops`, with attention. Medians of "
        f"{ROUNDS} rounds in turn, one round where compiled.\n\n"
        "| model | precision | compiled | trainer | tokens/s | MFU | ours over it |\n"
        "|---|---|---|---|---|---|---|\n" + "\n".join(lines) + left_out
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Model FLOPs utilisation.")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, on whatever is there")
    parser.add_argument("--size", action="append", choices=list(SIZES), help="only this size")
    parser.add_argument("--precision", action="append", choices=PRECISIONS, help="only this one")
    parser.add_argument(
        "--compile", action=argparse.BooleanOptionalAction, help="only compiled, or only not"
    )
    chosen = parser.parse_args()
    compiled = (False, True) if chosen.compile is None else (chosen.compile,)
    precisions = chosen.precision or PRECISIONS
    if chosen.tiny:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        print(measure(TINY, compiled, precisions, device))
    else:
        sizes = {name: SIZES[name] for name in chosen.size or SIZES}
        print(measure(sizes, compiled, precisions))


if __name__ == "__main__":
    main()
