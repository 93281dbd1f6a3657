"""Prefect with its own temporary local server: tasks with persisted results.

    python prefect_graph.py SHAPE STEPS FOLDER

Inside the clock: the flow run, and until its database says of each task run that it is completed,
as ours is stopped when the record is closed: the flow returns while events still wait. The time at
which it returned is given, too. Outside: imports, and the start of the server, by a flow that runs
before.
"""

import contextlib
import json
import os
import sqlite3
import sys
import time
from pathlib import Path

PATIENCE_SECONDS = 300


def main(shape: str, steps: int, folder: Path) -> None:
    os.environ.update(
        PREFECT_HOME=str(folder),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="1",
        PREFECT_LOGGING_LEVEL="ERROR",
        PREFECT_RESULTS_PERSIST_BY_DEFAULT="true",
        PREFECT_LOCAL_STORAGE_PATH=str(folder / "store"),
        PREFECT_API_DATABASE_TIMEOUT="60",
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",
    )
    from prefect import flow, task

    @task(persist_result=True)
    def step(number, before=None):
        return {"row": number}

    @flow(persist_result=True)
    def noop(count):
        made = first = step(0)
        for number in range(1, count):
            made = step(number, made if shape == "chain" else first)
        return made

    noop(1)
    began = time.perf_counter()
    noop(steps)
    returned = time.perf_counter() - began
    while completed(folder / "prefect.db") < steps + 1:
        assert time.perf_counter() - began < PATIENCE_SECONDS
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "returned": returned}), flush=True)


def completed(database: Path) -> int:
    with contextlib.closing(sqlite3.connect(database)) as file:
        query = "SELECT COUNT(*) FROM task_run WHERE state_type = 'COMPLETED'"
        return int(file.execute(query).fetchone()[0])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
