"""The one door to MLflow: operations of a record, applied so that a second time changes nothing.

A pipeline run is an MLflow parent run, each planned stage a child of it: identity config as
params, metrics with steps while training goes on, input and output artifacts as datasets whose
digest is the artifact's digest, models, tokenizers, reports and plots as run artifacts. A reused
stage is a child too, with the same datasets and a link to the run that made them.

Runs are known by an id of ours, the tag `tokenmill.id`, so that what was sent twice because an
answer got lost is there once.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipelines.faults import active_faults
from pipelines.files import StoreError
from pipelines.leases import RunEntry, run_entries, write_entry
from pipelines.redact import redact_text
from pipelines.spool import Away, Operation, left_behind, mark, remove
from pipelines.store import Store
from stages.kinds import FILE_KINDS

# Answers that say that the tracker, not the request, is in trouble.
TROUBLED = {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
PATIENCE = 20  # tries at an operation with which a reachable tracker fails
PARAMS_AT_ONCE, METRICS_AT_ONCE = 100, 1000


def default_tracking_uri(folder: Path) -> str:
    """The embedded record: a SQLite file."""
    return f"sqlite:///{folder.resolve() / 'mlflow.db'}"


class Tracker:
    """Applies operations to the MLflow runs of one pipeline.

    Attributes:
        runs: our id -> MLflow's id, of every run met so far.
        refused: what MLflow will not take, and never will; one sentence each.
    """

    def __init__(self, tracking_uri: str, pipeline: str, store: Store) -> None:
        self._uri, self._pipeline, self._store = tracking_uri, pipeline, store
        self._client: Any = None
        self._failures: dict[str, int] = {}
        self._attempts = 0
        self.experiment_id = ""
        self.runs: dict[str, str] = {}
        self.refused: list[str] = []
        self.lost: set[str] = set()  # runs of ours of which something was refused
        self.announce: Callable[[], None] = lambda: None  # called when a run is met

    def apply(self, operations: Sequence[Operation], *, again: bool = False) -> None:
        """Apply operations in order; those on one run go together.

        Args:
            again: they may have been applied before.

        Raises:
            Away: the tracker cannot be reached now; all of them may be applied once more.
        """
        self._attempts += 1
        together: dict[str, list[Operation]] = {}
        for operation in operations:
            together.setdefault(operation["id"], []).append(operation)
        again = again or self._attempts > 1
        for run, parts in together.items():
            name = f"{run} {parts[0]}"
            struck = active_faults().strikes("tracker_down", name, self._attempts)
            before = active_faults().draw("before", name, self._attempts) < 0.5
            if struck and before:
                raise Away("a fault on purpose, before the request")
            try:
                self._apply(_merged(parts), again=again)
            except Exception as error:  # noqa: BLE001 - the record must never end the work
                self._trouble(run, parts, error)
            if struck:
                raise Away("a fault on purpose, after the request")
        self._attempts = 0

    def _trouble(self, run: str, parts: list[Operation], error: Exception) -> None:
        name = f"{run} {len(parts)}"
        tries = self._failures[name] = self._failures.get(name, 0) + 1
        if _is_unreachable(error) or (_is_troubled(error) and tries < PATIENCE):
            raise Away(str(error)) from error
        self.lost.add(run)
        begun = next((part["begin"]["name"] for part in parts if "begin" in part), run)
        self.refused.append(redact_text(f"{begun}: {type(error).__name__}: {error}"))

    def _apply(self, operation: Operation, *, again: bool) -> None:
        from mlflow.entities import Metric, Param, RunTag

        client = self.client
        run = self._run(operation, again=again)
        tags = dict(operation.get("tags", {}))
        made_by = tags.get("tokenmill.made_by_run")
        if made_by:
            tags["tokenmill.made_by_run"] = made_by = self.find(made_by) or made_by
            link = f"#/experiments/{self.experiment_id}/runs/{made_by}"
            note = tags.get("mlflow.note.content", "")
            tags["mlflow.note.content"] = f"{note}\nReused: made by run [{made_by[:8]}]({link})."
        params = [Param(name, value) for name, value in operation.get("params", {}).items()]
        metrics = [Metric(n, v, stamp, step) for n, v, stamp, step in operation.get("metrics", [])]
        entities = [RunTag(name, value) for name, value in tags.items()]
        while params or metrics or entities:
            client.log_batch(
                run,
                metrics=metrics[: METRICS_AT_ONCE - len(entities)],
                params=params[:PARAMS_AT_ONCE],
                tags=entities,
            )
            metrics = metrics[METRICS_AT_ONCE - len(entities) :]
            params, entities = params[PARAMS_AT_ONCE:], []
        if operation.get("datasets"):
            client.log_inputs(run, [_dataset_input(data) for data in operation["datasets"]])
        for path, text in operation.get("texts", {}).items():
            client.log_text(run, text, path)
        self._log_files(run, operation)
        if "end" in operation:
            client.set_terminated(run, operation["end"], end_time=operation["time"])

    def _run(self, operation: Operation, *, again: bool) -> str:
        """MLflow's id of the run of an operation, begun where the operation says so."""
        own = operation["id"]
        if own in self.runs:
            return self.runs[own]
        begin = operation.get("begin")
        found = self.find(own) if again or begin is None else None
        if found is None:
            if begin is None:
                raise LookupError(f"there is no run {own} in the record")
            tags = {**begin["tags"], "tokenmill.id": own, "mlflow.runName": begin["name"]}
            if "parent" in begin:
                parent = self.runs.get(begin["parent"]) or self.find(begin["parent"])
                tags["mlflow.parentRunId"] = parent or begin["parent"]
            run = self.client.create_run(self.experiment_id, start_time=begin["time"], tags=tags)
            found = str(run.info.run_id)
        self.runs[own] = found
        self.announce()
        return found

    def find(self, run: str) -> str | None:
        """MLflow's id of a run, by ours or by its own."""
        if run in self.runs:
            return self.runs[run]
        found = self.client.search_runs(
            [self.experiment_id], f"tags.`tokenmill.id` = '{run}'", max_results=1
        )
        if found:
            self.runs[run] = str(found[0].info.run_id)
            return self.runs[run]
        return None

    @property
    def client(self) -> Any:
        if self._client is None:
            with _alone(self._uri):
                client = open_client(self._uri)
                self.experiment_id = ensure_experiment(client, self._uri, self._pipeline)
            self._client = client
        return self._client

    def _log_files(self, run: str, operation: Operation) -> None:
        for name, digest in operation.get("artifacts", {}).items():
            try:
                manifest = self._store.manifest(digest)
                if manifest.kind in FILE_KINDS:
                    self.client.log_artifacts(run, str(self._store.folder(manifest)), name)
                    continue
                rows = self._store.table(manifest).to_pylist()
            except StoreError as error:
                self.refused.append(redact_text(str(error)))
                continue
            with tempfile.TemporaryDirectory() as folder:
                for row in rows:
                    Path(folder, row["id"]).write_bytes(row["content"])
                self.client.log_artifacts(run, folder, name)
        for path in operation.get("figures", {}).values():
            if Path(path).exists():
                self.client.log_artifact(run, path, "figures")


def _merged(operations: Sequence[Operation]) -> Operation:
    """Operations on one run, in order, as one."""
    merged: Operation = {}
    for operation in operations:
        for name, value in operation.items():
            if isinstance(value, list):
                merged[name] = [*merged.get(name, []), *value]
            elif isinstance(value, dict) and name != "begin":
                merged[name] = {**merged.get(name, {}), **value}
            else:
                merged[name] = value
    return merged


def _dataset_input(data: dict[str, Any]) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=data["name"],
        digest=data["digest"],
        source_type=data["source_type"],
        source=data["source"],
        schema=data.get("schema"),
        profile=data.get("profile"),
    )
    tags = [
        InputTag("mlflow.data.context", data["context"]),
        InputTag("tokenmill.name", data["label"]),
    ]
    return DatasetInput(dataset, tags)


def _is_unreachable(error: BaseException | None) -> bool:
    """Whether a request did not reach the tracker, or its answer did not reach us."""
    if error is None:
        return False
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return False
    if isinstance(error, OSError):  # ConnectionError, TimeoutError and those of requests
        return True
    text = str(error)
    signs = ("Max retries exceeded", "Connection", "timed out", "database is locked")
    return any(sign in text for sign in signs) or _is_unreachable(error.__cause__)


def _is_troubled(error: Exception) -> bool:
    code = getattr(error, "error_code", "")
    status = getattr(error, "get_http_status_code", lambda: 0)()
    return code in TROUBLED or status in (408, 429) or status >= 500


# --- what earlier runs left behind ----------------------------------------------------------------


def send_spools(folder: Path, tracking_uri: str) -> list[str]:
    """Send what runs that are gone had to record and could not; says what was sent.

    Raises:
        Away: the tracker cannot be reached now.
    """
    told = []
    with left_behind(folder) as spools:
        for path, header, operations in spools:
            if header and header["tracking_uri"] != redact_text(tracking_uri):
                continue  # of another tracker
            if header and operations:
                tracker = Tracker(tracking_uri, header["pipeline"], Store(header["store"]))
                done = int(_text(path.with_suffix(".sent")) or 0)
                for start in range(0, len(operations), 200):
                    batch = operations[start : start + 200]
                    tracker.apply(batch, again=True)
                    mark(path, done + start + len(batch))
                told.append(f"sent {len(operations)} records of an earlier run ({path.stem[:8]})")
                told += [f"not recorded in MLflow: {text}" for text in tracker.refused]
            remove(path)
    return told


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def close_dead_runs(tracking_uri: str, store: Store) -> list[str]:
    """Close runs that say they are RUNNING though their process is gone; says which.

    They and their children become KILLED, in the record and in their store.

    Raises:
        Away: the tracker cannot be reached now.
    """
    told: list[str] = []
    for entry in run_entries(store, live=True):
        if not entry.alive:
            entry.state = "KILLED"
            write_entry(store, entry)
    try:
        with _alone(tracking_uri):
            client = open_client(tracking_uri)
            experiments = [e.experiment_id for e in client.search_experiments()]
        for run in _search(client, experiments, "tags.`tokenmill.pid` != ''"):
            if not _is_dead(run, store):
                continue
            inside = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
            for child in _search(client, [run.info.experiment_id], inside):
                client.set_terminated(child.info.run_id, "KILLED")
            client.set_tag(run.info.run_id, "tokenmill.closed", "its process was gone")
            client.set_terminated(run.info.run_id, "KILLED")
            told.append(f"closed run {run.info.run_name}: its process was gone")
    except Exception as error:
        if _is_unreachable(error) or _is_troubled(error):
            raise Away(str(error)) from error
        return [f"runs that died could not be closed: {redact_text(str(error))}"]
    return told


def _search(client: Any, experiments: list[str], wanted: str) -> Iterator[Any]:
    """Runs that say they are running."""
    token = None
    while experiments:
        page = client.search_runs(
            experiments, f"attributes.status = 'RUNNING' and {wanted}", page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def _is_dead(run: Any, store: Store) -> bool:
    tags = run.data.tags
    entry = RunEntry(
        run=tags["tokenmill.id"],
        pipeline=tags["tokenmill.pipeline"],
        host=tags["tokenmill.host"],
        pid=int(tags["tokenmill.pid"]),
        process_start=tags["tokenmill.process_start"],
        started=run.info.start_time / 1000,
        beat=run.info.start_time / 1000,
    )
    if entry.is_here:
        return not entry.alive
    # Of another machine: its beats are in its store, if that is one we can read.
    try:
        elsewhere = (
            store if tags["tokenmill.store"] == store.url else Store(tags["tokenmill.store"])
        )
        known = {other.run: other for other in run_entries(elsewhere)}
    except Exception:  # noqa: BLE001 - a store of others; nothing is known, nothing is closed
        return False
    return entry.run in known and not known[entry.run].alive


# --- the server and its pages ---------------------------------------------------------------------


def open_client(tracking_uri: str) -> Any:
    """An MLflow client, quiet, that leaves trying again to the spool."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    for name in ("mlflow", "alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow.tracking import MlflowClient

    if tracking_uri.startswith("sqlite:///"):
        path = Path(tracking_uri.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        # Readers do not wait for writers then, and a commit is one write: the setting stays in the
        # file.
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA journal_mode=WAL")
    return MlflowClient(tracking_uri)


@contextlib.contextmanager
def _alone(tracking_uri: str) -> Iterator[None]:
    """Keep other processes out while MLflow makes the tables of a new SQLite file: two that make
    them at once both fail.
    """
    if not tracking_uri.startswith("sqlite:///"):
        yield
        return
    path = Path(tracking_uri.removeprefix("sqlite:///") + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure_experiment(client: Any, tracking_uri: str, name: str) -> str:
    """The id of the experiment of a pipeline; made where there is none."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = None
    if tracking_uri.startswith("sqlite:///"):
        folder = Path(tracking_uri.removeprefix("sqlite:///")).resolve().parent
        location = (folder / "mlartifacts" / name).as_uri()
    # Without this tag the pages open as if the runs were conversations with a model.
    tags = {"mlflow.experimentKind": "custom_model_development"}
    try:
        return str(client.create_experiment(name, artifact_location=location, tags=tags))
    except Exception:
        found = client.get_experiment_by_name(name)  # another client may have been first
        if found is None:
            raise
        return str(found.experiment_id)


def open_ui(tracking_uri: str, host: str, port: int) -> int:
    """Serve MLflow's pages on this record until interrupted; returns the server's exit status."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", tracking_uri,
               "--host", host, "--port", str(port), "--workers", "1"]  # fmt: skip
    # Background jobs are for MLflow's judges and prompts; without them there is one process less
    # a core. A session of its own, so that the server's own workers end with it.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ}
    server = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()
