"""How generated text degenerates: it repeats itself, and texts repeat each other.

rep-n as Welleck et al. 2020 count it, distinct-n of Li et al. 2016, the coefficient of Zipf's law
as Holtzman et al. 2020 compare it. All look at a text as a list of units (words, characters).
None is good or bad by itself: human text repeats too. Compare with human text of the same kind, in
texts of the same length, since rep-n grows and distinct-n falls with the length of what is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import chain

import numpy as np


def repetition(units: Sequence[str], n: int) -> float:
    """rep-n: share of the n-grams of a text that it has had before, in [0, 1); NaN where the text
    is shorter than n units.

    Raises:
        ValueError: n below 1.
    """
    grams = _ngrams(units, n)
    return 1 - len(set(grams)) / len(grams) if grams else float("nan")


def longest_loop(units: Sequence[str], *, longest_phrase: int = 32) -> int:
    """Units of the longest stretch in which a text says one phrase again and again, twice or more,
    the last time perhaps in part; 0 where it never does.

    Args:
        longest_phrase: units of a phrase at most, >= 1.

    Raises:
        ValueError: a phrase below one unit.
    """
    if longest_phrase < 1:
        raise ValueError(f"longest_phrase is {longest_phrase}, but must be >= 1")
    numbers = {unit: number for number, unit in enumerate(dict.fromkeys(units))}
    text = np.array([numbers[unit] for unit in units], dtype=np.int64)
    longest = 0
    for phrase in range(1, min(longest_phrase, len(text) // 2) + 1):
        # Stretches of units that are as the one a phrase before.
        same = np.concatenate([[False], text[phrase:] == text[:-phrase], [False]])
        ends = np.flatnonzero(same[1:] != same[:-1])
        run = int((ends[1::2] - ends[0::2]).max(initial=0))
        if run >= phrase:
            longest = max(longest, run + phrase)
    return longest


def duplication(texts: Sequence[str]) -> list[float]:
    """For each text 1 - 1/m, where m texts are the same as it: 0 for one that stands alone.

    The mean is the share of texts that could be left out without losing any; no copy counts as the
    original, so the order of texts does not matter.
    """
    copies = Counter(texts)
    return [1 - 1 / copies[text] for text in texts]


def distinct(documents: Sequence[Sequence[str]], names: Sequence[str], n: int, among: int) -> float:
    """distinct-n: different n-grams over all, among the first so many n-grams of documents in an
    order drawn by their names; NaN where there are fewer than that.

    It falls as more text is read, so corpora can be compared at one number of n-grams only.

    Raises:
        ValueError: n or the number below 1, or names that do not fit.
    """
    if among < 1:
        raise ValueError(f"among is {among}, but must be >= 1")
    if len(names) != len(documents):
        raise ValueError(f"{len(documents)} documents have {len(names)} names")
    order = sorted(range(len(names)), key=lambda row: blake2b(names[row].encode()).digest())
    seen: set[tuple[str, ...]] = set()
    read = 0
    for row in order:
        grams = _ngrams(documents[row], n)[: among - read]
        seen.update(grams)
        read += len(grams)
        if read == among:
            return len(seen) / among
    return float("nan")


def zipf_coefficient(documents: Iterable[Sequence[str]], *, ranks: int = 1000) -> float:
    """s of frequency ~ rank**-s over the most frequent units: least squares of the logarithms, each
    rank the same. NaN where fewer than two different units occur.

    Human text is near 1; a larger one means that few words say most of it.

    Args:
        ranks: of the most frequent units that are fitted, >= 2.

    Raises:
        ValueError: fewer than two ranks.
    """
    if ranks < 2:
        raise ValueError(f"ranks is {ranks}, but must be >= 2: a line needs two points")
    counts = Counter(chain.from_iterable(documents))
    kept = sorted(counts.values(), reverse=True)[:ranks]
    if len(kept) < 2:
        return float("nan")
    x = np.log(np.arange(1, len(kept) + 1))
    y = np.log(np.array(kept, dtype=np.float64))
    return float(-((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()) + 0.0


def _ngrams(units: Sequence[str], n: int) -> list[tuple[str, ...]]:
    if n < 1:
        raise ValueError(f"n is {n}, but must be >= 1")
    return [tuple(units[start : start + n]) for start in range(len(units) - n + 1)]
