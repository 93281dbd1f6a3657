"""Runs at set times: which nights are due, which of them run, and a ledger that says so.

A *timetable* is a crontab line in a time zone (cronsim reads it, with cron's own rules where clocks
change: a set time that the clock skips comes at the end of the gap, one that it repeats comes once,
while hourly lines go on by the hour). A *night* is one entry of it, known by the local time that it
is for. The *ledger* is a table in a database (SQLite, PostgreSQL), one row a night: whoever puts
the row there runs the night, so two keepers on one ledger never run it twice.

A `Keeper` looks at the ledger and the clock and does what is due. APScheduler wakes it; nothing
that counts is kept in memory, so a keeper may be killed and started anew at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

Overlap = Literal["skip", "queue", "replace"]
CatchUp = Literal["none", "latest", "all"]

LATE_SECONDS = 300.0  # a night that is later than this was missed, and is for `catch_up`
STARTING_SECONDS = 120.0  # a keeper that needs longer to start a night was killed over it
ENDED = ("finished", "failed", "late", "replaced", "lost", "skipped", "missed")


class WrongTimetable(ValueError):
    """A crontab line or a time zone that nobody can read."""


@dataclass(frozen=True)
class Timetable:
    """When: a crontab line (minute, hour, day, month, weekday) in a time zone."""

    cron: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        if len(self.cron.split()) != 5:
            raise WrongTimetable(
                f'"{self.cron}" is no crontab line: it has five fields, "minute hour day month '
                'weekday"; "0 2 * * *" is each night at two'
            )
        try:
            CronSim(self.cron, datetime(2026, 1, 1))
        except CronSimError as error:
            raise WrongTimetable(f'"{self.cron}" is no crontab line: {error}') from error
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError) as error:
            raise WrongTimetable(
                f'"{self.timezone}" is no time zone; names are like Europe/Berlin, or UTC'
            ) from error

    def after(self, moment: datetime) -> Iterator[datetime]:
        """All times later than `moment`, in order, with the zone; there may be none."""
        return CronSim(self.cron, moment.astimezone(ZoneInfo(self.timezone)))


@dataclass(frozen=True)
class Schedule:
    """What runs when, and what happens when that does not work out.

    Attributes:
        command: the program of a night and its arguments; the night's label is in the environment
            as TOKENMILL_NIGHT.
        folder: where it runs.
        overlap: what a night does while an earlier one still runs: it is left out, it waits, or it
            ends the earlier one.
        catch_up: which nights run later that came while no keeper was there.
        jitter: seconds over which starts are spread, by name and night.
        limit: seconds after which a night is ended; None for never.
    """

    name: str
    timetable: Timetable
    command: Sequence[str]
    folder: str
    overlap: Overlap = "skip"
    catch_up: CatchUp = "latest"
    jitter: float = 0.0
    limit: float | None = None

    def starts(self, night: datetime) -> datetime:
        """When a night starts, with its share of the jitter: the same for every keeper."""
        digits = hashlib.blake2b(f"{self.name} {label(night)}".encode(), digest_size=8).digest()
        share = int.from_bytes(digits, "big") / 2**64
        return night.astimezone(UTC) + timedelta(seconds=self.jitter * share)

    def as_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Schedule:
        fields = json.loads(text)
        return cls(**{**fields, "timetable": Timetable(**fields["timetable"])})


def label(night: datetime) -> str:
    """The name of a night: the local time that it is for, and the offset of the zone then."""
    return night.isoformat(timespec="minutes")


@dataclass(frozen=True)
class Entry:
    """A row of the ledger: what became of a night.

    `state` is queued, starting, running, or one of `ENDED`: late is what ran out of time, lost what
    nobody knows the end of.
    """

    schedule: str
    night: str
    state: str
    due: datetime
    started: datetime | None = None
    ended: datetime | None = None
    exit: int | None = None
    why: str = ""
    handle: Mapping[str, Any] = field(default_factory=dict)


class Ledger(Protocol):
    """Schedules and their nights; see `cluster.ledger` for the one in a database."""

    def schedules(self) -> list[tuple[Schedule, datetime, bool]]:
        """Each schedule, until when its nights were looked at, and whether it is paused."""
        ...

    def enter(self, entry: Entry) -> bool:
        """Put a row there; False where somebody was first."""
        ...

    def change(self, entry: Entry, *, was: str) -> bool:
        """Change the row of a night; False where its state is not `was` any more."""
        ...

    def looked(self, schedule: str, until: datetime) -> None:
        """Note until when the nights of a schedule were looked at; it never goes back."""
        ...

    def nights(self, schedule: str, states: Sequence[str]) -> list[Entry]:
        """The nights of a schedule in some states, the earliest first."""
        ...


class Launcher(Protocol):
    """Starts nights and tells how they went. A handle is plain data, for any keeper to read."""

    def start(self, schedule: Schedule, night: str) -> Mapping[str, Any]:
        """Start a night.

        Raises:
            OSError: it cannot be started.
        """
        ...

    def ended(self, handle: Mapping[str, Any]) -> int | Literal["lost"] | None:
        """Its exit status; None while it runs, "lost" if it is gone and left none."""
        ...

    def stop(self, handle: Mapping[str, Any]) -> None:
        """End it, and wait until it has ended."""
        ...


class Keeper:
    """Does what is due. Any number of keepers may share a ledger."""

    def __init__(
        self, ledger: Ledger, launcher: Launcher, tell: Callable[[Entry], None] = lambda _: None
    ) -> None:
        """`tell` hears of each night whose state changes."""
        self._ledger, self._launcher, self._tell = ledger, launcher, tell

    def tick(self, now: datetime) -> datetime | None:
        """Do what is due at `now`; returns when the next night starts, None if there is none."""
        # Times of one zone are compared, and added to, as the clock on the wall shows them.
        now = now.astimezone(UTC)
        coming = []
        for schedule, since, paused in self._ledger.schedules():
            self._watch(schedule, now)
            if not paused:
                self._plan(schedule, since, now)
            self._start_queued(schedule, now)
            if not paused:
                following = next(schedule.timetable.after(now), None)
                # Of a night whose time has come, the jitter may not have passed.
                waiting = [schedule.starts(n) for n in _between(schedule, since, now)]
                coming += [t for t in waiting if t > now]
                coming += [] if following is None else [schedule.starts(following)]
        return min(coming, default=None)

    def _plan(self, schedule: Schedule, since: datetime, now: datetime) -> None:
        """Enter the nights that have become due: to run, or as missed."""
        due = []
        for night in _between(schedule, since, now):
            if schedule.starts(night) > now:
                break  # nights start in their order
            due.append(night)
        for number, night in enumerate(due, 1):
            starts = schedule.starts(night)
            late = (now - starts).total_seconds() > LATE_SECONDS
            wanted = schedule.catch_up == "all" or (
                schedule.catch_up == "latest" and number == len(due)
            )
            entry = Entry(schedule.name, label(night), "queued", starts)
            if late and not wanted:
                self._enter(entry, "missed", now, why=f"no keeper was there until {label(now)}")
            elif late or len(due) > 1:
                self._enter(entry, "queued", now)  # those that are caught up with run in turn
            else:
                self._enter_now(schedule, entry, now)
        if due:
            self._ledger.looked(schedule.name, due[-1])

    def _enter_now(self, schedule: Schedule, entry: Entry, now: datetime) -> None:
        running = self._ledger.nights(schedule.name, ("queued", "starting", "running"))
        if not running or schedule.overlap == "queue":
            self._enter(entry, "queued", now)
        elif schedule.overlap == "skip":
            self._enter(entry, "skipped", now, why=f"{running[0].night} was still under way")
        elif self._enter(entry, "queued", now):
            for earlier in running:
                if earlier.state == "running":
                    self._launcher.stop(earlier.handle)
                self._change(earlier, "replaced", now, why=f"{entry.night} took its place")

    def _watch(self, schedule: Schedule, now: datetime) -> None:
        for entry in self._ledger.nights(schedule.name, ("starting",)):
            assert entry.started is not None
            if (now - entry.started).total_seconds() > STARTING_SECONDS:
                self._change(entry, "lost", now, why="its keeper ended while it was started")
        for entry in self._ledger.nights(schedule.name, ("running",)):
            status = self._launcher.ended(entry.handle)
            assert entry.started is not None
            if status == "lost":
                self._change(entry, "lost", now, why="its process is gone and left no status")
            elif status is not None:
                self._change(entry, "failed" if status else "finished", now, status=status)
            elif schedule.limit is not None and (
                (now - entry.started).total_seconds() > schedule.limit
            ):
                self._launcher.stop(entry.handle)
                self._change(entry, "late", now, why=f"it ran for more than {schedule.limit:g} s")

    def _start_queued(self, schedule: Schedule, now: datetime) -> None:
        """Start the earliest night that waits, where none runs."""
        while not self._ledger.nights(schedule.name, ("running", "starting")):
            waiting = self._ledger.nights(schedule.name, ("queued",))
            if not waiting:
                return
            entry = waiting[0]
            starting = replace(entry, state="starting", started=now)
            if not self._ledger.change(starting, was="queued"):
                return  # another keeper starts it
            try:
                handle = self._launcher.start(schedule, entry.night)
            except OSError as error:
                self._change(starting, "failed", now, why=f"it cannot be started: {error}")
                continue
            self._change(replace(starting, handle=handle), "running", now)

    def _enter(self, entry: Entry, state: str, now: datetime, why: str = "") -> bool:
        entry = replace(entry, state=state, why=why, ended=now if state in ENDED else None)
        entered = self._ledger.enter(entry)
        if entered and state != "queued":
            self._tell(entry)
        return entered

    def _change(
        self, entry: Entry, state: str, now: datetime, *, why: str = "", status: int | None = None
    ) -> None:
        changed = replace(
            entry, state=state, why=why, exit=status, ended=now if state in ENDED else None
        )
        if self._ledger.change(changed, was=entry.state):
            self._tell(changed)


def _between(schedule: Schedule, since: datetime, until: datetime) -> Iterator[datetime]:
    for night in schedule.timetable.after(since):
        if night > until:
            return
        yield night
