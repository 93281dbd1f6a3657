"""Rules that drop a document for what it looks like: its length, repetition, lack of letters."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass

import numpy as np

from operators.corpus.ngrams import ngram_hashes, text_units


@dataclass(frozen=True)
class FilterRules:
    """Thresholds of `drop_reason`; ``None`` switches a rule off.

    The two rules on repetition, their measures and thresholds, are from Gopher (Rae et al. 2021,
    arXiv 2112.11446, table A1: duplicate line fraction 0.30; top 2-gram 0.20, top 3-gram 0.18,
    top 4-gram 0.16 - set `ngram` and `max_top_ngram_fraction` together). The other thresholds
    are this project's own.

    Attributes:
        min_chars: a text with fewer (<) characters is dropped as "too_short".
        max_chars: a text with more (>) characters is dropped as "too_long". The default is about
            twice Gopher's limit of 100,000 words.
        max_duplicate_line_fraction: lines equal to an earlier line, of all lines that are not
            blank; more (>) is "repeated_lines".
        max_top_ngram_fraction: characters covered by the most frequent word n-gram, of all
            characters other than white space; more (>) is "repeated_ngrams".
        ngram: words in an n-gram of the rule above.
        min_letter_fraction: letters and combining marks, of all characters other than white
            space; fewer (<) is "few_letters".

    Raises:
        ValueError: a fraction outside [0, 1], a negative length, `min_chars` > `max_chars`, or
            `ngram` < 1.
    """

    min_chars: int | None = 200
    max_chars: int | None = 1_000_000
    max_duplicate_line_fraction: float | None = 0.30
    max_top_ngram_fraction: float | None = 0.20
    ngram: int = 2
    min_letter_fraction: float | None = 0.5

    def __post_init__(self) -> None:
        for name in (
            "max_duplicate_line_fraction",
            "max_top_ngram_fraction",
            "min_letter_fraction",
        ):
            fraction = getattr(self, name)
            if fraction is not None and not 0 <= fraction <= 1:
                raise ValueError(f"{name} must lie in [0, 1], not {fraction}")
        for name in ("min_chars", "max_chars"):
            length = getattr(self, name)
            if length is not None and length < 0:
                raise ValueError(f"{name} must not be negative, not {length}")
        shortest, longest = self.min_chars, self.max_chars
        if shortest is not None and longest is not None and shortest > longest:
            raise ValueError(f"min_chars {self.min_chars} > max_chars {self.max_chars}")
        if self.ngram < 1:
            raise ValueError(f"ngram must be at least 1, not {self.ngram}")


def drop_reason(text: str, rules: FilterRules) -> tuple[str, float] | None:
    """The first rule that the text fails and the value measured, or None for a text to keep.

    Rules are tried in the order too_short, too_long, repeated_lines, repeated_ngrams,
    few_letters. A value exactly on its threshold passes. An empty text has a letter fraction of
    0 and no repetition.
    """
    if rules.min_chars is not None and len(text) < rules.min_chars:
        return "too_short", float(len(text))
    if rules.max_chars is not None and len(text) > rules.max_chars:
        return "too_long", float(len(text))
    if rules.max_duplicate_line_fraction is not None:
        fraction = duplicate_line_fraction(text)
        if fraction > rules.max_duplicate_line_fraction:
            return "repeated_lines", fraction
    if rules.max_top_ngram_fraction is not None:
        fraction = top_ngram_fraction(text, rules.ngram)
        if fraction > rules.max_top_ngram_fraction:
            return "repeated_ngrams", fraction
    if rules.min_letter_fraction is not None:
        fraction = letter_fraction(text)
        if fraction < rules.min_letter_fraction:
            return "few_letters", fraction
    return None


def duplicate_line_fraction(text: str) -> float:
    """Lines that equal an earlier line, of all lines that are not blank; 0 without lines.

    Lines are compared without white space at their ends. Blank lines are left out: they
    separate paragraphs and would make every text repetitive.
    """
    lines = [stripped for line in text.splitlines() if (stripped := line.strip())]
    return 1 - len(set(lines)) / len(lines) if lines else 0.0


def top_ngram_fraction(text: str, n: int) -> float:
    """Characters inside the most frequent n-gram, of all characters other than white space.

    Words are those of `operators.corpus.ngrams.text_units`: characters, in a script without
    spaces. Of equally frequent n-grams the longest counts, then the first. A character inside
    two overlapping occurrences counts once, so the fraction is at most 1. An n-gram that occurs
    once is no repetition: 0.
    """
    units = text_units(text)
    hashes = ngram_hashes(units.ids, n)
    if len(hashes) < 2:
        return 0.0
    _, first, inverse, counts = np.unique(
        hashes, return_index=True, return_inverse=True, return_counts=True
    )
    if counts.max() < 2:
        return 0.0
    ends = np.concatenate(([0], np.cumsum(units.lengths)))
    lengths = ends[first + n] - ends[first]
    top = np.lexsort((first, -lengths, -counts))[0]
    starts = np.flatnonzero(inverse == top)
    covered = np.zeros(len(units.lengths), dtype=bool)
    for offset in range(n):
        covered[starts + offset] = True
    return float(units.lengths[covered].sum() / ends[-1])


def letter_fraction(text: str) -> float:
    """Letters and combining marks, of all characters other than white space; 0 without any.

    Marks count since the vowels of Indic scripts are marks.
    """
    counts = Counter("".join(text.split()))
    letters = sum(
        n for character, n in counts.items() if unicodedata.category(character)[0] in "LM"
    )
    return letters / counts.total() if counts else 0.0
