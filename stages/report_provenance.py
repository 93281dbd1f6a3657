"""What differs between the arms: settings, data, code, by stage."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from stages.contract import Artifact
from stages.report_scores import arm_label

# Every arm has a model and scores of its own; that they differ says nothing.
_OWN = ("model", "metrics", "report")
_LONGEST = 60
_MISSING = "-"

Fact = tuple[str, str, str]  # stage, part, name


def differences(
    artifacts: Sequence[Artifact], arms: Sequence[str], replicate_axis: str
) -> list[list[str]]:
    """A table of what went into some arms and not into others; header first, empty if nothing did.

    A line is a fact (of a stage: a setting, the digest of an input, the code), a column an arm.
    What differs between the seeds of each arm alike, as the seed itself, is left out. Of a stage
    that some arms lack there is a line for the stage, and what differs between those that have it.
    """
    facts: dict[Fact, dict[str, set[str]]] = {}
    for arm, fact, value in _facts(artifacts, replicate_axis):
        facts.setdefault(fact, {}).setdefault(arm, set()).add(value)
    lines = []
    for fact, of_arms in facts.items():
        stage, part, name = fact
        have_it = facts.get((stage, "uses", ""), {arm: {""} for arm in arms})
        told = {frozenset(of_arms.get(arm, ())) for arm in arms if arm in have_it}
        if part == "uses" or len(told) > 1:
            cells = [", ".join(sorted(of_arms.get(arm, ()))) or _MISSING for arm in arms]
            lines.append([f"{stage}: {_title(part, name)}", *cells])
    return [["what differs", *arms], *lines] if lines else []


def tokenizers(artifacts: Sequence[Artifact], replicate_axis: str) -> dict[str, list[str]]:
    """The digests of the tokenizers that went into each arm, where they are not the same in all."""
    found: dict[str, list[str]] = {}
    for artifact in artifacts:
        digests = found.setdefault(arm_label(artifact.cell, replicate_axis), [])
        for parts in artifact.provenance.values():
            for values in parts.get("input", {}).values():
                digests += [value["digest"] for value in values if value["kind"] == "tokenizer"]
    return found


def _facts(artifacts: Sequence[Artifact], replicate_axis: str) -> Iterator[tuple[str, Fact, str]]:
    """Arm, fact and value as a cell has it, of all that is news."""
    for artifact in artifacts:
        arm = arm_label(artifact.cell, replicate_axis)
        for stage, parts in artifact.provenance.items():
            for part, names in parts.items():
                for name, values in names.items():
                    for value in values:
                        if part != "input" or value["kind"] not in _OWN:
                            yield arm, (stage, part, name), _shown(part, value)


def _title(part: str, name: str) -> str:
    return {
        "uses": "stage type",
        "code": "code",
        "source": "sources",
        "input": f"input {name}",
        "library": f"library {name}",
    }.get(part, name)


def _shown(part: str, value: Any) -> str:
    if part == "input":
        return f"{value['stage']} {value['digest'][:10]}"
    if part in ("code", "source"):
        return str(value)[:10]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
