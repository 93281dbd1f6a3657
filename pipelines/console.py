"""What the commands share: options, exit statuses, errors in a line. Only click is imported."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from pipelines.plan import Plan
    from pipelines.store import Store

OK, STAGE_FAILED, WRONG_INPUT, GATE_FAILED, INTERRUPTED = 0, 1, 2, 3, 130
HOME = Path(".tokenmill")
SPOOL = HOME / "spool"
JOB = "TOKENMILL_JOB"  # set where a submitted run is
LINES_TOLD = 10


def store_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that every command takes."""
    function = click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Write one JSON document to standard output; for run and plan, a list of stages.",
    )(function)
    function = click.option(
        "--tracking-uri",
        envvar="MLFLOW_TRACKING_URI",
        metavar="URI",
        help="MLflow server or file. Default: $MLFLOW_TRACKING_URI, else SQLite in .tokenmill/.",
    )(function)
    return click.option(
        "--store",
        "store_url",
        envvar="TOKENMILL_STORE",
        metavar="URL",
        help="Where artifacts lie. Default: $TOKENMILL_STORE, else .tokenmill/store.",
    )(function)


dag_argument = click.argument("dag", default="dag.yaml", type=click.Path(path_type=Path))


set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="STAGE.FIELD=VALUE",
    help="Change a setting of a stage for this call; can be given several times.",
)


only_option = click.option(
    "--only", multiple=True, metavar="STAGE", help="Run this stage and what it needs, nothing else."
)


def plan_of(dag: Path, overrides: tuple[str, ...]) -> Plan:
    from pipelines.located import InvalidDag
    from pipelines.planner import make_plan
    from pipelines.spec import read_dag

    try:
        return make_plan(read_dag(dag, overrides=overrides))
    except InvalidDag as error:
        for mistake in error.mistakes:
            click.echo(str(mistake), err=True)
        count = len(error.mistakes)
        click.echo(f"{count} mistake{'s' if count > 1 else ''}; nothing was run", err=True)
        raise SystemExit(WRONG_INPUT) from None


def matching(planned: Plan, pattern: str) -> list[Any]:
    try:
        return planned.matching(pattern)
    except LookupError as error:
        fail(str(error))


def selection(
    planned: Plan, only: tuple[str, ...], anew: tuple[str, ...]
) -> tuple[set[str] | None, set[str]]:
    forced = planned.downstream_of({s.name for p in anew for s in matching(planned, p)})
    if not only:
        return None, forced
    wanted = {s.name for pattern in only for s in matching(planned, pattern)}
    return planned.needed_for(wanted), forced


def store_of(url: str | None) -> Store:
    from pipelines.store import Store

    refuse_default_store(url)
    try:
        return Store(url or str((HOME / "store").resolve()))
    except (ValueError, ImportError) as error:
        fail(f"--store {url}: {error}")


def refuse_default_store(url: str | None) -> None:
    if url is None:
        _refuse_defaults("--store", "TOKENMILL_STORE")


def tracking_uri_of(uri: str | None) -> str:
    from pipelines.mlflow_client import default_tracking_uri

    if uri is None:
        _refuse_defaults("--tracking-uri", "MLFLOW_TRACKING_URI")
    return uri or default_tracking_uri(HOME)


def _refuse_defaults(option: str, variable: str) -> None:
    """A submitted run lies in a folder that is gone afterwards."""
    if os.environ.get(JOB):
        fail(f"a submitted run needs {option}; give it to `tokenmill submit`, or set {variable} on "
             "the nodes of the cluster")  # fmt: skip


def size_of(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def print_json(document: Any) -> None:
    json.dump(document, sys.stdout, ensure_ascii=False, indent=1, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


@contextlib.contextmanager
def others_to_stderr() -> Iterator[None]:
    """What libraries print while a run goes on (Ray tells of lost workers) is no result."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def fail(message: str) -> NoReturn:
    click.echo(f"tokenmill: {message}", err=True)
    raise SystemExit(WRONG_INPUT)


def tell(lines: list[str]) -> None:
    """Tell of the record, beside the results."""
    for line in lines[:LINES_TOLD]:
        click.echo(f"tokenmill: {line}", err=True)
    if len(lines) > LINES_TOLD:
        click.echo(f"tokenmill: and {len(lines) - LINES_TOLD} more of the kind", err=True)


def stop_on_sigterm() -> None:
    """SIGTERM ends a run as Ctrl-C does: tasks ended, record closed."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if os.name == "posix":
        signal.signal(signal.SIGTERM, stop)
