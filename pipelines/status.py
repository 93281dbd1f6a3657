"""What becomes of a planned stage in a run, and who is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pipelines.identity import KeyParts
from pipelines.plan import PlannedStage
from pipelines.results import Point
from pipelines.store import Manifest, Store
from stages.kinds import FILE_KINDS

State = Literal["waiting", "running", "computed", "reused", "failed", "skipped"]


@dataclass
class StageStatus:
    """What became of one planned stage."""

    planned: PlannedStage
    state: State = "waiting"
    parts: KeyParts | None = None
    made: KeyParts | None = None  # what its outputs were made of: of a pinned result, other parts
    key: str | None = None
    outputs: dict[str, Manifest] = field(default_factory=dict)
    inputs: dict[str, Manifest] = field(default_factory=dict)  # by digest
    why: str = ""
    seconds: float = 0.0
    error: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    quarantined: int = 0  # rows set aside, each with its exception
    shards: int = 0
    shards_resumed: int = 0  # of them found finished by an interrupted attempt
    done: int = 0
    total: int | None = None
    unit: str = "rows"
    run_id: str | None = None  # our id of the run that made the outputs

    def take(self, record: Mapping[str, Any], store: Store) -> None:
        """Become `reused`, from a stored result."""
        self.state = "reused"
        self.made = KeyParts.from_json(record["parts"])
        self.outputs = {name: store.manifest(d) for name, d in record["outputs"].items()}
        self.metrics = dict(record["metrics"])
        self.dropped = dict(record["dropped"])
        self.quarantined = int(record.get("quarantined", 0))
        self.run_id = record["run"]

    @property
    def name(self) -> str:
        return self.planned.name

    @property
    def digest(self) -> str | None:
        """Digest of the first output, the one meant where a DAG names no other."""
        first = next(iter(self.planned.stage_class.outputs), None)
        return self.outputs[first].digest if first in self.outputs else None

    @property
    def rows(self) -> int | None:
        """Rows of the first output; None where it is files."""
        first = next(iter(self.planned.stage_class.outputs), None)
        manifest = self.outputs.get(first or "")
        return None if manifest is None or manifest.kind in FILE_KINDS else manifest.rows

    @property
    def resumed(self) -> str:
        """What it went on from, where an interrupted run had begun it; else empty."""
        if self.shards_resumed:
            return (f"{self.shards_resumed} of {self.shards} shards were finished by an "
                    "interrupted run")  # fmt: skip
        step = self.metrics.get("resumed_from_step")
        if self.state != "computed" or step is None:
            return ""
        before, now = (self.metrics.get(name) for name in ("resumed_from_workers", "workers"))
        changed = ""
        if before is not None and now is not None and before != now:
            changed = (
                f", with {now:.0f} workers instead of {before:.0f}: the same order of the data"
            )
        return f"an interrupted run had come to step {step:.0f}; went on from there{changed}"

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "stage": self.planned.stage,
            "cell": dict(self.planned.cell),
            "uses": self.planned.word,
            "state": self.state,
            "key": self.key,
            "digest": self.digest,
            "why": self.why,
            "seconds": round(self.seconds, 3),
            "rows": self.rows,
            "outputs": {
                name: {"kind": m.kind, "digest": m.digest, "rows": m.rows, "bytes": m.size}
                for name, m in self.outputs.items()
            },
            "metrics": self.metrics,
            "dropped": self.dropped,
            "quarantined": self.quarantined,
            "shards": self.shards,
            "shards_resumed": self.shards_resumed,
            "error": self.error or None,
        }


class Listener(Protocol):
    """Told what happens while a plan runs: the live display, the record."""

    def started(self, status: StageStatus) -> None: ...

    def progressed(self, status: StageStatus) -> None: ...

    def points(self, points: Iterable[Point]) -> None: ...

    def finished(self, status: StageStatus, figures: Mapping[str, bytes]) -> None: ...

    def run_of(self, status: StageStatus) -> str | None:
        """Our id of the run of a stage in the record, where this listener keeps one."""
        ...
