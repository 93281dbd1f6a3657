"""One word in two corpora: distances, their intervals, and what chance alone would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from operators.semantics.measures import (
    Floats,
    centroid_distances,
    jensen_shannon,
    prototype_distance,
    unit,
)

MEASURES = ("prt", "apd", "jsd")


@dataclass(frozen=True)
class Shift:
    """A measure of semantic change of one word.

    Attributes:
        value: as measured.
        low, high: percentile interval of the bootstrap over usages, not below 0; the bias of the
            bootstrap (its mean is above the value: a drawn sample has less variety) is taken off.
        expected: mean of the measure when usages change their corpus by chance.
        p_value: share of shuffles of usages, or of whole units, that give as much (>=); the
            measured division counts among them.
    """

    value: float
    low: float
    high: float
    expected: float
    p_value: float


def measure_shift(
    vectors: npt.ArrayLike,
    is_new: npt.ArrayLike,
    senses: npt.ArrayLike,
    *,
    units: Sequence[str] | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int,
) -> dict[str, Shift]:
    """PRT, APD and JSD of a word, with intervals and a permutation test.

    The distance of two samples is above 0 even where nothing has changed, and the more so the
    fewer usages there are. `expected` says how much of it chance gives (Liu, Medlar and Glowacka
    2021, D21-1567, test so): what is above it is change.

    Usages of one document resemble each other. With `units`, whole units change their corpus in the
    test, and whole units are drawn in the bootstrap: then what only tells two books apart is not
    taken for change. It needs several units in each corpus. `expected` is of single usages all the
    same: it ranks words better.

    Senses stay as they were found in all usages; the interval does not say how sure they are.

    Args:
        vectors: usages, [n, d].
        is_new: whether a usage is of the new corpus, bool [n].
        senses: of the usages, counted from 0, [n].
        units: what each usage belongs to (a document); None takes each usage by itself.
        resamples: of the bootstrap, and of the permutation.
        confidence: of the interval.
        seed: of both.

    Returns:
        "prt" (cosine distance of the centroids), "apd" (mean pairwise cosine distance) and "jsd"
        (bits, of the sense distributions).

    Raises:
        ValueError: shapes that differ, a corpus without usages, or settings out of range.
    """
    points = np.atleast_2d(np.asarray(vectors, dtype=np.float64))
    new = np.asarray(is_new, dtype=bool)
    labels = np.asarray(senses, dtype=np.int64)
    if not len(points) == len(new) == len(labels):
        raise ValueError(f"{len(points)} vectors, {len(new)} corpora and {len(labels)} senses")
    if new.all() or not new.any():
        raise ValueError("both corpora must have usages")
    if resamples < 1 or not 0 < confidence < 1:
        raise ValueError(f"resamples {resamples} and confidence {confidence} make no sense")
    names = [str(k) for k in range(len(points))] if units is None else list(units)
    # A unit is of one corpus: the same name in both is two units.
    keys = [f"{int(side)} {name}" for side, name in zip(new, names, strict=True)]
    _, members = np.unique(keys, return_inverse=True)
    sums = _Sums(points, labels, members)
    of_new = np.zeros(sums.size, bool)
    of_new[members[new]] = True

    generator = np.random.default_rng(seed)
    observed = sums.measures((~of_new).astype(float)[None], of_new.astype(float)[None])
    # Each side by itself: a product over both rounds differently on other processors, and usages
    # that are the same on both sides have not moved at all.
    observed["prt"] = np.array([prototype_distance(points[~new], points[new])])
    drawn = sums.measures(
        _draws(generator, resamples, ~of_new), _draws(generator, resamples, of_new)
    )
    tested = _shuffled(sums, of_new, generator, resamples)
    chance = tested
    if units is not None:
        alone = _Sums(points, labels, np.arange(len(points)))
        chance = _shuffled(alone, new, generator, resamples)
    tail = (1 - confidence) / 2
    made = {}
    for name in MEASURES:
        value = float(observed[name][0])
        bias = drawn[name].mean() - value
        low, high = np.maximum(np.quantile(drawn[name], [tail, 1 - tail]) - bias, 0.0)
        # A shuffle that happens to be the measured division differs from it by rounding.
        as_much = int((tested[name] >= value - 1e-12).sum())
        made[name] = Shift(
            value, float(low), float(high), float(chance[name].mean()),
            (as_much + 1) / (resamples + 1),
        )  # fmt: skip
    return made


class _Sums:
    """Sums over each unit, of which the measures of any weighting of units follow."""

    def __init__(
        self, points: Floats, labels: npt.NDArray[np.int64], members: npt.NDArray[np.intp]
    ) -> None:
        self.size = int(members.max()) + 1
        self.counts = np.bincount(members, minlength=self.size).astype(np.float64)
        self.vectors = np.zeros((self.size, points.shape[1]))
        self.units = np.zeros_like(self.vectors)
        self.senses = np.zeros((self.size, int(labels.max()) + 1))
        np.add.at(self.vectors, members, points)
        np.add.at(self.units, members, unit(points))
        np.add.at(self.senses, (members, labels), 1.0)

    def measures(self, old: Floats, new: Floats) -> dict[str, Floats]:
        """Of weights of units in the old and the new corpus, each [rounds, units]."""
        totals = [(weights @ self.counts)[:, None] for weights in (old, new)]
        means = [w @ self.vectors / n for w, n in zip((old, new), totals, strict=True)]
        units = [w @ self.units / n for w, n in zip((old, new), totals, strict=True)]
        shares = [w @ self.senses / n for w, n in zip((old, new), totals, strict=True)]
        return {
            "prt": centroid_distances(means[0], means[1]),
            "apd": 1 - (units[0] * units[1]).sum(axis=1),
            "jsd": jensen_shannon(shares[0], shares[1]),
        }


def _shuffled(
    sums: _Sums, is_new: npt.NDArray[np.bool_], generator: np.random.Generator, rounds: int
) -> dict[str, Floats]:
    """The measures after as many random divisions, with as many units in each corpus as before."""
    drawn = generator.permuted(np.tile(is_new, (rounds, 1)), axis=1)
    return sums.measures((~drawn).astype(float), drawn.astype(float))


def _draws(generator: np.random.Generator, rounds: int, among: npt.NDArray[np.bool_]) -> Floats:
    """How often each unit is drawn, with replacement, in as many draws as there are to choose."""
    chosen = np.flatnonzero(among)
    drawn = chosen[generator.integers(0, len(chosen), (rounds, len(chosen)))]
    drawn += np.arange(rounds)[:, None] * len(among)
    counts = np.bincount(drawn.ravel(), minlength=rounds * len(among))
    return counts.reshape(rounds, len(among)).astype(np.float64)
