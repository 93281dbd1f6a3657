"""Global alignment of two sequences with affine gaps (Needleman and Wunsch 1970; Gotoh 1982)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scoring:
    """What an alignment is worth, in whole numbers, so that equal means equal.

    How long a gap is costs nothing by default: where the ends are free, minutes of speech that no
    transcript has would otherwise be worth losing the sentences before or after them.

    Attributes:
        match: of two equal elements.
        mismatch: of two others.
        gap_open: once a gap.
        gap_extend: each element of a gap, the first included.
    """

    match: int = 10
    mismatch: int = -10
    gap_open: int = -20
    gap_extend: int = 0

    def __post_init__(self) -> None:
        if self.gap_open > 0 or self.gap_extend > 0 or self.mismatch > self.match:
            raise ValueError(f"gaps must not gain, nor a mismatch more than a match: {self}")


def needleman_wunsch(
    a: str | Sequence[int] | Codes,
    b: str | Sequence[int] | Codes,
    *,
    scoring: Scoring = Scoring(),
    free_a: bool = False,
    free_b: bool = False,
    band: int | None = None,
) -> tuple[int, Codes]:
    """The best alignment of all of `a` with all of `b`, in order.

    Of equally good ones a pair is preferred to a gap, and a gap opposite of `a` to one of `b`, seen
    from the end. Takes time for n x m cells (or n x (2 band + 1)) and memory for the square root of
    n times a row.

    Args:
        a: characters or numbers, [n].
        b: characters or numbers, [m].
        scoring: of pairs and gaps.
        free_a: what stands in `a` before the first and after the last pair costs nothing.
        free_b: the same of `b`.
        band: columns to both sides of the diagonal that are looked at; None for all.

    Returns:
        The score, and for each element of `a` the index of the one opposite of it in `b`, or -1;
        int64 [n].

    Raises:
        ValueError: `band` is negative.
    """
    if band is not None and band < 0:
        raise ValueError(f"band is {band}, but must be >= 0")
    return align_codes(
        codes(a), codes(b), scoring, free_a=(free_a, free_a), free_b=(free_b, free_b), band=band
    )


def align_codes(
    a: Codes,
    b: Codes,
    scoring: Scoring,
    *,
    free_a: tuple[bool, bool],
    free_b: tuple[bool, bool],
    band: int | None = None,
) -> tuple[int, Codes]:
    """`needleman_wunsch` of numbers, with ends that are free before, after, or both."""
    from operators.speech.kernels import align

    n, m = len(a), len(b)
    diagonal = np.arange(n + 1, dtype=np.int64) * m // max(n, 1)
    reach = m if band is None else band
    # A row must touch the one before, however steep the diagonal.
    reach = max(reach, math.ceil(m / max(n, 1)))
    low, high = np.maximum(diagonal - reach, 0), np.minimum(diagonal + reach, m)
    if n == 0:
        high[0] = m
    score, links = align(
        a, b, low, high,
        np.int64(scoring.match), np.int64(scoring.mismatch),
        np.int64(scoring.gap_open), np.int64(scoring.gap_extend),
        *free_a, *free_b, max(1, math.isqrt(n)),
    )  # fmt: skip
    return int(score), links


def edit_distance(a: str, b: str) -> int:
    """Insertions, deletions and substitutions of characters between two texts (Levenshtein)."""
    from operators.speech.kernels import edit_distance as distance

    return int(distance(codes(a), codes(b)))


def codes(sequence: Any) -> Codes:
    """Characters as their code points; numbers as they are."""
    if isinstance(sequence, str):
        points = np.frombuffer(sequence.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        return points.astype(np.int64)
    return np.asarray(sequence, dtype=np.int64)
