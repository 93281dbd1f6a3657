"""What a tokenizer makes of a text: length, fairness between languages, reversibility.

Ratios are of sums over the corpus, never means of per-text ratios: short texts would count as
much as long ones, and the result could not be added up over shards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from operators.tokenization.byte_tokenizer import as_byte_tokenizer


@dataclass(frozen=True, slots=True)
class TokenizerMeasures:
    """Counts over a corpus, which can be added across shards, and the ratios they give.

    A ratio without a denominator (no texts, no tokens, no words) is NaN.

    Attributes:
        texts: number of texts.
        tokens: without any begin or end token.
        words: maximal runs of non-whitespace (Unicode's, as `str.split` has it).
        characters: Unicode code points.
        utf8_bytes: of the text as given, before any normalisation.
    """

    texts: int
    tokens: int
    words: int
    characters: int
    utf8_bytes: int

    @property
    def fertility(self) -> float:
        """Tokens per whitespace word. Not comparable between languages: use premiums there."""
        return _ratio(self.tokens, self.words)

    @property
    def bytes_per_token(self) -> float:
        """UTF-8 bytes per token: compression, higher is shorter."""
        return _ratio(self.utf8_bytes, self.tokens)

    @property
    def characters_per_token(self) -> float:
        """Code points per token; 1 is character level."""
        return _ratio(self.characters, self.tokens)

    @property
    def closeness_to_characters(self) -> float:
        """Tokens per code point (Zhang et al. 2022); 1 is character level, bytes are above it."""
        return _ratio(self.tokens, self.characters)

    def __add__(self, other: TokenizerMeasures) -> TokenizerMeasures:
        return TokenizerMeasures(
            self.texts + other.texts,
            self.tokens + other.tokens,
            self.words + other.words,
            self.characters + other.characters,
            self.utf8_bytes + other.utf8_bytes,
        )


def measure(tokenizer: Any, texts: Sequence[str]) -> TokenizerMeasures:
    """Count tokens, words, characters and bytes of `texts`. No special token is added.

    Args:
        tokenizer: a `ByteTokenizer` or a `tokenizers.Tokenizer`.
        texts: any number of them.
    """
    encoded = as_byte_tokenizer(tokenizer).encode_batch(list(texts))
    return TokenizerMeasures(
        texts=len(texts),
        tokens=sum(map(len, encoded)),
        words=sum(len(text.split()) for text in texts),
        characters=sum(len(text) for text in texts),
        utf8_bytes=sum(len(text.encode()) for text in texts),
    )


def premiums_of_counts(
    token_counts: Mapping[str, int], reference: str = "eng_Latn"
) -> dict[str, float]:
    """Tokens of each language over tokens of the reference, on parallel text (reference: 1.0).

    Corpus token counts of Arnett et al. 2025, premium of Petrov et al. 2023: 2.0 means that the
    same content costs twice the tokens. The order of the mapping is kept.

    Args:
        token_counts: language -> tokens of the whole corpus, the same content in every language,
            counted alike (newlines stripped from all of them, or from none).
        reference: the language with premium 1; a mean premium depends on this choice.

    Raises:
        ValueError: if the reference is missing or has no tokens, or a count is negative.
    """
    return _premiums(token_counts, reference, "tokens")


def byte_premiums(
    parallel: Mapping[str, Sequence[str]], reference: str = "eng_Latn"
) -> dict[str, float]:
    """UTF-8 bytes of each language over those of the reference, on parallel sentences.

    Line breaks at the ends of sentences are not counted, in any language, so that files read with
    and without them agree.

    Args:
        parallel: language -> sentences; sentence i says the same in every language.
        reference: the language with premium exactly 1.

    Raises:
        ValueError: if languages have different numbers of sentences (then the text is not
            parallel), or the reference is missing or has no bytes.
    """
    sizes = {language: len(sentences) for language, sentences in parallel.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"the text is not parallel: sentences by language are {sizes}")
    counts = {
        language: sum(len(sentence.rstrip("\r\n").encode()) for sentence in sentences)
        for language, sentences in parallel.items()
    }
    return _premiums(counts, reference, "bytes")


def round_trip_failures(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Indices, ascending, of the texts that do not come back from decode(encode(text)).

    Special tokens that a text holds literally are decoded too, not skipped. A byte-level tokenizer
    gives an empty list for any text.
    """
    adapted = as_byte_tokenizer(tokenizer)
    encoded = adapted.encode_batch(list(texts))
    return [
        index
        for index, (before, ids) in enumerate(zip(texts, encoded, strict=True))
        if before != adapted.decode(ids)
    ]


def renyi_efficiency(
    counts: npt.ArrayLike, *, alpha: float = 2.5, vocab_size: int | None = None
) -> float:
    """Rényi efficiency of a token distribution (Zouhar et al. 2023), in [0, 1] for alpha > 0.

    log2(sum p_i^alpha) / ((1 - alpha) log2 V), with p over the observed tokens; alpha = 1 is its
    limit, Shannon entropy / log2 V. It is a diagnostic, not a goal: it can be gamed.

    Args:
        counts: occurrences of each token, [types]; zeros are ignored.
        alpha: > 0; the paper recommends 2.5.
        vocab_size: V; the number of observed types if not given.

    Raises:
        ValueError: for negative counts, no counts at all, alpha <= 0, or V < 2 or smaller than
            the number of observed types.
    """
    occurrences = np.asarray(counts, dtype=np.float64).ravel()
    if np.any(~(occurrences >= 0)):
        raise ValueError("counts must be >= 0")
    if not alpha > 0:
        raise ValueError(f"alpha is {alpha}, but must be > 0")
    seen = occurrences[occurrences > 0]
    size = len(seen) if vocab_size is None else vocab_size
    if size < 2 or size < len(seen):
        raise ValueError(
            f"a vocabulary of {size} with {len(seen)} observed types has no efficiency"
        )
    if not len(seen):
        raise ValueError("no token was observed")
    shares = seen / seen.sum()
    if alpha == 1:
        entropy = -float(np.sum(shares * np.log2(shares)))
    else:
        entropy = float(np.log2(np.sum(shares**alpha))) / (1 - alpha)
    return entropy / float(np.log2(size))


def _premiums(counts: Mapping[str, int], reference: str, unit: str) -> dict[str, float]:
    if reference not in counts:
        raise ValueError(f"the reference {reference!r} is not among {sorted(counts)}")
    negative = [language for language, count in counts.items() if count < 0]
    if negative:
        raise ValueError(f"{unit} are negative for {negative}")
    base = counts[reference]
    if base == 0:
        raise ValueError(f"the reference {reference!r} has no {unit}")
    return {language: count / base for language, count in counts.items()}


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else float("nan")
