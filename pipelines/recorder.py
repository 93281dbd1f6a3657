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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.claims import Finding
from pipelines.gates import Verdict
from pipelines.identity import canonical_json, hash_bytes, identity_config
from pipelines.leases import process_start
from pipelines.located import spell
from pipelines.mlflow_client import page_of
from pipelines.notes import PICTURE, SOURCES, run_note, stage_note
from pipelines.picture import boxes_of, draw
from pipelines.plan import Plan, PlannedStage
from pipelines.redact import redact, redact_text
from pipelines.results import Point
from pipelines.sender import Sender
from pipelines.spool import FAMILY, Operation, Spool, files_of
from pipelines.status import StageStatus
from pipelines.store import Manifest, Store
from stages.kinds import FILE_KINDS, Kind

PARAM_LENGTH = 500  # what the run table can show; the whole config is in the store's record
TAG_LENGTH = 5000
SCHEMA_LENGTH = 20_000
SOURCE_LENGTH = 60_000
DIFF_LENGTH = 1_000_000


class Recorder:
    """The record of one run."""

    def __init__(
        self,
        tracking_uri: str,
        plan: Plan,
        store: Store,
        *,
        run: str,
        spool: Path,
        sender: Sender,
    ) -> None:
        """Begin the record.

        Args:
            run: id of the run; the tracker's parent run has it as the tag `tokenmill.id`.
            spool: folder where operations wait until they are sent.
            sender: takes them to the tracker; closed with the record.
        """
        self.tracking_uri = tracking_uri
        self.told: list[str] = []  # what to tell when the run is over
        self._plan, self._store, self._run = plan, store, run
        self._sender = sender
        self._statuses: dict[str, StageStatus] = {}  # of stages that have ended
        self._children: dict[str, str] = {}  # planned stage -> our id of its run, the last one
        self._open: set[str] = set()
        self._counts: dict[str, int] = {}
        self._curves: set[tuple[str, str]] = set()
        self._ended = False

        def send(operations: Sequence[Operation], *, again: bool) -> None:
            sender.apply(operations, files=files_of(spool / f"{run}.jsonl"), again=again)

        def before() -> None:
            done = sender.catch_up(spool)
            self.told += [done] if done else []

        header = {"tracking_uri": redact_text(tracking_uri), "store": store.url,
                  "pipeline": plan.pipeline}  # fmt: skip
        self._spool = Spool(spool, run, header, send, before=before)
        self._begin()

    # -- what a Runner tells ----------------------------------------------------------------------

    def started(self, status: StageStatus) -> None:
        self._begin_child(status)

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
            if stage in self._open:
                self._append({"id": self._children[stage], "name": stage, "metrics": metrics})

    def finished(self, status: StageStatus, figures: Mapping[str, bytes]) -> None:
        if status.name not in self._open:
            if status.state == "skipped":
                return  # it never began
            self._begin_child(status)
        child = self._children[status.name]
        self._open.discard(status.name)
        self._statuses[status.name] = status
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
        tags = {name: value[:TAG_LENGTH] for name, value in tags.items()}
        note = stage_note(status, self._store, self._children, child, self._run)
        tags["mlflow.note.content"] = note
        # A curve keeps its own points; any other number is one without a step.
        metrics = [
            [name, value, stamp, 0]
            for name, value in numbers.items()
            if (status.name, name) not in self._curves
        ]
        operation: dict[str, Any] = {
            "id": child,
            "name": status.name,
            "metrics": metrics,
            "tags": tags,
            "datasets": self._datasets(status),
            "end": {"failed": "FAILED", "skipped": "KILLED"}.get(status.state, "FINISHED"),
            "time": stamp,
        }
        if status.parts is not None and status.parts.sources:
            found = sorted(status.parts.sources.items())
            operation["texts"] = {SOURCES: "".join(f"{hash_}  {name}\n" for name, hash_ in found)}
        if status.state == "computed":
            operation["artifacts"] = {
                name: manifest.digest
                for name, manifest in status.outputs.items()
                if manifest.kind in FILE_KINDS or manifest.kind is Kind.REPORT
            }
            operation["models"] = [
                self._model(status, name, manifest)
                for name, manifest in status.outputs.items()
                if manifest.kind is Kind.MODEL
            ]
            operation["figures"] = self._keep_figures(child, figures)
        self._append(operation)

    def run_of(self, status: StageStatus) -> str | None:
        """Our id of the run of a stage, the tag `tokenmill.id` of the tracker's run; None for a
        stage that did not begin.
        """
        return self._children.get(status.name)

    def recorded_as(self, status: StageStatus) -> str | None:
        """The tracker's id of the run of a stage; None where it is not known (yet)."""
        return self._sender.runs.get(self._children.get(status.name, ""))

    def earlier_values(self, stages: Sequence[PlannedStage], metric: str, runs: int) -> list[float]:
        """The mean of a metric over some cells of one stage in earlier runs, the latest first.

        Raises:
            Away: the tracker cannot be asked now.
        """
        if not stages:
            return []
        # What all of them have in common is what they were chosen by.
        cell = {
            axis: spell(value)
            for axis, value in stages[0].cell.items()
            if all(s.cell.get(axis) == value for s in stages)
        }
        return self._sender.earlier_values(stages[0].stage, cell, metric, runs, self._run)

    def close(
        self,
        *,
        state: str,
        report: str = "",
        gates: Sequence[Verdict] = (),
        findings: Sequence[Finding] = (),
        grace: float = 5.0,
        at_most: float | None = None,
    ) -> list[str]:
        """End the parent run; a second call does nothing.

        Args:
            state: FINISHED, FAILED or KILLED.
            report: shown with the run, in Markdown.
            gates: how they were judged; shown above the report.
            findings: what became of the claims; shown there too.
            grace: seconds to wait for a tracker that is away; what is left waits for the next
                command.
            at_most: seconds after which to end in any case.

        Returns:
            What there is to tell, a sentence each.
        """
        if self._ended:
            return []
        end: Operation = {"id": self._run, "name": "the run", "end": state, "time": _now()}
        note = run_note(
            self._plan,
            self._statuses,
            self._children,
            self._run,
            gates=gates,
            findings=findings,
            report=report,
        )
        end["tags"] = {"mlflow.note.content": note}
        end["texts"] = {PICTURE: draw(boxes_of(self._statuses.values()))}
        if gates:
            end["tags"]["tokenmill.gates"] = "passed" if all(v.passed for v in gates) else "failed"
        if findings:
            end["tags"]["tokenmill.claims"] = "; ".join(finding.outcome for finding in findings)
        self._append(end)
        self._ended = True
        left = self._spool.close(grace, at_most)
        self._sender.close()
        refused = [*self._sender.refused, *self._spool.failed]
        told = self.told + [f"not recorded in MLflow: {text}" for text in refused]
        if left:
            why = f"is away ({self._spool.reason})" if self._spool.away else "is slow"
            told.append(
                f"the tracker {redact_text(self.tracking_uri)} {why}: {left} records wait in "
                f"{self._spool.path}; the next `tokenmill run` or `tokenmill ui` here sends them"
            )
        return told

    @property
    def run_id(self) -> str:
        """The tracker's id of the parent run; ours while it is not known."""
        return self._sender.runs.get(self._run, self._run)

    @property
    def link(self) -> str:
        """Where the run can be looked at."""
        uri = redact_text(self.tracking_uri)
        if self._run not in self._sender.runs:
            return uri
        path = page_of(self._sender.experiment_id, self.run_id)
        server = uri.rstrip("/") if uri.startswith("http") else "http://127.0.0.1:5000"
        return f"{server}/{path}"

    # -- operations -------------------------------------------------------------------------------

    def _append(self, operation: Operation) -> None:
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
            texts["git/uncommitted.diff"] = diff[:DIFF_LENGTH]
        name = f"{plan.pipeline} {time.strftime('%Y-%m-%d %H:%M:%S')}"
        night = os.environ.get("TOKENMILL_NIGHT")  # of `tokenmill schedule`
        if night:
            name = f"{plan.pipeline} night {night}"
            tags["tokenmill.night"] = night
        self._append(
            {
                "id": self._run,
                "name": "the run",
                "begin": {"name": name, "time": _now(), "tags": tags},
                "params": {"seed": str(plan.seed)},
                "texts": texts,
            }
        )

    def _begin_child(self, status: StageStatus) -> None:
        """Begin the run of a stage; a stage that is computed again gets another one."""
        planned = status.planned
        count = self._counts[status.name] = self._counts.get(status.name, 0) + 1
        child = _child_id(self._run, status.name, count)
        self._children[status.name] = child
        self._open.add(status.name)
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
        self._append({"id": child, "name": planned.name, "begin": begin, "params": params})

    def _datasets(self, status: StageStatus) -> list[dict[str, Any]]:
        entries = []
        if status.parts is not None:
            if status.parts.sources:
                entries.append(_source_dataset(status.parts.sources))
            for name, pairs in status.parts.inputs.items():
                wires = status.planned.needs[name]
                for wire, (_, digest) in zip(wires, pairs, strict=True):
                    manifest = status.inputs.get(digest)
                    if manifest is not None:
                        made = f"{wire.stage}.{wire.output}"
                        entries.append(self._dataset("input", name, made, manifest))
        for name, manifest in status.outputs.items():
            entries.append(self._dataset("output", name, f"{status.name}.{name}", manifest))
        return entries

    def _dataset(self, context: str, label: str, name: str, manifest: Manifest) -> dict[str, Any]:
        """Data of a stage, named by who makes it in this run: other stages may make the same."""
        schema = {"mlflow_colspec": [{"name": n, "type": t, "required": True}
                                     for n, t in manifest.schema]}  # fmt: skip
        profile = {"rows": manifest.rows, "bytes": manifest.size, "kind": manifest.kind}
        return {
            "context": context,
            "label": label,
            "name": name,
            "digest": manifest.digest,
            "source_type": "tokenmill",
            "source": json.dumps({"uri": self._store.address(manifest.location)}),
            "schema": json.dumps(schema)[:SCHEMA_LENGTH],
            "profile": json.dumps(profile),
        }

    def _model(self, status: StageStatus, name: str, manifest: Manifest) -> dict[str, Any]:
        """A version of a registered model, with the data that it was made from."""
        planned = status.planned
        tags = {"tokenmill.digest": manifest.digest, "tokenmill.key": status.key or ""}
        tags |= {axis: spell(value) for axis, value in planned.cell.items()}
        if status.parts is not None:
            tags |= {
                f"data.{given}": " ".join(digest for _, digest in pairs)[:PARAM_LENGTH]
                for given, pairs in status.parts.inputs.items()
            }
        note = stage_note(
            status, self._store, self._children, self._children[status.name], self._run
        )
        return {
            "name": f"{self._plan.pipeline}.{planned.stage}",
            "artifact": name,
            "tags": tags,
            "description": note,
        }

    def _keep_figures(self, child: str, figures: Mapping[str, bytes]) -> list[str]:
        """Write pictures beside the spool; their paths from there."""
        kept = []
        for name, png in figures.items():
            path = self._spool.files / child / f"{name}.png"
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png)
            except OSError as error:
                self.told.append(f"not recorded in MLflow: the picture {path}: {error}")
                continue
            kept.append(str(path.relative_to(self._spool.files)))
        return kept


def _child_id(run: str, stage: str, count: int) -> str:
    """Our id of a stage's run; the tracker gives it one of its own, some time later. It begins as
    that of the pipeline run does, so that all stages of one can be asked for together.
    """
    return run[:FAMILY] + hash_bytes(run.encode(), stage.encode(), str(count).encode())[FAMILY:32]


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
