"""Planted semantic change, and the statistics of synthetic code-switched sentences.

    python -m benchmarks.parts.semantics

**Change.** Chapters of English novels are divided at random into an old and a modern half, so that
nothing has changed. Then pseudo-words are planted: one that stands for A in the old half and, with
probability p, for B of the same frequency in the modern one; and controls that stand for A in both.
AUC is the chance that a planted word ranks above a control. Beside: PRT of context vectors with
both sides in one (Schütze 1998; weights as ours) without centring or chance level, and PPMI-SVD
vectors aligned by Procrustes (Hamilton et al. 2016).

**Code-switching.** Learner sentences with a phrase in Chinese; share of the second language and
switch points, beside the statistics of real learners (Chan et al. 2024).
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

CHAPTERS, PAIRS, LIMIT = 300, 20, 100
SEEDS = (11, 12, 13)


def planted(
    texts: Sequence[str], seed: int, probability: float
) -> tuple[list[str], list[str], list[str], list[str]]:
    """Old and modern texts, planted words, control words."""
    chance = np.random.default_rng(seed)
    picked = [texts[int(k)] for k in chance.permutation(len(texts))[:CHAPTERS]]
    halves = (picked[: CHAPTERS // 2], picked[CHAPTERS // 2 :])
    counts = [Counter(re.findall(r"\b[a-z]{4,}\b", " ".join(half).lower())) for half in halves]
    rarer = {word: min(count[word] for count in counts) for word in counts[0]}
    words = sorted((w for w, n in rarer.items() if 60 <= n <= 400), key=lambda w: (rarer[w], w))
    places = [int(k) for k in chance.permutation(len(words) // 2)[: 2 * PAIRS]]
    into: tuple[dict[str, tuple[str, float]], ...] = ({}, {})
    for number, place in enumerate(places):
        first, second = words[2 * place : 2 * place + 2]
        name = f"qz{number}"
        into[0][first] = (name, 1.0)
        if number < PAIRS:
            into[1][first], into[1][second] = (name, 1 - probability), (name, probability)
        else:
            into[1][first] = (name, 1.0)

    def replace(text: str, table: dict[str, tuple[str, float]]) -> str:
        def one(match: re.Match[str]) -> str:
            name, share = table.get(match[0].lower(), ("", 0.0))
            return name if chance.random() < share else match[0]

        return re.sub(r"\b[A-Za-z]{4,}\b", one, text)

    old, modern = ([replace(text, table) for text in half]
                   for half, table in zip(halves, into, strict=True))  # fmt: skip
    names = [f"qz{number}" for number in range(2 * PAIRS)]
    return old, modern, names[:PAIRS], names[PAIRS:]


def auc(changed: Sequence[float], same: Sequence[float]) -> float:
    """Chance that one of the first is above one of the second; equals count half."""
    a, b = np.asarray(changed)[:, None], np.asarray(same)[None]
    return float(((a > b) + 0.5 * (a == b)).mean())


def score(texts: Sequence[str], seed: int, probability: float) -> dict[str, float]:
    """AUC of each method, and the share of each kind with q <= 0.05."""
    from operators.semantics import (
        HashSample,
        align_spaces,
        cooccurrences,
        count_space,
        find_usages,
        measure_shift,
        numbered,
        ppmi,
        prototype_distance,
        tokenize,
        truncated_svd,
        usage_pattern,
        vocabulary,
    )
    from operators.semantics.measures import centroid_distances

    old, modern, changed, same = planted(texts, seed, probability)
    pattern, forms = usage_pattern([*changed, *same])
    samples = {(w, side): HashSample(LIMIT, seed) for w in forms for side in (0, 1)}
    for side, half in enumerate((old, modern)):
        for number, text in enumerate(half):
            for usage in find_usages(text, pattern, forms, reach=300):
                samples[usage.word, side].add(
                    f"{side}:{number}:{usage.start}", (side, usage, number)
                )
    rows = [
        row
        for word in [*changed, *same]
        for side in (0, 1)
        for row in samples[word, side].chosen(min(samples[word, k].seen for k in (0, 1)))
    ]
    frames = [tokenize(half) for half in (old, modern)]
    words = vocabulary(frames, largest=10_000, min_count=5)
    tokens = [numbered(frame, words) for frame in frames]
    contexts = [usage.context for _, usage, _ in rows]
    spans = [(usage.at, usage.to) for _, usage, _ in rows]
    side = np.array([side for side, _, _ in rows])
    chapter = np.array([str(number) for _, _, number in rows])
    word = np.array([usage.word for _, usage, _ in rows])

    space = count_space(tokens, words, dimensions=100, window=2)
    ours = space.usage_vectors(contexts, spans, window=5)
    for half in (0, 1):
        ours[side == half] -= ours[side == half].mean(axis=0)
    wide = count_space(tokens, words, dimensions=100, window=5)
    both = wide.usage_vectors(contexts, spans, window=5)
    plain = both[:, :100] + both[:, 100:]
    spaces = [
        truncated_svd(ppmi(cooccurrences(some, len(words), window=5)), 100) for some in tokens
    ]
    turned = centroid_distances(align_spaces(*spaces), spaces[1])
    place = {w: k for k, w in enumerate(words)}

    found: dict[str, dict[str, float]] = {}
    sizes = []
    for name in [*changed, *same]:
        mine = word == name
        shifts = measure_shift(ours[mine], side[mine] == 1, np.zeros(mine.sum(), int),
                               resamples=500, seed=seed)  # fmt: skip
        prt = shifts["prt"]
        by_chapter = measure_shift(
            ours[mine], side[mine] == 1, np.zeros(mine.sum(), int), units=list(chapter[mine]),
            resamples=500, seed=seed,
        )["prt"]  # fmt: skip
        sizes.append(int(mine.sum()))
        found[name] = {
            "ours": prt.value - prt.expected,
            "ours, PRT without chance level": prt.value,
            "ours, APD without chance level": shifts["apd"].value,
            "p": prt.p_value,
            "p by chapter": by_chapter.p_value,
            "plain PRT": prototype_distance(plain[mine & (side == 0)], plain[mine & (side == 1)]),
            "Procrustes": float(turned[place[name]]),
        }
    made = {
        method: auc([found[w][method] for w in changed], [found[w][method] for w in same])
        for method in found[changed[0]]
        if not method.startswith("p ") and method != "p"
    }
    for kind, members in (("changed", changed), ("same", same)):
        for test in ("p", "p by chapter"):
            share = float(np.mean([found[w][test] <= 0.05 for w in members]))
            made[f"{test} <= 0.05 of {kind}"] = share
    of_same = [found[w]["ours"] for w in same]
    made["rank correlation with frequency"] = _spearman(of_same, sizes[PAIRS:])
    return made


def _spearman(a: Sequence[float], b: Sequence[float]) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)


def change(folder: Path) -> list[str]:
    path = folder / "books" / "standardebooks_10.parquet"
    texts = pq.read_table(path).column("text").to_pylist()
    lines: list[str] = []
    for probability in (0.25, 0.5, 1.0):
        began = time.perf_counter()
        runs = [score(texts, seed, probability) for seed in SEEDS]
        seconds = (time.perf_counter() - began) / len(runs)
        if not lines:
            lines = [f"| p | {' | '.join(runs[0])} |", "|---|" + "---|" * len(runs[0])]
        cells = []
        for name in runs[0]:
            values = [run[name] for run in runs]
            cells.append(f"{np.mean(values):.3f} ({min(values):.2f} to {max(values):.2f})")
        lines.append(f"| {probability} | {' | '.join(cells)} |")
        print(lines[-1], f"{seconds:.0f} s a seed", flush=True)
    return lines


def mixing() -> list[str]:
    """The sample's own sentences, each method, with shares drawn as learners of Chinese write."""
    from importlib import resources

    from operators.correction import (
        LEARNERS,
        METHODS,
        PhraseTable,
        invert,
        marker_chunks,
        parse_m2,
        switch_language,
        switch_points,
        words_of,
    )

    sample = resources.files("stages") / "learner_english"
    lines = (sample / "sentences.m2").read_text(encoding="utf-8").split("\n")
    sentences = [invert(sentence) for sentence in parse_m2(lines)]
    glossary = (sample / "glossary.zho_Hans.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in glossary]
    table = PhraseTable.from_counts(
        [(tuple(words_of(a)), tuple(words_of(b, "zho_Hans")), 1.0) for a, b in pairs],
        is_spaced=False,
    )
    target = LEARNERS["zho"]

    def everything(tokens: Sequence[str]) -> list[str]:
        return [f"L2:{token}" for token in tokens]

    made = [
        "| selection | translation | sentences changed | L2 share, mean | std | switch points | "
        "errors put back |",
        "|---|---|---|---|---|---|---|",
        f"| real learners | | | {target.ratio:.3f} | {target.english_std:.3f} | | |",
    ]
    for method in METHODS:
        if method == "noun-token":
            continue  # needs parses
        for name, translate in (("glossary", table), ("every word", everything)):
            ratios, points, kept, errors = [], [], 0, 0
            for seed in range(20):
                for number, sentence in enumerate(sentences):
                    generator = np.random.default_rng([seed, number])
                    switched = switch_language(
                        sentence, translate, method=method, ratio=target.draw(generator),
                        phrases=marker_chunks(sentence.tokens), generator=generator,
                    )  # fmt: skip
                    kept += len(switched.kept)
                    errors += len(sentence.edits)
                    if switched.spans:
                        ratios.append(np.mean(switched.is_switched))
                        points.append(switch_points(switched.is_switched))
            made.append(
                f"| {method} | {name} | {len(ratios) / (20 * len(sentences)):.2f} | "
                f"{np.mean(ratios):.3f} | {np.std(ratios):.3f} | {np.mean(points):.2f} | "
                f"{kept / errors:.2f} |"
            )
            print(made[-1], flush=True)
    return made


def measure() -> str:
    data = os.environ.get("TOKENMILL_DATA")
    parts = ["Planted change (AUC; mean and range over 3 seeds, 20 planted words and 20 controls, "
             "up to 100 usages a half):", ""]  # fmt: skip
    parts += change(Path(data)) if data else ["TOKENMILL_DATA is not set: not measured."]
    parts += ["", "Code-switched sentences (the sample's 64, 20 draws each):", "", *mixing()]
    return "\n".join(parts)


if __name__ == "__main__":
    print(measure())
