"""Tokenizers: train them byte for byte reversible, pack their output, measure their fairness."""

from operators.tokenization.hub_format import to_transformers
from operators.tokenization.measures import (
    TokenizerMeasures,
    byte_premiums,
    measure,
    premiums_of_counts,
    renyi_efficiency,
    round_trip_failures,
)
from operators.tokenization.packing import PackedSequences, pack_documents
from operators.tokenization.premiums import token_premiums
from operators.tokenization.training import Algorithm, train_tokenizer

__all__ = [
    "Algorithm",
    "PackedSequences",
    "TokenizerMeasures",
    "byte_premiums",
    "measure",
    "pack_documents",
    "premiums_of_counts",
    "renyi_efficiency",
    "round_trip_failures",
    "to_transformers",
    "token_premiums",
    "train_tokenizer",
]
