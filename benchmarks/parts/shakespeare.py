"""Tiny Shakespeare, character by character, in a few CPU minutes.

`python -m benchmarks.parts.shakespeare` prints it; the text lies in TOKENMILL_DATA. The vocabulary
is the 65 characters of the text. The first 90 % are trained on, cut into windows that begin every
`STRIDE` characters, so that a character is met with more and with less before it. Of the last 10 %
every character is scored exactly once, behind one newline (`operators.modeling.scoring`).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import torch

from operators.modeling.architecture import LlamaShape, build_llama, parameter_count
from operators.modeling.recipe import TrainingRecipe
from operators.modeling.reports import StepReport
from operators.modeling.scoring import score_documents
from operators.modeling.token_rows import TokenRows
from operators.modeling.training import Training

CONTEXT, STRIDE, SCORING_STRIDE = 128, 16, 32
SHAPE = LlamaShape(
    hidden_size=128, layers=4, heads=4, kv_heads=4, intermediate_size=344, context_length=CONTEXT
)
RECIPE = TrainingRecipe(
    steps=4000, batch_size=8, learning_rate=3e-3, warmup_steps=100, min_learning_rate_ratio=0.02,
    betas=(0.9, 0.99), weight_decay=0.1, device="cpu", threads=1,
)  # fmt: skip
MOST_MINUTES, HIGHEST_LOSS, LEAK = 15, 1.66, 1.45


def trained(shape: LlamaShape, recipe: TrainingRecipe, told_every: int = 500) -> tuple[float, ...]:
    """Validation loss in nats a character, training loss, CPU seconds of all and of training."""
    began = time.process_time()
    path = Path(os.environ["TOKENMILL_DATA"], "books", "tinyshakespeare.txt")
    text = np.frombuffer(path.read_bytes(), np.uint8)
    characters, ids = np.unique(text, return_inverse=True)
    cut = len(ids) * 9 // 10
    windows = np.lib.stride_tricks.sliding_window_view(ids[:cut].astype(np.int32), CONTEXT)
    newline = int(np.searchsorted(characters, ord("\n")))
    model = build_llama(shape, len(characters), bos_token_id=None, eos_token_id=None, seed=0)

    def tell(report: StepReport) -> None:
        if report.step % told_every == 0:
            print(f"step {report.step}: {report.loss:.3f}, {time.process_time() - began:.0f} CPU s",
                  flush=True)  # fmt: skip

    rows = TokenRows.of_arrays(windows[::STRIDE])
    training = Training(model, [rows], recipe)
    training.run(tell)
    seconds = time.process_time() - began
    (losses,) = score_documents(
        model, [ids[cut:].tolist()], context_length=shape.context_length, stride=SCORING_STRIDE,
        bos_token_id=newline, batch_size=32, device="cpu", threads=recipe.threads,
    )  # fmt: skip
    assert len(losses) == len(ids) - cut
    recent = float(np.mean([report.loss for report in training.reports[-200:]]))
    return float(losses.mean()), recent, time.process_time() - began, seconds


def measure() -> str:
    torch.set_num_threads(RECIPE.threads)
    model = build_llama(SHAPE, 65, bos_token_id=None, eos_token_id=None, seed=0)
    loss, recent, seconds, training = trained(SHAPE, RECIPE)
    tokens = RECIPE.steps * RECIPE.batch_size * CONTEXT
    kept = LEAK < loss < HIGHEST_LOSS and seconds < 60 * MOST_MINUTES
    print(f"validation {loss:.4f}, {seconds:.0f} CPU s", flush=True)
    return (
        f"Llama, {SHAPE.layers} layers, width {SHAPE.hidden_size}, {parameter_count(model):,} "
        f"parameters, context {CONTEXT}; {RECIPE.steps:,} steps of {RECIPE.batch_size} windows "
        f"({tokens / 1e6:.1f} million characters), AdamW, betas {RECIPE.betas}, decay "
        f"{RECIPE.weight_decay}, cosine from {RECIPE.learning_rate} to "
        f"{RECIPE.min_learning_rate_ratio:.0%} of it, {RECIPE.warmup_steps} steps of warm-up; "
        "float32, one thread. CPU time is that of the process, from reading the text to the last "
        "score.\n\n"
        "| | ours | must be |\n|---|---|---|\n"
        f"| validation loss, nats a character | {loss:.4f} | {LEAK} to {HIGHEST_LOSS} |\n"
        f"| CPU minutes | {seconds / 60:.1f} | {MOST_MINUTES} |\n\n"
        f"{'Kept' if kept else 'NOT KEPT'}. Training took {training / 60:.1f} of the minutes, "
        f"{tokens / training:,.0f} characters a CPU second; its loss at the end was {recent:.3f} "
        "(mean of 200 steps). A 5-gram (Witten-Bell) reaches 1.669."
    )


if __name__ == "__main__":
    print(measure())
