"""`tokenmill plan` and `why`: what a run would do, and what changed since the last one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.console import (
    WRONG_INPUT,
    dag_argument,
    fail,
    matching,
    only_option,
    plan_of,
    print_json,
    selection,
    set_option,
    store_of,
    store_options,
)

if TYPE_CHECKING:
    from pipelines.plan import Plan
    from pipelines.store import Store


@click.command()
@dag_argument
@set_option
@only_option
@store_options
def plan(
    dag: Path,
    overrides: tuple[str, ...],
    only: tuple[str, ...],
    store_url: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Show what a run would do: each stage, hit or miss, and why. Runs nothing."""
    planned = plan_of(dag, overrides)
    names, _ = selection(planned, only, ())
    show_plan(planned, store_of(store_url), names, set(), as_json)


@click.command()
@click.argument("stage")
@dag_argument
@click.option(
    "--against",
    metavar="RUN",
    help="Compare with the result that the stage had in this run: the id (or its beginning) of "
    "an MLflow parent run, or of an entry in the store.",
)
@set_option
@store_options
def why(
    stage: str,
    dag: Path,
    against: str | None,
    overrides: tuple[str, ...],
    store_url: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Say which part of a stage's key changed since its last result: a config field, a function
    (as a diff), a library, an input, a source.

    \b
    Examples:
      tokenmill why model                        every cell of the stage
      tokenmill why 'model[arm=edited,seed=1]'   one of them
      tokenmill why model --against 3f2a91c0     since that run, not since the last
    """
    from pipelines.display import console, explanation_lines
    from pipelines.resolve import preview
    from pipelines.why import Explainer

    planned = plan_of(dag, overrides)
    wanted = [s.name for s in matching(planned, stage)]
    store = store_of(store_url)
    run = _find_run(store, against) if against else None
    explainer = Explainer(planned, store, {s.name: s for s in preview(planned, store)}, run)
    explained = [explainer.explain(name) for name in wanted]
    # A stage that waits for another has no key yet; what that one says is what there is to say.
    first = {e.waits_for for e in explained if e.waits_for} - set(wanted)
    explained += [explainer.explain(name) for name in sorted(first)]
    if as_json:
        print_json([explanation.as_json() for explanation in explained])
        return
    for explanation in explained:
        for line in explanation_lines(explanation):
            console().print(line, soft_wrap=True)


def show_plan(
    planned: Plan, store: Store, names: set[str] | None, anew: set[str], as_json: bool
) -> None:
    """Show what a run would do, without running.

    Args:
        names: planned stages that are asked for; None for all.
        anew: planned stages that are to be computed even where the store has them.

    Raises:
        SystemExit: the sources of a stage cannot be read.
    """
    from pipelines.display import console, plan_table
    from pipelines.resolve import preview

    statuses = preview(planned, store, names, anew)
    if as_json:
        print_json([status.as_json() for status in statuses])
        return
    console().print(plan_table(statuses))
    words = {"reused": "reused", "computed": "to compute", "skipped": "not asked for",
             "failed": "cannot be read"}  # fmt: skip
    counts = {word: sum(s.state == state for s in statuses) for state, word in words.items()}
    told = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    console().print(f"{len(statuses)} stages: {told}")
    if any(status.state == "failed" for status in statuses):
        raise SystemExit(WRONG_INPUT)


def _find_run(store: Store, wanted: str) -> Any:
    from pipelines.leases import find_run, run_entries

    found = find_run(store, wanted)
    last = [
        f"\n  {entry.tracking_run or entry.run}  {entry.pipeline}  {entry.state}  "
        + time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.started))
        for entry in run_entries(store)[-5:]
    ]
    there = "the last runs are:" + "".join(last) if last else "it knows of no run yet"
    return found or fail(f'{store.url} knows of no run "{wanted}"; {there}')
