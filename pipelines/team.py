"""A method of a stage on several workers at once: `Context.team` of the stages.

A rank is plain data, as a task is: which stage, which of its methods. It opens the inputs itself,
and what rank 0 tells goes home: at once what is for the eye, with its value what is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cluster.team import present_teams
from pipelines.execute import TaskContext, method_of, open_inputs, stage_class, stage_of
from pipelines.isolation import keep_place
from pipelines.results import StageTask
from pipelines.store import Store
from stages.contract import TeamStep


@dataclass(frozen=True)
class _Home:
    """What rank 0 brings home."""

    value: Any
    metrics: dict[str, float]
    counts: dict[str, int]
    figures: dict[str, bytes]


def team(task: StageTask, context: TaskContext, step: TeamStep, size: int) -> Any:
    """See `stages.contract.Context.team`."""
    name = method_of(task, step, "a team")
    workers = step.__self__.workers()  # type: ignore[attr-defined]
    if not 1 <= size <= workers:
        raise ValueError(
            f"a team has 1 to {workers} workers, as {task.name}.workers() says, and not {size}"
        )
    if size == 1:
        return _run(task, name, 0, 1, context)
    teams = present_teams()
    if teams is None:
        raise RuntimeError(f"a team of {size} workers needs a cluster, and this task is in none")
    home: _Home = teams.run(run_rank, task, name, size=size)
    context.metrics.update(home.metrics)
    context.figures.update(home.figures)
    for counter, amount in home.counts.items():
        context.count(counter, amount)
    return home.value


def run_rank(
    task: StageTask, name: str, rank: int, size: int, emit: Callable[[Any], None]
) -> _Home | None:
    """One rank of a team; what it brings home, if it is the first."""
    context = TaskContext(task, emit)
    try:
        value = _run(task, name, rank, size, context)
    except Exception as error:
        keep_place(error, f", rank {rank}")
        raise
    finally:
        context.close()
    return None if rank else _Home(value, context.metrics, context.counts, context.figures)


def _run(task: StageTask, name: str, rank: int, size: int, context: TaskContext) -> Any:
    cls = stage_class(task)
    inputs = open_inputs(task, cls, Store(task.store), list(task.inputs))
    return getattr(stage_of(task, cls), name)(rank, size, inputs, context)
