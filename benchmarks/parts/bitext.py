"""Bitext mining without a downloaded model, on FLORES and the Declaration of Human Rights.

`python -m benchmarks.parts.bitext [LANGUAGE ...]`; the data lie in TOKENMILL_DATA. Settings of the
miner were chosen on rows 0-499 of FLORES dev alone (two folds of 250; deu, fra, rus, jpn, fin, arb,
zho_Hans, tha, hin, kor, zul, tir); rows 500-996 are looked at here only.
"""

from __future__ import annotations

import csv
import io
import lzma
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

ENGLISH = "eng_Latn"
WANTED = {"fra_Latn": 0.90, "deu_Latn": 0.80, "rus_Cyrl": 0.30, "jpn_Jpan": 0.30}
SEEDS = 500


def data() -> Path:
    folder = os.environ.get("TOKENMILL_DATA")
    if not folder:
        raise SystemExit("TOKENMILL_DATA is not set: there is nothing to measure on")
    return Path(folder)


def flores() -> dict[str, list[str]]:
    table = pq.read_table(data() / "flores_dev" / "flores200_dev_60.parquet")
    return {name: table.column(name).to_pylist() for name in table.column_names}


def retrieval(texts: dict[str, list[str]], language: str) -> tuple[float, float, float]:
    """P@1 by spelling alone, with 500 seeds, and when the miner teaches itself on the test part."""
    from operators.alignment import learn_miner, xsim

    pairs = list(zip(texts[ENGLISH], texts[language], strict=True))
    source, target = texts[ENGLISH][SEEDS:], texts[language][SEEDS:]
    found = []
    for miner in (
        learn_miner([], source=source, target=target, rounds=0),
        learn_miner(pairs[:SEEDS]),
        learn_miner(pairs[:SEEDS], source=source, target=target),
    ):
        vectors = miner.vectors(source, "source"), miner.vectors(target, "target")
        found.append(1 - xsim(*vectors))
    print(language, " ".join(f"{p:.3f}" for p in found), flush=True)
    return found[0], found[1], found[2]


def documents(texts: dict[str, list[str]]) -> str:
    """Articles of the Declaration as documents, a third of them missing on one side, shuffled."""
    from operators.alignment import learn_miner, pair_by_content

    packed = (data() / "udhr" / "udhr_articles.tsv.xz").read_bytes()
    raw = lzma.decompress(packed).decode("utf-8")
    versions: dict[str, dict[str, str]] = {}
    rows = csv.DictReader(io.StringIO(raw), delimiter="\t", quoting=csv.QUOTE_NONE)
    for row in rows:
        own = versions.setdefault(row["key"], {})
        own[row["unit"]] = f"{own.get(row['unit'], '')} {row['text']}".strip()
    keys = {"deu_Latn": "deu_1996", "fra_Latn": "fra", "spa_Latn": "spa", "rus_Cyrl": "rus",
            "ell_Grek": "ell_monotonic", "fin_Latn": "fin", "arb_Arab": "arb", "hin_Deva": "hin",
            "jpn_Jpan": "jpn", "zho_Hans": "cmn_hans", "tha_Thai": "tha",
            "zul_Latn": "zul"}  # fmt: skip
    lines = []
    for seeded in (True, False):
        right = found = there = 0
        for language, key in keys.items():
            if key not in versions:
                continue
            pairs = zip(texts[ENGLISH][:SEEDS], texts[language][:SEEDS], strict=True)
            units = [unit for unit in versions["eng"] if unit in versions[key]]
            order = np.random.default_rng(0).permutation(len(units))[: 2 * len(units) // 3]
            source = [versions["eng"][unit] for unit in units]
            target = [versions[key][units[n]] for n in order]
            miner = learn_miner(list(pairs) if seeded else [], source=source, target=target)
            vectors = miner.vectors(source, "source"), miner.vectors(target, "target")
            pairs_found = pair_by_content(*vectors, threshold=1.05)
            right += sum(order[pair.target] == pair.source for pair in pairs_found)
            found += len(pairs_found)
            there += len(order)
        name = "500 seed pairs of FLORES" if seeded else "no seeds, by spelling and numbers"
        lines.append(f"| {name} | {right / max(found, 1):.3f} | {right / there:.3f} | {there} |")
        print(lines[-1], flush=True)
    return (
        "Document alignment: articles of the Declaration of Human Rights in 12 languages against "
        "the English ones, shuffled, a third of the other side missing, margin > 1.05:\n\n"
        "| miner | precision | recall | pairs there are |\n|---|---|---|---|\n" + "\n".join(lines)
    )


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def speed(texts: dict[str, list[str]], size: int = 10_000) -> str:
    """Made-up sentences out of the words of FLORES: how fast, and in how much memory."""
    from operators.alignment import learn_miner, mine_bitext

    miner = learn_miner(list(zip(texts[ENGLISH][:SEEDS], texts["deu_Latn"][:SEEDS], strict=True)))
    chance = np.random.default_rng(0)
    made = []
    for language in (ENGLISH, "deu_Latn"):
        words = np.array(" ".join(texts[language]).split())
        made.append([" ".join(words[chance.integers(0, len(words), 20)]) for _ in range(size)])
    miner.vectors(made[0][:100], "source")
    began = time.perf_counter()
    vectors = miner.vectors(made[0], "source"), miner.vectors(made[1], "target")
    made_in = time.perf_counter() - began
    mined_in = timed(lambda: mine_bitext(*vectors, threshold=1.1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    said = (
        f"{size:,} x {size:,} made-up sentences (English words, German words), 500 seeds, one "
        f"thread: vectors {2 * size / made_in:,.0f} sentences/s, search in both directions "
        f"{mined_in:.0f} s, {2 * size / (made_in + mined_in):,.0f} sentences/s over all; peak "
        f"memory of the process {peak:.1f} GiB."
    )
    print(said, flush=True)
    return said


def dense_speed(size: int = 20_000, width: int = 512) -> str:
    """`mine_bitext` on dense vectors beside FAISS' exact search, where that is installed."""
    try:
        import faiss
    except ImportError:
        return ""
    from operators.alignment import mine_bitext

    faiss.omp_set_num_threads(1)
    chance = np.random.default_rng(0)
    x, y = (chance.standard_normal((size, width)).astype(np.float32) for _ in range(2))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y /= np.linalg.norm(y, axis=1, keepdims=True)

    def search() -> None:
        for left, right in ((x, y), (y, x)):
            index = faiss.IndexFlatIP(width)
            index.add(right)
            index.search(left, 4)

    pairs = [(timed(lambda: mine_bitext(x, y)), timed(search)) for _ in range(3)]
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratios = [a / b for a, b in pairs]
    return (
        f"`mine_bitext` on {size:,} x {size:,} dense vectors of {width}: {ours:.1f} s; faiss-cpu's "
        f"exact search alone, both directions, {theirs:.1f} s; ratio "
        f"{statistics.median(ratios):.2f} "
        f"({min(ratios):.2f}-{max(ratios):.2f}, 3 pairs)."
    )


def measure(languages: Sequence[str] = ()) -> str:
    texts = flores()
    chosen = list(languages) or [name for name in texts if name != ENGLISH]
    found = {language: retrieval(texts, language) for language in chosen}
    head = "| language | spelling alone | 500 seeds | and teaching itself | wanted |"
    lines = [
        f"| {name} | {a:.3f} | {b:.3f} | {c:.3f} | {WANTED.get(name, '')} |"
        for name, (a, b, c) in found.items()
    ]
    mean = [statistics.mean(column) for column in zip(*found.values(), strict=True)]
    lines.append(f"| mean of {len(found)} | {mean[0]:.3f} | {mean[1]:.3f} | {mean[2]:.3f} | |")
    return "\n\n".join(
        part
        for part in (
            "P@1 of English sentences 500-996 of FLORES dev among the 497 of the other language "
            "(ratio margin, k = 4), learnt from rows 0-499, no downloaded model. "
            "*Teaching itself*: the unpaired sentences of the test part were there to learn from.",
            "\n".join([head, "|---|---|---|---|---|", *lines]),
            documents(texts),
            speed(texts),
            dense_speed(),
        )
        if part
    )


if __name__ == "__main__":
    print(measure(sys.argv[1:]))
