"""Removes from a store what no kept run needs, and never what a running run uses.

Kept are the last runs of each pipeline that finished well, younger ones on demand, every run that
is alive, and what the index leads to: the last result of each stage. What they need are the results
of their stages, the artifacts of those, and all artifacts these were made from, so that lineage
keeps its way back to the sources.

A run writes the key that it relies on into its entry before it looks for the result
(`pipelines.leases`). So this sets a manifest aside first, looks at the entries of live runs again,
and puts it back where one of them has come to rely on it. A sweep that was killed in between leaves
manifests aside with their shards whole; the next sweep puts those back before it begins. An
artifact exists while its manifest does: manifests go first, shards after them.
"""

from __future__ import annotations

import posixpath
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pipelines.checkpoints import attempt_of, attempts_with_checkpoints
from pipelines.files import StoreError
from pipelines.leases import RunEntry, run_entries
from pipelines.store import Manifest, Store

ASIDE = ".removing"


@dataclass(frozen=True)
class Policy:
    """What is kept.

    Attributes:
        runs: how many runs of each pipeline that finished well, the last ones.
        days: every run that is younger, however it ended.
        attempt_days: unfinished attempts that are younger: they hold shards and checkpoints that
            can be resumed.
    """

    runs: int = 5
    days: float = 0.0
    attempt_days: float = 7.0


@dataclass
class Sweep:
    """What would go."""

    artifacts: list[Manifest] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)  # prefix, or checkpoints -> bytes
    results: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)  # pointers, entries, texts of code
    kept: int = 0

    @property
    def size(self) -> int:
        return sum(m.size for m in self.artifacts) + sum(self.attempts.values())

    @property
    def empty(self) -> bool:
        return not (self.artifacts or self.attempts or self.results or self.others)


class Collector:
    """Finds what no kept run needs, and removes it."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self.store, self.policy = store, policy
        self._records: dict[str, dict[str, Any] | None] = {}

    def look(self) -> Sweep:
        """What would be removed now; changes nothing but what an earlier sweep left half done."""
        self._put_back()
        store = self.store
        entries = run_entries(store)
        kept_runs = [entry for entry in entries if entry.run in self._kept_runs(entries)]
        keys = {key for entry in kept_runs for key in entry.stages.values()}
        pointers = self._pointers()
        keys |= {key for pointer, key in pointers.items() if pointer.startswith("stages/")}
        manifests = {manifest.digest: manifest for manifest in store.artifacts()}
        needed = self._needed(keys, manifests)
        sweep = Sweep(kept=len(needed))
        sweep.artifacts = [m for digest, m in manifests.items() if digest not in needed]
        for name in store.files.names("results"):
            key = name.removesuffix(".json")
            record = self._record(key)
            outputs = set((record or {}).get("outputs", {}).values())
            if key not in keys and not (outputs and outputs <= needed):
                sweep.results.append(key)
        gone = set(sweep.results)
        sweep.others = [
            posixpath.join("index", pointer) for pointer, key in pointers.items()
            if key in gone or self._record(key) is None
        ]  # fmt: skip
        texts = {self._texts_of(key) for key in keys | (self._all_results() - gone)}
        sweep.others += [
            posixpath.join("code", name) for name in store.files.names("code")
            if name.removesuffix(".json") not in texts
        ]  # fmt: skip
        runs = {entry.run for entry in kept_runs}
        oldest = min((entry.started for entry in kept_runs), default=0.0)
        sweep.others += [
            posixpath.join("runs", "ended", f"{entry.run}.json") for entry in entries
            if entry.run not in runs and not entry.alive and entry.started < oldest
        ]  # fmt: skip
        sweep.attempts = self._attempts(manifests, entries)
        return sweep

    def remove(self, sweep: Sweep, removed: Callable[[int], None] = lambda _: None) -> int:
        """Remove what `look` found, save what a run has come to rely on since; bytes freed."""
        freed = 0
        files = self.store.files
        for manifest in sweep.artifacts:
            path = posixpath.join("artifacts", manifest.digest, "manifest.json")
            data = files.read(path)
            if data is None:
                continue  # another sweep was first
            files.overwrite(path + ASIDE, data)
            files.remove(path)
            if manifest.digest in self._relied_on():
                files.create(path, data)
                files.remove(path + ASIDE)
                continue
            files.remove(manifest.location)
            files.prune(posixpath.dirname(manifest.location))
            files.remove(posixpath.join("artifacts", manifest.digest))
            freed += manifest.size
            removed(manifest.size)
        live = [entry for entry in run_entries(self.store, live=True) if entry.alive]
        in_use = {key for entry in live for key in entry.stages.values()}
        for key in sweep.results:
            if key not in in_use:
                files.remove(posixpath.join("results", f"{key}.json"))
        writing = {prefix for entry in live for prefix in entry.attempts}
        for prefix, size in sweep.attempts.items():
            if attempt_of(prefix) not in writing:
                files.remove(prefix)
                files.prune(posixpath.dirname(prefix))
                freed += size
                removed(size)
        for path in sweep.others:
            files.remove(path)
        return freed

    # -- what is kept -----------------------------------------------------------------------------

    def _kept_runs(self, entries: Iterable[RunEntry]) -> set[str]:
        kept: set[str] = set()
        counts: dict[str, int] = {}
        young = time.time() - self.policy.days * 86400
        for entry in sorted(entries, key=lambda e: e.started, reverse=True):
            well = entry.state == "FINISHED"
            if well:
                counts[entry.pipeline] = counts.get(entry.pipeline, 0) + 1
            if (
                entry.alive
                or (well and counts[entry.pipeline] <= self.policy.runs)
                or entry.started > young
            ):
                kept.add(entry.run)
        return kept

    def _needed(self, keys: Iterable[str], manifests: dict[str, Manifest]) -> set[str]:
        """Artifacts of results, and what they were made from."""
        waiting = []
        for key in keys:
            record = self._record(key)
            if record is not None:
                waiting += list(record["outputs"].values())
                waiting += [d for wires in record["parts"]["inputs"].values() for _, d in wires]
        needed: set[str] = set()
        while waiting:
            digest = waiting.pop()
            if digest in needed or digest not in manifests:
                continue
            needed.add(digest)
            for digests in manifests[digest].made_by.get("inputs", {}).values():
                waiting += digests
        return needed

    def _relied_on(self) -> set[str]:
        """Artifacts of results that live runs rely on, as of now."""
        keys = {
            key
            for entry in run_entries(self.store, live=True)
            if entry.alive
            for key in entry.stages.values()
        }
        records = [self.store.record(key) for key in keys]
        return {digest for record in records if record for digest in record["outputs"].values()}

    def _pointers(self) -> dict[str, str]:
        found = {}
        for pointer in self.store.files.sizes("index"):
            key = self.store.pointed(pointer)
            if key is not None:
                found[pointer] = key
        return found

    def _attempts(
        self, manifests: dict[str, Manifest], entries: Iterable[RunEntry]
    ) -> dict[str, int]:
        """Folders of attempts that became no artifact, and are too old to be resumed; and folders
        of their checkpoints, also where the key was finished by another one.
        """
        writing = {prefix for entry in entries if entry.alive for prefix in entry.attempts}
        begun = {prefix: entry.started for entry in entries for prefix in entry.attempts}
        used = {"/".join(m.location.split("/")[:4]) for m in manifests.values()}
        saved = attempts_with_checkpoints(self.store)
        young = time.time() - self.policy.attempt_days * 86400
        sizes: dict[str, int] = {}
        for path, size in self.store.files.sizes("shards").items():
            prefix = "/".join(("shards", *path.split("/")[:3]))
            sizes[prefix] = sizes.get(prefix, 0) + size
        old = {
            prefix: size for prefix, size in sizes.items()
            if prefix not in used and prefix not in writing and begun.get(prefix, 0.0) < young
        }  # fmt: skip
        # Checkpoints are of use until the key has a result.
        old |= {
            folder: size for folder, (size, prefix, key) in saved.items()
            if prefix not in writing
            and (begun.get(prefix, 0.0) < young or self._record(key) is not None)
        }  # fmt: skip
        return old

    def _record(self, key: str) -> dict[str, Any] | None:
        if key not in self._records:
            self._records[key] = self.store.record(key)
        return self._records[key]

    def _all_results(self) -> set[str]:
        return {name.removesuffix(".json") for name in self.store.files.names("results")}

    def _texts_of(self, key: str) -> str:
        from pipelines.code_texts import name_of

        record = self._record(key)
        return "" if record is None else name_of(record["parts"]["code"])

    def _put_back(self) -> None:
        """Finish what a sweep that was killed has left half done."""
        files = self.store.files
        for path in files.sizes("artifacts"):
            if not path.endswith("manifest.json" + ASIDE):
                continue
            aside = posixpath.join("artifacts", path)
            data = files.read(aside)
            if data is None:
                continue
            manifest = Manifest.from_json(data)
            try:
                whole = not self.store.faults(manifest)
            except (OSError, StoreError):
                whole = False
            if whole:
                files.create(aside.removesuffix(ASIDE), data)
                files.remove(aside)
            else:
                files.remove(manifest.location)
                files.remove(posixpath.dirname(aside))


def as_json(sweep: Sweep) -> dict[str, Any]:
    """A sweep for `--json`."""
    return {
        "artifacts": [
            {"digest": m.digest, "made_by": m.made_by.get("stage"), "bytes": m.size}
            for m in sweep.artifacts
        ],
        "attempts": sweep.attempts,
        "results": sweep.results,
        "others": sweep.others,
        "bytes": sweep.size,
        "kept": sweep.kept,
    }
