"""Raw documents to a clean corpus: text from files, normal forms, filters, duplicates, splits."""

from operators.corpus.banding import (
    Bands,
    bucket_keys,
    bucket_links,
    choose_bands,
    signature_sketches,
)
from operators.corpus.contamination import ngram_index, ngram_overlap
from operators.corpus.deduplication import (
    exact_duplicates,
    lsh_candidates,
    minhash_signatures,
    near_duplicate_clusters,
    optimal_bands,
)
from operators.corpus.filters import FilterRules, drop_reason
from operators.corpus.html_text import html_text
from operators.corpus.ngrams import mix64
from operators.corpus.normalization import normalize_text
from operators.corpus.python_prose import python_prose
from operators.corpus.shingles import (
    ShingleSets,
    content_hashes,
    shingle_sets,
    shingle_signatures,
)
from operators.corpus.similar_sets import similar_clusters
from operators.corpus.splitting import assign_split
from operators.corpus.star_components import components, large_star, small_star

__all__ = [
    "Bands",
    "FilterRules",
    "ShingleSets",
    "assign_split",
    "bucket_keys",
    "bucket_links",
    "choose_bands",
    "components",
    "content_hashes",
    "drop_reason",
    "exact_duplicates",
    "html_text",
    "large_star",
    "lsh_candidates",
    "minhash_signatures",
    "mix64",
    "near_duplicate_clusters",
    "ngram_index",
    "ngram_overlap",
    "normalize_text",
    "optimal_bands",
    "python_prose",
    "shingle_sets",
    "shingle_signatures",
    "signature_sketches",
    "similar_clusters",
    "small_star",
]
