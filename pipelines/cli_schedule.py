"""`tokenmill schedule`: pipelines that run by themselves, night after night."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.console import (
    HOME,
    dag_argument,
    fail,
    plan_of,
    print_json,
    set_option,
    stop_on_sigterm,
    store_options,
)

if TYPE_CHECKING:
    from cluster.ledger import DatabaseLedger
    from cluster.schedule import Entry

EPILOG = """\b
Examples:
  tokenmill schedule add dag.yaml      as `schedule:` in the file says
  tokenmill schedule start             keep the schedules, until Ctrl-C; nights go on
  tokenmill schedule history           what became of each night
"""
NIGHTS_SHOWN = 30


def _ledger_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--ledger",
        "ledger_url",
        envvar="TOKENMILL_LEDGER",
        metavar="URL",
        help="Database of schedules and nights (sqlite:///FILE, postgresql+psycopg://…), which "
        "several keepers may share. Default: $TOKENMILL_LEDGER, else SQLite in .tokenmill/.",
    )(function)


@click.group(epilog=EPILOG)
def schedule() -> None:
    """Run pipelines by themselves: each night, or whenever a crontab line says."""


@schedule.command()
@dag_argument
@set_option
@click.option("--workers", type=click.IntRange(1), metavar="N", help="As for `tokenmill run`.")
@click.option("--address", metavar="HOST:PORT", help="As for `tokenmill run`.")
@click.option(
    "--submit",
    "dashboard",
    metavar="URL",
    help="Nights are jobs on the cluster whose dashboard is there, as with `tokenmill submit`.",
)
@_ledger_option
@store_options
def add(
    dag: Path,
    overrides: tuple[str, ...],
    workers: int | None,
    address: str | None,
    dashboard: str | None,
    ledger_url: str | None,
    store_url: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Add the schedule of a DAG, or change it; the pipeline's name is its name.

    Store and tracker are remembered. Passwords are not: give them to `schedule start` in its
    environment.
    """
    from cluster.schedule import Schedule, Timetable, label
    from pipelines.redact import redact_text

    planned = plan_of(dag, overrides)
    asked = planned.nightly.schedule
    if asked is None:
        fail(f'{dag} says no "schedule:"; add `schedule: {{cron: "0 2 * * *"}}` for each night')
    command = [sys.executable, "-P", "-m", "pipelines.cli"]
    if dashboard is None:
        command += ["run", str(dag.resolve()), "--quiet"]
    elif workers is None and address is None:
        command += ["submit", str(dag.resolve()), "--follow"]
        address = dashboard
    else:
        fail("--submit leaves it to the cluster where a night runs; drop --workers and --address")
    for option, value in (("--store", store_url), ("--tracking-uri", tracking_uri),
                          ("--workers", workers), ("--address", address)):  # fmt: skip
        if value is not None:
            if redact_text(str(value)) != str(value):
                fail(f"{option} holds a password, which the ledger must not; set it in the "
                     "environment of `tokenmill schedule start` instead")  # fmt: skip
            command += [option, str(value)]
    for override in overrides:
        command += ["--set", override]
    made = Schedule(
        name=planned.pipeline,
        timetable=Timetable(asked.cron, asked.timezone),
        command=command,
        folder=str(Path.cwd()),
        overlap=asked.overlap,
        catch_up=asked.catch_up,
        jitter=asked.jitter,
        limit=asked.limit,
    )
    now = datetime.now(UTC)
    new = _ledger(ledger_url).add(made, now)
    following = next(made.timetable.after(now))
    if as_json:
        print_json({"name": made.name, "new": new, "next": label(following)})
        return
    click.echo(f"{'added' if new else 'changed'} {made.name}: next {label(following)}")
    click.echo("`tokenmill schedule start` must be running then", err=True)


@schedule.command()
@_ledger_option
def start(ledger_url: str | None) -> None:
    """Keep the schedules until interrupted. Nights that are running then go on."""
    from cluster.keep import keep
    from cluster.processes import ProcessLauncher
    from cluster.schedule import Keeper

    def tell(entry: Entry) -> None:
        status = "" if entry.exit is None else f" (exit status {entry.exit})"
        why = f": {entry.why}" if entry.why else ""
        moment = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        click.echo(f"{moment}  {entry.schedule}  {entry.night}  {entry.state}{status}{why}")

    ledger = _ledger(ledger_url)
    count = len(ledger.schedules())
    click.echo(f"keeping {count} schedule{'' if count == 1 else 's'}; Ctrl-C ends it", err=True)
    stop_on_sigterm()
    keep(Keeper(ledger, ProcessLauncher(HOME / "nights"), tell), lambda text: click.echo(
        f"tokenmill: {text}", err=True))  # fmt: skip


@schedule.command("list")
@_ledger_option
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
def list_schedules(ledger_url: str | None, as_json: bool) -> None:
    """Show the schedules, with their next night and their last one."""
    from cluster.schedule import label

    ledger = _ledger(ledger_url)
    now = datetime.now(UTC)
    shown = []
    for made, _, paused in ledger.schedules():
        nights = ledger.nights(made.name)
        following = None if paused else next(made.timetable.after(now), None)
        shown.append({
            "name": made.name,
            "cron": made.timetable.cron,
            "timezone": made.timetable.timezone,
            "overlap": made.overlap,
            "catch_up": made.catch_up,
            "next": "paused" if following is None else label(following),
            "last": f"{nights[-1].night} {nights[-1].state}" if nights else "",
        })  # fmt: skip
    if as_json:
        print_json(shown)
        return
    from pipelines.display import print_table

    print_table(("name", "cron", "timezone", "overlap", "catch_up", "next", "last"), shown)


@schedule.command()
@click.argument("name", required=False)
@click.option("--last", default=NIGHTS_SHOWN, show_default=True, help="How many nights to show.")
@_ledger_option
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
def history(name: str | None, last: int, ledger_url: str | None, as_json: bool) -> None:
    """Show what became of each night: of one schedule, or of all."""
    shown = [
        {
            "name": entry.schedule,
            "night": entry.night,
            "state": entry.state,
            "started": "" if entry.started is None else entry.started.isoformat(timespec="seconds"),
            "seconds": None
            if entry.started is None or entry.ended is None
            else round((entry.ended - entry.started).total_seconds()),
            "exit": entry.exit,
            "why": entry.why,
            "log": entry.handle.get("log", ""),
        }
        for entry in _ledger(ledger_url).nights(name)[-last:]
    ]
    if as_json:
        print_json(shown)
        return
    from pipelines.display import print_table

    print_table(("name", "night", "state", "seconds", "exit", "why", "log"), shown)


@schedule.command()
@click.argument("name")
@_ledger_option
def pause(name: str, ledger_url: str | None) -> None:
    """Let no night of a schedule begin until `resume`."""
    _found(_ledger(ledger_url).pause(name, True, datetime.now(UTC)), name, ledger_url)
    click.echo(f"paused {name}")


@schedule.command()
@click.argument("name")
@_ledger_option
def resume(name: str, ledger_url: str | None) -> None:
    """Go on with a paused schedule; nights that came meanwhile are left out."""
    _found(_ledger(ledger_url).pause(name, False, datetime.now(UTC)), name, ledger_url)
    click.echo(f"{name} goes on")


@schedule.command()
@click.argument("name")
@_ledger_option
def remove(name: str, ledger_url: str | None) -> None:
    """Remove a schedule; its history stays, and a night that is running goes on."""
    _found(_ledger(ledger_url).remove(name), name, ledger_url)
    click.echo(f"removed {name}")


def _ledger(url: str | None) -> DatabaseLedger:
    import sqlalchemy.exc

    from cluster.ledger import DatabaseLedger
    from pipelines.redact import redact_text

    try:
        return DatabaseLedger(url or f"sqlite:///{(HOME / 'schedule.db').resolve()}")
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, OSError) as error:
        text = str(error).strip().splitlines()[0]
        fail(f"the ledger cannot be opened: {redact_text(text)}")


def _found(there: bool, name: str, ledger_url: str | None) -> None:
    if not there:
        from pipelines.located import nearest

        known = [made.name for made, _, _ in _ledger(ledger_url).schedules()]
        fail(f'there is no schedule "{name}"; {nearest(name, known)}')
