"""Drives a plan: finds what is done, runs what is not, in parallel, and commits what was made.

One loop in one thread. A stage whose inputs are there is keyed; a hit is reused; a miss becomes
one task, or one a shard for a RowStage, and Ray decides when and where each runs. When the last
task of a stage is home its conservation is checked, its outputs are committed, its result is
recorded, and the stages behind it become ready.

What goes wrong, and whose budget it costs:

- an exception of the method: `retries.task`, on the worker; then the rows at fault are set aside
  (`pipelines.isolation`), up to the share that the stage allows, or the stage fails;
- a lost worker or node: `retries.infrastructure`, by Ray;
- a task over its time limit, a store out of reach, a worker of a team that is lost:
  `retries.infrastructure`, here;
- an input that is torn: it is taken out of use and computed anew, and the stage then runs again;
- a full disk: the stage fails at once.
"""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from cluster.needs import Needs
from cluster.runtime import Finished, Unschedulable
from cluster.team import TeamLost
from pipelines.checkpoints import drop_checkpoints
from pipelines.code_texts import name_of
from pipelines.conservation import conservation_fault
from pipelines.execute import run_task
from pipelines.files import StoreError, StoreFull
from pipelines.identity import KeyParts
from pipelines.leases import Lease
from pipelines.plan import Plan, PlannedStage
from pipelines.provenance import provenances
from pipelines.redact import redact, redact_text
from pipelines.resolve import Resolver
from pipelines.results import Point, Progress, StageTask, TaskResult, Written, summed
from pipelines.shards import drop_notes, finished_shards, shard_key
from pipelines.status import Listener, StageStatus, State
from pipelines.store import Manifest, Store, TornArtifact
from stages.contract import RowStage
from stages.kinds import Kind

# How often an input of one stage may turn out to be torn before the stage fails.
MENDINGS = 3

# Recorded with every result; a key holds the version of a library where its stage declares it.
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

    def abandon(self, task: str) -> None: ...

    def cancel(self) -> None: ...

    def close(self) -> None: ...


@dataclass
class _Out:
    """A task that is out: given to the runtime and not yet home."""

    task: StageTask
    stage: str
    needs: Needs
    began: float | None = None  # when a worker said that it had taken it up


@dataclass
class _Job:
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
        lease: Lease | None = None,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            start_runtime: called at the first stage that must be computed, and only then.
            names: planned stages to run (with all they need in it already); default all.
            anew: planned stages to compute even where the store has them.
            lease: the run's entry in the store, told what the run relies on before it does.
        """
        self.plan, self.store = plan, store
        self._lease = lease
        self._folder = str(Path(plan.file).resolve().parent)
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
        self._out: dict[str, _Out] = {}
        self._mended: dict[str, int] = {}

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
                status.error = redact_text(f"{type(error).__name__}: {error}")
                self._settle(status, "failed", "its sources cannot be read")
                return True
            status.key = status.parts.key
            wires = [wire for wires in planned.needs.values() for wire in wires]
            given = [self.statuses[wire.stage].outputs[wire.output] for wire in wires]
            status.inputs = {manifest.digest: manifest for manifest in given}
        if status.parts.key in self._keys_out:
            return False  # the same work is under way for another cell; its result will be reused
        prefix = self.store.new_attempt(planned.word, status.parts.key)
        if self._lease is not None:
            self._lease.uses(planned.name, status.parts.key, prefix)
        record, status.why = self._resolver.find(planned, status.parts)
        if planned.name in self._anew and status.parts.key not in self._keys_made:
            record, status.why = None, "asked for anew"
        if record is not None and record.get("quarantined", 0) > self._allowed(status):
            aside = record["quarantined"]
            record, status.why = None, f"its result set {aside} rows aside, more than now allowed"
        if record is not None:
            status.take(record, self.store)
            self.store.point(self._resolver.pointer(planned), record["key"])
            self._settle(status, "reused", status.why)
            return True
        self._launch(status, prefix)
        return True

    def _launch(self, status: StageStatus, prefix: str) -> None:
        planned = status.planned
        assert status.key is not None
        if self._runtime is None:
            self._runtime = self._start_runtime()
        status.state = "running"
        for listener in self._listeners:
            listener.started(status)
        needs = planned.resources
        try:
            self._runtime.check(needs)
        except Unschedulable as error:
            status.error = str(error)
            self._settle(status, "failed", "no node can run it")
            return
        cls = planned.stage_class
        shards: list[tuple[int | None, str]] = [(None, "")]
        finished: dict[str, str] = {}
        rows = self._rows_of(planned)
        if rows is not None:
            shards = [
                (index, shard_key(status.key, part.hash)) for index, part in enumerate(rows.parts)
            ]
            finished = finished_shards(self.store, prefix)
            status.total = rows.rows
        status.shards = len(shards)
        job = _Job(prefix, set(), time.monotonic(), shards=len(shards))
        job.allowed = self._allowed(status)
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
        sources = self._resolver.sources_of(planned)
        assert status.parts is not None
        for shard, identity in shards:
            task = StageTask(
                stage=planned.name,
                module=cls.__module__,
                name=cls.__qualname__,
                folder=self._folder,
                config=planned.config.model_dump(mode="json"),
                store=self.store.url,
                inputs=inputs,
                prefix=prefix,
                shard=shard,
                shard_key=identity,
                note=finished.get(identity),
                retries=planned.retries.task,
                allowed=job.allowed,
                sources=sources,
                code=name_of(status.parts.code),
                key=status.key,
                provenance=provenances(planned, self.statuses),
            )
            job.waiting.add(task.task_name)
            self._submit(_Out(task, planned.name, needs))

    def _submit(self, out: _Out) -> None:
        assert self._runtime is not None
        self._out[out.task.task_name] = out
        retries = self.statuses[out.stage].planned.retries.infrastructure
        self._runtime.submit(
            out.task.task_name, run_task, out.task, needs=out.needs, retries=retries
        )

    def _rows_of(self, planned: PlannedStage) -> Manifest | None:
        """The artifact whose shards a RowStage treats one by one."""
        cls = planned.stage_class
        if not issubclass(cls, RowStage):
            return None
        wire = planned.needs[next(iter(cls.inputs))][0]
        return self.statuses[wire.stage].outputs[wire.output]

    def _allowed(self, status: StageStatus) -> int:
        """How many rows of a stage may be set aside."""
        rows = self._rows_of(status.planned)
        return 0 if rows is None else int(status.planned.quarantine * rows.rows)

    def _listen(self) -> None:
        assert self._runtime is not None
        ended = self._runtime.wait(0.25)
        points = []
        for message in self._runtime.messages():
            if isinstance(message, Point):
                points.append(message)
            elif isinstance(message, Progress) and message.stage in self._jobs:
                self._note_progress(message)
        for listener in self._listeners:
            if points:
                listener.points(points)
        for end in ended:
            self._come_home(end)
        self._end_the_late()

    def _come_home(self, end: Finished) -> None:
        out = self._out.pop(end.task, None)
        job = None if out is None else self._jobs.get(out.stage)
        if out is None or job is None:
            return  # another shard of the stage failed before
        if end.error is not None:
            self._trouble(out, end)
            return
        job.waiting.discard(end.task)
        job.results.append(end.value)
        status = self.statuses[out.stage]
        status.shards_resumed += int(end.value.resumed)
        if job.quarantined > job.allowed:
            status.error = self._too_many_aside(status, job)
            self._end_job(out.stage, "failed", "too many rows failed")
            return
        if job.shards > 1:
            status.done = sum(result.rows_in for result in job.results)
            for listener in self._listeners:
                listener.progressed(status)
        if not job.waiting:
            try:
                self._complete(out.stage, job)
            except Exception as error:  # noqa: BLE001 - a stage's summary() may raise anything
                status.error = redact_text(f"{type(error).__name__}: {error}")
                self._end_job(out.stage, "failed", "its outputs could not be committed")

    # -- trouble ----------------------------------------------------------------------------------

    def _trouble(self, out: _Out, end: Finished) -> None:
        """A task ended without a result."""
        status = self.statuses[out.stage]
        if isinstance(end.cause, TornArtifact) and self._mend(out, end.cause):
            return
        out_of_reach = isinstance(end.cause, StoreError | TeamLost) and not isinstance(
            end.cause, TornArtifact | StoreFull
        )
        if out_of_reach and out.task.attempt < status.planned.retries.infrastructure:
            self._submit(replace(out, task=replace(out.task, attempt=out.task.attempt + 1)))
            return
        prefix = "its worker was lost, and retries are used up: " if end.lost else ""
        status.error = redact_text(f"{prefix}{end.error}")
        self._end_job(out.stage, "failed", "it failed")

    def _end_the_late(self) -> None:
        """End tasks that run for longer than their stage allows, and try them again."""
        assert self._runtime is not None
        now = time.monotonic()
        for name, out in list(self._out.items()):
            status = self.statuses[out.stage]
            limit = status.planned.timeout
            if limit is None or out.began is None or now - out.began <= limit:
                continue
            self._runtime.abandon(name)
            del self._out[name]
            if out.task.attempt < status.planned.retries.infrastructure:
                again = replace(out, task=replace(out.task, attempt=out.task.attempt + 1))
                self._submit(replace(again, began=None))
                continue
            which = "" if out.task.shard is None else f"shard {out.task.shard} "
            times = out.task.attempt + 1
            behind = sorted(self.plan.downstream_of({out.stage}) - {out.stage})
            waited = f"; {', '.join(behind[:5])} waited for it" if behind else ""
            status.error = (
                f"{which}ran for more than its {limit:g} s"
                + (f", {times} times" if times > 1 else "")
                + waited
                + "; allow more (`timeout`), or look at what it does so long"
            )
            self._end_job(out.stage, "failed", "it ran out of time")

    def _mend(self, out: _Out, torn: TornArtifact) -> bool:
        """Have a torn input computed anew, and the stage run again; False where that is no use."""
        status = self.statuses[out.stage]
        self._mended[out.stage] = self._mended.get(out.stage, 0) + 1
        if self._mended[out.stage] > MENDINGS:
            return False
        with contextlib.suppress(StoreError):  # it is out of use already
            # Where the artifact lies elsewhere by now, it was mended while this task ran.
            if f"/{self.store.manifest(torn.digest).location}/" in f"/{torn.path}":
                self.store.condemn(torn.digest, torn.reason)
        status.error = redact_text(f"{torn}; it is computed anew, and this stage runs again")
        self._end_job(out.stage, "failed", "an input was torn")
        makers = [
            maker
            for maker in self.statuses.values()
            if any(manifest.digest == torn.digest for manifest in maker.outputs.values())
        ]
        for again in (*makers, status):
            self.statuses[again.name] = StageStatus(again.planned)
        return True

    def _too_many_aside(self, status: StageStatus, job: _Job) -> str:
        rows = self._rows_of(status.planned)
        of = 0 if rows is None else rows.rows
        shown = "; ".join(f'row "{id_}": {error}' for id_, error in self._aside(job)[:5])
        return (
            f"{job.quarantined} of {of} rows failed, and {job.allowed} may be set aside "
            f"(`quarantine: {status.planned.quarantine:g}`): {shown}"
        )

    def _aside(self, job: _Job) -> list[tuple[str, str]]:
        """Rows that were set aside so far, with their errors."""
        name = Kind.QUARANTINED.value
        found: list[tuple[str, str]] = []
        for written in (result.outputs[name] for result in job.results if result.quarantined):
            location = f"{job.prefix}/{name}"
            manifest = Manifest(Kind.QUARANTINED, "", location, written.schema, written.parts)
            rows = self.store.table(manifest).select(["id", "error"]).to_pylist()
            found += [(row["id"], row["error"]) for row in rows]
        return found

    def _note_progress(self, message: Progress) -> None:
        status, job = self.statuses[message.stage], self._jobs[message.stage]
        name = message.stage if message.shard is None else f"{message.stage}#{message.shard}"
        if name in self._out and self._out[name].began is None:
            self._out[name].began = time.monotonic()
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
        kinds = {name: output.kind for name, output in cls.outputs.items()}
        status.quarantined = job.quarantined
        if status.quarantined:
            kinds[Kind.QUARANTINED.value] = Kind.QUARANTINED
        written = {
            name: _joined([r.outputs[name] for r in results if name in r.outputs]) for name in kinds
        }
        counts = summed(r.counts for r in results)
        status.dropped = summed(r.reasons for r in results)
        status.metrics = {k: v for r in results for k, v in r.metrics.items()}
        status.metrics.update({k: float(v) for k, v in counts.items()})
        if issubclass(cls, RowStage):
            status.metrics.update(cls(planned.config).summary(counts))
        fault = conservation_fault(
            cls,
            self.store,
            {n: self.statuses[w[0].stage].outputs[w[0].output] for n, w in planned.needs.items()},
            written,
            {name: f"{job.prefix}/{name}" for name in kinds},
            status.dropped,
        )
        if fault:
            status.error = fault
            self._end_job(name, "failed", "rows went missing")
            return
        run_id = None
        for listener in self._listeners:
            run_id = run_id or listener.run_of(status)
        made_by: dict[str, Any] = {
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
        made_by = redact(made_by)
        try:
            for output, parts in written.items():
                status.outputs[output] = self.store.commit(
                    kinds[output],
                    f"{job.prefix}/{output}",
                    parts.schema,
                    parts.parts,
                    {**made_by, "output": output},
                )
        except (OSError, StoreError) as error:
            status.error = redact_text(
                str(error)
                if isinstance(error, StoreError)
                else f"the store {self.store.url} cannot be written: {error}"
            )
            status.outputs = {}
            self._end_job(name, "failed", "its outputs could not be committed")
            return
        # Not the time in the queue: from the start of the first task to the end of the last.
        status.seconds = max(r.ended for r in results) - min(r.began for r in results)
        status.run_id = run_id
        # As the record has them, so that this run and one that reuses the result agree.
        status.made = KeyParts.from_json(redact(status.parts.as_json()))
        record = {
            "key": status.key,
            "stage": planned.name,
            "uses": planned.word,
            "outputs": {output: m.digest for output, m in status.outputs.items()},
            "metrics": status.metrics,
            "dropped": status.dropped,
            "quarantined": status.quarantined,
            "seconds": status.seconds,
            "run": run_id,
            "parts": status.parts.as_json(),
        }
        self._resolver.keep_code(planned, status.parts)
        self.store.put_result(
            status.key,
            redact(record),
            [self._resolver.pointer(planned), f"pinned/{status.parts.key_without_code}"],
            anew=planned.name in self._anew,
        )
        self._keys_made.add(status.key)
        if any(m.location.startswith(f"{job.prefix}/") for m in status.outputs.values()):
            drop_notes(self.store, job.prefix)
        else:  # every output was there before, from another run
            self.store.remove(job.prefix)
        if not issubclass(cls, RowStage):
            drop_checkpoints(self.store, job.prefix, status.key)
        figures = {n: png for r in results for n, png in r.figures.items()}
        self._end_job(name, "computed", status.why, figures)

    def _end_job(
        self, name: str, state: State, why: str, figures: Mapping[str, bytes] | None = None
    ) -> None:
        status = self.statuses[name]
        job = self._jobs.pop(name)
        for task in job.waiting:  # of a stage that failed: nobody waits for its other shards
            if self._out.pop(task, None) is not None and self._runtime is not None:
                self._runtime.abandon(task)
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


@cache
def _versions() -> dict[str, str]:
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return versions
