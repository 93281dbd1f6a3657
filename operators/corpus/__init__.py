"""Raw documents to a clean corpus: text from files, normal forms, filters, duplicates, splits."""

from operators.corpus.deduplication import (
    exact_duplicates,
    lsh_candidates,
    minhash_signatures,
    near_duplicate_clusters,
    optimal_bands,
)
from operators.corpus.filters import FilterRules, drop_reason
from operators.corpus.html_text import html_text
from operators.corpus.normalization import normalize_text
from operators.corpus.python_prose import python_prose
from operators.corpus.splitting import assign_split

__all__ = [
    "FilterRules",
    "assign_split",
    "drop_reason",
    "exact_duplicates",
    "html_text",
    "lsh_candidates",
    "minhash_signatures",
    "near_duplicate_clusters",
    "normalize_text",
    "optimal_bands",
    "python_prose",
]
