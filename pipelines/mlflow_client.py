"""MLflow's client, made quiet: its errors in words, its SQLite file, its server and pages."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import logging
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.files import StoreError
from pipelines.imports import nothing_to_collect
from pipelines.redact import redact_text
from pipelines.spool import Away

# Answers by which a tracker says that it cannot, now.
BUSY = (408, 429, 503)
LOCKED_OUT = (401, 403)
REASON_LENGTH = 300


def default_tracking_uri(folder: Path) -> str:
    """The embedded record: a SQLite file."""
    return f"sqlite:///{folder.resolve() / 'mlflow.db'}"


def page_of(experiment: str, run: str, inside: str = "") -> str:
    """The page of an MLflow run, from the address of its server; as of a training, not a chat."""
    return f"#/experiments/{experiment}/runs/{run}{inside}?workflowType=machine_learning"


def load_mlflow(tracking_uri: str) -> None:
    """Import what of MLflow a tracker needs, which takes seconds, and make it quiet."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    # It would print the address of each run, among results, and ask the server for it each time.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # It logs with a traceback what it then raises.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    wanted = ["mlflow.tracking"]
    if tracking_uri.startswith("sqlite:///"):
        wanted.append("mlflow.store.tracking.sqlalchemy_store")
    if all(name in sys.modules for name in wanted):
        return  # to freeze again would keep what has become garbage since
    with nothing_to_collect():
        for name in wanted:
            importlib.import_module(name)


def open_client(tracking_uri: str) -> Any:
    """An MLflow client, quiet, that leaves trying again to the spool."""
    load_mlflow(tracking_uri)
    from mlflow.tracking import MlflowClient

    if not tracking_uri.startswith("sqlite:///"):
        return MlflowClient(tracking_uri)
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes that make the tables of a new file at once both fail, so one waits.
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _make_tables(path)
        # Readers do not wait for writers then, and a commit is one write: the setting stays in the
        # file.
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA journal_mode=WAL")
        client = MlflowClient(tracking_uri)
        client.search_experiments(max_results=1)  # brings the tables of an older MLflow up to date
        return client


def _make_tables(path: Path) -> None:
    """Make the tables of a new record beside it and give the file its name when it is whole: of one
    whose maker was killed on the way MLflow would say for ever that some tables are there already.
    """
    from mlflow.tracking import MlflowClient

    new = path.with_name(f".{path.name}.new")
    for left in path.parent.glob(f"{new.name}*"):
        left.unlink()
    client = MlflowClient(f"sqlite:///{new}")
    client.search_experiments(max_results=1)
    engine = getattr(getattr(client._tracking_client, "store", None), "engine", None)
    if engine is not None:
        engine.dispose()  # or its file would be open for as long as the process lives
    merge_journal(f"sqlite:///{new}")
    new.replace(path)


@contextlib.contextmanager
def one_transaction(client: Any) -> Iterator[None]:
    """Make all that this thread does to a SQLite record one transaction.

    MLflow opens several sessions a call, each with its own settings and commit: nine a stage. Here
    they share one, so the operations on a run are recorded together or, when one of them fails, not
    at all. Elsewhere, and with an MLflow whose insides are others, nothing is changed.
    """
    store = getattr(getattr(client, "_tracking_client", None), "store", None)
    make = getattr(store, "ManagedSessionMaker", None)
    if store is None or make is None or getattr(store, "db_type", "") != "sqlite":
        yield
        return
    owner = threading.get_ident()
    undone = []

    @contextlib.contextmanager
    def shared(*arguments: Any, **named: Any) -> Iterator[Any]:
        if threading.get_ident() != owner:
            with make(*arguments, **named) as other:
                yield other
            return
        yield session
        session.flush()

    def undo() -> None:
        undone.append(True)
        raise RuntimeError("a part of a transaction was undone")

    with make(read_only=False) as session:
        store.ManagedSessionMaker = shared
        session.commit, session.rollback = session.flush, undo
        try:
            yield
            if undone:  # and the error was caught on its way here
                raise RuntimeError("a part of a transaction was undone")
        finally:
            store.ManagedSessionMaker = make
            del session.commit, session.rollback


def merge_journal(tracking_uri: str) -> None:
    """Bring what lies in the journal of a SQLite record into the file itself."""
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    if tracking_uri.startswith("sqlite:///") and path.exists():
        # Where others are at work on it, they, or the last of them, will do so.
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(path, timeout=0.2)) as file,
        ):
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def ensure_experiment(client: Any, tracking_uri: str, name: str) -> str:
    """The id of the experiment of a pipeline; made where there is none.

    Raises:
        Away: somebody deleted the experiment, and it can be restored.
    """
    found = client.get_experiment_by_name(name) or _new_experiment(client, tracking_uri, name)
    if found.lifecycle_stage == "deleted":
        number = found.experiment_id
        raise Away(
            f'the experiment "{name}" is deleted in MLflow; restore it '
            f"(`mlflow experiments restore -x {number}`), or give the pipeline another name"
        )
    return str(found.experiment_id)


def _new_experiment(client: Any, tracking_uri: str, name: str) -> Any:
    location = None
    if tracking_uri.startswith("sqlite:///"):
        folder = Path(tracking_uri.removeprefix("sqlite:///")).resolve().parent
        location = (folder / "mlartifacts" / name).as_uri()
    # Without this tag the pages open as if the runs were conversations with a model.
    tags = {"mlflow.experimentKind": "custom_model_development"}
    try:
        client.create_experiment(name, artifact_location=location, tags=tags)
    except Exception:
        if client.get_experiment_by_name(name) is None:
            raise
        # Another run made it at the same time.
    return client.get_experiment_by_name(name)


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


# --- errors ---------------------------------------------------------------------------------------


def is_away(error: BaseException | None) -> bool:
    """Whether a request did not reach the tracker, its answer did not reach us, or it says that
    it cannot answer now.
    """
    if error is None or isinstance(error, StoreError):
        return False
    if isinstance(error, Away) or _status(error) in BUSY:
        return True
    if isinstance(error, OSError):  # ConnectionError, TimeoutError, those of requests; a full disk
        about_a_file = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError,
                        NotADirectoryError)  # fmt: skip
        return not isinstance(error, about_a_file)
    if 400 <= _status(error) < 500:
        return False  # whatever its text, which may quote ours
    text = f"{type(error).__name__}: {error}"
    signs = ("Max retries exceeded", "Connection", "timed out", "Timeout", "database is locked")
    return any(sign in text for sign in signs) or is_away(error.__cause__)


def is_trouble(error: Exception) -> bool:
    """Whether a tracker says that it fails, or that it will not have us."""
    status = _status(error)
    return status >= 500 or status in LOCKED_OUT


def _status(error: BaseException) -> int:
    """The HTTP status that an error of MLflow stands for; 0 for other errors."""
    try:
        return int(error.get_http_status_code())  # type: ignore[attr-defined]
    except (AttributeError, TypeError, ValueError):
        return 0


def reason_of(error: BaseException) -> str:
    """An error in a line, without secrets."""
    text = " ".join(str(error).split())
    if isinstance(error, Away):
        return redact_text(text)
    inner = re.search(r"\(Caused by (\w+)\(.*?(Connection refused|$)", text)
    if inner:  # what the layers of HTTP libraries wrap
        return ": ".join(filter(None, inner.groups()))
    return redact_text(f"{type(error).__name__}: {text}")[:REASON_LENGTH]
