"""What code-switched text is like: switch points, share of the second language, real learners."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Learners:
    """The share of English in the code-switched writing of learners of one first language.

    Attributes:
        english_mean, english_std: over sentences of Lang-8 (Chan et al. 2024).
    """

    english_mean: float
    english_std: float

    @property
    def ratio(self) -> float:
        """Mean share of the other language."""
        return 1 - self.english_mean

    def density(self, ratio: float) -> float:
        """Of the normal distribution with this mean and spread, at a share of the other language.

        It ranks candidates: the more learners would write so, the higher it is.
        """
        deviation = (ratio - self.ratio) / self.english_std
        return math.exp(-(deviation**2) / 2) / (self.english_std * math.sqrt(2 * math.pi))

    def draw(self, generator: np.random.Generator) -> float:
        """A share of the other language, in [0, 1], with this mean and spread.

        From a beta distribution with the same two moments: a normal one reaches below 0, and cut
        off there its mean would be another.
        """
        mean, variance = self.ratio, self.english_std**2
        size = mean * (1 - mean) / variance - 1
        return float(generator.beta(mean * size, (1 - mean) * size))


# By the learners' first language (Chan et al. 2024, comments of the authors' code).
LEARNERS = {
    "zho": Learners(0.846, 0.130),
    "kor": Learners(0.796, 0.167),
    "jpn": Learners(0.735, 0.165),
}


def switch_points(tags: Sequence[object]) -> int:
    """How often the language changes from one token to the next."""
    return sum(before != after for before, after in itertools.pairwise(tags))
