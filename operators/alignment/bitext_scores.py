"""Scores of sentence pairs by which noise is told from translations.

Rules that most bitext filters share (the hard rules of Bicleaner, Sánchez-Cartagena et al. 2018,
W18-6488; OpusFilter, Aulamo et al. 2020, 2020.acl-demos.20) and how much
of each side the lexicon explains.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from operators.alignment.grams import word_lists
from operators.alignment.words import PRIORS

Floats = npt.NDArray[np.float64]

_DIGITS = re.compile(r"\d+")
_RATIO = 6  # decimals of what is computed with sums of floats


@dataclass(frozen=True)
class BitextScores:
    """A number a pair, each float64 [pairs].

    Attributes:
        length_ratio: how far the ratio of lengths lies from that of the corpus, as a natural
            logarithm without sign: 0.69 is twice or half of what is usual.
        letters: share of letters among the visible characters of the side with fewer.
        identical: 1 where both sides have the same letters and digits in order, without case.
        numbers: share of the numbers of both sides that stand on both; 1 where there are none.
        repeated: how many earlier pairs have the same two sides.
        coverage: share of the words of both sides, by how rare they are, that the lexicon
            translates into a word of the other side, the side with less; 1 without a lexicon or
            known words.
    """

    length_ratio: Floats
    letters: Floats
    identical: Floats
    numbers: Floats
    repeated: Floats
    coverage: Floats

    def columns(self) -> Mapping[str, Floats]:
        """By name, in order."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def score_bitext(
    pairs: Sequence[tuple[str, str]], *, lexicon: pa.Table | None = None
) -> BitextScores:
    """Scores of sentence pairs of one pair of languages.

    Args:
        pairs: the two sides of each.
        lexicon: what translates what, as `WordAlignment.priors` of the same languages.
    """
    usual = _usual_ratio(pairs)
    ratios = np.log([(1 + len(t)) / (1 + len(s)) for s, t in pairs]) - usual
    seen: dict[tuple[str, str], int] = {}
    repeated = []
    for pair in pairs:
        repeated.append(seen.get(pair, 0))
        seen[pair] = repeated[-1] + 1
    return BitextScores(
        length_ratio=np.round(np.abs(ratios), _RATIO).astype(np.float64),
        letters=np.array([min(_letters(s), _letters(t)) for s, t in pairs], np.float64),
        identical=np.array([float(_bare(s) == _bare(t)) for s, t in pairs], np.float64),
        numbers=np.array([_shared_numbers(s, t) for s, t in pairs], np.float64),
        repeated=np.array(repeated, np.float64),
        coverage=_coverage(pairs, lexicon),
    )


def _usual_ratio(pairs: Sequence[tuple[str, str]]) -> float:
    return float(np.median(np.log([(1 + len(t)) / (1 + len(s)) for s, t in pairs] or [1.0])))


def _letters(text: str) -> float:
    visible = "".join(text.split())
    # Vowel signs of Indic scripts are marks, and as good as letters.
    return sum(unicodedata.category(c)[0] in "LM" for c in visible) / max(len(visible), 1)


def _bare(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def _shared_numbers(source: str, target: str) -> float:
    # int() reads the digits of all scripts. Separators of thousands and decimals fall away, since
    # languages differ in them: 1,234.5 and 1.234,5 have the same parts.
    sides = [sorted(str(int(n)) for n in _DIGITS.findall(unicodedata.normalize("NFKC", text)))
             for text in (source, target)]  # fmt: skip
    total = len(sides[0]) + len(sides[1])
    if not total:
        return 1.0
    rest = list(sides[1])
    shared = 0
    for number in sides[0]:
        if number in rest:
            rest.remove(number)
            shared += 1
    return 2 * shared / total


def _coverage(pairs: Sequence[tuple[str, str]], lexicon: pa.Table | None) -> Floats:
    if lexicon is None or not lexicon.num_rows:
        return np.ones(len(pairs))
    becomes: list[dict[str, set[str]]] = [{}, {}]
    for row in lexicon.select(PRIORS.names).to_pylist():
        words = (row["source"].casefold(), row["target"].casefold())
        becomes[0].setdefault(words[0], set()).add(words[1])
        becomes[1].setdefault(words[1], set()).add(words[0])
    lists = [word_lists([pair[side] for pair in pairs]) for side in (0, 1)]
    shares = []
    for side in (0, 1):
        found: dict[str, int] = {}
        for sentence in lists[side]:
            for word in dict.fromkeys(sentence):
                found[word] = found.get(word, 0) + 1
        own = []
        for sentence, others in zip(lists[side], lists[1 - side], strict=True):
            there = set(others)
            total = explained = 0.0
            for word in dict.fromkeys(sentence):
                if word in becomes[side]:
                    rare = float(np.log((1 + len(pairs)) / found[word]))
                    total += rare
                    explained += rare if becomes[side][word] & there else 0.0
            own.append(explained / total if total else 1.0)
        shares.append(own)
    both = np.array(shares, np.float64).reshape(2, -1)
    least: Floats = np.round(both.min(axis=0), _RATIO)
    return least
