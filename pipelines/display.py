"""What a person sees in the terminal: live progress, tables, errors that can be acted on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from pipelines.results import Point
from pipelines.status import StageStatus

if TYPE_CHECKING:
    from pipelines.gc import Sweep
    from pipelines.why import Change, Explanation

STYLES = {
    "computed": "green",
    "reused": "cyan",
    "failed": "bold red",
    "skipped": "yellow",
    "running": "blue",
    "waiting": "dim",
}


def console(*, errors: bool = False) -> Console:
    """A console on standard output or standard error; wide where there is no terminal."""
    stream = sys.stderr if errors else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else 160, highlight=False)


class LiveDisplay:
    """A `Listener` that shows what runs: a bar, a rate and the time left for each running stage.

    Where standard error is no terminal, a line a stage is written instead.
    """

    def __init__(self, statuses: Sequence[StageStatus], *, quiet: bool = False) -> None:
        self._console = console(errors=True)
        self._quiet = quiet
        self._live = self._console.is_terminal and not quiet
        self._bars: dict[str, TaskID] = {}
        self._begun: dict[str, float] = {}
        self._last_loss: dict[str, str] = {}
        self._progress = Progress(
            TextColumn("{task.description}", table_column=None),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=self._console,
            transient=True,
        )
        self._all = self._progress.add_task("stages", total=len(statuses), rate="", note="")

    def __enter__(self) -> LiveDisplay:
        if self._live:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._progress.stop()

    def started(self, status: StageStatus) -> None:
        self._bars[status.name] = self._progress.add_task(
            escape(f"  {status.name}"), total=status.total, rate="", note="queued", start=False
        )

    def progressed(self, status: StageStatus) -> None:
        if status.name not in self._begun:  # a worker has taken it up
            self._begun[status.name] = time.monotonic()
            self._progress.start_task(self._bars[status.name])
        seconds = time.monotonic() - self._begun[status.name]
        rate = f"{status.done / seconds:,.0f} {status.unit}/s" if seconds > 0.5 else ""
        self._progress.update(
            self._bars[status.name],
            completed=status.done,
            total=status.total,
            rate=rate,
            note=self._last_loss.get(status.name, ""),
        )

    def points(self, points: Iterable[Point]) -> None:
        for point in points:
            if point.metric == "loss":
                self._last_loss[point.stage] = f"loss {point.value:.3f}"

    def finished(self, status: StageStatus, figures: Mapping[str, bytes]) -> None:
        bar = self._bars.pop(status.name, None)
        if bar is not None:
            self._progress.remove_task(bar)
        self._progress.advance(self._all)
        if self._quiet or (status.state == "skipped" and status.why == "not asked for"):
            return
        rows = f"{status.rows:,} rows" if status.rows else ""
        seconds = f"{status.seconds:.1f} s" if status.state == "computed" else ""
        line = Text(f"{status.state:<9}", style=STYLES[status.state])
        line.append(f"{status.name}", style="default")
        detail = "  ".join(part for part in (rows, seconds) if part)
        line.append(f"  {detail}" if detail else "", style="dim")
        if status.state in ("failed", "skipped"):
            line.append(f"  {status.error or status.why}", style="default")
        self._console.print(line, soft_wrap=True)

    def run_of(self, status: StageStatus) -> str | None:
        return None


@contextmanager
def progress_over(
    what: str, total: int, *, bytes_: bool = False
) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, where that is a terminal; gives a function that moves it on."""
    out = console(errors=True)
    columns = [TextColumn("{task.description}"), BarColumn(bar_width=24)]
    amount = [DownloadColumn(), TransferSpeedColumn()] if bytes_ else [MofNCompleteColumn()]
    bar = Progress(
        *columns, *amount, TimeRemainingColumn(), console=out, transient=True,
        disable=not out.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


def plan_table(statuses: Sequence[StageStatus]) -> Table:
    """What a run would do: one row a planned stage."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("stage", "uses", "", "key", "why"):
        table.add_column(name, overflow="fold" if name == "why" else "ellipsis")
    for status in statuses:
        word = {"computed": "miss", "reused": "hit"}.get(status.state, status.state)
        table.add_row(
            Text(status.name),
            status.planned.word,
            Text(word, style=STYLES[status.state]),
            (status.key or "")[:10],
            Text(status.error or status.why),
        )
    return table


def explanation_lines(explanation: Explanation) -> Iterator[Text]:
    """What changed for a stage, part by part."""
    state = {"computed": "will run", "reused": "unchanged", "failed": "cannot run"}
    line = Text(explanation.stage, style="bold")
    line.append(f"  {state.get(explanation.state, explanation.state)}",
                style=STYLES.get(explanation.state, ""))  # fmt: skip
    if explanation.key:
        line.append(f"  key {explanation.key[:10]}", style="dim")
    if explanation.against and explanation.against != explanation.key:
        line.append(f", was {explanation.against[:10]}", style="dim")
    yield line
    if not explanation.changes:
        yield Text(f"  {explanation.why}")
    for change in explanation.changes:
        yield from _change_lines(change)


def _change_lines(change: Change) -> Iterator[Text]:
    if change.part == "config":
        yield Text(f"  config {change.name}: {_brief(change.before)} -> {_brief(change.after)}")
    elif change.part in ("type", "library"):
        yield Text(f"  {change.part} {change.name}: {change.before} -> {change.after}")
    elif change.part == "input":
        yield Text(f"  input {change.name} has other content")
        for artifacts, word in ((change.before, "was"), (change.after, "is")):
            for artifact in artifacts or []:
                rows = f", {artifact['rows']:,} rows" if artifact.get("rows") else ""
                maker = artifact["made_by"] or "an artifact that is gone"
                yield Text(f"    {word:<3} {artifact['digest'][:10]} of {maker}{rows}")
    else:
        gone = "is gone" if change.after is None else "changed"
        gone = "is new" if change.before is None else gone
        yield Text(f"  {change.part} {change.name} {gone}")
        styles = {"+": "green", "-": "red", "@": "cyan"}
        for text in change.diff[2:]:
            yield Text(f"    {text}", style=styles.get(text[:1], ""))


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."


def result_table(statuses: Sequence[StageStatus]) -> Table:
    """What a run did: one row an output, and where in the store it lies."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("stage", "", "output", "rows", "seconds", "digest", "where"):
        table.add_column(
            name, justify="right" if name in ("rows", "seconds") else "left",
            overflow="fold" if name == "where" else "ellipsis", no_wrap=name != "where",
        )  # fmt: skip
    for status in statuses:
        if not status.outputs:
            table.add_row(Text(status.name), Text(status.state, style=STYLES[status.state]),
                          "", "", "", "", Text(status.error or status.why))  # fmt: skip
        for index, (name, manifest) in enumerate(status.outputs.items()):
            first = index == 0
            table.add_row(
                Text(status.name if first else ""),
                Text(status.state if first else "", style=STYLES[status.state]),
                name,
                f"{manifest.rows:,}" if manifest.rows else "",
                f"{status.seconds:.1f}" if first and status.state == "computed" else "",
                manifest.digest[:10],
                manifest.location,
            )
    return table


def sweep_table(sweep: Sweep, size: Callable[[int], str], most: int = 40) -> Table:
    """What would be removed from a store: the largest first."""
    rows = [
        (m.size, str(m.kind), f"{m.made_by.get('stage')}.{m.made_by.get('output')}",
         str(m.made_by.get("time", "")), m.digest[:10])
        for m in sweep.artifacts
    ]  # fmt: skip
    rows += [(n, "attempt", "unfinished", "", prefix) for prefix, n in sweep.attempts.items()]
    rows.sort(key=lambda row: -row[0])
    shown = [(*row[1:], size(row[0])) for row in rows[:most]]
    if len(rows) > most:
        shown.append((f"and {len(rows) - most} more", "", "", "", ""))
    return rows_table(("what", "made by", "at", "", "size"), shown)


def rows_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A plain table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[Text(str(value)) for value in row])
    return table


def print_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows under the names of their columns."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for entry in rows:
        table.add_row(*("" if entry[c] is None else str(entry[c]) for c in columns))
    console().print(table)
