"""What tokenizers make of a corpus, token by token, and one table of every measure.

Ratios are of sums, never means of ratios of single texts. Whatever has no denominator is NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from operators.tokenization.byte_tokenizer import ByteTokenizer, as_byte_tokenizer
from operators.tokenization.measures import (
    measure,
    renyi_efficiency,
    round_trip_failures,
)
from operators.tokenization.token_behaviour import digit_behaviour, whitespace_behaviour

if TYPE_CHECKING:
    import polars as pl

_BATCH = 1000


def normalized_sequence_length(lengths: Iterable[int], baseline: Iterable[int]) -> float:
    """NSL (Dagan et al. 2024): tokens of all texts over those of a baseline tokenizer.

    Below 1 the tokenizer compresses better. It is the ratio of sums, so long texts weigh more.

    Args:
        lengths: tokens of each text.
        baseline: tokens of the same texts under the baseline.

    Raises:
        ValueError: for different numbers of texts, or a baseline without tokens.
    """
    here, there = list(lengths), list(baseline)
    if len(here) != len(there):
        raise ValueError(f"{len(here)} lengths cannot be compared with {len(there)} of a baseline")
    if sum(there) <= 0:
        raise ValueError("the baseline has no tokens")
    return sum(here) / sum(there)


def token_counts(tokenizer: Any, texts: Iterable[str]) -> npt.NDArray[np.int64]:
    """Occurrences of each id in the encoded texts, [vocabulary]; counts of shards add up."""
    adapted = as_byte_tokenizer(tokenizer)
    counts = np.zeros(len(adapted.tokens), dtype=np.int64)
    rest = iter(texts)
    while batch := list(islice(rest, _BATCH)):
        ids = [np.asarray(encoded, dtype=np.int64) for encoded in adapted.encode_batch(batch)]
        counts += np.bincount(np.concatenate(ids), minlength=len(counts))
    return counts


def unknown_rate(tokenizer: Any, counts: npt.NDArray[np.integer[Any]]) -> float:
    """Unknown tokens over all tokens (Zhang et al. 2022), from `token_counts`."""
    adapted = as_byte_tokenizer(tokenizer)
    unknown = 0 if adapted.unknown_id is None else int(counts[adapted.unknown_id])
    return _ratio(unknown, int(counts.sum()))


@dataclass(frozen=True, slots=True)
class VocabularyUse:
    """How much of a vocabulary a corpus uses; special tokens are not part of it.

    Attributes:
        ordinary: tokens of the vocabulary.
        used: those that occur.
        mean_bytes: mean length of all of them in bytes.
        mean_bytes_used: mean length of those that occur, each once. (Arnett et al. 2025: this
            predicts the token count of a language, and the former does not.)
    """

    ordinary: int
    used: int
    mean_bytes: float
    mean_bytes_used: float

    @property
    def share(self) -> float:
        """Used tokens over all."""
        return _ratio(self.used, self.ordinary)


def vocabulary_use(tokenizer: Any, counts: npt.NDArray[np.integer[Any]]) -> VocabularyUse:
    """The use of a vocabulary, from `token_counts`.

    Raises:
        ValueError: if there is not one count for each id.
    """
    adapted = as_byte_tokenizer(tokenizer)
    ordinary = _ordinary(adapted, counts)
    lengths = np.array([len(token) for token in adapted.tokens], dtype=np.int64)
    used = ordinary & (np.asarray(counts) > 0)
    return VocabularyUse(
        int(ordinary.sum()),
        int(used.sum()),
        _ratio(int(lengths[ordinary].sum()), int(ordinary.sum())),
        _ratio(int(lengths[used].sum()), int(used.sum())),
    )


@dataclass(frozen=True, slots=True, eq=False)
class UndertrainedCandidates:
    """Tokens that a model may hardly have learned; special tokens are not among them.

    Attributes:
        rare: ids with a corpus frequency below the threshold, rarest first, then by id.
        small: ids with the smallest embedding norms, smallest first; empty without a model.
    """

    rare: npt.NDArray[np.int64]
    small: npt.NDArray[np.int64]

    @property
    def both(self) -> npt.NDArray[np.int64]:
        """Ids that are rare and small, in the order of `small`."""
        return self.small[np.isin(self.small, self.rare)]


def undertrained_candidates(
    tokenizer: Any,
    counts: npt.NDArray[np.integer[Any]],
    *,
    below: int = 100,
    embeddings: npt.NDArray[np.floating[Any]] | None = None,
    share: float = 0.02,
) -> UndertrainedCandidates:
    """Tokens that are rare in the training corpus, and those whose embeddings stayed small.

    An embedding that is never an input only decays, so untied input embeddings with the smallest
    norms point at tokens that were not seen (Land and Bartolo 2024, who look at the lowest 2 %).

    Args:
        tokenizer: whose tokens.
        counts: of `token_counts` on the training corpus.
        below: a token occurring fewer times (<) is rare.
        embeddings: [>= vocabulary, d] of the trained model, if there is one.
        share: of the ordinary tokens that are called small, in [0, 1]; at least one if above 0.

    Raises:
        ValueError: for arrays with fewer rows than the vocabulary, or a share out of range.
    """
    adapted = as_byte_tokenizer(tokenizer)
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}, but must be in [0, 1]")
    ids = np.flatnonzero(_ordinary(adapted, counts))
    occurrences = np.asarray(counts)[ids]
    rarest_first = np.argsort(occurrences, kind="stable")
    rare = ids[rarest_first][occurrences[rarest_first] < below]
    small = np.empty(0, dtype=np.int64)
    if embeddings is not None:
        if len(embeddings) < len(adapted.tokens):
            raise ValueError(f"{len(embeddings)} embeddings for {len(adapted.tokens)} tokens")
        norms = np.linalg.norm(np.asarray(embeddings, dtype=np.float64)[ids], axis=1)
        small = ids[np.argsort(norms, kind="stable")][: int(np.ceil(share * len(ids)))]
    return UndertrainedCandidates(rare, small)


def compare_tokenizers(
    tokenizers: Mapping[str, Any],
    texts: Sequence[str],
    *,
    baseline: str | None = None,
    below: int = 100,
) -> pl.DataFrame:
    """Every measure of one corpus in one table, a row a tokenizer.

    Args:
        tokenizers: name -> `ByteTokenizer` or `tokenizers.Tokenizer`.
        texts: the corpus.
        baseline: the tokenizer that NSL and overlap refer to; the first if not given.
        below: corpus frequency under which a token is an under-trained candidate.

    Returns:
        `tokenizer`, `vocab_size`, `tokens`, `fertility`, `bytes_per_token`,
        `characters_per_token`, `closeness_to_characters`, `nsl`, `overlap` (Jaccard of token
        bytes), `renyi_efficiency` (alpha 2.5 over the whole vocabulary; NaN without two types),
        `unknown_rate`, `vocabulary_use`, `mean_bytes_used`, `undertrained`,
        `round_trip_failures`, `digits`, `longest_digits`, `tokens_mixing_digits`,
        `space_before_word`, `longest_whitespace`, `superwords`.

    Raises:
        ValueError: for a baseline that is not among the tokenizers, or one without tokens on
            these texts.
    """
    import polars as pl

    from operators.tokenization.vocabulary_matching import vocabulary_overlap

    if not tokenizers:
        return pl.DataFrame()
    adapted = {name: as_byte_tokenizer(one) for name, one in tokenizers.items()}
    first = next(iter(adapted)) if baseline is None else baseline
    if first not in adapted:
        raise ValueError(f"baseline {first!r} is not among {sorted(adapted)}")
    measured = {name: measure(one, texts) for name, one in adapted.items()}
    rows = []
    for name, one in adapted.items():
        counts = token_counts(one, texts)
        own = measured[name]
        use = vocabulary_use(one, counts)
        digits, spaces = digit_behaviour(one), whitespace_behaviour(one)
        types = int((counts > 0).sum())
        rows.append(
            {
                "tokenizer": name,
                "vocab_size": len(one.tokens),
                "tokens": own.tokens,
                "fertility": own.fertility,
                "bytes_per_token": own.bytes_per_token,
                "characters_per_token": own.characters_per_token,
                "closeness_to_characters": own.closeness_to_characters,
                "nsl": normalized_sequence_length([own.tokens], [measured[first].tokens]),
                "overlap": vocabulary_overlap(one, adapted[first]),
                "renyi_efficiency": (
                    renyi_efficiency(counts, vocab_size=len(counts)) if types > 1 else float("nan")
                ),
                "unknown_rate": unknown_rate(one, counts),
                "vocabulary_use": use.share,
                "mean_bytes_used": use.mean_bytes_used,
                "undertrained": len(undertrained_candidates(one, counts, below=below).rare),
                "round_trip_failures": len(round_trip_failures(one, texts)),
                "digits": digits.grouping,
                "longest_digits": digits.longest,
                "tokens_mixing_digits": digits.mixed_tokens,
                "space_before_word": spaces.space_before_word,
                "longest_whitespace": spaces.longest_run,
                "superwords": spaces.superwords,
            }
        )
    return pl.DataFrame(rows)


def _ordinary(
    tokenizer: ByteTokenizer, counts: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.bool_]:
    if len(counts) != len(tokenizer.tokens):
        raise ValueError(f"{len(counts)} counts for {len(tokenizer.tokens)} tokens")
    ordinary = np.array([len(token) > 0 for token in tokenizer.tokens], dtype=np.bool_)
    ordinary[list(tokenizer.special_ids)] = False
    return ordinary


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else float("nan")
