"""The MLflow record of a run, and the way from any result back to its sources.

A pipeline run is an MLflow parent run, each planned stage a child of it: identity config as
params, metrics with steps while training goes on, input and output artifacts as datasets whose
digest is the artifact's digest, models, tokenizers, reports and plots as run artifacts. A reused
stage is a child too, with the same datasets and a link to the run that made them.

The store is the source of truth for lineage; MLflow is where people look at it.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import logging
import os
import posixpath
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.files import StoreError
from pipelines.identity import canonical_json, hash_bytes, identity_config
from pipelines.plan import Plan
from pipelines.results import Point
from pipelines.status import StageStatus
from pipelines.store import Manifest, Store
from stages.kinds import FILE_KINDS, Kind

PARAM_LENGTH = 500  # what the run table can show; the whole config is in the store's record
SCHEMA_LENGTH = 20_000
SOURCE_LENGTH = 60_000


def default_tracking_uri(folder: Path) -> str:
    """The embedded record: a SQLite file."""
    return f"sqlite:///{folder.resolve() / 'mlflow.db'}"


class Recorder:
    """A `Listener` that writes to MLflow.

    Writing happens in one thread of its own, in order, so that a slow or absent tracking server
    does not hold up the work. What could not be written is counted and told at the end of a run.
    """

    def __init__(self, tracking_uri: str, plan: Plan, store: Store) -> None:
        self.tracking_uri = tracking_uri
        self._plan, self._store = plan, store
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mlflow")
        self._children: dict[str, Future[str]] = {}
        self._curves: set[tuple[str, str]] = set()
        self._failures: list[str] = []
        self._lock = threading.Lock()
        self._client: Any = None
        self.experiment_id = ""
        self.run_id: str | None = None
        self._begun = self._writer.submit(self._begin)

    # -- what a Runner tells --------------------------------------------------------------------

    def started(self, status: StageStatus) -> None:
        self._child(status)

    def progressed(self, status: StageStatus) -> None:
        """Progress is for the eye; the record has the result."""

    def points(self, points: Iterable[Point]) -> None:
        stamped = [(point, int(time.time() * 1000)) for point in points]
        self._write("metrics", lambda: self._write_points(stamped))

    def finished(self, status: StageStatus, figures: Mapping[str, bytes]) -> None:
        if status.state == "skipped" and status.name not in self._children:
            return  # it never began
        self._child(status)
        self._write(status.name, lambda: self._finish(status, figures))

    def run_of(self, status: StageStatus) -> str | None:
        child = self._children.get(status.name)
        try:
            return child.result(timeout=60) if child is not None else None
        except Exception:  # noqa: BLE001 - the failure is counted where it happened
            return None

    def close(self, *, state: str, report: str = "") -> list[str]:
        """End the parent run (`FINISHED`, `FAILED` or `KILLED`); returns what went wrong, if
        anything did, in writing the record.
        """
        self._write("the run", lambda: self._end(state, report))
        self._writer.shutdown(wait=True)
        return self._failures

    @property
    def link(self) -> str:
        """Where the run can be looked at."""
        if self.run_id is None:
            return self.tracking_uri
        path = f"#/experiments/{self.experiment_id}/runs/{self.run_id}"
        if self.tracking_uri.startswith("http"):
            return f"{self.tracking_uri.rstrip('/')}/{path}"
        return f"http://127.0.0.1:5000/{path}"

    # -- the writing thread ---------------------------------------------------------------------

    def _write(self, what: str, action: Callable[[], None]) -> None:
        def guarded() -> None:
            if self._client is None:
                return  # the beginning failed, and was noted
            try:
                action()
            except Exception as error:  # noqa: BLE001 - the record must never end the work
                self._note(what, error)

        self._writer.submit(guarded)

    def _note(self, what: str, error: Exception) -> None:
        with self._lock:
            self._failures.append(f"{what}: {type(error).__name__}: {error}")

    def _begin(self) -> None:
        try:
            client = open_client(self.tracking_uri)
            self.experiment_id = ensure_experiment(client, self.tracking_uri, self._plan.pipeline)
            commit, diff = _git_state(Path(self._plan.file).resolve().parent)
            tags = {
                "mlflow.runName": f"{self._plan.pipeline} {time.strftime('%Y-%m-%d %H:%M:%S')}",
                "mlflow.source.name": self._plan.file,
                "mlflow.user": getpass.getuser(),
                "tokenmill.pipeline": self._plan.pipeline,
                "tokenmill.store": self._store.url,
                "mlflow.note.content": self._plan.description or f"One run of `{self._plan.file}`.",
            }
            if commit:
                tags["mlflow.source.git.commit"] = commit
                tags["tokenmill.git.dirty"] = str(bool(diff)).lower()
            run = client.create_run(self.experiment_id, tags=tags)
            self.run_id = run.info.run_id
            client.log_param(self.run_id, "seed", self._plan.seed)
            client.log_artifact(self.run_id, self._plan.file, "dag")
            if diff:
                client.log_text(self.run_id, diff, "git/uncommitted.diff")
            self._client = client
        except Exception as error:  # noqa: BLE001 - the record must never end the work
            self._note("the beginning of the run", error)

    def _child(self, status: StageStatus) -> None:
        if status.name not in self._children:
            self._children[status.name] = self._writer.submit(self._create_child, status)

    def _create_child(self, status: StageStatus) -> str:
        if self._client is None:
            raise RuntimeError("there is no parent run")
        try:
            return self._new_child(status)
        except Exception as error:
            self._note(status.name, error)
            raise

    def _new_child(self, status: StageStatus) -> str:
        from mlflow.entities import Param

        planned = status.planned
        run = self._client.create_run(
            self.experiment_id,
            run_name=planned.name,
            tags={
                "mlflow.parentRunId": self.run_id,
                "mlflow.source.name": planned.word,
                "mlflow.user": getpass.getuser(),
                "tokenmill.stage": planned.stage,
                "tokenmill.uses": planned.word,
                "tokenmill.key": status.key or "",
            },
        )
        flat = dict(_flatten(identity_config(planned.config)))
        flat.update({f"matrix.{axis}": str(value) for axis, value in planned.cell.items()})
        params = [Param(name, value[:PARAM_LENGTH]) for name, value in flat.items()]
        self._client.log_batch(run.info.run_id, params=params)
        return str(run.info.run_id)

    def _write_points(self, points: list[tuple[Point, int]]) -> None:
        from mlflow.entities import Metric

        by_stage: dict[str, list[Any]] = {}
        for point, stamp in points:
            self._curves.add((point.stage, point.metric))
            metric = Metric(point.metric, point.value, stamp, point.step)
            by_stage.setdefault(point.stage, []).append(metric)
        for stage, metrics in by_stage.items():
            self._client.log_batch(self._children[stage].result(), metrics=metrics)

    def _finish(self, status: StageStatus, figures: Mapping[str, bytes]) -> None:
        from mlflow.entities import Metric, RunTag

        run_id = self._children[status.name].result()
        stamp = int(time.time() * 1000)
        numbers = {
            **status.metrics,
            **{f"dropped.{reason}": float(n) for reason, n in status.dropped.items()},
            **({"rows": float(status.rows)} if status.rows is not None else {}),
            "seconds": status.seconds,
        }
        tags = {"tokenmill.state": status.state, "tokenmill.why": status.why[:5000]}
        if status.digest:
            tags["tokenmill.digest"] = status.digest
        if status.error:
            tags["tokenmill.error"] = status.error[:5000]
        note = _note_of(status, self.experiment_id)
        if note:
            tags["mlflow.note.content"] = note
        if status.state == "reused" and status.run_id:
            tags["tokenmill.made_by_run"] = status.run_id
        # A curve keeps its own points; any other number is one without a step.
        metrics = [
            Metric(name, value, stamp, 0)
            for name, value in numbers.items()
            if (status.name, name) not in self._curves
        ]
        self._client.log_batch(
            run_id, metrics=metrics, tags=[RunTag(name, value) for name, value in tags.items()]
        )
        self._client.log_inputs(run_id, self._datasets(status))
        if status.state == "computed":
            self._log_files(run_id, status, figures)
        ended = {"failed": "FAILED", "skipped": "KILLED"}.get(status.state, "FINISHED")
        self._client.set_terminated(run_id, ended)

    def _datasets(self, status: StageStatus) -> list[Any]:
        entries = []
        if status.parts is not None:
            if status.parts.sources:
                entries.append(_source_dataset(status.parts.sources))
            for name, wires in status.parts.inputs.items():
                for _, digest in wires:
                    entries.append(self._dataset("input", name, self._store.manifest(digest)))
        for name, manifest in status.outputs.items():
            entries.append(self._dataset("output", name, manifest))
        return entries

    def _dataset(self, context: str, name: str, manifest: Manifest) -> Any:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        made = manifest.made_by
        schema = json.dumps(
            {"mlflow_colspec": [{"name": n, "type": t, "required": True}
                                for n, t in manifest.schema]}
        )  # fmt: skip
        dataset = Dataset(
            name=f"{made['stage']}.{made['output']}",
            digest=manifest.digest,
            source_type="tokenmill",
            source=json.dumps({"uri": self._store.address(manifest.location)}),
            schema=schema[:SCHEMA_LENGTH],
            profile=json.dumps({"rows": manifest.rows, "bytes": manifest.size,
                                "kind": manifest.kind}),
        )  # fmt: skip
        tags = [InputTag("mlflow.data.context", context), InputTag("tokenmill.name", name)]
        return DatasetInput(dataset, tags)

    def _log_files(self, run_id: str, status: StageStatus, figures: Mapping[str, bytes]) -> None:
        for name, manifest in status.outputs.items():
            if manifest.kind in FILE_KINDS:
                self._client.log_artifacts(run_id, str(self._store.folder(manifest)), name)
            elif manifest.kind is Kind.REPORT:
                rows = self._store.table(manifest).to_pylist()
                self._log_bytes(run_id, {row["id"]: row["content"] for row in rows}, name)
        self._log_bytes(run_id, {f"{n}.png": png for n, png in figures.items()}, "figures")

    def _log_bytes(self, run_id: str, files: Mapping[str, bytes], folder: str) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            for name, content in files.items():
                Path(temporary, name).write_bytes(content)
            if files:
                self._client.log_artifacts(run_id, temporary, folder)

    def _end(self, state: str, report: str) -> None:
        if report:
            note = f"{self._plan.description}\n\n{report}".strip()
            self._client.set_tag(self.run_id, "mlflow.note.content", note[:5000])
        self._client.set_terminated(self.run_id, state)


def open_client(tracking_uri: str) -> Any:
    """An MLflow client, quiet."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    # A server that is away is noticed in seconds, not in the minutes of MLflow's own patience.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    for name in ("mlflow", "alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow.tracking import MlflowClient

    if tracking_uri.startswith("sqlite:///"):
        Path(tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri)


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
    return str(client.create_experiment(name, artifact_location=location, tags=tags))


def _source_dataset(sources: Mapping[str, str]) -> Any:
    """What was read from outside the store, as the input of the stage that read it."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    addresses = sorted(sources)
    dataset = Dataset(
        name=addresses[0] if len(addresses) == 1 else f"{len(addresses)} source files",
        digest=hash_bytes(canonical_json(dict(sources))),
        source_type="files",
        source=json.dumps({"files": addresses})[:SOURCE_LENGTH],
        profile=json.dumps({"files": len(addresses)}),
    )
    tags = [InputTag("mlflow.data.context", "input"), InputTag("tokenmill.name", "sources")]
    return DatasetInput(dataset, tags)


def _note_of(status: StageStatus, experiment_id: str) -> str:
    """The description of a child run, in Markdown."""
    planned = status.planned
    documentation = (planned.stage_class.__doc__ or "").strip().splitlines()
    lines = [f"`{planned.word}` {documentation[0] if documentation else ''}", ""]
    if status.state == "reused" and status.run_id:
        link = f"#/experiments/{experiment_id}/runs/{status.run_id}"
        lines.append(f"Reused: made by run [{status.run_id[:8]}]({link}).")
    elif status.state == "computed":
        lines.append(f"Computed because: {status.why}.")
    if status.error:
        lines.append(f"Failed: {status.error}")
    return "\n".join(lines)


def _flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and (value or not name):
        for key, inner in value.items():
            yield from _flatten(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _git_state(folder: Path) -> tuple[str, str]:
    """The commit of the repository around `folder`, and what is not committed; "" where none."""

    def git(*arguments: str) -> str:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments],
                capture_output=True, text=True, timeout=20, check=True,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return ""
        return done.stdout

    return git("rev-parse", "HEAD").strip(), git("diff", "HEAD")


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


# --- lineage: from a result back to its sources ---------------------------------------------------


@dataclass
class Origin:
    """An artifact and what it was made from, back to the sources."""

    manifest: Manifest
    inputs: dict[str, list[Origin]] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    seen: bool = False  # shown elsewhere in the same tree

    def as_json(self) -> dict[str, Any]:
        return {
            "digest": self.manifest.digest,
            "kind": self.manifest.kind,
            "rows": self.manifest.rows,
            "stage": self.manifest.made_by["stage"],
            "uses": self.manifest.made_by["uses"],
            "run": self.manifest.made_by["run"],
            "sources": self.sources,
            "inputs": {n: [o.as_json() for o in origins] for n, origins in self.inputs.items()},
        }


def trace(store: Store, manifest: Manifest, seen: set[str] | None = None) -> Origin:
    """The way from an artifact back to the files it came from."""
    seen = set() if seen is None else seen
    origin = Origin(manifest, seen=manifest.digest in seen)
    if origin.seen:
        return origin
    seen.add(manifest.digest)
    made = manifest.made_by
    if made.get("sources"):
        result = store.result(made["key"])
        origin.sources = sorted(result["parts"]["sources"]) if result else []
    for name, digests in made["inputs"].items():
        origin.inputs[name] = [trace(store, store.manifest(d), seen) for d in digests]
    return origin


def find_artifacts(store: Store, thing: str) -> list[Manifest]:
    """Artifacts meant by `thing`: a digest or its beginning, a path in the store, the id of an
    MLflow run, the name of a stage, of a cell, or of one of its outputs or metrics
    (`stage.output`, `stage.metric`); of several results of a stage, the last.

    Raises:
        StoreError: nothing is called so.
    """
    manifests = store.artifacts()
    name = posixpath.normpath(thing).rstrip("/")
    hexadecimal = len(thing) >= 6 and all(c in "0123456789abcdef" for c in thing)
    if hexadecimal:
        found = [m for m in manifests if m.digest.startswith(thing)]
        found = found or [m for m in manifests if m.made_by.get("run") == thing]
        if found:
            return found
    found = [m for m in manifests if name.endswith(m.location) or name.endswith(m.digest)]
    if found:
        return found
    stage, _, output = thing.partition(".") if "]" not in thing else thing.rpartition(".")
    stage = stage or thing
    named = [
        m
        for m in manifests
        if m.made_by["stage"] in (thing, stage)
        or m.made_by["stage"].split("[")[0] in (thing, stage)
    ]
    by_output = [m for m in named if m.made_by["output"] == output]
    latest: dict[tuple[str, str], Manifest] = {}
    for m in sorted(by_output or named, key=lambda m: str(m.made_by["time"])):
        latest[m.made_by["stage"], m.made_by["output"]] = m
    if not latest:
        raise StoreError(
            f'nothing in {store.url} is called "{thing}"; `tokenmill ls` lists what there is'
        )
    return list(latest.values())
