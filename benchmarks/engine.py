"""What the engine costs: a stage, a shard, a warm run, a digest, memory; beside peers and limits.

    python -m benchmarks.engine [--only PART ...] [--stages 100] [--rounds 3] [--peers FOLDER]

Parts: stages, warm, digest, shards, memory. Peers are installed into environments of their own
under --peers the first time. What is inside and outside of each clock stands in benchmarks/noop.py
and in benchmarks/peers/*.py.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from benchmarks.results import TABLE, row, write_section

if TYPE_CHECKING:
    from pipelines.store import Manifest, Store

HERE = Path(__file__).parent
REPOSITORY = HERE.parent

# fastapi: prefect 3.8.8 asks for a newer one, with which its import fails.
PEERS = {
    "dagster": ["dagster==1.13.28"],
    "prefect": ["prefect==3.8.8", "fastapi==0.129.2"],
    "metaflow": ["metaflow==2.19.39"],
    "kedro": ["kedro==1.7.0", "kedro-datasets[pickle]"],
}
KEEPS_NO_RECORD = {"kedro"}


def python_of(peer: str, folder: Path) -> Path:
    """The interpreter of a peer's own environment, made where there is none."""
    home = folder / peer
    python = home / "bin" / "python"
    if not (home / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        for package in PEERS[peer]:
            subprocess.run([str(python), "-m", "pip", "install", "-q", package], check=False)
        (home / ".ready").touch()
    return python


def times_of(*command: str) -> dict[str, float]:
    """Run a program that times itself in a folder of its own; what it says, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, folder], cwd=REPOSITORY, check=True, capture_output=True, text=True,
            env={**os.environ, "XDG_CACHE_HOME": f"{folder}/cache", "DO_NOT_TRACK": "1"},
        )  # fmt: skip
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def noop(shape: str, count: int) -> float:
    return times_of(sys.executable, "-m", "benchmarks.noop", shape, str(count))["seconds"]


def stages(count: int, rounds: int, peers: Path) -> str:
    """Seconds a stage, in a chain and in a fan."""
    rows = []
    returned: list[str] = []
    for shape in ("chain", "fan"):
        times: dict[str, list[float]] = {name: [] for name in ("ours", *PEERS)}
        for _ in range(rounds):
            times["ours"].append(1000 * noop(shape, count) / count)
            for peer in PEERS:
                program = str(HERE / "peers" / f"{peer}_graph.py")
                took = times_of(str(python_of(peer, peers)), program, shape, str(count))
                times[peer].append(1000 * took["seconds"] / count)
                if "returned" in took:
                    returned.append(f"{1000 * took['returned'] / count:.0f}")
        for peer in PEERS:
            name = f"{peer} (keeps no record)" if peer in KEEPS_NO_RECORD else peer
            rows.append(row(f"a no-op stage in a {shape} of {count}", times["ours"], name,
                            times[peer], "ms"))  # fmt: skip
    return (
        TABLE
        + "\n".join(rows)
        + (
            "\n\nEach clock stops when results are kept and the record says of all steps that "
            "they are done. Prefect's flow returns before, and its record follows by itself: it "
            f"returned after {', '.join(returned)} ms a step. A process that ends then loses what "
            "was not recorded."
        )
    )


def warm(count: int, rounds: int) -> str:
    """A run with nothing to compute, as a whole process, beside its imports."""
    imports = (
        "import pipelines.cli, pipelines.run, pipelines.recorder, pipelines.display, click, rich;"
        "from mlflow.tracking import MlflowClient; import mlflow.store.tracking.sqlalchemy_store"
    )
    with tempfile.TemporaryDirectory() as folder:
        from benchmarks.noop import dag

        here = Path(folder)
        (here / "dag.yaml").write_text(dag("chain", count))
        (here / "noop_stages.py").write_text((HERE / "noop_stages.py").read_text())
        environment = {**os.environ, "XDG_CACHE_HOME": f"{folder}/cache"}

        def call(*command: str) -> float:
            began = time.perf_counter()
            subprocess.run([sys.executable, *command], cwd=folder, check=True, env=environment,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
            return time.perf_counter() - began

        run = ("-m", "pipelines.cli", "run", "--quiet")
        call(*run)
        call(*run), call("-c", imports)
        pairs = [(call(*run), call("-c", imports)) for _ in range(rounds)]
    ours, limit = ([pair[side] for pair in pairs] for side in (0, 1))
    beyond = statistics.median(a - b for a, b in pairs)
    text = row(f"`tokenmill run`, {count} stages reused", ours, "its imports alone", limit, "s")
    return TABLE + text + f"\n\nBeyond the imports: {beyond:.2f} s (median)."


def digest(rounds: int, size: float = 1.0) -> str:
    """Reading and hashing the shards of an artifact, beside reading them."""
    import numpy as np

    from pipelines.store import Store
    from stages.kinds import DOCUMENTS, TOKENS, Kind

    generator = np.random.default_rng(0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        for kind, schema in ((Kind.DOCUMENTS, DOCUMENTS), (Kind.TOKENS, TOKENS)):
            location = f"shards/bench/{kind}/0/{kind}"
            parts = []
            while sum(part.bytes for part in parts) < size * 1e9:
                table = _some(kind, schema, generator)
                parts.append(store.write_rows(location, len(parts), kind, table))
            names = [(f.name, str(f.type)) for f in schema]
            manifest = store.commit(kind, location, names, parts, {"stage": "bench"})
            paths = [Path(folder, location, part.path) for part in parts]
            total = manifest.size / 1e9

            for state in ("in the page cache", "not in the page cache"):
                kept = state.startswith("in")
                made = [
                    tuple(
                        total / _timed(action, [] if kept else paths)
                        for action in (
                            lambda m=manifest: _verify(store, m),
                            lambda m=manifest: _hash(store, m),
                            lambda p=paths: _read(p),
                        )
                    )
                    for _ in range(rounds + 1)
                ][1:]
                plain = [m[2] for m in made]
                name = f"{total:.1f} GB of {kind}, {state}"
                rows.append(row(f"`verify` of {name}", [m[0] for m in made], "reading the files "
                                "into memory", plain, "GB/s"))  # fmt: skip
                rows.append(row(f"digest by value of {name}", [m[1] for m in made], "reading the "
                                "files into memory", plain, "GB/s"))  # fmt: skip
    return TABLE + "\n".join(rows)


def _timed(action: Callable[[], None], drop: list[Path]) -> float:
    """Seconds of an action, after the system has forgotten some files."""
    for path in drop:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _verify(store: Store, manifest: Manifest) -> None:
    assert not store.faults(manifest, contents=True)


def _hash(store: Store, manifest: Manifest) -> None:
    from pipelines.content import rows_hash

    for index in range(len(manifest.parts)):
        rows_hash(store.read_part(manifest, index))


def _read(paths: list[Path]) -> None:
    for path in paths:
        with pa.OSFile(str(path)) as file:
            file.read_buffer()


def _some(kind: str, schema: pa.Schema, generator: object, count: int = 8192) -> pa.Table:
    import numpy as np

    assert isinstance(generator, np.random.Generator)
    names = [f"row-{generator.integers(1 << 60):x}" for _ in range(count)]
    columns: dict[str, object] = {"id": names}
    if kind == "documents":
        letters = "".join(map(chr, generator.integers(97, 123, 1 << 16)))
        starts = generator.integers(0, 1 << 15, count)
        columns["text"] = [letters[start : start + 4000] for start in starts]
        columns |= {"language": ["eng_Latn"] * count, "source": ["bench"] * count}
    else:
        values = pa.array(generator.integers(0, 50_000, count * 1024).astype(np.int32))
        offsets = pa.array(np.arange(0, count * 1024 + 1, 1024, dtype=np.int32))
        columns["tokens"] = pa.ListArray.from_arrays(offsets, values)
    arrays = [
        columns[f.name] if isinstance(columns.get(f.name), pa.Array)
        else pa.array(columns.get(f.name, [None] * count), f.type)
        for f in schema
    ]  # fmt: skip
    return pa.Table.from_arrays(arrays, schema=schema)


def shards(rounds: int) -> str:
    """Seconds a shard of a row-parallel stage, beyond the first."""
    lines = []
    times: dict[int, list[float]] = {1: [], 100: [], 1000: []}
    for _ in range(rounds):
        for count, found in times.items():
            found.append(noop("shards", count))
    for count in (100, 1000):
        each = [
            1000 * (many - one) / (count - 1)
            for many, one in zip(times[count], times[1], strict=True)
        ]
        lines.append(f"| {count} shards of one row | {statistics.median(each):.2f} ms a shard | "
                     f"{min(each):.2f}-{max(each):.2f} |")  # fmt: skip
        print(lines[-1], flush=True)
    return (
        "| a row-parallel no-op stage, 2 workers | beyond the first | range |\n|---|---|---|\n"
        + "\n".join(lines)
    )


def memory(sizes: list[float]) -> str:
    """Peak memory of a run of `corpus.filter`, all processes together."""
    lines = []
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
            here = Path(folder)
            (here / "noop_stages.py").write_text((HERE / "noop_stages.py").read_text())
            (here / "big_stages.py").write_text(BIG)
            (here / "dag.yaml").write_text(
                "pipeline: memory\nstages:\n"
                f"  rows: {{uses: 'big_stages:Big', with: {{shards: {round(size * 1e9 / 4e6)}}}}}\n"
                "  kept: {uses: corpus.filter, needs: {documents: rows}, with: {min_chars: 10, "
                "max_top_ngram_fraction: null, max_duplicate_line_fraction: null}}\n"
            )
            environment = {**os.environ, "XDG_CACHE_HOME": f"{folder}/cache"}
            run = [sys.executable, "-m", "pipelines.cli", "run", "--quiet", "--workers", "2"]
            subprocess.run([*run, "--only", "rows"], cwd=folder, env=environment, check=True,
                           stdout=subprocess.DEVNULL)  # fmt: skip
            process = subprocess.Popen(run, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
            with sampled(process.pid) as peak:
                began = time.perf_counter()
                assert process.wait() == 0
                seconds = time.perf_counter() - began
            lines.append(f"| {size:g} GB | {peak['private'] / 2**20:.0f} MiB | "
                         f"{peak['rss'] / 2**20:.0f} MiB | {seconds:.0f} s |")  # fmt: skip
            print(lines[-1], flush=True)
    return (
        "| `corpus.filter` over | peak private memory | peak RSS | whole run |\n|---|---|---|---|\n"
        + "\n".join(lines)
        + "\n\nAll processes of the run together (driver, Ray, two workers), sampled each 0.2 s. "
        "Private memory is what the run takes from others; RSS also counts each process's view of "
        "shared memory and of shards mapped from the page cache, which the system takes back at "
        "will."
    )


BIG = '''
import numpy as np
import pyarrow as pa

from stages.contract import Field, Kind, Output, Stage, StageConfig
from stages.kinds import DOCUMENTS


class Big(Stage):
    """Shards of 4 MB: 512 documents of 8,000 characters each."""

    class Config(StageConfig):
        shards: int = Field(1, description="how many")

    outputs = {"documents": Output(Kind.DOCUMENTS, "random words")}

    def run(self, inputs, outputs, context):
        generator = np.random.default_rng(0)
        words = np.array(["data", "model", "token", "mill", "corpus", "weight", "align", "edit"])
        texts = [" ".join(words[generator.integers(0, 8, 1350)]) for _ in range(64)]
        for shard in range(self.config.shards):
            rows = [{"id": f"{shard}-{n}", "text": f"{shard} {n} " + texts[n % 64],
                     "language": "eng_Latn", "source": "bench", "group": None, "edits": []}
                    for n in range(512)]
            outputs["documents"].write(pa.Table.from_pylist(rows, DOCUMENTS))
'''


@contextmanager
def sampled(root: int) -> Iterator[dict[str, int]]:
    """Peak memory in bytes of a process and all below it."""
    peak = {"private": 0, "rss": 0}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.2):
            found = {"private": 0, "rss": 0}
            for pid in _family(root):
                try:
                    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                except OSError:
                    continue
                for line in lines:
                    name, _, rest = line.partition(":")
                    if name in ("Private_Clean", "Private_Dirty"):
                        found["private"] += int(rest.split()[0]) * 1024
                    elif name == "Rss":
                        found["rss"] += int(rest.split()[0]) * 1024
            for name, amount in found.items():
                peak[name] = max(peak[name], amount)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def _family(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(folder.name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parts = ("stages", "warm", "digest", "shards", "memory")
    parser.add_argument("--only", action="append", choices=parts)
    parser.add_argument("--stages", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.1, 0.5, 1, 5])
    parser.add_argument("--peers", type=Path, default=Path.home() / ".cache" / "tokenmill-peers")
    asked = parser.parse_args()
    makers: dict[str, tuple[str, Callable[[], str]]] = {
        "stages": ("engine: a stage", lambda: stages(asked.stages, asked.rounds, asked.peers)),
        "warm": ("engine: a warm run", lambda: warm(asked.stages, asked.rounds)),
        "digest": ("engine: digests", lambda: digest(asked.rounds)),
        "shards": ("engine: a shard", lambda: shards(asked.rounds)),
        "memory": ("engine: memory", lambda: memory(asked.sizes)),
    }
    for part in asked.only or parts:
        name, make = makers[part]
        write_section(name, f"`python -m benchmarks.engine --only {part}`\n\n{make()}")


if __name__ == "__main__":
    main()
