"""What happens on a worker: open the inputs, run the stage or one shard of it, write the outputs.

Nothing here knows of Ray or MLflow: a task is plain data in, plain data out, so that it can run in
this process, on a worker, or on another machine with the same store.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from cluster.nested import CallsLost
from cluster.runtime import current_attempt
from pipelines.checkpoints import StoredCheckpoints
from pipelines.code import CodeIndex
from pipelines.code_texts import name_of
from pipelines.faults import FaultInjected, suffer
from pipelines.files import StoreError
from pipelines.identity import canonical_json
from pipelines.isolation import MethodError, apply_to_sound_rows, describe
from pipelines.redact import redact_text
from pipelines.registry import make_importable
from pipelines.results import Point, Progress, StageTask, TaskResult, Written, summed
from pipelines.shards import leave_note, take_over
from pipelines.store import Manifest, Store
from stages.contract import RowStage, Shuffled, Sink, Stage, Step, TeamStep
from stages.kinds import FILE_KINDS, SCHEMAS, Kind

Emit = Callable[[Any], None]


class StoredArtifact:
    """An input, opened from the store."""

    def __init__(
        self,
        store: Store,
        manifest: Manifest,
        cell: Mapping[str, Any],
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self._store, self._manifest = store, manifest
        self.cell = cell
        self.provenance = provenance or {}

    @property
    def kind(self) -> Kind:
        return self._manifest.kind

    @property
    def digest(self) -> str:
        return self._manifest.digest

    @property
    def rows(self) -> int:
        return self._manifest.rows

    def batches(self) -> Iterator[pa.RecordBatch]:
        return self._store.batches(self._manifest)

    def table(self) -> pa.Table:
        return self._store.table(self._manifest)

    @property
    def bytes(self) -> int:
        return self._manifest.size

    @property
    def parts(self) -> int:
        return len(self._manifest.parts)

    def part(self, index: int) -> pa.Table:
        return self._store.read_part(self._manifest, index)

    def folder(self) -> Path:
        return self._store.folder(self._manifest)


class StoreSink:
    """An output, written into the store as it comes."""

    def __init__(self, store: Store, prefix: str, kind: Kind, first: int, cleanup: ExitStack):
        self._store, self._prefix, self._kind = store, prefix, kind
        self._next = first
        self._cleanup = cleanup
        self._folder: Path | None = None
        self.written = Written()
        self.rows = 0
        self.reasons: dict[str, int] = {}

    def write(self, rows: pa.Table) -> None:
        if self._kind in FILE_KINDS:
            raise TypeError(f"a {self._kind} is files, not rows: write them into folder()")
        self._check_schema([(f.name, str(f.type)) for f in rows.schema])
        try:
            part = self._store.write_rows(self._prefix, self._next, self._kind, rows)
        except OSError as error:
            raise StoreError(f"the store {self._store.url} cannot be written: {error}") from error
        self.written.parts.append(part)
        self._next += 1
        self.rows += rows.num_rows
        if self._kind is Kind.DROPPED:
            for entry in rows.column("reason").combine_chunks().value_counts().to_pylist():
                reason = entry["values"]
                self.reasons[reason] = self.reasons.get(reason, 0) + entry["counts"]

    def adopt(self, written: Written, reasons: Mapping[str, int]) -> None:
        """Take over shards of this output that were written elsewhere."""
        self._check_schema(written.schema)
        self.written.parts += written.parts
        self._next += len(written.parts)
        self.rows += sum(part.rows for part in written.parts)
        self.reasons = summed((self.reasons, reasons))

    def _check_schema(self, schema: list[tuple[str, str]]) -> None:
        if self.written.schema and schema != self.written.schema:
            raise TypeError(f"shards of one output differ: {self.written.schema} and {schema}")
        self.written.schema = schema

    def folder(self) -> Path:
        if self._kind not in FILE_KINDS:
            raise TypeError(f"{self._kind} are rows, not files: use write()")
        if self._folder is None:
            self._folder = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory()))
        return self._folder

    def close(self) -> None:
        if self._kind in FILE_KINDS:
            if self._folder is None or not any(self._folder.iterdir()):
                raise MethodError(f"the stage wrote no file of its {self._kind}")
            try:
                self.written.parts = self._store.write_files(self._prefix, self._folder)
            except OSError as error:
                raise StoreError(
                    f"the store {self._store.url} cannot be written: {error}"
                ) from error
        elif not self.written.parts:
            # An output without rows is still one that opens.
            self.write(SCHEMAS[self._kind].empty_table())


class TaskContext:
    """What a stage tells, on its way home; and what it asks of the engine."""

    def __init__(self, task: StageTask, emit: Emit) -> None:
        self._task, self._emit = task, emit
        self._checkpoints: StoredCheckpoints | None = None
        self._has_worked = False
        self.metrics: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.figures: dict[str, bytes] = {}

    def progress(self, done: int, total: int | None = None, unit: str = "rows") -> None:
        self._emit(Progress(self._task.stage, self._task.shard, done, total, unit))

    def metric(self, name: str, value: float, step: int | None = None) -> None:
        self.metrics[name] = float(value)
        if step is not None:
            self._emit(Point(self._task.stage, name, float(value), step))

    def count(self, name: str, amount: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + int(amount)

    def figure(self, name: str, png: bytes) -> None:
        self.figures[name] = png

    def shuffle(
        self,
        rows: Any,
        split: Step | None,
        by: str,
        gather: Step | None,
        *,
        partitions: int | None = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> Shuffled:
        # A module of its own, whose calls open inputs and outputs as this one does.
        from pipelines.shuffle import shuffle

        shuffled: Shuffled = shuffle(
            self._task, self.progress, rows, split, by, gather, partitions, outputs
        )
        return shuffled

    def checkpoints(self) -> StoredCheckpoints:
        if self._task.shard is not None:
            raise TypeError("a RowStage has no checkpoints: its finished shards are found again")
        if self._checkpoints is None:
            store, task = Store(self._task.store), self._task
            self._checkpoints = StoredCheckpoints(
                store, task.prefix, task.key, self._note_checkpoint
            )
        return self._checkpoints

    def _note_checkpoint(self, name: str, step: int) -> None:
        if name == "damaged":
            self.count("checkpoints_damaged", 1)
        elif not self._has_worked:
            self.metric("resumed_from_step", step)

    def team(self, step: TeamStep, size: int) -> Any:
        # As shuffle: its ranks open inputs as this module does.
        from pipelines.team import team

        try:
            return team(self._task, self, step, size)
        finally:
            # Whoever looks at checkpoints from now on looks at what the team has saved.
            self._has_worked = True

    def close(self) -> None:
        """The task has ended."""
        if self._checkpoints is not None:
            self._checkpoints.close()


def run_task(task: StageTask, emit: Emit) -> TaskResult:
    """Run one task; exceptions of the method are tried again `task.retries` times.

    Raises:
        MethodError: the stage failed each time.
        StoreError: an input is not what was written, or the store cannot be written.
    """
    for attempt in range(task.retries + 1):
        try:
            tries = (task.attempt, current_attempt(), attempt)
            suffer(task.task_name, attempt=tries)
            return _run_once(task, emit, again=any(tries), last=attempt == task.retries)
        except (MethodError, FaultInjected) as error:
            if attempt == task.retries:
                raise MethodError(redact_text(str(error))) from error
    raise AssertionError("unreachable")


class CodeChanged(RuntimeError):
    """The code of a stage is other than it was when the stage was keyed."""


_same_code: set[tuple[str, str, str]] = set()


def stage_class(task: StageTask) -> type[Stage]:
    """The class of a task's stage, with the code that its key was made of.

    Raises:
        CodeChanged: somebody has edited it since; what it made would stand under a key that is not
            its own.
    """
    folder = _project(task.folder)
    make_importable(folder)
    found: type[Stage] = getattr(importlib.import_module(task.module), task.name)
    this = (task.module, task.name, task.code)
    if this not in _same_code:
        index = CodeIndex([folder])
        now = index.sources_now(task.sources)
        # Comments and what the stage does not reach may be edited at any time.
        if now != task.sources and name_of(index.reach(task.module, task.name)) != task.code:
            edited = ", ".join(name for name in now if now[name] != task.sources[name])
            raise CodeChanged(f"its code was edited while the run went on ({edited}); run again")
        _same_code.add(this)
    return found


def _project(folder: str) -> Path:
    """The folder of the DAG; on another node that is where the package of a submitted job lies."""
    there = Path(folder)
    return there if there.is_dir() else Path.cwd() / there.name


def _run_once(task: StageTask, emit: Emit, *, again: bool, last: bool) -> TaskResult:
    began = time.time()
    emit(Progress(task.stage, task.shard, 0, None, ""))
    store = Store(task.store)
    if task.note is not None and task.shard is not None:
        earlier = take_over(store, task.note, task.prefix, task.shard)
        if earlier is not None:
            leave_note(store, task.prefix, task.shard_key, earlier)
            return earlier
    cls = stage_class(task)
    context = TaskContext(task, emit)
    aside = 0
    if task.shard is None and again:  # what an earlier try has written is no part of it
        for name in cls.outputs:
            store.remove(f"{task.prefix}/{name}")
    with ExitStack() as cleanup:
        cleanup.callback(context.close)
        sinks = {
            name: StoreSink(store, f"{task.prefix}/{name}", out.kind, task.shard or 0, cleanup)
            for name, out in cls.outputs.items()
        }
        try:
            if task.shard is None:
                rows_in = _run_whole(task, cls, store, sinks, context)
            else:
                allowed = task.allowed if last else None
                context, rows_in, rows_aside = _run_shard(task, cls, store, sinks, emit, allowed)
                if rows_aside is not None:
                    aside = rows_aside.num_rows
                    prefix = f"{task.prefix}/{Kind.QUARANTINED}"
                    sink = StoreSink(store, prefix, Kind.QUARANTINED, task.shard, cleanup)
                    sink.write(rows_aside)
                    sinks[Kind.QUARANTINED.value] = sink
            for sink in sinks.values():
                sink.close()
        except (MethodError, StoreError, CallsLost):
            raise
        except Exception as error:
            raise MethodError(describe(error)) from error
    result = TaskResult(
        shard=task.shard,
        began=began,
        ended=time.time(),
        outputs={name: sink.written for name, sink in sinks.items()},
        rows_in=rows_in,
        metrics=context.metrics,
        counts=context.counts,
        figures=context.figures,
        reasons=summed(sink.reasons for sink in sinks.values()),
        quarantined=aside,
    )
    if task.shard is not None:
        leave_note(store, task.prefix, task.shard_key, result)
    return result


StageClass = TypeVar("StageClass", bound=Stage)


def stage_of(task: StageTask, cls: type[StageClass]) -> StageClass:
    """A copy of a task's stage, with its config and nothing else."""
    return cls(cls.Config.model_validate_json(canonical_json(task.config)))


def method_of(task: StageTask, step: Any, of: str) -> str:
    """The name of a step that is a method of the stage; it is found again by that on a worker."""
    owner, name = getattr(step, "__self__", None), getattr(step, "__name__", "")
    if owner is None or type(owner).__qualname__ != task.name or not hasattr(owner, name):
        raise TypeError(f"a step of {of} must be a method of {task.name}, and {step} is not")
    return str(name)


def open_inputs(
    task: StageTask, cls: type[Stage], store: Store, names: list[str]
) -> dict[str, Any]:
    opened: dict[str, Any] = {}
    for name in names:
        made = task.provenance.get(name) or [{}] * len(task.inputs[name])
        wired = [
            StoredArtifact(store, store.manifest(digest), cell, how)
            for (digest, cell), how in zip(task.inputs[name], made, strict=True)
        ]
        opened[name] = wired if cls.inputs[name].many else wired[0]
    return opened


def _run_whole(
    task: StageTask,
    cls: type[Stage],
    store: Store,
    sinks: Mapping[str, Sink],
    context: TaskContext,
) -> int:
    inputs = open_inputs(task, cls, store, list(task.inputs))
    stage_of(task, cls).run(inputs, sinks, context)
    conservation = cls.conservation()
    return 0 if conservation is None else int(inputs[conservation[0]].rows)


_prepared: dict[str, RowStage] = {}


def _run_shard(
    task: StageTask,
    cls: type[Stage],
    store: Store,
    sinks: Mapping[str, Sink],
    emit: Emit,
    allowed: int | None,
) -> tuple[TaskContext, int, pa.Table | None]:
    """Apply a RowStage to its shard: what it told, the rows that came in, those set aside.

    `allowed` None: an exception is an exception, and the whole shard will be tried again.
    """
    assert task.shard is not None
    assert issubclass(cls, RowStage)
    first, *others = task.inputs
    # A worker that runs shard after shard of one stage loads its model once.
    making = repr((task.module, task.name, canonical_json(task.config), task.inputs))
    if making not in _prepared:
        _prepared.clear()
        stage = stage_of(task, cls)
        stage.prepare(open_inputs(task, cls, store, others))
        _prepared[making] = stage
    stage = _prepared[making]
    rows = store.read_part(store.manifest(task.inputs[first][0][0]), task.shard)
    context = TaskContext(task, emit)

    def apply(part: pa.Table) -> Mapping[str, pa.Table]:
        nonlocal context
        context = TaskContext(task, emit)  # what a failed call has counted does not count
        made = stage.apply(part, context)
        return {next(iter(cls.outputs)): made} if isinstance(made, pa.Table) else made

    aside: pa.Table | None = None
    if allowed is None:
        tables = apply(rows)
    else:
        tables, aside = apply_to_sound_rows(apply, rows, task.shard, allowed)
    for name, sink in sinks.items():
        sink.write(tables[name])
    return context, int(rows.num_rows), aside
