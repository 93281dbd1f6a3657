"""Drives a plan: finds what is done, runs what is not, in parallel, and commits what was made.

One loop in one thread. A stage whose inputs are there is keyed; a hit is reused; a miss becomes
one task, or one a shard for a RowStage, and Ray decides when and where each runs. When the last
task of a stage is home its conservation is checked, its outputs are committed, its result is
recorded, and the stages behind it become ready.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from cluster.runtime import Finished, Needs, Unschedulable
from pipelines.execute import Point, Progress, StageTask, TaskResult, Written, run_task
from pipelines.plan import Plan, PlannedStage
from pipelines.resolve import Resolver
from pipelines.status import Listener, StageStatus, State
from pipelines.store import Store
from stages.contract import RowStage

# Recorded with every result, and no part of any key (see pipelines.code).
LIBRARIES = ("numpy", "polars", "pyarrow", "ray", "tokenizers", "torch", "transformers")


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

    def cancel(self) -> None: ...

    def close(self) -> None: ...


@dataclass
class _Job:
    """A stage whose tasks are out."""

    prefix: str
    waiting: set[str]
    started: float
    results: list[TaskResult] = field(default_factory=list)
    shard_progress: dict[int | None, int] = field(default_factory=dict)
    shards: int = 1


class Runner:
    """One run of a plan."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        start_runtime: Callable[[], Runtime],
        listeners: Iterable[Listener] = (),
        *,
        names: set[str] | None = None,
        anew: set[str] | None = None,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            start_runtime: called at the first stage that must be computed, and only then.
            names: planned stages to run (with all they need in it already); default all.
            anew: planned stages to compute even where the store has them.
        """
        self.plan, self.store = plan, store
        self.statuses = {s.name: StageStatus(s) for s in plan.stages}
        self._names = {s.name for s in plan.stages} if names is None else names
        self._anew = anew or set()
        self._start_runtime = start_runtime
        self._runtime: Runtime | None = None
        self._listeners = list(listeners)
        self._resolver = Resolver(plan, store)
        self._jobs: dict[str, _Job] = {}
        self._keys_out: dict[str, str] = {}
        self._keys_made: set[str] = set()
        self._stage_of_task: dict[str, str] = {}

    def add_listener(self, listener: Listener) -> None:
        """Tell `listener`, too, what happens."""
        self._listeners.append(listener)

    def run(self) -> list[StageStatus]:
        """Run to the end; returns every stage's status, in the order of the plan.

        Raises:
            KeyboardInterrupt: after all tasks were ended and open stages marked as skipped.
        """
        for status in self.statuses.values():
            if status.name not in self._names:
                self._settle(status, "skipped", "not asked for")
        try:
            while self._open():
                self._start_ready()
                if self._jobs:
                    self._listen()
        except BaseException:
            if self._runtime is not None:
                self._runtime.cancel()
            for name in list(self._open()):
                self._settle(self.statuses[name], "skipped", "the run was interrupted")
            raise
        finally:
            if self._runtime is not None:
                self._runtime.close()
        return list(self.statuses.values())

    def _open(self) -> list[str]:
        return [n for n, s in self.statuses.items() if s.state in ("waiting", "running")]

    def _start_ready(self) -> None:
        moved = True
        while moved:  # a reused stage makes others ready at once
            moved = False
            for status in self.statuses.values():
                if status.state != "waiting":
                    continue
                upstream = [self.statuses[name] for name in status.planned.upstream()]
                failed = [up.name for up in upstream if up.state in ("failed", "skipped")]
                if failed:
                    self._settle(status, "skipped", f"it needs {failed[0]}")
                    moved = True
                elif all(up.state in ("computed", "reused") for up in upstream):
                    moved |= self._start(status)

    def _start(self, status: StageStatus) -> bool:
        planned = status.planned
        if status.parts is None:
            try:
                status.parts = self._resolver.parts(planned, self.statuses)
            except Exception as error:  # noqa: BLE001 - a stage's own sources() may raise anything
                status.error = f"{type(error).__name__}: {error}"
                self._settle(status, "failed", "its sources cannot be read")
                return True
            status.key = status.parts.key
        if status.parts.key in self._keys_out:
            return False  # the same work is under way for another cell; its result will be reused
        record, status.why = self._resolver.find(planned, status.parts)
        if planned.name in self._anew and status.parts.key not in self._keys_made:
            record, status.why = None, "asked for anew"
        if record is not None:
            status.take(record, self.store)
            self.store.point(self._resolver.pointer(planned), record["key"])
            self._settle(status, "reused", status.why)
            return True
        self._launch(status)
        return True

    def _launch(self, status: StageStatus) -> None:
        planned = status.planned
        assert status.key is not None
        if self._runtime is None:
            self._runtime = self._start_runtime()
        status.state = "running"
        for listener in self._listeners:
            listener.started(status)
        asked = planned.resources
        needs = Needs(asked.cpus, asked.gpus, asked.memory)
        try:
            self._runtime.check(needs)
        except Unschedulable as error:
            status.error = str(error)
            self._settle(status, "failed", "no node can run it")
            return
        cls = planned.stage_class
        prefix = self.store.new_attempt(planned.word, status.key)
        shards: list[int | None] = [None]
        if issubclass(cls, RowStage):
            wire = planned.needs[next(iter(cls.inputs))][0]
            rows = self.statuses[wire.stage].outputs[wire.output]
            shards = list(range(len(rows.parts)))
            status.total = rows.rows
        job = _Job(prefix, set(), time.monotonic(), shards=len(shards))
        self._jobs[planned.name] = job
        self._keys_out[status.key] = planned.name
        inputs = {
            name: tuple(
                (
                    self.statuses[wire.stage].outputs[wire.output].digest,
                    dict(self.statuses[wire.stage].planned.cell) if cls.inputs[name].many else {},
                )
                for wire in planned.needs[name]
            )
            # In the order of declaration: the first input of a RowStage gives the rows.
            for name in cls.inputs
            if name in planned.needs
        }
        for shard in shards:
            task = StageTask(
                stage=planned.name,
                module=cls.__module__,
                name=cls.__qualname__,
                folder=str(Path(self.plan.file).resolve().parent),
                config=planned.config.model_dump(mode="json"),
                store=self.store.url,
                inputs=inputs,
                prefix=prefix,
                shard=shard,
                retries=planned.retries.task,
            )
            name = planned.name if shard is None else f"{planned.name}#{shard}"
            job.waiting.add(name)
            self._stage_of_task[name] = planned.name
            self._runtime.submit(
                name, run_task, task, needs=needs, retries=planned.retries.infrastructure
            )

    def _listen(self) -> None:
        assert self._runtime is not None
        finished = self._runtime.wait(0.25)
        points = []
        for message in self._runtime.messages():
            if isinstance(message, Point):
                points.append(message)
            elif isinstance(message, Progress) and message.stage in self._jobs:
                self._note_progress(message)
        for listener in self._listeners:
            if points:
                listener.points(points)
        for end in finished:
            name = self._stage_of_task[end.task]
            job = self._jobs.get(name)
            if job is None:
                continue  # another shard of the stage failed before
            job.waiting.discard(end.task)
            if end.error is not None:
                prefix = "its worker was lost, and retries are used up: " if end.lost else ""
                self.statuses[name].error = prefix + end.error
                self._end_job(name, "failed", "it failed")
                continue
            job.results.append(end.value)
            if job.shards > 1:
                status = self.statuses[name]
                status.done = sum(result.rows_in for result in job.results)
                for listener in self._listeners:
                    listener.progressed(status)
            if not job.waiting:
                try:
                    self._complete(name, job)
                except Exception as error:  # noqa: BLE001 - a stage's summary() may raise anything
                    self.statuses[name].error = f"{type(error).__name__}: {error}"
                    self._end_job(name, "failed", "its outputs could not be committed")

    def _note_progress(self, message: Progress) -> None:
        status, job = self.statuses[message.stage], self._jobs[message.stage]
        job.shard_progress[message.shard] = message.done
        status.done = sum(job.shard_progress.values())
        if message.shard is None and message.total is not None:
            status.total = message.total
        status.unit = message.unit or status.unit
        for listener in self._listeners:
            listener.progressed(status)

    def _complete(self, name: str, job: _Job) -> None:
        status = self.statuses[name]
        planned = status.planned
        cls = planned.stage_class
        assert status.parts is not None
        assert status.key is not None
        results = sorted(job.results, key=lambda r: -1 if r.shard is None else r.shard)
        written = {output: _joined([r.outputs[output] for r in results]) for output in cls.outputs}
        counts = _summed(r.counts for r in results)
        status.dropped = _summed(r.reasons for r in results)
        status.metrics = {k: v for r in results for k, v in r.metrics.items()}
        status.metrics.update({k: float(v) for k, v in counts.items()})
        if issubclass(cls, RowStage):
            status.metrics.update(cls(planned.config).summary(counts))
        fault = _conservation_fault(planned, results, written, status.dropped)
        if fault:
            status.error = fault
            self._end_job(name, "failed", "rows went missing")
            return
        run_id = None
        for listener in self._listeners:
            run_id = run_id or listener.run_of(status)
        made_by = {
            "stage": planned.name,
            "uses": planned.word,
            "pipeline": self.plan.pipeline,
            "key": status.key,
            "config": dict(status.parts.config),
            "inputs": {n: [d for _, d in wires] for n, wires in status.parts.inputs.items()},
            "sources": len(status.parts.sources),
            "run": run_id,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "python": platform.python_version(),
            "libraries": _versions(),
        }
        try:
            for output, parts in written.items():
                status.outputs[output] = self.store.commit(
                    cls.outputs[output].kind,
                    f"{job.prefix}/{output}",
                    parts.schema,
                    parts.parts,
                    {**made_by, "output": output},
                )
        except OSError as error:
            status.error = f"the store {self.store.url} cannot be written: {error}"
            self._end_job(name, "failed", "its outputs could not be committed")
            return
        # Not the time in the queue: from the start of the first task to the end of the last.
        status.seconds = max(r.ended for r in results) - min(r.began for r in results)
        status.run_id = run_id
        record = {
            "key": status.key,
            "stage": planned.name,
            "uses": planned.word,
            "outputs": {output: m.digest for output, m in status.outputs.items()},
            "metrics": status.metrics,
            "dropped": status.dropped,
            "seconds": status.seconds,
            "run": run_id,
            "parts": status.parts.as_json(),
        }
        self.store.put_result(
            status.key,
            record,
            [self._resolver.pointer(planned), f"pinned/{status.parts.key_without_code}"],
            anew=planned.name in self._anew,
        )
        self._keys_made.add(status.key)
        figures = {n: png for r in results for n, png in r.figures.items()}
        self._end_job(name, "computed", status.why, figures)

    def _end_job(
        self, name: str, state: State, why: str, figures: Mapping[str, bytes] | None = None
    ) -> None:
        status = self.statuses[name]
        job = self._jobs.pop(name)
        if status.key is not None:
            self._keys_out.pop(status.key, None)
        status.seconds = status.seconds or time.monotonic() - job.started
        self._settle(status, state, why, figures)

    def _settle(
        self,
        status: StageStatus,
        state: State,
        why: str,
        figures: Mapping[str, bytes] | None = None,
    ) -> None:
        status.state, status.why = state, why
        for listener in self._listeners:
            listener.finished(status, figures or {})


def _joined(written: list[Written]) -> Written:
    """The shards of one output in the order of the shards they come from."""
    schemas = [w.schema for w in written if w.schema]
    for schema in schemas[1:]:
        if schema != schemas[0]:
            raise TypeError(f"shards of one output differ in their columns: {schemas[0]}, {schema}")
    return Written([part for w in written for part in w.parts], schemas[0] if schemas else [])


def _conservation_fault(
    planned: PlannedStage,
    results: list[TaskResult],
    written: Mapping[str, Written],
    dropped: Mapping[str, int],
) -> str:
    """A sentence where rows in are not rows out plus rows dropped; else empty."""
    conserves = planned.stage_class.conserves
    if conserves is None:
        return ""
    name, outputs = conserves
    rows_in = sum(result.rows_in for result in results)
    rows_out = {o: sum(part.rows for part in written[o].parts) for o in outputs}
    if rows_in == sum(rows_out.values()):
        return ""
    said = ", ".join(f"{count} in {output}" for output, count in rows_out.items())
    reasons = ", ".join(f"{reason}: {count}" for reason, count in dropped.items())
    return (
        f"rows are not conserved: {rows_in} came in by {name}, and there are {said}"
        + (f" (dropped by reason: {reasons})" if reasons else "")
        + "; account for every row in one of these outputs"
    )


def _summed(counters: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for counter in counters:
        for name, amount in counter.items():
            total[name] = total.get(name, 0) + amount
    return total


def _versions() -> dict[str, str]:
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return versions
