"""Why a stage runs again: what is other in its key than in an earlier result's, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipelines.code_texts import difference, texts_of
from pipelines.files import StoreError
from pipelines.identity import KeyParts, changed
from pipelines.leases import RunEntry
from pipelines.plan import Plan
from pipelines.redact import redact
from pipelines.resolve import Resolver
from pipelines.status import StageStatus
from pipelines.store import Store

Part = Literal["type", "config", "code", "library", "input", "source"]


@dataclass(frozen=True)
class Change:
    """One part of a key that is other than it was; `before` or `after` None: it is new, or gone.

    `diff` holds the lines of a unified diff, for code whose text was kept.
    """

    part: Part
    name: str
    before: Any = None
    after: Any = None
    diff: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Explanation:
    """What changed for one planned stage.

    Attributes:
        state: what a run would do with it.
        why: the same in a sentence.
        against: the key of the earlier result that it is compared with, where there is one.
        waits_for: a stage that must run before anything can be said.
    """

    stage: str
    state: str
    why: str
    key: str | None
    against: str | None = None
    waits_for: str | None = None
    changes: list[Change] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Explainer:
    """Explains the stages of a plan by the results in a store."""

    def __init__(
        self, plan: Plan, store: Store, statuses: Mapping[str, StageStatus],
        against: RunEntry | None = None,
    ) -> None:  # fmt: skip
        """`statuses` are those of `preview`; `against` is the run to compare with, instead of the
        last result of each stage.
        """
        self.plan, self.store, self.statuses, self.against = plan, store, statuses, against
        self._resolver = Resolver(plan, store)

    def explain(self, name: str) -> Explanation:
        """What changed for the planned stage `name`."""
        status = self.statuses[name]
        if status.parts is None:
            return Explanation(name, status.state, status.error or status.why, status.key,
                               waits_for=self._first_to_run(name))  # fmt: skip
        key = self._earlier(name)
        record = None if key is None else self.store.record(key)
        if record is None:
            why = status.why
            if self.against is not None:
                why = f"run {self.against.run[:8]} has no result of it"
            return Explanation(name, status.state, why, status.key)
        old = KeyParts.from_json(record["parts"])
        # The record holds no secrets, so neither may what it is compared with.
        new = KeyParts.from_json(redact(status.parts.as_json()))
        changes = list(self._changes(name, old, new))
        return Explanation(name, status.state, status.why, status.key, key, changes=changes)

    def _first_to_run(self, name: str) -> str | None:
        """The first stage upstream that a run would compute or cannot key."""
        for planned in self.plan.stages:
            if planned.name in self.plan.needed_for({name}) - {name}:
                status = self.statuses[planned.name]
                if status.state != "reused" and status.parts is not None:
                    return planned.name
        return None

    def _earlier(self, name: str) -> str | None:
        if self.against is not None:
            return self.against.stages.get(name)
        return self.store.pointed(self._resolver.pointer(self.plan[name]))

    def _changes(self, name: str, old: KeyParts, new: KeyParts) -> Iterator[Change]:
        if old.uses != new.uses:
            yield Change("type", "uses", old.uses, new.uses)
        for field_name, before, after in changed(old.config, new.config):
            yield Change("config", field_name, before, after)
        then = texts_of(self.store, old.code)
        now = self._resolver.texts(self.plan[name])
        for unit, before, after in changed(old.code, new.code):
            diff = difference(unit, then.get(unit), now.get(unit)) if then or after is None else []
            yield Change("code", unit, before, after, diff)
        for library, before, after in changed(old.libraries, new.libraries):
            yield Change("library", library, before, after)
        for input_name, before, after in changed(old.inputs, new.inputs):
            yield Change("input", input_name, self._artifacts(before), self._artifacts(after))
        for input_name, _, _ in changed(old.provenance, new.provenance):
            yield Change("input", f"{input_name} (how it was made)")
        for address, before, after in changed(old.sources, new.sources):
            yield Change("source", address, before, after)

    def _artifacts(self, wires: Any) -> list[dict[str, Any]] | None:
        """What is known of the artifacts of an input: digest, who made it, rows."""
        if wires is None:
            return None
        found = []
        for _, digest in wires:
            known: dict[str, Any] = {"digest": digest}
            try:
                manifest = self.store.manifest(digest)
                known |= {"made_by": manifest.made_by["stage"], "rows": manifest.rows}
            except StoreError:
                known["made_by"] = None
            found.append(known)
        return found
