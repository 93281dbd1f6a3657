"""Keys of planned stages as their inputs become known, what the store has for them, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipelines.code import CodeIndex
from pipelines.code_texts import keep_texts, name_of
from pipelines.identity import KeyParts, explain, identity_config
from pipelines.plan import Plan, PlannedStage
from pipelines.provenance import provenance_hashes, provenances
from pipelines.status import StageStatus
from pipelines.store import Store


class Resolver:
    """Keys of planned stages as their inputs become known, and what the store has for them."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        folder = Path(plan.file).resolve().parent
        self._code = CodeIndex([folder])
        self._reach: dict[type, dict[str, str]] = {}
        self._sources: dict[str, Mapping[str, str]] = {}
        self._kept: set[str] = set()
        self._modules: dict[type, dict[str, str]] = {}

    def parts(self, planned: PlannedStage, statuses: Mapping[str, StageStatus]) -> KeyParts:
        """Everything the key is made of; all inputs must be known."""
        cls = planned.stage_class
        if cls not in self._reach:
            self._reach[cls] = self._code.reach(cls.__module__, cls.__qualname__)
        inputs: dict[str, list[tuple[Mapping[str, Any], str]]] = {}
        for name, wires in planned.needs.items():
            many = cls.inputs[name].many
            inputs[name] = [
                (
                    # Only a stage that compares cells sees where an input comes from.
                    dict(statuses[wire.stage].planned.cell) if many else {},
                    statuses[wire.stage].outputs[wire.output].digest,
                )
                for wire in wires
            ]
        making = f"{planned.word} {planned.config!r}"
        if making not in self._sources:
            self._sources[making] = dict(cls(planned.config).sources())
        return KeyParts(
            uses=planned.word,
            config=identity_config(planned.config),
            code=self._reach[cls],
            inputs=inputs,
            sources=self._sources[making],
            libraries={name: _version(name) for name in cls.libraries},
            provenance=provenance_hashes(provenances(planned, statuses)),
        )

    def find(self, planned: PlannedStage, parts: KeyParts) -> tuple[dict[str, Any] | None, str]:
        """The stored result for these parts, and why it is or is not there."""
        record = self.store.result(parts.key)
        if record is not None:
            return record, "unchanged"
        if planned.pinned:
            pinned = self.store.pointed(f"pinned/{parts.key_without_code}")
            record = self.store.result(pinned) if pinned else None
            if record is not None:
                changes = explain(KeyParts.from_json(record["parts"]), parts)
                return record, "pinned, although " + "; ".join(changes)
        return None, self.why_missing(planned, parts)

    def why_missing(self, planned: PlannedStage, parts: KeyParts) -> str:
        """What changed since the last result of this stage of this pipeline."""
        last = self.store.pointed(self.pointer(planned))
        if last is None:
            return "it has no result yet"
        if last == parts.key:
            return "its artifacts are gone from the store"
        record = self.store.record(last)
        if record is None:
            return "its last result is gone from the store"
        old = KeyParts.from_json(record["parts"])
        return "; ".join(explain(old, parts)) or "its last result is gone from the store"

    def keep_code(self, planned: PlannedStage, parts: KeyParts) -> None:
        """Keep the code behind a result, so that a later change of it can be shown."""
        if name_of(parts.code) not in self._kept:
            self._kept.add(name_of(parts.code))
            keep_texts(self.store, parts.code, self.texts(planned))

    def sources_of(self, planned: PlannedStage) -> dict[str, str]:
        """The modules behind a stage's key, with the hashes of their files."""
        cls = planned.stage_class
        if cls not in self._modules:
            self._modules[cls] = self._code.sources(cls.__module__, cls.__qualname__)
        return self._modules[cls]

    def texts(self, planned: PlannedStage) -> dict[str, str]:
        """The code that a stage reaches, as it is now."""
        cls = planned.stage_class
        return self._code.texts(cls.__module__, cls.__qualname__)

    def pointer(self, planned: PlannedStage) -> str:
        return pointer_of(self.plan.pipeline, planned.name)


def pointer_of(pipeline: str, stage: str) -> str:
    """Where the store keeps the key of the last result of a planned stage, by its name."""
    # Matrix values are free text; a slash in one must not lead elsewhere.
    return f"stages/{pipeline}/{quote(stage, safe='[]=,+')}"


@cache
def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def preview(
    plan: Plan, store: Store, names: set[str] | None = None, anew: set[str] | None = None
) -> list[StageStatus]:
    """What a run would do, without running: reused, computed, or computed if inputs change."""
    resolver = Resolver(plan, store)
    statuses = {s.name: StageStatus(s) for s in plan.stages}
    for planned in plan.stages:
        status = statuses[planned.name]
        if names is not None and planned.name not in names:
            status.state, status.why = "skipped", "not asked for"
            continue
        unknown = [up for up in sorted(planned.upstream()) if statuses[up].state != "reused"]
        if unknown:
            first = plan[unknown[0]].stage if len(unknown) > 1 else unknown[0]
            status.state = "computed"
            status.why = f"waits for {first}; reused if that makes the bytes it made before"
            continue
        try:
            status.parts = resolver.parts(planned, statuses)
        except Exception as error:  # noqa: BLE001 - a stage's own sources() may raise anything
            status.state, status.why = "failed", "its sources cannot be read"
            status.error = f"{type(error).__name__}: {error}"
            continue
        status.key = status.parts.key
        record, status.why = resolver.find(planned, status.parts)
        if planned.name in (anew or ()):
            record, status.why = None, "asked for anew"
        if record is None:
            status.state = "computed"
        else:
            status.take(record, store)
    return list(statuses.values())
