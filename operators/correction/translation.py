"""Translations of phrases, learnt from word-aligned bitext (Koehn, Och and Marcu 2003)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

Link = tuple[int, int]
Pair = tuple[tuple[str, ...], tuple[str, ...]]

_SPACED = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[^\w\s]|_")
# Scripts without spaces between words: each character by itself, other scripts as words.
_UNSPACED = re.compile(r"[A-Za-z0-9À-ɏ]+(?:['’-][A-Za-z0-9À-ɏ]+)*|\S")
_UNSPACED_LANGUAGES = ("zho", "yue", "jpn", "tha", "khm", "lao", "mya", "bod")
_LETTER = re.compile(r"\w")


def words_of(text: str, language: str = "eng_Latn") -> list[str]:
    """Words and punctuation signs; in Chinese, Japanese, Thai and their like, characters.

    `language` is a FLORES-200 code. Joined in a phrase, characters are words again.
    """
    pattern = _UNSPACED if language.startswith(_UNSPACED_LANGUAGES) else _SPACED
    return pattern.findall(text)


def is_unspaced(language: str) -> bool:
    """Whether words of the language are written without spaces between them."""
    return language.startswith(_UNSPACED_LANGUAGES)


def phrase_pairs(
    source: Sequence[str],
    target: Sequence[str],
    links: AbstractSet[Link],
    *,
    longest: int = 5,
) -> list[Pair]:
    """All phrase pairs of a sentence pair that are consistent with its word links.

    A pair of spans is consistent if it holds a link and no word of either is linked outside of the
    other (Koehn et al. 2003). Target words without a link at the border go with the phrase or not:
    both are given. Pairs without a letter on a side, and pairs in which the sides do not have as
    many punctuation signs, are left out.

    Args:
        source, target: words.
        links: (source position, target position).
        longest: words of a phrase on either side.
    """
    by_source: list[list[int]] = [[] for _ in source]
    by_target: list[list[int]] = [[] for _ in target]
    for i, j in links:
        by_source[i].append(j)
        by_target[j].append(i)
    found: list[Pair] = []
    for start in range(len(source)):
        low, high = len(target), -1
        for end in range(start + 1, min(start + longest, len(source)) + 1):
            for j in by_source[end - 1]:
                low, high = min(low, j), max(high, j)
            if high < 0 or high - low >= longest:
                continue
            inside = all(start <= i < end for j in range(low, high + 1) for i in by_target[j])
            if not inside:
                continue
            first = low
            while True:
                last = high
                while last - first < longest:
                    found.append((tuple(source[start:end]), tuple(target[first : last + 1])))
                    last += 1
                    if last == len(target) or by_target[last]:
                        break
                first -= 1
                if first < 0 or by_target[first] or high - first >= longest:
                    break
    return [pair for pair in found if _is_of_words(pair)]


def _is_of_words(pair: Pair) -> bool:
    signs = [sum(_LETTER.search(word) is None for word in side) for side in pair]
    return signs[0] == signs[1] and signs[0] < len(pair[0]) and signs[1] < len(pair[1])


@dataclass(frozen=True, slots=True)
class _Best:
    words: tuple[str, ...]
    score: float


class PhraseTable:
    """The best translation of each phrase, and of longer ones piece by piece.

    Attributes:
        is_spaced: whether words of the other language are written with spaces between them.
    """

    def __init__(
        self, best: Mapping[tuple[str, ...], tuple[str, ...]], is_spaced: bool = True
    ) -> None:
        self.is_spaced = is_spaced
        self._best = dict(best)
        self._longest = max(map(len, self._best), default=0)

    @classmethod
    def from_counts(
        cls,
        counts: Iterable[tuple[tuple[str, ...], tuple[str, ...], float]],
        is_spaced: bool = True,
    ) -> PhraseTable:
        """From (source words, target words, count); source words are compared without case.

        The best translation has the highest p(target | source) · p(source | target), both as
        relative frequencies; of equals the shorter one, then the first in order of characters.
        """
        pairs: dict[Pair, float] = {}
        sources: dict[tuple[str, ...], float] = {}
        targets: dict[tuple[str, ...], float] = {}
        for words, translation, count in counts:
            source = _fold(words)
            pairs[source, translation] = pairs.get((source, translation), 0.0) + count
            sources[source] = sources.get(source, 0.0) + count
            targets[translation] = targets.get(translation, 0.0) + count
        best: dict[tuple[str, ...], _Best] = {}
        for (source, target), count in sorted(
            pairs.items(), key=lambda item: (item[0][0], len(item[0][1]), item[0][1])
        ):
            score = count / sources[source] * count / targets[target]
            if source not in best or score > best[source].score:
                best[source] = _Best(target, score)
        return cls({source: found.words for source, found in best.items()}, is_spaced)

    def __len__(self) -> int:
        return len(self._best)

    def __call__(self, tokens: Sequence[str]) -> list[str] | None:
        """The translation, or None where a word has none.

        The tokens are covered by known phrases in order, as few as can be; each piece is translated
        by itself and the order is kept. Where words are written without spaces, a piece is one
        token.
        """
        words = _fold(tokens)
        pieces: list[list[tuple[int, int]] | None] = [[]]
        for end in range(1, len(words) + 1):
            shortest: list[tuple[int, int]] | None = None
            for start in range(max(0, end - self._longest), end):
                before = pieces[start]
                if before is None or words[start:end] not in self._best:
                    continue
                if shortest is None or len(before) + 1 < len(shortest):
                    shortest = [*before, (start, end)]
            pieces.append(shortest)
        chosen = pieces[-1]
        if not chosen:
            return None
        made = [self._best[words[start:end]] for start, end in chosen]
        return [word for piece in made for word in (piece if self.is_spaced else ["".join(piece)])]


def _fold(tokens: Iterable[str]) -> tuple[str, ...]:
    return tuple(token.casefold() for token in tokens)
