"""What happens in a run, as operations on its record.

A `Listener` that writes nothing itself: each event becomes plain data in the run's spool, which is
sent to the tracker (`pipelines.lineage`) in order, now or when the tracker is back. So a tracker
that is slow or away never holds up the work. No secret gets into an operation.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipelines.identity import canonical_json, hash_bytes, identity_config
from pipelines.leases import process_start
from pipelines.lineage import Tracker, close_dead_runs, send_spools
from pipelines.plan import Plan
from pipelines.redact import redact, redact_text
from pipelines.results import Point
from pipelines.spool import Spool
from pipelines.status import StageStatus
from pipelines.store import Manifest, Store
from stages.kinds import FILE_KINDS, Kind

PARAM_LENGTH = 500  # what the run table can show; the whole config is in the store's record
TAG_LENGTH = 5000
SCHEMA_LENGTH = 20_000
SOURCE_LENGTH = 60_000
ROWS_SHOWN = 10
ANSWER_SECONDS = 20.0


class Recorder:
    """The record of one run."""

    def __init__(
        self, tracking_uri: str, plan: Plan, store: Store, *, run: str, spool: Path
    ) -> None:
        """Begin the record.

        Args:
            run: id of the run; the tracker's parent run has it as the tag `tokenmill.id`.
            spool: folder where operations wait until they are sent.
        """
        self.tracking_uri = tracking_uri
        self._plan, self._store, self._run = plan, store, run
        self._tracker = Tracker(tracking_uri, plan.pipeline, store)
        self._children: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._curves: set[tuple[str, str]] = set()
        self._ended = False
        self.told: list[str] = []
        folder = spool
        first = True

        def send(operations: Any) -> None:
            nonlocal first
            if first:  # what earlier runs left behind comes first
                self.told += send_spools(folder, tracking_uri)
                self.told += close_dead_runs(tracking_uri, store)
                first = False
            self._tracker.apply(operations)

        header = {"tracking_uri": redact_text(tracking_uri), "store": store.url,
                  "pipeline": plan.pipeline}  # fmt: skip
        self._spool = Spool(spool, run, header, send)
        self._tracker.announce = self._spool.notify
        self._begin()

    # -- what a Runner tells ----------------------------------------------------------------------

    def started(self, status: StageStatus) -> None:
        self._child(status)

    def progressed(self, status: StageStatus) -> None:
        """Progress is for the eye; the record has the result."""

    def points(self, points: Iterable[Point]) -> None:
        stamp = _now()
        by_stage: dict[str, list[list[Any]]] = {}
        for point in points:
            self._curves.add((point.stage, point.metric))
            by_stage.setdefault(point.stage, []).append(
                [point.metric, point.value, stamp, point.step]
            )
        for stage, metrics in by_stage.items():
            if stage in self._children:
                self._append({"id": self._children[stage], "metrics": metrics})

    def finished(self, status: StageStatus, figures: Mapping[str, bytes]) -> None:
        if status.state == "skipped" and status.name not in self._children:
            return  # it never began
        child = self._child(status)
        stamp = _now()
        numbers = {
            **status.metrics,
            **{f"dropped.{reason}": float(n) for reason, n in status.dropped.items()},
            **({"rows": float(status.rows)} if status.rows is not None else {}),
            **({"quarantined": float(status.quarantined)} if status.quarantined else {}),
            **({"shards_resumed": float(status.shards_resumed)} if status.shards_resumed else {}),
            "seconds": status.seconds,
        }
        tags = {"tokenmill.state": status.state, "tokenmill.why": status.why}
        if status.digest:
            tags["tokenmill.digest"] = status.digest
        if status.error:
            tags["tokenmill.error"] = status.error
        if status.state == "reused" and status.run_id:
            tags["tokenmill.made_by_run"] = status.run_id
        tags["mlflow.note.content"] = self._note(status)
        # A curve keeps its own points; any other number is one without a step.
        metrics = [
            [name, value, stamp, 0]
            for name, value in numbers.items()
            if (status.name, name) not in self._curves
        ]
        operation: dict[str, Any] = {
            "id": child,
            "metrics": metrics,
            "tags": {name: value[:TAG_LENGTH] for name, value in tags.items()},
            "datasets": self._datasets(status),
            "end": {"failed": "FAILED", "skipped": "KILLED"}.get(status.state, "FINISHED"),
            "time": stamp,
        }
        if status.state == "computed":
            operation["artifacts"] = {
                name: manifest.digest
                for name, manifest in status.outputs.items()
                if manifest.kind in FILE_KINDS or manifest.kind is Kind.REPORT
            }
            operation["figures"] = self._keep_figures(child, figures)
        self._append(operation)
        del self._children[status.name]

    def run_of(self, status: StageStatus) -> str | None:
        """The tracker's id of a running stage's run; while the tracker is away, ours, by which it
        is found later.
        """
        child = self._children.get(status.name)
        if child is None:
            return None
        tracker = self._tracker
        known = lambda: child in tracker.runs or child in tracker.lost  # noqa: E731
        self._spool.wait_until(known, ANSWER_SECONDS)
        return self._tracker.runs.get(child, child)

    def close(self, *, state: str, report: str = "", grace: float = 5.0) -> list[str]:
        """End the parent run (`FINISHED`, `FAILED` or `KILLED`); returns what there is to tell.

        Args:
            grace: seconds to wait for a tracker that is away; what is left waits for the next
                command.
        """
        if self._ended:
            return []
        self._ended = True
        end: dict[str, Any] = {"id": self._run, "end": state, "time": _now()}
        if report:
            note = f"{self._plan.description}\n\n{report}".strip()
            end["tags"] = {"mlflow.note.content": note[:TAG_LENGTH]}
        self._append(end)
        left = self._spool.close(grace)
        if left:
            self.told.append(
                f"the tracker {redact_text(self.tracking_uri)} is away: {left} records wait in "
                f"{self._spool.path}; the next `tokenmill run` or `tokenmill ui` here sends them"
            )
        refused = [*self._tracker.refused, *self._spool.failed]
        return self.told + [f"not recorded in MLflow: {text}" for text in refused]

    @property
    def run_id(self) -> str:
        """The tracker's id of the parent run; ours while it is not known."""
        return self._tracker.runs.get(self._run, self._run)

    @property
    def link(self) -> str:
        """Where the run can be looked at."""
        uri = redact_text(self.tracking_uri)
        if self._run not in self._tracker.runs:
            return uri
        path = f"#/experiments/{self._tracker.experiment_id}/runs/{self.run_id}"
        return (
            f"{uri.rstrip('/')}/{path}"
            if uri.startswith("http")
            else f"http://127.0.0.1:5000/{path}"
        )

    # -- operations -------------------------------------------------------------------------------

    def _append(self, operation: dict[str, Any]) -> None:
        self._spool.append(redact(operation))

    def _begin(self) -> None:
        plan = self._plan
        commit, diff = _git_state(Path(plan.file).resolve().parent)
        tags = {
            "mlflow.source.name": plan.file,
            "mlflow.user": getpass.getuser(),
            "mlflow.note.content": plan.description or f"One run of `{plan.file}`.",
            "tokenmill.pipeline": plan.pipeline,
            "tokenmill.store": self._store.url,
            # By these another command finds out whether the run is still alive.
            "tokenmill.host": socket.gethostname(),
            "tokenmill.pid": str(os.getpid()),
            "tokenmill.process_start": process_start(os.getpid()),
        }
        if commit:
            tags["mlflow.source.git.commit"] = commit
            tags["tokenmill.git.dirty"] = str(bool(diff)).lower()
        texts = {f"dag/{Path(plan.file).name}": Path(plan.file).read_text(encoding="utf-8")}
        if diff:
            texts["git/uncommitted.diff"] = diff
        name = f"{plan.pipeline} {time.strftime('%Y-%m-%d %H:%M:%S')}"
        self._append(
            {"id": self._run, "begin": {"name": name, "time": _now(), "tags": tags},
             "params": {"seed": str(plan.seed)}, "texts": texts}
        )  # fmt: skip

    def _child(self, status: StageStatus) -> str:
        """The id of a stage's run, which begins with its first mention."""
        if status.name in self._children:
            return self._children[status.name]
        planned = status.planned
        count = self._counts[status.name] = self._counts.get(status.name, 0) + 1
        child = hash_bytes(self._run.encode(), status.name.encode(), str(count).encode())
        self._children[status.name] = child
        flat = dict(_flatten(identity_config(planned.config)))
        flat.update({f"matrix.{axis}": str(value) for axis, value in planned.cell.items()})
        tags = {
            "mlflow.source.name": planned.word,
            "mlflow.user": getpass.getuser(),
            "tokenmill.stage": planned.stage,
            "tokenmill.uses": planned.word,
            "tokenmill.key": status.key or "",
        }
        begin = {"name": planned.name, "time": _now(), "tags": tags, "parent": self._run}
        params = {name: value[:PARAM_LENGTH] for name, value in flat.items()}
        self._append({"id": child, "begin": begin, "params": params})
        return child

    def _datasets(self, status: StageStatus) -> list[dict[str, Any]]:
        entries = []
        if status.parts is not None:
            if status.parts.sources:
                entries.append(_source_dataset(status.parts.sources))
            for name, wires in status.parts.inputs.items():
                for _, digest in wires:
                    manifest = status.inputs.get(digest)
                    if manifest is not None:
                        entries.append(self._dataset("input", name, manifest))
        for name, manifest in status.outputs.items():
            entries.append(self._dataset("output", name, manifest))
        return entries

    def _dataset(self, context: str, name: str, manifest: Manifest) -> dict[str, Any]:
        made = manifest.made_by
        schema = {"mlflow_colspec": [{"name": n, "type": t, "required": True}
                                     for n, t in manifest.schema]}  # fmt: skip
        profile = {"rows": manifest.rows, "bytes": manifest.size, "kind": manifest.kind}
        return {
            "context": context,
            "label": name,
            "name": f"{made['stage']}.{made['output']}",
            "digest": manifest.digest,
            "source_type": "tokenmill",
            "source": json.dumps({"uri": self._store.address(manifest.location)}),
            "schema": json.dumps(schema)[:SCHEMA_LENGTH],
            "profile": json.dumps(profile),
        }

    def _keep_figures(self, child: str, figures: Mapping[str, bytes]) -> dict[str, str]:
        kept = {}
        for name, png in figures.items():
            path = self._spool.files / child / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png)
            kept[f"{name}.png"] = str(path)
        return kept

    def _note(self, status: StageStatus) -> str:
        """The description of a stage's run, in Markdown."""
        planned = status.planned
        documentation = (planned.stage_class.__doc__ or "").strip().splitlines()
        lines = [f"`{planned.word}` {documentation[0] if documentation else ''}", ""]
        if status.state == "computed":
            lines.append(f"Computed because: {status.why}.")
        if status.shards_resumed:
            lines.append(f"{status.shards_resumed} of {status.shards} shards were finished by an "
                         "interrupted run.")  # fmt: skip
        if status.error:
            lines.append(f"Failed: {status.error}")
        aside = status.outputs.get(Kind.QUARANTINED.value)
        if aside is not None:
            lines += ["", f"{aside.rows} rows were set aside:", "", "| row | error |", "|---|---|"]
            rows = self._store.read_part(aside, 0).slice(0, ROWS_SHOWN)
            for row in rows.select(["id", "error"]).to_pylist():
                error = row["error"].replace("|", "\\|").replace("\n", " ")[:300]
                lines.append(f"| `{row['id']}` | {error} |")
        return "\n".join(lines)


def _now() -> int:
    return int(time.time() * 1000)


def _source_dataset(sources: Mapping[str, str]) -> dict[str, Any]:
    """What was read from outside the store, as the input of the stage that read it."""
    addresses = sorted(sources)
    return {
        "context": "input",
        "label": "sources",
        "name": addresses[0] if len(addresses) == 1 else f"{len(addresses)} source files",
        "digest": hash_bytes(canonical_json(dict(sources))),
        "source_type": "files",
        "source": json.dumps({"files": addresses})[:SOURCE_LENGTH],
        "profile": json.dumps({"files": len(addresses)}),
    }


def _flatten(value: Any, name: str = "") -> Iterable[tuple[str, str]]:
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
