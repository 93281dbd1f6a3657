"""The same training three times: by our trainer, by that of `transformers`, by a loop of one page.

Each makes the steps of one recipe on rows ``[n, t]`` and calls a clock after each of them. They
have the model, the rows, the batch, AdamW (fused), its settings, clipping and cosine in common.
"""

from __future__ import annotations

import importlib.util
import math
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from operators.modeling.recipe import TrainingRecipe
from operators.modeling.token_rows import TokenRows
from operators.modeling.training import Training

# A loop that nobody watches step by step need not wait for the device each time.
TOLD_EVERY = 10
NEEDS_ACCELERATE = "the Trainer of transformers needs accelerate: pip install accelerate"

Rows = NDArray[np.int32]
Run = Callable[[Any, Rows, TrainingRecipe, Callable[[], None]], None]


class Clock:
    """Time of the steps after the first ones; the device has done its work when it is read.

    Attributes:
        seconds: of the steps after the first ``warm_up``, once all are made.
    """

    def __init__(self, warm_up: int, steps: int, now: Callable[[], float]) -> None:
        self._warm_up, self._steps, self._now = warm_up, steps, now
        self._made, self._began = 0, 0.0
        self.seconds = math.nan

    def __call__(self) -> None:
        """Say that a step was made."""
        self._made += 1
        if self._made in (self._warm_up, self._steps):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if self._made == self._warm_up:
                self._began = self._now()
            else:
                self.seconds = self._now() - self._began


def tokens_per_second(
    run: Run, model: Any, rows: Rows, recipe: TrainingRecipe, warm_up: int, *, cpu_time: bool
) -> float:
    """Tokens that went through the model per second of the steps after the first ``warm_up``."""
    clock = Clock(warm_up, recipe.steps, time.process_time if cpu_time else time.perf_counter)
    run(model, rows, recipe, clock)
    tokens = (recipe.steps - warm_up) * recipe.batch_size * int(rows.shape[1])
    return tokens / clock.seconds


def ours(model: Any, rows: Rows, recipe: TrainingRecipe, tick: Callable[[], None]) -> None:
    """`operators.modeling.training.Training`."""
    Training(model, [TokenRows.of_arrays(rows)], recipe).run(lambda report: tick())


def has_trainer() -> bool:
    """Whether the Trainer of transformers can be used."""
    return importlib.util.find_spec("accelerate") is not None


def transformers_trainer(
    model: Any, rows: Rows, recipe: TrainingRecipe, tick: Callable[[], None]
) -> None:
    """`transformers.Trainer`, without logs, evaluation and checkpoints."""
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    class Ticks(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *given: Any, **named: Any) -> None:
            tick()

    class Examples(torch.utils.data.Dataset[dict[str, Any]]):
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, row: int) -> dict[str, Any]:
            ids = torch.from_numpy(rows[row].astype(np.int64))
            return {"input_ids": ids, "labels": ids}

    if recipe.precision == "pure_bfloat16":
        model.to(torch.bfloat16)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=recipe.steps,
            per_device_train_batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            adam_beta1=recipe.betas[0],
            adam_beta2=recipe.betas[1],
            max_grad_norm=recipe.gradient_clip,
            lr_scheduler_type="cosine",
            optim="adamw_torch_fused",
            bf16=recipe.precision == "bfloat16",
            torch_compile=recipe.compile,
            use_cpu=recipe.device == "cpu",
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=recipe.seed,
        )
        trainer = Trainer(model, arguments, train_dataset=Examples(), callbacks=[Ticks()])
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def loop(model: Any, rows: Rows, recipe: TrainingRecipe, tick: Callable[[], None]) -> None:
    """What nanoGPT does: random rows, the next of which are fetched while the device works."""
    device = torch.device(recipe.device)
    model.to(device, torch.bfloat16 if recipe.precision == "pure_bfloat16" else torch.float32)
    model.train()
    call = torch.compile(model) if recipe.compile else model
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": recipe.weight_decay},
         {"params": vectors, "weight_decay": 0.0}],
        lr=recipe.learning_rate, betas=recipe.betas, fused=True,
    )  # fmt: skip
    drawn = np.random.default_rng(recipe.seed)

    def batch() -> torch.Tensor:
        ids = torch.from_numpy(
            rows[drawn.integers(0, len(rows), recipe.batch_size)].astype(np.int64)
        )
        return ids.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else ids

    ids = batch()
    for step in range(recipe.steps):
        half = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
        low = recipe.min_learning_rate_ratio
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * (low + (1 - low) * half)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            logits = call(input_ids=ids, use_cache=False).logits
            # The last logits predict nothing that is known.
            targets = functional.pad(ids[:, 1:], (0, 1), value=-100)
            loss = functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
        ids = batch()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % TOLD_EVERY == 0:
            loss.item()
        tick()
