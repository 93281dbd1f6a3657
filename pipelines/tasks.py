"""The tasks of a planned stage, and where they run: one task or, for a RowStage, one a shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cluster.needs import Needs
from cluster.runtime import Finished
from pipelines.code_texts import name_of
from pipelines.plan import PlannedStage
from pipelines.provenance import provenances
from pipelines.resolve import Resolver
from pipelines.results import StageTask, TaskResult
from pipelines.shards import finished_shards, shard_key
from pipelines.status import StageStatus
from pipelines.store import Manifest
from stages.contract import RowStage


class Runtime(Protocol):
    """Where tasks run (cluster.runtime has the one on Ray)."""

    def check(self, needs: Needs) -> None: ...

    def submit(
        self,
        task: str,
        function: Callable[..., Any],
        *arguments: Any,
        needs: Needs | None = None,
        retries: int = 3,
    ) -> None: ...

    def wait(self, timeout: float) -> list[Finished]: ...

    def messages(self) -> list[Any]: ...

    def abandon(self, task: str) -> None: ...

    def cancel(self) -> None: ...

    def close(self) -> None: ...


@dataclass
class Out:
    """A task that is out: given to the runtime and not yet home."""

    task: StageTask
    stage: str
    needs: Needs
    began: float | None = None  # when a worker said that it had taken it up


@dataclass
class Job:
    """A stage whose tasks are out."""

    prefix: str
    waiting: set[str]
    started: float
    results: list[TaskResult] = field(default_factory=list)
    shard_progress: dict[int | None, int] = field(default_factory=dict)
    shards: int = 1
    allowed: int = 0  # rows that may be set aside

    @property
    def quarantined(self) -> int:
        return sum(result.quarantined for result in self.results)


def rows_of(planned: PlannedStage, statuses: Mapping[str, StageStatus]) -> Manifest | None:
    """The artifact whose shards a RowStage treats one by one."""
    cls = planned.stage_class
    if not issubclass(cls, RowStage):
        return None
    wire = planned.needs[next(iter(cls.inputs))][0]
    return statuses[wire.stage].outputs[wire.output]


def tasks_of(
    status: StageStatus,
    statuses: Mapping[str, StageStatus],
    resolver: Resolver,
    prefix: str,
    allowed: int,
) -> Iterator[StageTask]:
    """The tasks of a stage that is keyed.

    Args:
        prefix: the folder of this attempt in the store.
        allowed: rows that may be set aside.
    """
    planned = status.planned
    cls = planned.stage_class
    assert status.key is not None
    assert status.parts is not None
    shards: list[tuple[int | None, str]] = [(None, "")]
    finished: dict[str, str] = {}
    rows = rows_of(planned, statuses)
    if rows is not None:
        shards = [
            (index, shard_key(status.key, part.hash)) for index, part in enumerate(rows.parts)
        ]
        finished = finished_shards(resolver.store, prefix)
    inputs = {
        name: tuple(
            (
                statuses[wire.stage].outputs[wire.output].digest,
                dict(statuses[wire.stage].planned.cell) if cls.inputs[name].many else {},
            )
            for wire in planned.needs[name]
        )
        # In the order of declaration: the first input of a RowStage gives the rows.
        for name in cls.inputs
        if name in planned.needs
    }
    folder = str(Path(resolver.plan.file).resolve().parent)
    sources = resolver.sources_of(planned)
    for shard, identity in shards:
        yield StageTask(
            stage=planned.name,
            module=cls.__module__,
            name=cls.__qualname__,
            folder=folder,
            config=planned.config.model_dump(mode="json"),
            store=resolver.store.url,
            inputs=inputs,
            prefix=prefix,
            shard=shard,
            shard_key=identity,
            note=finished.get(identity),
            retries=planned.retries.task,
            allowed=allowed,
            sources=sources,
            code=name_of(status.parts.code),
            key=status.key,
            provenance=provenances(planned, statuses),
        )
