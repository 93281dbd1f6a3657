"""Cleaning a corpus: how well, how fast, beside the tools that people use.

    python -m benchmarks.corpus                       all parts, some of them minutes long
    python -m benchmarks.corpus --only deduplication  one

Each part rewrites its section of benchmarks/RESULTS.md. The data is in the folder TOKENMILL_DATA.
"""

from benchmarks.programs import run_parts

PARTS = {
    "corpus": "Corpus: readers and filters",
    "deduplication": "Corpus: near-duplicates",
    "semantics": "Corpus: semantic shift and code-switching",
}

if __name__ == "__main__":
    run_parts("benchmarks.corpus", "Measure the cleaning of corpora.", PARTS)
