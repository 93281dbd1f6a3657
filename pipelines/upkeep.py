"""Looking after a store: is every byte as it was written?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from pipelines.content import content_digest
from pipelines.files import StoreError
from pipelines.store import Manifest, Store
from stages.kinds import FILE_KINDS

THREADS = 2


@dataclass
class Verdict:
    """What is wrong with an artifact; nothing where `faults` is empty."""

    manifest: Manifest
    faults: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        made = self.manifest.made_by
        return f"{made.get('stage', '?')}.{made.get('output', '?')}"


def verify(
    store: Store, manifests: Iterable[Manifest], looked_at: Callable[[Manifest], None]
) -> list[Verdict]:
    """Read every byte of artifacts and compare it with what was written.

    Args:
        looked_at: told after each artifact.
    """
    manifests = list(manifests)
    verdicts: dict[str, Verdict] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = {pool.submit(_verdict, store, m): m for m in manifests}
        for done in as_completed(waiting):
            verdicts[waiting[done].digest] = done.result()
            looked_at(waiting[done])
    return [verdicts[manifest.digest] for manifest in manifests]


def _verdict(store: Store, manifest: Manifest) -> Verdict:
    try:
        faults = store.faults(manifest, contents=True)
    except (OSError, StoreError) as error:
        faults = [f"{store.address(manifest.location)} cannot be read: {error}"]
    files = manifest.kind in FILE_KINDS
    contents = [f"{p.path}\0{p.hash}" if files else p.hash for p in manifest.parts]
    if content_digest(manifest.kind, manifest.schema, contents) != manifest.digest:
        faults.append("its manifest was changed: the digest is not that of its parts")
    return Verdict(manifest, faults)


def broken_results(store: Store) -> dict[str, list[str]]:
    """Results that name artifacts which are not there: key -> their digests."""
    there = set(store.files.names("artifacts"))
    found: dict[str, list[str]] = {}
    for name in store.files.names("results"):
        record = store.record(name.removesuffix(".json"))
        gone = [d for d in (record or {}).get("outputs", {}).values() if d not in there]
        if gone:
            found[name.removesuffix(".json")] = gone
    return found
