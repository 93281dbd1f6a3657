"""What went into each of several gathered artifacts that did not go into all of them alike.

A report over arms may show how they were made, and whatever it shows must be in its key. Only what
differs is given to it: a change that all arms share leaves the report's key as it is, so that what
made the same bytes still wakes nobody downstream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.code_texts import name_of
from pipelines.identity import KeyParts, canonical_json, hash_bytes
from pipelines.plan import PlannedStage, Wire
from pipelines.status import StageStatus

# stage -> part (uses, config, code, library, source, input) -> name -> values in its cells
Provenance = dict[str, dict[str, dict[str, list[Any]]]]


def provenances(
    planned: PlannedStage, statuses: Mapping[str, StageStatus]
) -> dict[str, list[Provenance]]:
    """Of each input that declares `provenance`: what differs between its artifacts, one by one.

    All stages upstream must be done.
    """
    return {
        name: differing([_facts(wire, statuses) for wire in wires])
        for name, wires in planned.needs.items()
        if planned.stage_class.inputs[name].provenance
    }


def provenance_hashes(of_inputs: Mapping[str, Sequence[Provenance]]) -> dict[str, str]:
    """What a key holds of them: one hash an input."""
    return {
        name: hash_bytes(*(canonical_json(one) for one in several))
        for name, several in of_inputs.items()
    }


def differing(several: Sequence[Mapping[tuple[str, str, str], list[Any]]]) -> list[Provenance]:
    """The facts that are not the same in all, nested by stage, part and name.

    A fact that some lack differs, and is missing where it is.
    """
    written = [{fact: canonical_json(values) for fact, values in one.items()} for one in several]
    differ = sorted(
        fact
        for fact in {fact for one in written for fact in one}
        if len({one.get(fact) for one in written}) > 1
    )
    found: list[Provenance] = []
    for one in several:
        nested: Provenance = {}
        for stage, part, name in differ:
            if (stage, part, name) in one:
                values = one[stage, part, name]
                nested.setdefault(stage, {}).setdefault(part, {})[name] = values
        found.append(nested)
    return found


def _facts(
    wire: Wire, statuses: Mapping[str, StageStatus]
) -> dict[tuple[str, str, str], list[Any]]:
    """Everything that went into an artifact, through all stages upstream."""
    waiting, seen = [wire.stage], {wire.stage}
    facts: dict[tuple[str, str, str], dict[bytes, Any]] = {}
    while waiting:
        status = statuses[waiting.pop()]
        assert status.made is not None
        for part, name, value in _of_stage(status, status.made, statuses):
            values = facts.setdefault((status.planned.stage, part, name), {})
            values[canonical_json(value)] = value
        new = status.planned.upstream() - seen
        seen |= new
        waiting += new
    return {fact: [values[key] for key in sorted(values)] for fact, values in facts.items()}


def _of_stage(
    status: StageStatus, made: KeyParts, statuses: Mapping[str, StageStatus]
) -> list[tuple[str, str, Any]]:
    facts: list[tuple[str, str, Any]] = [
        ("uses", "", made.uses),
        ("code", "", name_of(made.code)),
        *(("config", name, value) for name, value in made.config.items()),
        *(("library", name, version) for name, version in made.libraries.items()),
    ]
    if made.sources:
        facts.append(("source", "", hash_bytes(canonical_json(dict(made.sources)))))
    for name, wires in status.planned.needs.items():
        for wire in wires:
            manifest = statuses[wire.stage].outputs[wire.output]
            told = {"kind": manifest.kind.value, "digest": manifest.digest, "stage": wire.stage}
            facts.append(("input", name, told))
    return facts
