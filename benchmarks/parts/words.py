"""Word alignment on 1,164 English-Swedish pairs with hand-made links, trained on them alone.

`python -m benchmarks.parts.words`; the data lie in TOKENMILL_DATA. eflomal is measured beside where
it is installed (`pip install eflomal`); the figures of the data's README are told either way.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Links = list[set[tuple[int, int]]]
ROUNDS = 3
SIZES = (1, 8)


def read() -> tuple[list[tuple[list[str], list[str]]], Links]:
    folder = os.environ.get("TOKENMILL_DATA")
    if not folder:
        raise SystemExit("TOKENMILL_DATA is not set: there is nothing to measure on")
    path = Path(folder) / "word_alignment" / "en-sv.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [(row["src_words"], row["tgt_words"]) for row in rows]
    return pairs, [{(i, j) for i, j in row["alignment"]} for row in rows]


def eflomal() -> Callable[[Sequence[Any]], Links] | None:
    try:
        from eflomal import Aligner
    except ImportError:
        return None
    from operators.alignment import symmetrize

    def align(pairs: Sequence[Any]) -> Links:
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder, name) for name in ("forward", "backward")]
            sides = [[" ".join(pair[side]) for pair in pairs] for side in (0, 1)]
            Aligner().align(*sides, links_filename_fwd=str(files[0]),
                            links_filename_rev=str(files[1]), quiet=True)  # fmt: skip
            found = []
            for file in files:
                lines = file.read_text().split("\n")[: len(pairs)]
                found.append([{(int(a), int(b)) for a, b in (link.split("-") for link in
                               line.split())} for line in lines])  # fmt: skip
        return [symmetrize(f, b, "grow-diag-final-and") for f, b in zip(*found, strict=True)]

    return align


def measure() -> str:
    from operators.alignment import align_words, alignment_error_rate

    pairs, gold = read()
    aligners: dict[str, Callable[[Sequence[Any]], Links]] = {
        "hmm": lambda given: align_words(given, method="hmm"),
        "fast_align": lambda given: align_words(given, method="fast_align"),
        "ibm1": lambda given: align_words(given, method="ibm1"),
    }
    if (other := eflomal()) is not None:
        aligners["eflomal, the program"] = other
    lines = []
    for name, align in aligners.items():
        align(pairs[:50])  # compiles, and does not count
        rate = alignment_error_rate(align(pairs), gold)
        speeds = []
        for size in SIZES:
            seconds = []
            for _ in range(ROUNDS):
                began = time.process_time()
                align(pairs * size)
                seconds.append(time.process_time() - began)
            speeds.append(size * len(pairs) / statistics.median(seconds))
        said = " | ".join(f"{speed:,.0f}" if "program" not in name else "" for speed in speeds)
        lines.append(
            f"| {name} | {rate.aer:.4f} | {rate.precision:.3f} | {rate.recall:.3f} | {said} |"
        )
        print(lines[-1], flush=True)
    return (
        "1,164 English-Swedish pairs of 21 words a side, trained on these alone; pairs a second of "
        "processor time (one core), all of it: training in both directions, symmetrisation, links; "
        "once over the pairs, and over eight copies of them. With the programs themselves: "
        "fast_align .362, eflomal .262 (README of the data, best symmetrisation each). The time of "
        "eflomal is that of another process and is not shown.\n\n"
        "| method | AER | precision | recall | pairs/s | pairs/s, eight copies |\n"
        "|---|---|---|---|---|---|\n" + "\n".join(lines)
    )


if __name__ == "__main__":
    print(measure())
