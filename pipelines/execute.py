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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.identity import canonical_json
from pipelines.registry import make_importable
from pipelines.store import Manifest, Part, Store
from stages.contract import RowStage, Sink, Stage
from stages.kinds import FILE_KINDS, SCHEMAS, Kind

Emit = Callable[[Any], None]


@dataclass(frozen=True)
class StageTask:
    """One call of a stage: all of it, or one shard of its first input.

    Attributes:
        stage: the planned stage's name, for messages.
        module, name: where its class is.
        folder: the folder of the DAG file, for a user's own stages.
        inputs: input name -> (digest, cell) of each artifact wired to it.
        prefix: the attempt's prefix in the store.
        shard: index of the shard for a RowStage, else None.
        retries: how often an exception of the method is tried again.
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
    retries: int = 0


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


@dataclass(frozen=True)
class Progress:
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


class MethodError(RuntimeError):
    """A stage's own code failed; the message names the row where one row did it."""


class StoredArtifact:
    """An input, opened from the store."""

    def __init__(self, store: Store, manifest: Manifest, cell: Mapping[str, Any]) -> None:
        self._store, self._manifest = store, manifest
        self.cell = cell

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
        schema = [(f.name, str(f.type)) for f in rows.schema]
        if self.written.schema and schema != self.written.schema:
            raise TypeError(f"shards of one output differ: {self.written.schema} and {schema}")
        self.written.schema = schema
        self.written.parts.append(
            self._store.write_rows(self._prefix, self._next, self._kind, rows)
        )
        self._next += 1
        self.rows += rows.num_rows
        if self._kind is Kind.DROPPED:
            for entry in rows.column("reason").combine_chunks().value_counts().to_pylist():
                reason = entry["values"]
                self.reasons[reason] = self.reasons.get(reason, 0) + entry["counts"]

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
            self.written.parts = self._store.write_files(self._prefix, self._folder)
        elif not self.written.parts:
            # An output without rows is still one that opens.
            self.write(SCHEMAS[self._kind].empty_table())


class TaskContext:
    """What a stage tells, on its way home."""

    def __init__(self, task: StageTask, emit: Emit) -> None:
        self._task, self._emit = task, emit
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


def run_task(task: StageTask, emit: Emit) -> TaskResult:
    """Run one task; exceptions of the method are tried again `task.retries` times.

    Raises:
        MethodError: the stage failed each time.
    """
    for attempt in range(task.retries + 1):
        try:
            return _run_once(task, emit)
        except MethodError:
            if attempt == task.retries:
                raise
    raise AssertionError("unreachable")


def stage_class(task: StageTask) -> type[Stage]:
    make_importable(Path(task.folder))
    found: type[Stage] = getattr(importlib.import_module(task.module), task.name)
    return found


def _run_once(task: StageTask, emit: Emit) -> TaskResult:
    began = time.time()
    emit(Progress(task.stage, task.shard, 0, None, ""))
    store = Store(task.store)
    cls = stage_class(task)
    context = TaskContext(task, emit)
    with ExitStack() as cleanup:
        sinks = {
            name: StoreSink(store, f"{task.prefix}/{name}", out.kind, task.shard or 0, cleanup)
            for name, out in cls.outputs.items()
        }
        try:
            if task.shard is None:
                rows_in = _run_whole(task, cls, store, sinks, context)
            else:
                rows_in = _run_shard(task, cls, store, sinks, context)
            for sink in sinks.values():
                sink.close()
        except MethodError:
            raise
        except Exception as error:
            raise MethodError(_describe(error)) from error
    return TaskResult(
        shard=task.shard,
        began=began,
        ended=time.time(),
        outputs={name: sink.written for name, sink in sinks.items()},
        rows_in=rows_in,
        metrics=context.metrics,
        counts=context.counts,
        figures=context.figures,
        reasons=_sum(sink.reasons for sink in sinks.values()),
    )


def _open(task: StageTask, cls: type[Stage], store: Store, names: list[str]) -> dict[str, Any]:
    opened: dict[str, Any] = {}
    for name in names:
        wired = [StoredArtifact(store, store.manifest(d), cell) for d, cell in task.inputs[name]]
        opened[name] = wired if cls.inputs[name].many else wired[0]
    return opened


def _run_whole(
    task: StageTask,
    cls: type[Stage],
    store: Store,
    sinks: Mapping[str, Sink],
    context: TaskContext,
) -> int:
    inputs = _open(task, cls, store, list(task.inputs))
    cls(cls.Config.model_validate_json(canonical_json(task.config))).run(inputs, sinks, context)
    if cls.conserves is None:
        return 0
    return int(inputs[cls.conserves[0]].rows)


_prepared: dict[str, RowStage] = {}


def _run_shard(
    task: StageTask,
    cls: type[Stage],
    store: Store,
    sinks: Mapping[str, Sink],
    context: TaskContext,
) -> int:
    assert task.shard is not None
    assert issubclass(cls, RowStage)
    first, *others = task.inputs
    # A worker that runs shard after shard of one stage loads its model once.
    making = repr((task.module, task.name, canonical_json(task.config), task.inputs))
    if making not in _prepared:
        _prepared.clear()
        stage = cls(cls.Config.model_validate_json(canonical_json(task.config)))
        stage.prepare(_open(task, cls, store, others))
        _prepared[making] = stage
    stage = _prepared[making]
    rows = store.read_part(store.manifest(task.inputs[first][0][0]), task.shard)
    try:
        made = stage.apply(rows, context)
    except Exception as error:
        raise MethodError(_name_the_row(stage, rows, error, task, context)) from error
    tables = {next(iter(cls.outputs)): made} if isinstance(made, pa.Table) else made
    for name, sink in sinks.items():
        sink.write(tables[name])
    return int(rows.num_rows)


def _name_the_row(
    stage: RowStage, rows: pa.Table, error: Exception, task: StageTask, context: TaskContext
) -> str:
    """Halve the shard until one row is left that fails by itself."""
    quiet = TaskContext(task, lambda _: None)
    found = error
    while rows.num_rows > 1:
        middle = rows.num_rows // 2
        for half in (rows.slice(0, middle), rows.slice(middle)):
            try:
                stage.apply(half, quiet)
            except Exception as raised:  # noqa: BLE001 - any failure of the method counts
                rows, found = half, raised
                break
        else:
            return f"{_describe(error)} (shard {task.shard}; no single row fails by itself)"
    name = rows.column("id")[0].as_py() if rows.num_rows else "none"
    return f'{_describe(found)} (row "{name}" of shard {task.shard})'


def _describe(error: BaseException) -> str:
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    place = ""
    if frames:
        code = frames[-1].tb_frame.f_code
        place = f" at {Path(code.co_filename).name}:{frames[-1].tb_lineno} in {code.co_name}"
    return f"{type(error).__name__}: {error}{place}"


def _sum(counters: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for counter in counters:
        for name, amount in counter.items():
            total[name] = total.get(name, 0) + amount
    return total
