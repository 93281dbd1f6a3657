"""What a task is asked, and what it brings home: plain data, for any process on any machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.store import Part


@dataclass(frozen=True)
class StageTask:
    """One call of a stage: all of it, or one shard of its first input.

    Attributes:
        stage: the planned stage's name, for messages.
        module, name: where its class is.
        folder: the folder of the DAG file, for a user's own stages.
        inputs: input name -> (digest, cell) of each artifact wired to it.
        provenance: input name -> what went into each of these artifacts, where that is asked for.
        prefix: the attempt's prefix in the store.
        shard: index of the shard for a RowStage, else None.
        shard_key: identity of that shard.
        note: path of the note of an earlier attempt that finished this shard, or None.
        retries: how often an exception of the method is tried again.
        allowed: rows of the shard that may be set aside.
        attempt: how often the engine has given out this task before.
        sources: module -> hash of its file, of the code that is in the key.
        code: name of that set of code (`pipelines.code_texts.name_of`).
        key: the key of the stage, by which its checkpoints are found.
    """

    stage: str
    module: str
    name: str
    folder: str
    config: Mapping[str, Any]
    store: str
    inputs: Mapping[str, tuple[tuple[str, Mapping[str, Any]], ...]]
    prefix: str
    shard: int | None = None
    shard_key: str = ""
    note: str | None = None
    retries: int = 0
    allowed: int = 0
    attempt: int = 0
    sources: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    key: str = ""
    provenance: Mapping[str, list[Any]] = field(default_factory=dict)

    @property
    def task_name(self) -> str:
        return self.stage if self.shard is None else f"{self.stage}#{self.shard}"


@dataclass
class Written:
    """The parts of one output, and the schema of its rows."""

    parts: list[Part] = field(default_factory=list)
    schema: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class TaskResult:
    """What a task brings home. `began` and `ended` are times of the worker's clock, in seconds."""

    shard: int | None
    began: float
    ended: float
    outputs: dict[str, Written]
    rows_in: int
    metrics: dict[str, float]
    counts: dict[str, int]
    figures: dict[str, bytes]
    reasons: dict[str, int]
    quarantined: int = 0
    resumed: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a task is; the first of a task says that it has begun."""

    stage: str
    shard: int | None
    done: int
    total: int | None
    unit: str


@dataclass(frozen=True)
class Point:
    """A point of a curve."""

    stage: str
    metric: str
    value: float
    step: int


def summed(counters: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counters added name by name."""
    total: dict[str, int] = {}
    for counter in counters:
        for name, amount in counter.items():
            total[name] = total.get(name, 0) + amount
    return total
