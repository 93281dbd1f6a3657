"""Near duplicates: what is found, how fast, and in how much memory.

    python -m benchmarks.parts.deduplication     measure; prints a section of Markdown

- chapters of ten books (TOKENMILL_DATA) against copies in which a share of the words is another:
  recall by the true Jaccard similarity, and pairs of different chapters that are taken for one;
- `corpus.documents` and `corpus.near_duplicates` with one worker against datatrove's four steps of
  MinHash on one core, on the same JSON lines, in turn. datatrove: `pip install datatrove`;
- the memory of the worker of `corpus.near_duplicates` that takes most, by how many documents there
  are; workers that have run `corpus.documents` before are left out.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.results import TABLE, row
from operators.corpus import ShingleSets, shingle_sets, similar_clusters

SHARES = (0.02, 0.05, 0.10, 0.20)
SIMILARITY = 0.5
PAIRS = 3
SIZES = (50_000, 100_000, 200_000)
PEER = Path(__file__).parents[1] / "peers" / "datatrove_minhash.py"

DAG = """
pipeline: deduplication
stages:
  documents:
    uses: corpus.documents
    with: {sources: ["FILE"], id_field: id, shard_rows: ROWS}
  near:
    uses: corpus.near_duplicates
    needs: {documents: documents}
    with: {similarity: SIMILARITY}
"""


def chapters() -> list[tuple[str, str]]:
    path = Path(os.environ["TOKENMILL_DATA"], "books", "standardebooks_10.parquet")
    rows = pq.read_table(path).to_pylist()
    return [(f"{row['book']}/{row['chapter']:04}", row["text"]) for row in rows]


def edited(text: str, share: float, chance: random.Random, words: list[str]) -> str:
    """A copy of a text, a share of whose words are others of the books."""
    made = text.split(" ")
    for place in chance.sample(range(len(made)), round(share * len(made))):
        made[place] = chance.choice(words)
    return " ".join(made)


def copies(texts: list[tuple[str, str]], share: float) -> list[tuple[str, str]]:
    chance = random.Random(share)
    words = sorted({word for _, text in texts[:100] for word in text.split()})
    return [(f"{id_}~{share:g}", edited(text, share, chance, words)) for id_, text in texts]


def write_lines(path: Path, texts: list[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for id_, text in texts:
            file.write(json.dumps({"id": id_, "text": text}) + "\n")


def run(folder: Path, file: Path, rows: int, *, workers: int = 1) -> tuple[dict[str, Any], float]:
    """A run of the DAG: its stages, and the most memory in MiB of a worker that has not read the
    documents, which is another stage."""
    dag = folder / "dag.yaml"
    text = DAG.replace("FILE", str(file)).replace("ROWS", str(rows))
    dag.write_text(text.replace("SIMILARITY", str(SIMILARITY)), encoding="utf-8")
    environment = {
        **os.environ,
        "TOKENMILL_STORE": str(folder / "store"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "run", str(dag), "--json", "--workers",
         str(workers)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    most: dict[int, float] = {}
    readers: set[int] = set()  # workers that have read the documents, which keeps their ids
    while process.poll() is None:
        for pid, title in workers_of(process.pid).items():
            most[pid] = max(most.get(pid, 0.0), own_memory(pid))
            if "ray::documents" in title:
                readers.add(pid)
        time.sleep(0.2)
    assert process.stdout is not None
    stages = json.loads(process.stdout.read())
    others = [memory for pid, memory in most.items() if pid not in readers]
    return {stage["name"]: stage for stage in stages}, max(others, default=float("nan"))


def workers_of(driver: int) -> dict[int, str]:
    """Ray's workers among the processes that a process has started, directly or not."""
    parents, names = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            names[int(path.name)] = (path / "cmdline").read_text()
        except (OSError, ValueError):
            continue
    found: dict[int, str] = {}
    waiting = [driver]
    while waiting:
        above = waiting.pop()
        below = [process for process, parent in parents.items() if parent == above]
        waiting += below
        found |= {process: names[process] for process in below if "ray::" in names.get(process, "")}
    return found


def own_memory(process: int) -> float:
    """Memory of a process in MiB, without what it shares: the object store."""
    try:
        _, resident, shared, *_ = map(int, Path(f"/proc/{process}/statm").read_text().split())
    except (OSError, ValueError):
        return 0.0
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 2**20


def rows_of(stage: dict[str, Any], output: str) -> Iterator[dict[str, Any]]:
    for path in sorted(Path(stage["outputs"][output]["path"]).glob("*.arrow")):
        yield from pa.ipc.open_file(path).read_all().to_pylist()


def jaccard(sets: ShingleSets, a: int, b: int) -> float:
    ends = np.concatenate([[0], sets.ends])
    one, other = (sets.values[ends[k] : ends[k + 1]] for k in (a, b))
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / max(1, len(one) + len(other) - shared)


def accuracy(texts: list[tuple[str, str]], folder: Path) -> str:
    lines = [
        "| words changed | pairs | J >= .5 | found | recall | different chapters joined |",
        "|---|---|---|---|---|---|",
    ]
    for share in SHARES:
        both = texts + copies(texts, share)
        here = folder / f"accuracy-{share:g}"
        here.mkdir()
        write_lines(here / "texts.jsonl", both)
        stages, _ = run(here, here / "texts.jsonl", 256)
        cluster = {id_: id_ for id_, _ in both}
        cluster |= {r["id"]: r["duplicate_of"] for r in rows_of(stages["near"], "dropped")}
        for id_ in cluster:  # a row may repeat one that itself repeats another
            while cluster[cluster[id_]] != cluster[id_]:
                cluster[id_] = cluster[cluster[id_]]
        sets = shingle_sets(pa.array([text for _, text in both]))
        true = [jaccard(sets, k, k + len(texts)) for k in range(len(texts))]
        joined = [cluster[a] == cluster[b] for (a, _), (b, _) in zip(both, both[len(texts) :],
                                                                     strict=False)]  # fmt: skip
        near = [found for found, j in zip(joined, true, strict=True) if j >= SIMILARITY]
        # The truth about different chapters: all pairs compared, in one group.
        ends = np.asarray(sets.ends)
        everything, _ = similar_clusters(
            np.zeros(len(both), np.int64), ShingleSets(sets.values, ends),
            np.argsort(np.argsort([id_ for id_, _ in both])).astype(np.int64),
            threshold=SIMILARITY,
        )  # fmt: skip
        truth = {id_: both[row][0] for (id_, _), row in zip(both, everything, strict=True)}
        wrong = sum(
            id_.partition("~")[0] != other.partition("~")[0] and truth[id_] != truth[other]
            for id_, other in cluster.items()
        )
        lines.append(
            f"| {share:.0%} | {len(true)} | {len(near)} | {sum(near)} | "
            f"{sum(near) / max(1, len(near)):.4f} | {wrong} |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines)


def throughput(texts: list[tuple[str, str]], folder: Path) -> str:
    both = texts + copies(texts, 0.02)
    source = folder / "lines"
    source.mkdir()
    write_lines(source / "texts.jsonl", both)
    size = sum(len(text.encode()) for _, text in both) / 1e6
    ours, alone, other = [], [], []
    for number in range(PAIRS + 1):  # the first pair warms up
        here = folder / f"speed-{number}"
        here.mkdir()
        stages, _ = run(here, source / "texts.jsonl", 256)
        done = subprocess.run(
            [sys.executable, str(PEER), str(source), str(here / "peer")],
            check=True, capture_output=True, text=True, cwd=here,
        )  # fmt: skip
        answer = json.loads(done.stdout.splitlines()[-1])
        ours.append(size / (stages["documents"]["seconds"] + stages["near"]["seconds"]))
        alone.append(size / stages["near"]["seconds"])
        other.append(size / answer["seconds"])
        kept = stages["near"]["outputs"]["documents"]["rows"]
        print(f"kept: ours {kept}, datatrove {len(answer['kept'])} of {len(both)}", flush=True)
    name = f"{len(both)} documents, {size:.0f} MB"
    return TABLE + "\n".join(
        [
            row(f"{name}: reading and near duplicates, 1 worker", ours[1:], "datatrove", other[1:],
                "MB/s"),
            row(f"{name}: near duplicates alone", alone[1:], "datatrove", other[1:], "MB/s"),
        ]
    )  # fmt: skip


def memory(texts: list[tuple[str, str]], folder: Path) -> str:
    words = [word for _, text in texts for word in text.split()]
    lines = ["| documents | MB of text | seconds | most memory of a worker, MiB |",
             "|---|---|---|---|"]  # fmt: skip
    for size in SIZES:
        chance = random.Random(size)
        made = []
        for number in range(size):
            at = chance.randrange(len(words) - 100)
            piece = made[-1][1] if number % 10 == 9 else " ".join(words[at : at + 100])
            made.append((f"{number:07}", piece + (" again" if number % 10 == 9 else "")))
        here = folder / f"memory-{size}"
        here.mkdir()
        write_lines(here / "texts.jsonl", made)
        text = sum(len(piece) for _, piece in made) / 1e6
        del made
        stages, most = run(here, here / "texts.jsonl", 2000, workers=2)
        seconds = stages["near"]["seconds"]
        lines.append(f"| {size:,} | {text:.0f} | {seconds:.0f} | {most:.0f} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def measure() -> str:
    """All figures, as Markdown."""
    texts = chapters()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = [throughput(texts, folder), accuracy(texts, folder), memory(texts, folder)]
    return (
        "`python -m benchmarks.parts.deduplication`\n\nShingles of 5 words, similarity .5, against "
        "datatrove's defaults (14 buckets of 8 hashes, 5-grams, white space), one core each; its "
        "bands find pairs from a similarity of about .7 on, ours from .5.\n\n" + "\n\n".join(parts)
    )


if __name__ == "__main__":
    print(measure())
