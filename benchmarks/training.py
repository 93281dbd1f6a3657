"""The trainer: what it reaches, what weighting costs, and what others make of the same machine.

    python -m benchmarks.training                     all parts, a quarter of an hour
    python -m benchmarks.training --only shakespeare  one
    python -m benchmarks.parts.mfu --tiny             a part, printed only

Each part rewrites its section of benchmarks/RESULTS.md. The data is in the folder TOKENMILL_DATA.
`mfu` needs a GPU, and says so where there is none.
"""

from benchmarks.programs import run_parts

PARTS = {
    "shakespeare": "Training: tiny Shakespeare",
    "weighting_overhead": "Training: overhead of weighting",
    "peers": "Training: beside others, CPU",
    "mfu": "Training: MFU on a GPU",
    "data_wait": "Training: waiting for data",
}

if __name__ == "__main__":
    run_parts("benchmarks.training", "Measure training.", PARTS)
