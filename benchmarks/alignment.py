"""Alignment and mining against gold data and the tools that people use.

    python -m benchmarks.alignment                   all parts, some of them minutes long
    python -m benchmarks.alignment --only sentences  one

Each part rewrites its section of benchmarks/RESULTS.md. The data is in the folder TOKENMILL_DATA.
"""

from benchmarks.programs import run_parts

PARTS = {
    "sentences": "Alignment: sentences",
    "words": "Alignment: words",
    "bitext": "Alignment: mining bitext",
    "speech": "Alignment: audio and text",
}

if __name__ == "__main__":
    run_parts("benchmarks.alignment", "Measure alignment and mining.", PARTS)
