"""How long training waits for rows that lie in a memory-mapped Arrow file of 200 MB.

`python -m benchmarks.parts.data_wait` prints it. The rows are read in random order; once the file
is in the page cache, once (at first) it is not.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from operators.modeling.architecture import LlamaShape, build_llama
from operators.modeling.recipe import TrainingRecipe
from operators.modeling.token_rows import TokenRows
from operators.modeling.training import Training

LENGTH, VOCABULARY, MEGABYTES, CHUNKS = 128, 4096, 200, 20
SHAPES = {
    "4 layers, width 256": LlamaShape(
        hidden_size=256, layers=4, heads=4, kv_heads=4, intermediate_size=688,
        context_length=LENGTH,
    ),
    # A step so short that the data can hardly keep up with it.
    "1 layer, width 16": LlamaShape(
        hidden_size=16, layers=1, heads=1, kv_heads=1, intermediate_size=16,
        context_length=LENGTH,
    ),
}  # fmt: skip
STEPS, WARM_UP = 40, 5


@contextmanager
def file_of_rows() -> Iterator[Path]:
    """Rows of `LENGTH` tokens, written for this."""
    drawn = np.random.default_rng(0)
    kind = pa.list_(pa.int32())
    rows = MEGABYTES * 10**6 // CHUNKS // 4 // LENGTH
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tokens.arrow")
        schema = pa.schema({"tokens": kind})
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for _ in range(CHUNKS):
                values = drawn.integers(2, VOCABULARY, rows * LENGTH, dtype=np.int32)
                offsets = np.arange(rows + 1, dtype=np.int32) * LENGTH
                lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
                writer.write_batch(pa.record_batch([lists], schema=schema))
        yield path


def forget(path: Path) -> None:
    """Take a file that nobody has mapped out of the page cache."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def waiting(shape: LlamaShape, path: Path) -> tuple[float, float, float]:
    """Seconds before the first step, seconds of a step, and its share of waiting for data."""
    with pa.memory_map(str(path)) as source:
        return _waiting(shape, pa.ipc.open_file(source).read_all())


def _waiting(shape: LlamaShape, table: pa.Table) -> tuple[float, float, float]:
    model = build_llama(shape, VOCABULARY, bos_token_id=0, eos_token_id=1, seed=0)
    recipe = TrainingRecipe(steps=STEPS, batch_size=16, device="cpu", threads=1)
    began = time.perf_counter()
    training = Training(model, [TokenRows(table)], recipe)
    looked = time.perf_counter() - began
    ends: list[float] = []
    training.run(lambda report: ends.append(time.perf_counter()))
    waited = sum(report.data_wait_seconds for report in training.reports[WARM_UP:])
    seconds = ends[-1] - ends[WARM_UP - 1]
    return looked, seconds / (STEPS - WARM_UP), waited / seconds


def measure() -> str:
    torch.set_num_threads(1)
    lines = []
    with file_of_rows() as path:
        for name, shape in SHAPES.items():
            for cache in ("not in the page cache", "in the page cache"):
                if cache.startswith("not"):
                    forget(path)
                looked, step, share = waiting(shape, path)
                lines.append(
                    f"| {name} | {cache} | {looked:.2f} s | {step * 1e3:.1f} ms | {share:.2%} |"
                )
                print(lines[-1], flush=True)
    rows = MEGABYTES * 10**6 // 4 // LENGTH
    return (
        f"{rows:,} rows of {LENGTH} tokens, {MEGABYTES} MB, in random order; batches of 16, one "
        f"thread; steps {WARM_UP + 1} to {STEPS}. Before the first step all ids are looked at "
        "once, which reads the file.\n\n"
        "| model | file, at the start | before the first step | a step | of it waiting |\n"
        "|---|---|---|---|---|\n" + "\n".join(lines)
    )


if __name__ == "__main__":
    print(measure())
