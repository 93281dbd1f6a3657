"""When all tasks of a stage are home: rows are counted, outputs committed, a result recorded."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from typing import Any

from pipelines.checkpoints import drop_checkpoints
from pipelines.conservation import conservation_fault
from pipelines.files import StoreError
from pipelines.identity import KeyParts
from pipelines.redact import redact, redact_text
from pipelines.resolve import Resolver
from pipelines.results import TaskResult, Written, summed
from pipelines.shards import drop_notes
from pipelines.status import StageStatus
from pipelines.store import Store
from pipelines.tasks import Job
from stages.contract import RowStage
from stages.kinds import Kind

# Recorded with every result; a key holds the version of a library where its stage declares it.
LIBRARIES = ("numpy", "polars", "pyarrow", "ray", "tokenizers", "torch", "transformers")


class NotCompleted(Exception):
    """What the tasks of a stage made does not become its result.

    Attributes:
        why: in a few words; the message says it in full.
    """

    def __init__(self, why: str, error: str) -> None:
        super().__init__(error)
        self.why = why


def complete(
    status: StageStatus,
    job: Job,
    statuses: Mapping[str, StageStatus],
    resolver: Resolver,
    run_of: Callable[[StageStatus], str | None],
    *,
    anew: bool,
) -> None:
    """Check and commit what the tasks of a stage made, and record it as the result of its key.

    Args:
        run_of: our id of the run of a stage in the record.
        anew: it was asked for though the store may have a result.

    Raises:
        NotCompleted: rows went missing, or the store cannot be written.
    """
    planned = status.planned
    kinds, written = _gathered(status, job)
    fault = conservation_fault(
        planned.stage_class,
        resolver.store,
        {n: statuses[w[0].stage].outputs[w[0].output] for n, w in planned.needs.items()},
        written,
        {name: f"{job.prefix}/{name}" for name in kinds},
        status.dropped,
    )
    if fault:
        raise NotCompleted("rows went missing", fault)
    run_id = run_of(status)
    made_by = redact(_made_by(status, resolver.plan.pipeline, run_id))
    _commit(status, job, resolver.store, kinds, written, made_by)
    # Not the time in the queue: from the start of the first task to the end of the last.
    status.seconds = max(r.ended for r in job.results) - min(r.began for r in job.results)
    status.run_id = run_id
    assert status.parts is not None
    assert status.key is not None
    # As the record has them, so that this run and one that reuses the result agree.
    status.made = KeyParts.from_json(redact(status.parts.as_json()))
    resolver.keep_code(planned, status.parts)
    resolver.store.put_result(
        status.key,
        redact(_result(status)),
        [resolver.pointer(planned), f"pinned/{status.parts.key_without_code}"],
        anew=anew,
    )


def clear_attempt(status: StageStatus, job: Job, store: Store) -> None:
    """Remove what an attempt that is complete needed only to go on after an interruption."""
    assert status.key is not None
    if any(m.location.startswith(f"{job.prefix}/") for m in status.outputs.values()):
        drop_notes(store, job.prefix)
    else:  # every output was there before, from another run
        store.remove(job.prefix)
    if not issubclass(status.planned.stage_class, RowStage):
        drop_checkpoints(store, job.prefix, status.key)


def figures_of(job: Job) -> dict[str, bytes]:
    """The plots that a stage's tasks made, in the order of its shards."""
    return {n: png for r in _in_order(job) for n, png in r.figures.items()}


def _in_order(job: Job) -> list[TaskResult]:
    return sorted(job.results, key=lambda r: -1 if r.shard is None else r.shard)


def _gathered(status: StageStatus, job: Job) -> tuple[dict[str, Kind], dict[str, Written]]:
    """The kinds of a stage's outputs and their shards; what was counted is noted in its status."""
    planned = status.planned
    cls = planned.stage_class
    results = _in_order(job)
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
    return kinds, written


def _joined(written: list[Written]) -> Written:
    """The shards of one output in the order of the shards they come from."""
    schemas = [w.schema for w in written if w.schema]
    for schema in schemas[1:]:
        if schema != schemas[0]:
            raise TypeError(f"shards of one output differ in their columns: {schemas[0]}, {schema}")
    return Written([part for w in written for part in w.parts], schemas[0] if schemas else [])


def _made_by(status: StageStatus, pipeline: str, run_id: str | None) -> dict[str, Any]:
    """What the manifest of an output says of where it comes from."""
    assert status.parts is not None
    return {
        "stage": status.name,
        "uses": status.planned.word,
        "pipeline": pipeline,
        "key": status.key,
        "config": dict(status.parts.config),
        "inputs": {n: [d for _, d in wires] for n, wires in status.parts.inputs.items()},
        "sources": len(status.parts.sources),
        "run": run_id,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "libraries": _versions(),
    }


@cache
def _versions() -> dict[str, str]:
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _commit(
    status: StageStatus,
    job: Job,
    store: Store,
    kinds: Mapping[str, Kind],
    written: Mapping[str, Written],
    made_by: Mapping[str, Any],
) -> None:
    try:
        for output, parts in written.items():
            status.outputs[output] = store.commit(
                kinds[output],
                f"{job.prefix}/{output}",
                parts.schema,
                parts.parts,
                {**made_by, "output": output},
            )
    except (OSError, StoreError) as error:
        status.outputs = {}
        reason = (
            str(error)
            if isinstance(error, StoreError)
            else f"the store {store.url} cannot be written: {error}"
        )
        raise NotCompleted("its outputs could not be committed", redact_text(reason)) from error


def _result(status: StageStatus) -> dict[str, Any]:
    """What the store keeps under the key of a stage."""
    assert status.parts is not None
    return {
        "key": status.key,
        "stage": status.name,
        "uses": status.planned.word,
        "outputs": {output: m.digest for output, m in status.outputs.items()},
        "metrics": status.metrics,
        "dropped": status.dropped,
        "quarantined": status.quarantined,
        "seconds": status.seconds,
        "run": status.run_id,
        "parts": status.parts.as_json(),
    }
