"""The ledger of schedules and nights in a database, shared by all keepers and commands."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cluster.schedule import Entry, Schedule

_META = sa.MetaData()
_SCHEDULES = sa.Table(
    "schedules",
    _META,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("schedule", sa.Text, nullable=False),
    sa.Column("looked", sa.Float, nullable=False),  # nights until then were looked at
    sa.Column("paused", sa.Boolean, nullable=False),
)
_NIGHTS = sa.Table(
    "nights",
    _META,
    sa.Column("schedule", sa.String(200), primary_key=True),
    sa.Column("night", sa.String(40), primary_key=True),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("due", sa.Float, nullable=False),
    sa.Column("started", sa.Float),
    sa.Column("ended", sa.Float),
    sa.Column("exit", sa.Integer),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("handle", sa.Text, nullable=False),
)


class DatabaseLedger:
    """A ledger at an SQLAlchemy URL: `sqlite:///file.db`, `postgresql+psycopg://…`."""

    def __init__(self, url: str) -> None:
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _write_ahead)
        _META.create_all(self._engine)

    # -- schedules --------------------------------------------------------------------------------

    def add(self, schedule: Schedule, now: datetime) -> bool:
        """Add a schedule, or change the one of that name; says whether it is new. No night before
        `now` is due.
        """
        row = {"schedule": schedule.as_json(), "looked": now.timestamp()}
        with self._engine.begin() as connection:
            where = _SCHEDULES.c.name == schedule.name
            if connection.execute(sa.update(_SCHEDULES).where(where).values(**row)).rowcount:
                return False
            connection.execute(
                sa.insert(_SCHEDULES).values(name=schedule.name, paused=False, **row)
            )
            return True

    def remove(self, name: str) -> bool:
        """Remove a schedule; its nights stay in the history. Says whether there was one."""
        with self._engine.begin() as connection:
            found = connection.execute(sa.delete(_SCHEDULES).where(_SCHEDULES.c.name == name))
            connection.execute(
                sa.update(_NIGHTS)
                .where(_NIGHTS.c.schedule == name, _NIGHTS.c.state == "queued")
                .values(state="skipped", why="the schedule was removed")
            )
            return bool(found.rowcount)

    def pause(self, name: str, paused: bool, now: datetime) -> bool:
        """Pause a schedule or let it go on; what came meanwhile is not caught up with."""
        with self._engine.begin() as connection:
            changes: dict[str, Any] = {"paused": paused}
            if not paused:
                changes["looked"] = now.timestamp()
            where = _SCHEDULES.c.name == name
            return bool(
                connection.execute(sa.update(_SCHEDULES).where(where).values(**changes)).rowcount
            )

    def schedules(self) -> list[tuple[Schedule, datetime, bool]]:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_SCHEDULES).order_by(_SCHEDULES.c.name)).all()
        return [(Schedule.from_json(r.schedule), _moment(r.looked), bool(r.paused)) for r in rows]

    def looked(self, schedule: str, until: datetime) -> None:
        stamp = until.timestamp()
        where = (_SCHEDULES.c.name == schedule) & (_SCHEDULES.c.looked < stamp)
        with self._engine.begin() as connection:
            connection.execute(sa.update(_SCHEDULES).where(where).values(looked=stamp))

    # -- nights -----------------------------------------------------------------------------------

    def enter(self, entry: Entry) -> bool:
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(_NIGHTS).values(**_row(entry)))
        except sa.exc.IntegrityError:
            return False
        return True

    def change(self, entry: Entry, *, was: str) -> bool:
        where = (
            (_NIGHTS.c.schedule == entry.schedule)
            & (_NIGHTS.c.night == entry.night)
            & (_NIGHTS.c.state == was)
        )
        with self._engine.begin() as connection:
            return bool(
                connection.execute(sa.update(_NIGHTS).where(where).values(**_row(entry))).rowcount
            )

    def nights(self, schedule: str | None = None, states: Sequence[str] = ()) -> list[Entry]:
        query = sa.select(_NIGHTS).order_by(_NIGHTS.c.due, _NIGHTS.c.schedule)
        if schedule is not None:
            query = query.where(_NIGHTS.c.schedule == schedule)
        if states:
            query = query.where(_NIGHTS.c.state.in_(states))
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(query).all()]


def _write_ahead(connection: Any, _: Any) -> None:
    """Commit by one write to the disk, not by four; what was committed stays."""
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("PRAGMA journal_mode=WAL")


def _row(entry: Entry) -> dict[str, Any]:
    moments = {"due": entry.due, "started": entry.started, "ended": entry.ended}
    return {
        "schedule": entry.schedule,
        "night": entry.night,
        "state": entry.state,
        "exit": entry.exit,
        "why": entry.why,
        "handle": json.dumps(dict(entry.handle)),
        **{name: moment and moment.timestamp() for name, moment in moments.items()},
    }


def _entry(row: Any) -> Entry:
    return Entry(
        schedule=row.schedule,
        night=row.night,
        state=row.state,
        due=_moment(row.due),
        started=None if row.started is None else _moment(row.started),
        ended=None if row.ended is None else _moment(row.ended),
        exit=row.exit,
        why=row.why,
        handle=json.loads(row.handle),
    )


def _moment(stamp: float) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)
