"""Semantic change: usages of words in two corpora, their vectors, and how far they moved."""

from operators.semantics.cleaning import count_wordpieces, letter_share, sentence_chunks
from operators.semantics.counts import (
    CountSpace,
    Tokens,
    align_spaces,
    cooccurrences,
    count_space,
    numbered,
    ppmi,
    tokenize,
    truncated_svd,
    vocabulary,
)
from operators.semantics.measures import (
    average_pairwise_distance,
    jensen_shannon,
    prototype_distance,
    sense_distribution,
)
from operators.semantics.senses import Senses, find_senses
from operators.semantics.shift import Shift, measure_shift
from operators.semantics.usages import HashSample, Usage, find_usages, usage_pattern

__all__ = [
    "CountSpace",
    "HashSample",
    "Senses",
    "Shift",
    "Tokens",
    "Usage",
    "align_spaces",
    "average_pairwise_distance",
    "cooccurrences",
    "count_space",
    "count_wordpieces",
    "find_senses",
    "find_usages",
    "jensen_shannon",
    "letter_share",
    "measure_shift",
    "numbered",
    "ppmi",
    "prototype_distance",
    "sense_distribution",
    "sentence_chunks",
    "tokenize",
    "truncated_svd",
    "usage_pattern",
    "vocabulary",
]
