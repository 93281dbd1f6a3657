"""Keeps schedules in real time: wakes a `Keeper` when a night starts, and now and then."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cluster.schedule import Keeper

WATCH_SECONDS = 5.0  # between looks at nights that are running


def keep(keeper: Keeper, complain: Callable[[str], None]) -> None:
    """Keep schedules until interrupted.

    Args:
        complain: told of what goes wrong; a ledger that is away may be there at the next look.
    """
    from apscheduler.schedulers.blocking import BlockingScheduler

    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    scheduler = BlockingScheduler(timezone=UTC)

    def wake() -> None:
        now = datetime.now(UTC)
        following = now + timedelta(seconds=WATCH_SECONDS)
        try:
            coming = keeper.tick(now)
        except Exception as error:  # noqa: BLE001 - of a database, or of a disk
            complain(f"the ledger cannot be used now: {type(error).__name__}: {error}")
        else:
            if coming is not None:
                following = min(following, max(coming, now + timedelta(milliseconds=50)))
        scheduler.add_job(wake, "date", run_date=following, misfire_grace_time=None)

    scheduler.add_job(wake, "date", misfire_grace_time=None)
    scheduler.start()
