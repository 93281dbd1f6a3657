"""Lineage: from a result back to the files it came from. The store is the source of truth."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import Any

from pipelines.files import StoreError
from pipelines.store import Manifest, Store


@dataclass
class Origin:
    """An artifact and what it was made from, back to the sources."""

    manifest: Manifest
    inputs: dict[str, list[Origin]] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    seen: bool = False  # shown elsewhere in the same tree

    def as_json(self) -> dict[str, Any]:
        return {
            "digest": self.manifest.digest,
            "kind": self.manifest.kind,
            "rows": self.manifest.rows,
            "stage": self.manifest.made_by["stage"],
            "uses": self.manifest.made_by["uses"],
            "run": self.manifest.made_by["run"],
            "sources": self.sources,
            "inputs": {n: [o.as_json() for o in origins] for n, origins in self.inputs.items()},
        }


def trace(store: Store, manifest: Manifest, seen: set[str] | None = None) -> Origin:
    """The way from an artifact back to the files it came from."""
    seen = set() if seen is None else seen
    origin = Origin(manifest, seen=manifest.digest in seen)
    if origin.seen:
        return origin
    seen.add(manifest.digest)
    made = manifest.made_by
    if made.get("sources"):
        result = store.result(made["key"])
        origin.sources = sorted(result["parts"]["sources"]) if result else []
    for name, digests in made["inputs"].items():
        origin.inputs[name] = [trace(store, store.manifest(d), seen) for d in digests]
    return origin


def find_artifacts(store: Store, thing: str) -> list[Manifest]:
    """Artifacts meant by `thing`: a digest or its beginning, a path in the store, the id of an
    MLflow run, the name of a stage, of a cell, or of one of its outputs or metrics
    (`stage.output`, `stage.metric`); of several results of a stage, the last.

    Raises:
        StoreError: nothing is called so.
    """
    manifests = store.artifacts()
    name = posixpath.normpath(thing).rstrip("/")
    hexadecimal = len(thing) >= 6 and all(c in "0123456789abcdef" for c in thing)
    if hexadecimal:
        found = [m for m in manifests if m.digest.startswith(thing)]
        found = found or [m for m in manifests if m.made_by.get("run") == thing]
        if found:
            return found
    found = [m for m in manifests if name.endswith(m.location) or name.endswith(m.digest)]
    if found:
        return found
    stage, _, output = thing.partition(".") if "]" not in thing else thing.rpartition(".")
    stage = stage or thing
    named = [
        m
        for m in manifests
        if m.made_by["stage"] in (thing, stage)
        or m.made_by["stage"].split("[")[0] in (thing, stage)
    ]
    by_output = [m for m in named if m.made_by["output"] == output]
    latest: dict[tuple[str, str], Manifest] = {}
    for m in sorted(by_output or named, key=lambda m: str(m.made_by["time"])):
        latest[m.made_by["stage"], m.made_by["output"]] = m
    if not latest:
        raise StoreError(
            f'nothing in {store.url} is called "{thing}"; `tokenmill ls` lists what there is'
        )
    return list(latest.values())
