"""How often the intervals of a comparison hold the truth, by simulation.

    OMP_NUM_THREADS=1 python -m benchmarks.bootstrap_coverage    all of it, 12 minutes on 2 cores;
                                                                 rewrites its section of RESULTS.md
    python -m benchmarks.bootstrap_coverage --trials 100         quickly, printed only

Without OMP_NUM_THREADS=1 the threads of each process get in the way of the other's.

Resamples are as many as a report draws: the fewer they are, the farther out the ends of an interval
are set for safety. A share of 1,000 trials is known to within 1.6 points, so all sizes of a world
are told together, too. What is outside of the band is told as it is: to measure it again, and only
it, would mend failures and never take a success back.

The value of a document is a difference between two arms: a seed's effect, a document's, and what is
left over, in thousandths of a bit per byte. Documents have sizes of a log-normal, and values that
are normal, or of an exponential: skewed. Beside ours stands the percentile bootstrap that draws
documents and seeds again, which was used before.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.results import write_section
from operators.evaluation.bootstrap import compare_arms, verdict
from operators.evaluation.paired_draws import PairedScores

TRIALS, RESAMPLES, BESIDE = 1000, 10_000, 5
ALLOWED = (0.93, 0.97)
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """What differences between two arms are made of, in thousandths of a bit per byte.

    Attributes:
        seeds_vary: standard deviation of a seed's effect.
        documents_vary: of a document's effect; 0 for arms that are trained alike.
        rest: of what is left over.
        skewed: whether effects are exponential, and sizes vary more.
    """

    name: str
    seeds_vary: float
    documents_vary: float
    rest: float
    skewed: bool = False

    def draw(self, seeds: int, documents: int, chance: np.random.Generator) -> tuple[Array, Array]:
        """Differences [seeds, documents] with the true mean 0, and sizes [documents]."""

        def effects(*shape: int) -> Array:
            if self.skewed:
                return np.asarray(chance.exponential(1.0, shape) - 1)
            return np.asarray(chance.standard_normal(shape))

        values = self.seeds_vary * chance.standard_normal((seeds, 1))
        values = values + self.documents_vary * effects(documents)
        values = values + self.rest * effects(seeds, documents)
        return values / 1000, chance.lognormal(7, 1.0 if self.skewed else 0.5, documents)


WORLDS = (
    World("seeds vary little", 1, 20, 10),
    World("seeds as much as documents", 2, 20, 10),
    World("seeds vary much", 20, 20, 10),
    World("skewed, seeds vary little", 1, 20, 10, skewed=True),
    World("skewed, seeds vary much", 20, 20, 10, skewed=True),
    World("both alike", 6, 40, 10),
)
# Arms beside the baseline, how much seeds vary, seeds, documents.
IDENTICAL = (
    (1, 5, 3, 50), (1, 5, 3, 500), (1, 5, 5, 100), (1, 5, 10, 100), (1, 0, 3, 100), (1, 0, 10, 100),
    (3, 5, 3, 100), (3, 5, 5, 100), (8, 5, 5, 100),
)  # fmt: skip
SIZES = ((3, 50), (3, 500), (5, 50), (5, 200), (10, 50), (10, 200))


def percentile_bootstrap(
    values: Array, weights: Array, resamples: int, seed: int
) -> tuple[float, float]:
    """The 95 % interval of documents and seeds drawn again with replacement."""
    seeds, documents = values.shape
    chance = np.random.default_rng(seed)
    drawn = chance.multinomial(documents, np.full(documents, 1 / documents), resamples)
    of_seeds = chance.multinomial(seeds, np.full(seeds, 1 / seeds), resamples) / seeds
    pooled = (drawn @ (values * weights).T) / (drawn @ weights)[:, None]
    low, high = np.quantile((pooled * of_seeds).sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


def coverage(world: World, seeds: int, documents: int, trials: int) -> tuple[float, float]:
    """The share of trials whose interval holds the truth; beside it, that of the percentiles."""
    chance = np.random.default_rng([seeds, documents, *world.name.encode()])
    ours, theirs = [], []
    for trial in range(trials):
        differences, sizes = world.draw(seeds, documents, chance)
        base = 2 + 0.3 * chance.standard_normal((seeds, documents))
        sample = PairedScores(np.stack([base, base + differences]), sizes)
        ((_, arm),) = compare_arms([sample], baseline=0, resamples=RESAMPLES, seed=trial)
        ours.append(arm.difference_low <= 0 <= arm.difference_high)
        if trial % BESIDE == 0:
            low, high = percentile_bootstrap(differences, sizes, RESAMPLES, trial)
            theirs.append(low <= 0 <= high)
    return float(np.mean(ours)), float(np.mean(theirs))


def no_verdict(
    arms: int, vary: int, seeds: int, documents: int, trials: int
) -> tuple[float, float]:
    """Of identical arms and a baseline: trials without any verdict; beside it, uncorrected."""
    chance = np.random.default_rng([arms, vary, seeds, documents])
    silent, alone = [], []
    for trial in range(trials):
        by_seed = vary / 1000 * chance.standard_normal((arms + 1, seeds, 1))
        values = 2 + 0.3 * chance.standard_normal(documents) + by_seed
        values = values + 0.02 * chance.standard_normal((arms + 1, seeds, documents))
        sample = PairedScores(values, chance.lognormal(7, 0.5, documents))
        (compared,) = compare_arms([sample], baseline=0, resamples=RESAMPLES, seed=trial)
        silent.append(all(verdict(arm) == "undecided" for arm in compared))
        alone.append(all(arm.difference_low <= 0 <= arm.difference_high for arm in compared))
    return float(np.mean(silent)), float(np.mean(alone))


def measure(trials: int = TRIALS) -> str:
    """The tables, in Markdown."""
    worlds = [(world, *size, trials) for world in WORLDS for size in SIZES]
    alike = [(*setting, trials) for setting in IDENTICAL]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        held = list(_each(pool, coverage, worlds))
        silent = list(_each(pool, no_verdict, alike))
    shares = [ours for ours, _ in held]
    outside = sum(not ALLOWED[0] <= share <= ALLOWED[1] for share in shares)
    lines = [
        f"Of {trials} simulated comparisons, how many have a 95 % interval that holds the truth "
        "(allowed: 93-97 %). Beside it, in every fifth of them, the percentile bootstrap over "
        "documents and seeds, which was used before. Standard deviations of the effects of seeds, "
        "of documents, and of what is left over, in thousandths of a bit per byte. 50 documents of "
        "the skewed worlds weigh as much as some 18 alike, which the report warns of.",
        "",
        f"Outside of the band: {outside} of {len(shares)} shares ({min(shares):.1%} to "
        f"{max(shares):.1%}).",
        "",
        "| effects | seeds / documents / rest | seeds | documents | held | percentiles |",
        "|---|---|---|---|---|---|",
    ]
    for (world, seeds, documents, _), found in zip(worlds, held, strict=True):
        spread = f"{world.seeds_vary:g} / {world.documents_vary:g} / {world.rest:g}"
        lines.append(f"| {world.name} | {spread} | {seeds} | {documents} | {_told(found)} |")
    lines += ["", f"All sizes together, {trials * len(SIZES)} trials:", ""]
    lines += ["| effects | held | percentiles |", "|---|---|---|"]
    for number, world in enumerate(WORLDS):
        sizes = np.array(held[number * len(SIZES) : (number + 1) * len(SIZES)])
        lines.append(f"| {world.name} | {_told(sizes.mean(axis=0))} |")
    lines += [
        "",
        "Arms of the same distribution as their baseline: trials in which none gets a verdict "
        "(wanted: 95 % at least), with the correction for many comparisons and, in the last "
        "column, without. Seeds vary by so much, what is left over by 20. Where seeds do nothing "
        "at all the intervals are wider than they need be.",
        "",
        "| arms | seeds vary | seeds | documents | no verdict | uncorrected |",
        "|---|---|---|---|---|---|",
    ]
    for (arms, vary, seeds, documents, _), found in zip(alike, silent, strict=True):
        lines.append(f"| {arms} | {vary} | {seeds} | {documents} | {_told(found)} |")
    return "\n".join(lines)


def _each(
    pool: ProcessPoolExecutor,
    one: Callable[..., tuple[float, float]],
    settings: Sequence[tuple[object, ...]],
) -> Iterator[tuple[float, float]]:
    found = pool.map(one, *zip(*settings, strict=True))
    for setting, shares in zip(settings, found, strict=True):
        print(*setting, _told(shares), sep=" | ", flush=True)
        yield shares


def _told(shares: Iterable[float]) -> str:
    return " | ".join(f"{share:.1%}" for share in shares)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bootstrap_coverage")
    parser.add_argument("--trials", type=int, default=TRIALS, help="of each row")
    trials = parser.parse_args().trials
    text = measure(trials)
    if trials == TRIALS:
        name = "Comparison: coverage of the intervals"
        write_section(
            name, f"`OMP_NUM_THREADS=1 python -m benchmarks.bootstrap_coverage`\n\n{text}"
        )
    else:
        print(text)


if __name__ == "__main__":
    main()
