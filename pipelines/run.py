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
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from cluster.runtime import Finished, Unschedulable
from cluster.team import TeamLost
from pipelines.aside import allowed_aside, too_many_aside
from pipelines.completion import NotCompleted, clear_attempt, complete, figures_of
from pipelines.execute import run_task
from pipelines.files import StoreError, StoreFull
from pipelines.leases import Lease
from pipelines.plan import Plan
from pipelines.redact import redact_text
from pipelines.resolve import Resolver
from pipelines.results import Point, Progress
from pipelines.status import Listener, StageStatus, State
from pipelines.store import Store, TornArtifact
from pipelines.tasks import Job, Out, Runtime, rows_of, tasks_of

# How often an input of one stage may turn out to be torn before the stage fails.
MENDINGS = 3


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
        self.statuses = {s.name: StageStatus(s) for s in plan.stages}
        self._names = {s.name for s in plan.stages} if names is None else names
        self._anew = anew or set()
        self._start_runtime = start_runtime
        self._runtime: Runtime | None = None
        self._listeners = list(listeners)
        self._resolver = Resolver(plan, store)
        self._jobs: dict[str, Job] = {}
        self._keys_out: dict[str, str] = {}
        self._keys_made: set[str] = set()
        self._out: dict[str, Out] = {}
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
        allowed = allowed_aside(status, self.statuses)
        if record is not None and record.get("quarantined", 0) > allowed:
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
        rows = rows_of(planned, self.statuses)
        if rows is not None:
            status.total = rows.rows
        allowed = allowed_aside(status, self.statuses)
        tasks = list(tasks_of(status, self.statuses, self._resolver, prefix, allowed))
        status.shards = len(tasks)
        job = Job(prefix, set(), time.monotonic(), shards=len(tasks), allowed=allowed)
        self._jobs[planned.name] = job
        self._keys_out[status.key] = planned.name
        for task in tasks:
            job.waiting.add(task.task_name)
            self._submit(Out(task, planned.name, needs))

    def _submit(self, out: Out) -> None:
        assert self._runtime is not None
        self._out[out.task.task_name] = out
        retries = self.statuses[out.stage].planned.retries.infrastructure
        self._runtime.submit(
            out.task.task_name, run_task, out.task, needs=out.needs, retries=retries
        )

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
            status.error = too_many_aside(status, job, self.statuses, self.store)
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

    def _trouble(self, out: Out, end: Finished) -> None:
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

    def _mend(self, out: Out, torn: TornArtifact) -> bool:
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

    def _complete(self, name: str, job: Job) -> None:
        status = self.statuses[name]
        assert status.key is not None
        try:
            anew = name in self._anew
            complete(status, job, self.statuses, self._resolver, self._run_of, anew=anew)
        except NotCompleted as error:
            status.error = str(error)
            self._end_job(name, "failed", error.why)
            return
        self._keys_made.add(status.key)
        clear_attempt(status, job, self.store)
        self._end_job(name, "computed", status.why, figures_of(job))

    def _run_of(self, status: StageStatus) -> str | None:
        run_id = None
        for listener in self._listeners:
            run_id = run_id or listener.run_of(status)
        return run_id

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
