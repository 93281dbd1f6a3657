"""The tokenizer laboratory beside `tokenizers`: the same results, and what they cost.

    python -m benchmarks.tokenization                all parts, some of them minutes long
    python -m benchmarks.tokenization --only bpe     one
    python -m benchmarks.parts.bpe                   one, printed only

Each part rewrites its section of benchmarks/RESULTS.md. The data is in the folder TOKENMILL_DATA.
"""

from benchmarks.programs import run_parts

PARTS = {
    "bpe": "Tokenizers: byte-level BPE",
    "picky": "Tokenizers: Picky BPE",
    "sweep": "Tokenizers: a sweep",
    "encode": "Tokenizers: encoding",
    "premiums": "Tokenizers: fair vocabularies",
    "exact": "Tokenizers: exact bytes",
}

if __name__ == "__main__":
    run_parts("benchmarks.tokenization", "Measure training and encoding.", PARTS)
