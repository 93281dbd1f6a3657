"""Sentence alignment beside peers, on hand-made gold, and how its cost grows.

    python -m benchmarks.parts.sentences     prints a section for RESULTS.md; needs TOKENMILL_DATA

Peers: nltk's `gale_church` (pip install nltk), if it is installed. hunalign, vecalign and Bleualign
are on no package index; of hunalign and Bleualign the figures of the data's README are quoted.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

from operators.alignment import Bead, align_sentences, score_beads, split_sentences

DOCUMENTS = ("textberg_de-fr_dev/dev", "maligna_pl-x/gpl", "maligna_pl-x/poznan-oracle",
             "maligna_pl-x/poznan", "maligna_pl-x/stallman-ch1")  # fmt: skip
SIZES = (1_000, 7_200, 33_000)
Text = tuple[list[str], list[str], list[Bead]]


def document(name: str) -> Text:
    stem = Path(os.environ["TOKENMILL_DATA"], "sentence_alignment", name)
    source, target, gold = (
        stem.with_suffix(suffix).read_text(encoding="utf-8").removesuffix("\n").split("\n")
        for suffix in (".src", ".tgt", ".gold")
    )
    sides = [[tuple(json.loads(side)) for side in line.split(":")] for line in gold]
    return source, target, [Bead(*bead) for bead in sides]


def nltk_beads(source: list[str], target: list[str]) -> list[Bead] | None:
    """Linked positions of nltk, those that share one as one bead."""
    try:
        from nltk.translate.gale_church import align_blocks
    except ImportError:
        return None
    beads: list[tuple[set[int], set[int]]] = []
    for i, j in align_blocks([len(s) for s in source], [len(t) for t in target]):
        if beads and (i in beads[-1][0] or j in beads[-1][1]):
            beads[-1][0].add(i)
            beads[-1][1].add(j)
        else:
            beads.append(({i}, {j}))
    return [Bead(tuple(sorted(a)), tuple(sorted(b))) for a, b in beads]


def bitext(size: int) -> Text:
    """English sentences and a made-up translation: words through a random dictionary, some left
    out, exchanged or swapped; sentences left out, added, joined and divided."""
    import pyarrow.parquet as pq

    path = Path(os.environ["TOKENMILL_DATA"], "books", "standardebooks_10.parquet")
    english: list[str] = []
    for text in pq.read_table(path, columns=["text"])["text"].to_pylist():
        for paragraph in text.split("\n"):
            english += split_sentences(paragraph, "eng_Latn") if paragraph.strip() else []
        if len(english) >= size:
            break
    draw = random.Random(0)
    word = re.compile(r"\w+|[^\w\s]")
    lower = {w for s in english for w in word.findall(s) if w.islower()}
    other: dict[str, str] = {}

    def foreign(token: str) -> str:
        key = token.casefold()
        if not key[0].isalpha() or (token[0].isupper() and key not in lower):
            return token  # signs, numbers, names
        if key not in other:
            other[key] = "".join(
                draw.choice("bdfgklmnprstvz") + draw.choice("aeiou")
                for _ in range(max(1, round(len(key) / 2 + draw.gauss(0, 0.5))))
            )
        return other[key]

    def translate(sentence: str) -> str:
        words: list[str] = []
        for token in word.findall(sentence):
            chance = draw.random()
            if chance < 0.075:
                continue
            words.append(foreign(token if chance > 0.15 else draw.choice(("so", "then", "well"))))
            if len(words) > 1 and draw.random() < 0.2:
                words[-2:] = words[:-3:-1]
        return " ".join(words) or "ka"

    source: list[str] = []
    target: list[str] = []
    gold: list[Bead] = []
    rest = iter(english[:size])
    for one in rest:
        chance = draw.random()
        two = next(rest, None) if 0.06 <= chance < 0.2 else None
        left = [one] if two is None else [one, two]
        right = [translate(s) for s in left]
        if chance < 0.03:
            right = []
        elif chance < 0.06:
            left = []
        elif two is not None and chance < 0.12:
            right = [" ".join(right)]
        elif two is not None:
            left = [" ".join(left)]
        i, j = len(source), len(target)
        gold.append(Bead(tuple(range(i, i + len(left))), tuple(range(j, j + len(right)))))
        source += left
        target += right
    return source, target, gold


def cost(method: str, size: int) -> str:
    """Measured in a process of its own, for its memory: a row of the table."""
    import resource

    align_sentences(["a b", "c"], ["a b", "c"], method=method)  # type: ignore[arg-type]
    source, target, gold = bitext(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began, wall = time.process_time(), time.perf_counter()
    beads = align_sentences(source, target, method=method)  # type: ignore[arg-type]
    seconds, wall = time.process_time() - began, time.perf_counter() - wall
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    scores = score_beads([beads], [gold])
    return (f"| {method} | {len(source):,} x {len(target):,} | {seconds:.1f} | {wall:.1f} | "
            f"{1e3 * seconds / len(source):.2f} | {most:.0f} ({before:.0f} before) | "
            f"{scores.strict_f1:.3f} |")  # fmt: skip


def measure() -> str:
    rows = []
    for name in DOCUMENTS:
        source, target, gold = document(name)
        found = {
            "lexical": align_sentences(source, target, method="lexical"),
            "length": align_sentences(source, target, method="length"),
            "nltk": nltk_beads(source, target),
        }
        cells = []
        for beads in found.values():
            scores = None if beads is None else score_beads([beads], [gold])
            cells.append(f"{scores.strict_f1:.3f} / {scores.lax_f1:.3f}" if scores else "-")
        rows.append(f"| {name} | {len(source)} x {len(target)} | {' | '.join(cells)} |")
        print(rows[-1], flush=True)
    costs = []
    for method in ("length", "lexical"):
        for size in SIZES:
            program = (
                f"from benchmarks.parts.sentences import cost; print(cost({method!r}, {size}))"
            )
            ran = subprocess.run(
                [sys.executable, "-c", program], capture_output=True, text=True, check=True
            )
            costs.append(ran.stdout.strip())
            print(costs[-1], flush=True)
    return (
        "Strict / lax F1 by hand-made gold, the two texts being all that is known. On textberg,"
        " by the README of the data: hunalign without a dictionary .699 / .924, Bleualign with"
        " machine translation .742 strict.\n\n"
        "| document | sentences | lexical | length | nltk's Gale-Church |\n|---|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n\nCost, one core: English books and a translation through a random dictionary.\n\n"
        "| method | sentences | CPU s | wall s | CPU ms a sentence | most MiB | strict F1 |\n"
        "|---|---|---|---|---|---|---|\n" + "\n".join(costs)
    )


if __name__ == "__main__":
    print(measure())
