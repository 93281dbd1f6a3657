"""Rows that must meet, brought together on the workers: `Context.shuffle` of the stages.

Each group of parts is one call that splits its rows into partitions; each partition is one call
that gathers its pieces, in the order of the parts. A call is plain data, as a task is: which stage,
which of its methods, which parts. Pieces go from call to call and never through the stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.nested import Pool, present_pool
from pipelines.execute import (
    StoredArtifact,
    StoreSink,
    TaskContext,
    method_of,
    open_inputs,
    stage_class,
    stage_of,
)
from pipelines.files import StoreError
from pipelines.isolation import MethodError, describe
from pipelines.results import StageTask, Written, summed
from pipelines.store import Store
from stages.contract import Step

PARTITION_BYTES = 32 * 2**20
# Pieces are a call's results one by one, each with its entry in the memory of the stage.
MOST_PIECES = 2**18


@dataclass(frozen=True)
class _Home:
    """What a call tells of itself."""

    rows: int = 0
    bytes: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    written: Mapping[str, tuple[Written, Mapping[str, int]]] = field(default_factory=dict)


class ShuffledRows:
    """The parts that the calls of a shuffle hold."""

    def __init__(self, pool: Pool, parts: Sequence[Any], homes: Sequence[_Home]) -> None:
        self._pool, self.stand_ins = pool, list(parts)
        self.rows = sum(home.rows for home in homes)
        self.bytes = sum(home.bytes for home in homes)
        self.counts: Mapping[str, int] = summed(home.counts for home in homes)

    def tables(self) -> Iterator[pa.Table]:
        for part in self.stand_ins:
            yield self._pool.value(part)


def shuffle(
    task: StageTask,
    progress: Callable[[int, int, str], None],
    rows: Any,
    split: Step | None,
    by: str,
    gather: Step | None,
    partitions: int | None,
    outputs: Mapping[str, StoreSink] | None,
) -> ShuffledRows:
    """See `stages.contract.Context.shuffle`."""
    pool = present_pool()
    steps = [
        None if step is None else method_of(task, step, "a shuffle") for step in (split, gather)
    ]
    if isinstance(rows, StoredArtifact):
        digest, size, parts = rows.digest, rows.bytes, [None] * rows.parts
    else:
        given = [rows] if isinstance(rows, ShuffledRows) else list(rows)
        digest, size = None, sum(one.bytes for one in given)
        parts = [part for one in given for part in one.stand_ins]
    if partitions is None:
        partitions = max(1, -(-size // PARTITION_BYTES))
    if partitions < 1:
        raise ValueError(f"partitions must be at least 1, not {partitions}")
    groups = min(len(parts), max(1, MOST_PIECES // partitions))
    edges = [len(parts) * group // groups for group in range(groups + 1)]

    pieces: list[list[Any]] = []
    for first, last in pairwise(edges):
        held = [] if digest is not None else parts[first:last]
        made = pool.call(
            split_parts, task, steps[0], by, partitions, digest, range(first, last), *held,
            returns=partitions + 1,
        )  # fmt: skip
        pieces.append(made)
    told: list[_Home] = pool.finish(
        [made[-1] for made in pieces], lambda done: progress(done, len(pieces), "parts")
    )
    names = tuple(outputs or ())
    gathered = [
        pool.call(
            gather_partition, task, steps[1], index, names, *(made[index] for made in pieces),
            returns=2,
        )
        for index in range(partitions)
    ]  # fmt: skip
    pieces.clear()
    told += pool.finish(
        [home for _, home in gathered], lambda done: progress(done, partitions, "partitions")
    )
    for name, sink in (outputs or {}).items():
        for home in told[-partitions:]:
            sink.adopt(*home.written[name])
    return ShuffledRows(pool, [part for part, _ in gathered], told)


def split_parts(
    task: StageTask,
    step: str | None,
    by: str,
    partitions: int,
    digest: str | None,
    indices: range,
    *held: pa.Table,
) -> list[Any]:
    """Rows of some parts, one table a partition; and what the call tells."""
    run = _Steps(task)
    tables = []
    for position, index in enumerate(indices):
        if digest is None:
            table = held[position]
        else:
            table = run.store.read_part(run.store.manifest(digest), index)
        tables.append(table if step is None else run.step(step, table, index))
    rows = pa.concat_tables(tables)
    return [*cut(rows, by, partitions), _Home(counts=run.context.counts)]


def gather_partition(
    task: StageTask, step: str | None, index: int, names: tuple[str, ...], *pieces: pa.Table
) -> list[Any]:
    """The rows of one partition; and what the call tells."""
    run = _Steps(task)
    rows = pa.concat_tables(pieces)
    made = rows if step is None else run.step(step, rows, index)
    if not names:
        # Compact, so that it travels without what it was cut from.
        made = pa.concat_tables([made]).combine_chunks()
        return [made, _Home(made.num_rows, made.nbytes, run.context.counts)]
    written: dict[str, tuple[Written, Mapping[str, int]]] = {}
    with ExitStack() as cleanup:
        for name in names:
            kind = run.cls.outputs[name].kind
            sink = StoreSink(run.store, f"{task.prefix}/{name}", kind, index, cleanup)
            sink.write(made[name])
            written[name] = (sink.written, sink.reasons)
    return [None, _Home(counts=run.context.counts, written=written)]


def cut(rows: pa.Table, by: str, partitions: int) -> list[pa.Table]:
    """Rows divided by the value of a column modulo `partitions`, each in the order they had.

    Raises:
        TypeError: there is no such column of integers.
    """
    if by not in rows.column_names or not pa.types.is_integer(rows.schema.field(by).type):
        raise TypeError(f'a shuffle by "{by}" needs a column of integers of that name')
    if partitions == 1:
        return [rows.combine_chunks()]
    values = rows.column(by).to_numpy()
    home = (values % np.asarray(partitions, values.dtype)).astype(np.int64)
    order = np.argsort(home, kind="stable")
    ends = np.searchsorted(home[order], np.arange(partitions + 1))
    ordered = rows.combine_chunks()
    return [
        ordered.take(pa.array(order[ends[k] : ends[k + 1]])).combine_chunks()
        for k in range(partitions)
    ]


class _Steps:
    """A stage as the calls of its shuffle see it."""

    def __init__(self, task: StageTask) -> None:
        self.store = Store(task.store)
        self.cls = stage_class(task)
        self._stage = stage_of(task, self.cls)
        self._inputs = open_inputs(task, self.cls, self.store, list(task.inputs))
        self.context = TaskContext(task, lambda message: None)

    def step(self, name: str, rows: pa.Table, part: int) -> Any:
        try:
            return getattr(self._stage, name)(rows, part, self._inputs, self.context)
        except (MethodError, StoreError):
            raise
        except Exception as error:
            raise MethodError(f"{describe(error)} ({name}, part {part})") from error
