"""A benchmark of several parts, each of which rewrites its own section of RESULTS.md."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Mapping

from benchmarks.results import write_section


def run_parts(program: str, about: str, parts: Mapping[str, str]) -> None:
    """Measure all parts, or those that the command line names.

    Args:
        program: module of the benchmark, `benchmarks.alignment`.
        about: what it measures, for `--help`.
        parts: name of each part, which is its module in `benchmarks.parts` -> title of its section.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    parser.add_argument("--only", action="append", choices=list(parts), help="only this part")
    chosen = parser.parse_args().only or list(parts)
    if not os.environ.get("TOKENMILL_DATA"):
        parser.error("TOKENMILL_DATA names no folder with the data that is measured on")
    for name in chosen:
        print(f"\n== {parts[name]}", flush=True)
        text = importlib.import_module(f"benchmarks.parts.{name}").measure()
        write_section(parts[name], f"`python -m {program} --only {name}`\n\n{text.strip()}")
