"""Editing: what a method costs over the forward pass that it needs anyway.

    python -m benchmarks.editing                 all parts
    python -m benchmarks.editing --only toedit   one

Each part rewrites its section of benchmarks/RESULTS.md. The data is in the folder TOKENMILL_DATA.
"""

from benchmarks.programs import run_parts

PARTS = {"toedit": "Editing: ToEdit beside a forward pass"}

if __name__ == "__main__":
    run_parts("benchmarks.editing", "Measure editors.", PARTS)
