"""Nights on a simulated clock: which of them run, exactly, under each policy."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest

from cluster.ledger import DatabaseLedger
from cluster.schedule import Entry, Keeper, Schedule, Timetable, WrongTimetable, label

BERLIN = ZoneInfo("Europe/Berlin")


class World:
    """A clock that the test moves, and nights that take as long as they are told to."""

    def __init__(self, ledger: str, now: datetime) -> None:
        self.ledger = DatabaseLedger(ledger)
        self.now = now.astimezone(UTC)
        self.lasts: dict[str, timedelta] = {}  # nights that last longer than a minute
        self.fails: set[str] = set()
        self.started: list[str] = []
        self.stopped: list[str] = []
        self.keepers = [Keeper(self.ledger, self)]

    # -- a Launcher -------------------------------------------------------------------------------

    def start(self, schedule: Schedule, night: str) -> Mapping[str, Any]:
        self.started.append(night)
        ends = self.now + self.lasts.get(night, timedelta(minutes=1))
        return {"ends": ends.timestamp(), "status": int(night in self.fails), "night": night}

    def ended(self, handle: Mapping[str, Any]) -> int | Literal["lost"] | None:
        return handle["status"] if self.now.timestamp() >= handle["ends"] else None

    def stop(self, handle: Mapping[str, Any]) -> None:
        self.stopped.append(handle["night"])

    # -- time -------------------------------------------------------------------------------------

    def add(self, cron: str = "0 2 * * *", timezone: str = "UTC", **more: Any) -> Schedule:
        schedule = Schedule("nightly", Timetable(cron, timezone), ["true"], "/", **more)
        self.ledger.add(schedule, self.now)
        return schedule

    def go_on(self, until: datetime, step: timedelta = timedelta(hours=1)) -> None:
        """Let time pass, with keepers that are awake every `step`, and when a night starts."""
        until = until.astimezone(UTC)
        while self.now < until:
            following = [keeper.tick(self.now) for keeper in self.keepers]
            coming = min((t for t in following if t is not None), default=until)
            self.now = min(until, self.now + step, max(coming, self.now + timedelta(seconds=1)))
        for keeper in self.keepers:
            keeper.tick(self.now)

    def sleep(self, until: datetime) -> None:
        """No keeper is there."""
        self.now = until.astimezone(UTC)

    def states(self) -> dict[str, str]:
        return {entry.night: entry.state for entry in self.ledger.nights()}


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'schedule.db'}"


def utc(*numbers: int) -> datetime:
    return datetime(*numbers, tzinfo=UTC)  # type: ignore[arg-type, misc]


def days(first: datetime, count: int) -> list[str]:
    return [label(first + timedelta(days=n)) for n in range(count)]


def test_a_year_of_nights_runs_each_night_once(ledger: str) -> None:
    world = World(ledger, utc(2026, 1, 1))
    world.add()
    world.go_on(utc(2027, 1, 1), step=timedelta(days=1))
    assert world.started == days(utc(2026, 1, 1, 2), 365)
    assert set(world.states().values()) == {"finished"}


def test_in_a_zone_whose_clocks_change_each_night_of_a_year_runs_once(ledger: str) -> None:
    world = World(ledger, datetime(2026, 1, 1, tzinfo=BERLIN))
    world.add("30 2 * * *", "Europe/Berlin")
    world.go_on(datetime(2027, 1, 1, tzinfo=BERLIN), step=timedelta(days=1))
    assert len(world.started) == 365
    assert len({night[:10] for night in world.started}) == 365
    unusual = [night for night in world.started if night[11:16] != "02:30"]
    assert unusual == ["2026-03-29T03:00+02:00"]  # there is no 02:30; at the end of the gap
    # In autumn 02:30 comes twice, and the first counts.
    assert "2026-10-25T02:30+02:00" in world.started
    assert "2026-10-25T02:30+01:00" not in world.started


def test_an_hourly_line_runs_each_real_hour_on_the_days_when_clocks_change(ledger: str) -> None:
    world = World(ledger, datetime(2026, 3, 28, 23, 30, tzinfo=BERLIN))
    world.add("0 * * * *", "Europe/Berlin")
    world.go_on(datetime(2026, 3, 29, 4, 30, tzinfo=BERLIN), step=timedelta(minutes=30))
    assert [night[11:] for night in world.started] == [
        "00:00+01:00", "01:00+01:00", "03:00+02:00", "04:00+02:00"]  # fmt: skip
    world.sleep(datetime(2026, 10, 24, 23, 30, tzinfo=BERLIN))
    world.ledger.pause("nightly", False, world.now)
    world.started.clear()
    world.go_on(datetime(2026, 10, 25, 4, 30, tzinfo=BERLIN), step=timedelta(minutes=30))
    assert [night[11:] for night in world.started] == [
        "00:00+02:00", "01:00+02:00", "02:00+02:00", "02:00+01:00", "03:00+01:00", "04:00+01:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("catch_up", "fired"),
    [
        ("none", []),
        ("latest", ["2026-05-10T02:00+00:00"]),
        ("all", days(utc(2026, 5, 4, 2), 7)),
    ],
)
def test_after_a_week_without_a_keeper(ledger: str, catch_up: Any, fired: list[str]) -> None:
    world = World(ledger, utc(2026, 5, 3, 12))
    world.add(catch_up=catch_up)
    world.go_on(utc(2026, 5, 3, 13))
    world.sleep(utc(2026, 5, 10, 12))
    # All that is caught up with runs in turn, even where nights that overlap are left out.
    world.lasts = {night: timedelta(hours=1) for night in fired}
    world.go_on(utc(2026, 5, 10, 23))
    assert world.started == fired
    assert world.states() == {
        night: "finished" if night in fired else "missed" for night in days(utc(2026, 5, 4, 2), 7)
    }
    world.go_on(utc(2026, 5, 11, 12))
    assert world.started == [*fired, "2026-05-11T02:00+00:00"]


@pytest.mark.parametrize(
    ("overlap", "started", "states"),
    [
        ("skip", [1, 3], ["finished", "skipped", "finished"]),
        ("queue", [1, 2, 3], ["finished", "finished", "finished"]),
        ("replace", [1, 2, 3], ["replaced", "finished", "finished"]),
    ],
)
def test_a_night_that_is_not_over_when_the_next_comes(
    ledger: str, overlap: Any, started: list[int], states: list[str]
) -> None:
    world = World(ledger, utc(2026, 6, 1))
    world.add(overlap=overlap)
    world.lasts["2026-06-01T02:00+00:00"] = timedelta(hours=30)
    world.go_on(utc(2026, 6, 4))
    assert world.started == [f"2026-06-0{n}T02:00+00:00" for n in started]
    assert list(world.states().values()) == states
    assert world.stopped == (["2026-06-01T02:00+00:00"] if overlap == "replace" else [])
    second = world.ledger.nights()[1]
    if overlap == "queue":
        assert second.started == utc(2026, 6, 2, 8)
    if overlap == "skip":
        assert "2026-06-01T02:00" in second.why


def test_a_night_that_runs_out_of_time_is_ended(ledger: str) -> None:
    world = World(ledger, utc(2026, 6, 1))
    world.add(limit=3600.0)
    world.lasts["2026-06-01T02:00+00:00"] = timedelta(hours=30)
    world.go_on(utc(2026, 6, 1, 4), step=timedelta(minutes=1))
    (entry,) = world.ledger.nights()
    assert (entry.state, entry.ended) == ("late", utc(2026, 6, 1, 3, 1))
    assert world.stopped == [entry.night]


def test_a_night_that_fails_is_told_with_its_status(ledger: str) -> None:
    world = World(ledger, utc(2026, 6, 1))
    world.add()
    told: list[Entry] = []
    world.keepers = [Keeper(world.ledger, world, told.append)]
    world.fails.add("2026-06-01T02:00+00:00")
    world.go_on(utc(2026, 6, 1, 3))
    assert [(e.state, e.exit) for e in told] == [("running", None), ("failed", 1)]


def test_two_keepers_on_one_ledger_run_each_night_once(ledger: str) -> None:
    world = World(ledger, utc(2026, 1, 1))
    world.add(jitter=1800.0, overlap="queue")
    world.keepers = [Keeper(DatabaseLedger(ledger), world) for _ in range(2)]
    world.go_on(utc(2026, 3, 1), step=timedelta(hours=12))
    assert world.started == days(utc(2026, 1, 1, 2), 59)
    delays = [
        (entry.started - entry.due).total_seconds()
        for entry in world.ledger.nights()
        if entry.started
    ]
    assert all(0 <= delay < 60 for delay in delays)
    spread = {entry.due.minute for entry in world.ledger.nights()}
    assert len(spread) > 15  # of 30


def test_a_keeper_killed_while_it_starts_a_night_loses_that_night_and_no_other(
    ledger: str,
) -> None:
    world = World(ledger, utc(2026, 6, 1))
    world.add()

    class Killed(BaseException):
        pass

    class Dies(World):
        def start(self, schedule: Schedule, night: str) -> Mapping[str, Any]:
            raise Killed

    dying = Dies(ledger, utc(2026, 6, 1, 2))
    with pytest.raises(Killed):
        dying.go_on(utc(2026, 6, 1, 3))
    world.sleep(utc(2026, 6, 1, 2, 1))
    world.go_on(utc(2026, 6, 3))
    assert list(world.states().values()) == ["lost", "finished"]


def test_a_night_that_cannot_be_started_fails_and_the_next_one_runs(ledger: str) -> None:
    world = World(ledger, utc(2026, 6, 1))
    world.add()
    start, tries = world.start, []

    def sometimes(schedule: Schedule, night: str) -> Mapping[str, Any]:
        tries.append(night)
        if len(tries) == 1:
            raise FileNotFoundError("no such folder")
        return start(schedule, night)

    world.start = sometimes  # type: ignore[method-assign]
    world.go_on(utc(2026, 6, 3))
    first, second = world.ledger.nights()
    assert (first.state, second.state) == ("failed", "finished")
    assert "no such folder" in first.why


def test_a_paused_schedule_runs_nothing_and_does_not_catch_up_with_it(ledger: str) -> None:
    world = World(ledger, utc(2026, 6, 1))
    world.add(catch_up="all")
    assert world.ledger.pause("nightly", True, world.now)
    world.go_on(utc(2026, 6, 4), step=timedelta(hours=1))
    assert world.started == []
    world.ledger.pause("nightly", False, world.now)
    world.go_on(utc(2026, 6, 5), step=timedelta(hours=1))
    assert world.started == ["2026-06-04T02:00+00:00"]


def test_a_schedule_that_is_changed_keeps_its_history_and_a_removed_one_fires_no_more(
    ledger: str,
) -> None:
    world = World(ledger, utc(2026, 6, 1))
    world.add()
    world.go_on(utc(2026, 6, 2))
    world.add("0 5 * * *")
    world.go_on(utc(2026, 6, 3))
    assert world.started == ["2026-06-01T02:00+00:00", "2026-06-02T05:00+00:00"]
    assert world.ledger.remove("nightly")
    assert not world.ledger.remove("nightly")
    world.go_on(utc(2026, 6, 5), step=timedelta(hours=1))
    assert len(world.started) == 2
    assert len(world.ledger.nights()) == 2


def test_sunday_is_sunday() -> None:
    timetable = Timetable("0 2 * * 0", "UTC")
    assert next(timetable.after(utc(2026, 11, 21))).strftime("%A") == "Sunday"


@pytest.mark.parametrize(
    ("cron", "timezone", "says"),
    [
        ("0 2 * *", "UTC", "five fields"),
        ("61 2 * * *", "UTC", "crontab"),
        ("0 2 31 2 *", "UTC", "day-of-month"),  # it would never come
        ("at night", "UTC", "five fields"),
        ("0 2 * * *", "Europe/Atlantis", "no time zone"),
    ],
)
def test_a_wrong_timetable_is_refused_in_words(cron: str, timezone: str, says: str) -> None:
    with pytest.raises(WrongTimetable, match=says):
        Timetable(cron, timezone)
