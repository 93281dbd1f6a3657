"""What the framework itself costs, beside limits that it cannot beat, in one run.

    python -m benchmarks.overhead     measure; rewrites its section of benchmarks/RESULTS.md

- `--help` against an empty Python process;
- `plan` of dag.yaml with every stage reused, and a run with nothing to compute, against the import
  of MLflow alone, which a run needs for its record;
- the hash of Arrow rows, value by value, against XXH3 over the same bytes in one buffer.

Each pair is measured in turn, several times; figures are medians, and the ratio is the median of
the ratios pair by pair, so that a machine that slows down slows both.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from benchmarks.results import TABLE, row, write_section

REPOSITORY = Path(__file__).resolve().parents[1]


def process(*command: str, environment: dict[str, str]) -> Callable[[], float]:
    def call() -> float:
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, *command], env=environment, cwd=environment["HERE"], check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return time.perf_counter() - began

    return call


def compare(name: str, ours: Callable[[], float], limit: Callable[[], float], rounds: int,
            unit: str, limit_name: str) -> str:  # fmt: skip
    """A row of the table; the first pair warms up and does not count."""
    pairs = [(ours(), limit()) for _ in range(rounds + 1)][1:]
    mine, other = zip(*pairs, strict=True)
    return row(name, mine, limit_name, other, unit)


def hashing() -> tuple[Callable[[], float], Callable[[], float], float]:
    from pipelines.content import rows_hash

    generator = np.random.default_rng(0)
    words = np.array(["data", "model", "token", "mill", "Straße", "語"])
    texts = [" ".join(words[generator.integers(0, len(words), 200)]) for _ in range(40_000)]
    table = pa.table(
        {
            "id": [str(i) for i in range(len(texts))],
            "text": texts,
            "tokens": list(generator.integers(0, 50_000, (len(texts), 64)).astype(np.int32)),
        }
    )
    size = table.nbytes / 1e9
    buffer = generator.bytes(table.nbytes)

    def ours() -> float:
        began = time.perf_counter()
        rows_hash(table)
        return time.perf_counter() - began

    def limit() -> float:
        began = time.perf_counter()
        xxhash.xxh3_128_hexdigest(buffer)
        return time.perf_counter() - began

    return ours, limit, size


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        environment = {
            **os.environ,
            "HERE": folder,
            "TOKENMILL_STORE": str(here / "store"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{here / 'mlflow.db'}",
            "XDG_CACHE_HOME": str(here / "cache"),
        }
        dag = str(REPOSITORY / "dag.yaml")
        cli = ("-m", "pipelines.cli")
        print("computing dag.yaml once, for the runs that reuse it", flush=True)
        first = process(*cli, "run", dag, environment=environment)()
        empty = process("-c", "pass", environment=environment)
        mlflow = process("-c", "from mlflow.tracking import MlflowClient", environment=environment)
        ours, limit, size = hashing()
        rows = [
            compare("`tokenmill --help`", process(*cli, "--help", environment=environment), empty,
                    9, "s", "an empty Python process"),
            compare("`tokenmill plan dag.yaml`, all reused",
                    process(*cli, "plan", dag, environment=environment), mlflow, 7, "s",
                    "`import` of the MLflow client"),
            compare("`tokenmill run dag.yaml`, all reused",
                    process(*cli, "run", dag, environment=environment), mlflow, 5, "s",
                    "`import` of the MLflow client"),
            compare(f"hash of {size:.2f} GB of Arrow rows", ours, limit, 7, "s",
                    "XXH3 over as many bytes"),
        ]  # fmt: skip
    write_section(
        "overhead of the command",
        "`python -m benchmarks.overhead`\n\n" + TABLE + "\n".join(rows)
        + f"\n\nThe first run of dag.yaml, everything computed, took {first:.0f} s, once.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
