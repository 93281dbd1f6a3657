"""RESULTS.md: a section a program, each rewritten by its own program alone."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = """# Measured

Each section was made by the command it names. Ours and the other side in turn, in one run; figures
are medians, and the ratio is the median of the ratios pair by pair, with their range: a machine
that slows down slows both. Absolute times depend on the machine; ratios less.
"""


def write_section(name: str, text: str) -> None:
    """Put `text` in the place of the section `name`."""
    before = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    found = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", before, re.M | re.S)
    sections = {title: body.strip() for title, body in found}
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    sections[name] = f"{text.strip()}\n\n({machine})"
    parts = [f"## {title}\n\n{body}" for title, body in sorted(sections.items())]
    RESULTS.write_text(HEAD + "\n" + "\n\n".join(parts) + "\n", encoding="utf-8")


def row(name: str, ours: Sequence[float], other_name: str, other: Sequence[float],
        unit: str) -> str:  # fmt: skip
    """A row of a table that compares pairs; the ratio is ours over the other."""
    ratios = [a / b for a, b in zip(ours, other, strict=True)]
    text = (
        f"| {name} | {statistics.median(ours):.3g} {unit} | {other_name} | "
        f"{statistics.median(other):.3g} {unit} | {statistics.median(ratios):.3g} | "
        f"{min(ratios):.2g}-{max(ratios):.2g} | {len(ratios)} |"
    )
    print(text, flush=True)
    return text


TABLE = "| what | ours | beside | it | ratio | range | pairs |\n|---|---|---|---|---|---|---|\n"
