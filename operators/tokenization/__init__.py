"""The tokenizer laboratory: train, encode, measure, compare and swap tokenizers, byte for byte.

Here is what loads quickly. What is compiled is imported from its own module: `laboratory`
(`train_tokenizer`, `train_tokenizers`), `tokenizer` (`Tokenizer`, `load_tokenizer`), `exact_bytes`
(`next_byte_distribution`), `byte_ensembles`, `transfer`.
"""

from operators.tokenization.byte_tokenizer import (
    ByteTokenizer,
    HubByteTokenizer,
    as_byte_tokenizer,
)
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.hub_format import to_transformers
from operators.tokenization.measures import (
    TokenizerMeasures,
    byte_premiums,
    measure,
    premiums_of_counts,
    renyi_efficiency,
    round_trip_failures,
)
from operators.tokenization.model import TokenizerModel
from operators.tokenization.packing import PackedSequences, pack_documents
from operators.tokenization.premiums import token_premiums
from operators.tokenization.pretokenization import (
    PRETOKENIZERS,
    PretokenCounts,
    count_pretokens,
    pretokenizer,
)
from operators.tokenization.vocabulary_measures import compare_tokenizers

__all__ = [
    "PRETOKENIZERS",
    "ByteTokenizer",
    "HubByteTokenizer",
    "PackedSequences",
    "PretokenCounts",
    "TokenizerConfig",
    "TokenizerMeasures",
    "TokenizerModel",
    "as_byte_tokenizer",
    "byte_premiums",
    "compare_tokenizers",
    "count_pretokens",
    "measure",
    "pack_documents",
    "premiums_of_counts",
    "pretokenizer",
    "renyi_efficiency",
    "round_trip_failures",
    "to_transformers",
    "token_premiums",
]
