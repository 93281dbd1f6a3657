"""What earlier runs left behind in the record: operations not sent, runs that died and were not
closed. The next command that meets them sees to both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.files import StoreError
from pipelines.leases import RunEntry, run_entries, write_entry
from pipelines.lineage import Tracker
from pipelines.mlflow_client import is_away, open_client, reason_of
from pipelines.redact import redact_text
from pipelines.spool import Away, files_of, left_behind
from pipelines.store import Store

RUNS_A_PAGE = 1000


def catch_up(folder: Path, tracking_uri: str, store: Store) -> str:
    """Send what runs that are gone could not record, then close those that died.

    Returns:
        What was done, in a line; "" where there was nothing to do.

    Raises:
        Away: the tracker cannot be reached now.
    """
    return "; ".join([*send_spools(folder, tracking_uri), *close_dead_runs(tracking_uri, store)])


def send_spools(folder: Path, tracking_uri: str) -> list[str]:
    """Send what runs that are gone had to record and could not.

    Returns:
        What was sent, and what was refused; a few words each.

    Raises:
        Away: the tracker cannot be reached now. What was sent so far will not be sent again.
    """
    told: list[str] = []
    records = runs = 0
    wanted = redact_text(tracking_uri)
    with left_behind(folder) as spools:
        for spool in spools:
            to = spool.header.get("tracking_uri", "")
            if to != wanted:
                told.append(
                    f"{len(spool.operations)} records in {spool.path} wait for another tracker: "
                    f"`tokenmill run --tracking-uri {to}` sends them"
                )
                continue
            tracker = Tracker(tracking_uri, spool.header["pipeline"], _store(spool.header["store"]))
            spool.send(_sender(tracker, files_of(spool.path)))
            told += [f"not recorded in MLflow: {text}" for text in tracker.refused]
            records, runs = records + len(spool.operations), runs + 1
    if records:
        earlier = "an earlier run" if runs == 1 else f"{runs} earlier runs"
        told.insert(0, f"sent {records} records of {earlier}")
    return told


def _sender(tracker: Tracker, files: Path) -> Callable[..., None]:
    def send(operations: Any, *, again: bool) -> None:
        tracker.apply(operations, files=files, again=again)

    return send


def _store(url: str) -> Store | None:
    try:
        return Store(url)
    except Exception:  # noqa: BLE001 - its files cannot be sent then; all the rest can
        return None


def close_dead_runs(tracking_uri: str, store: Store) -> list[str]:
    """Close runs that say they are RUNNING though their process is gone, in the record and in the
    store, and the stages inside them; they become KILLED. A run that ended well, and only could
    not say so, gets the state that its entry in the store has.

    Returns:
        What was closed, in words.

    Raises:
        Away: the tracker cannot be reached now.
    """
    known = _entries(store)
    for entry in known.values():
        if entry.state == "RUNNING" and not entry.alive:
            entry.state = "KILLED"
            write_entry(store, entry)
    try:
        client = open_client(tracking_uri)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    except Exception as error:  # whatever it is: nothing can be recorded there now
        raise Away(reason_of(error)) from error
    try:
        closed = _close(client, _open_runs(client, experiments), store, known)
    except Exception as error:
        if is_away(error):
            raise Away(reason_of(error)) from error
        return [f"runs that died could not be closed: {reason_of(error)}"]
    if not closed:
        return []
    count = "1 run" if len(closed) == 1 else f"{len(closed)} runs"
    more = f" and {len(closed) - 3} more" if len(closed) > 3 else ""
    return [f"closed {count} whose process was gone: {', '.join(closed[:3])}{more}"]


def _close(
    client: Any, open_runs: list[Any], store: Store, known: dict[str, RunEntry]
) -> list[str]:
    stores = {store.url: known}
    closed: list[str] = []
    ended: dict[str, tuple[str, int]] = {}  # MLflow's id of a run -> its state, and when it ended
    for run in open_runs:
        if "tokenmill.pid" in run.data.tags:
            end = _end_of(run, stores)
            if end is not None:
                ended[run.info.run_id] = end
    going = {run.info.run_id for run in open_runs} - ended.keys()
    # First what is inside: a command that dies here leaves what the next one still finds.
    for run in open_runs:
        parent = run.data.tags.get("mlflow.parentRunId")
        if parent and parent not in going:
            _terminate(client, run, *ended.get(parent, ("KILLED", _now())))
    for run in open_runs:
        if run.info.run_id in ended:
            _terminate(client, run, *ended[run.info.run_id])
            closed.append(run.info.run_name)
    return closed


def _terminate(client: Any, run: Any, state: str, end: int) -> None:
    client.set_tag(run.info.run_id, "tokenmill.closed", "later: the process of the run was gone")
    client.set_terminated(run.info.run_id, state, end_time=max(end, run.info.start_time))


def _open_runs(client: Any, experiments: list[str]) -> list[Any]:
    """All runs of ours that say they are running."""
    found: list[Any] = []
    token = None
    while experiments:
        page = client.search_runs(
            experiments,
            "attributes.status = 'RUNNING' and tags.`tokenmill.id` != ''",
            max_results=RUNS_A_PAGE,
            page_token=token,
        )
        found += page
        token = page.token
        if not token:
            break
    return found


def _end_of(run: Any, stores: dict[str, dict[str, RunEntry]]) -> tuple[str, int] | None:
    """How and when a parent run ended that says it is running; None where it may be alive."""
    tags = run.data.tags
    claimed = RunEntry(
        run=tags["tokenmill.id"],
        pipeline=tags.get("tokenmill.pipeline", ""),
        host=tags.get("tokenmill.host", ""),
        pid=int(tags["tokenmill.pid"]),
        process_start=tags.get("tokenmill.process_start", ""),
        started=run.info.start_time / 1000,
        beat=run.info.start_time / 1000,
    )
    if claimed.is_here and claimed.alive:
        return None
    url = tags.get("tokenmill.store", "")
    if url not in stores:
        found = _store(url)
        stores[url] = {} if found is None else _entries(found)
    entry = stores[url].get(claimed.run)
    if entry is None:  # of another machine, and nothing is known of it: left alone
        return ("KILLED", _now()) if claimed.is_here else None
    if entry.alive and not claimed.is_here:
        return None
    return ("KILLED" if entry.state == "RUNNING" else entry.state), int(entry.beat * 1000)


def _entries(store: Store) -> dict[str, RunEntry]:
    try:
        return {entry.run: entry for entry in run_entries(store)}
    except (OSError, StoreError):
        return {}  # out of reach; nothing is known of its runs, so none is closed


def _now() -> int:
    return int(time.time() * 1000)
