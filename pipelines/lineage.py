"""The one door to MLflow: operations of a record, applied so that a second time changes nothing.

A pipeline run is an MLflow parent run, each planned stage a child of it: identity config as
params, metrics with steps while training goes on, input and output artifacts as datasets whose
digest is the artifact's digest, models, tokenizers, reports and plots as run artifacts. A reused
stage is a child too, with the same datasets and a link to the run that made them.

Runs are known by an id of ours, the tag `tokenmill.id`, so that what was sent twice because an
answer got lost is there once. Points carry the time at which they were measured, so a point that is
sent again is the same point.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipelines.faults import active_faults
from pipelines.mlflow_client import (
    ensure_experiment,
    is_away,
    is_trouble,
    merge_journal,
    one_transaction,
    open_client,
    page_of,
    reason_of,
)
from pipelines.mlflow_entities import batches, dataset_input, told
from pipelines.redact import redact_text
from pipelines.spool import FAMILY, Away, Operation, together
from pipelines.store import Store
from stages.kinds import FILE_KINDS

PATIENCE = 5  # tries at operations with which a tracker fails that is otherwise well
DESCRIPTION_LENGTH = 5000  # of a version of a model
RUNS_A_TRANSACTION = 20  # a second's work at the most; others may want to write as well
FAMILY_SIZE = 1000
NOTE, NOTE_LENGTH = "mlflow.note.content", 8000  # the most that MLflow takes
# Of pipelines.notes; a name may have a pair of brackets, as that of a matrix cell has.
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(tokenmill:([0-9a-f]+)(/[^)\s]*)?\)")


class Tracker:
    """Applies operations to the MLflow runs of one pipeline.

    Attributes:
        runs: our id -> MLflow's id, of every run met so far.
        lost: ids of ours that MLflow will not have as runs.
        refused: what MLflow will not take, and never will; one sentence each.
    """

    def __init__(self, tracking_uri: str, pipeline: str, store: Store | None) -> None:
        """Prepare; nothing is sent yet.

        Args:
            store: where the files are that operations name by digest; None where it is gone.
        """
        self._uri, self._pipeline, self._store = tracking_uri, pipeline, store
        self._client: Any = None
        self._is_embedded = tracking_uri.startswith("sqlite")
        self._tries: dict[tuple[str, int], int] = {}
        self._taken: dict[str, int] = {}  # our id -> the number of its last operation taken
        self._families: set[str] = set()
        self.experiment_id = ""
        self.runs: dict[str, str] = {}
        self.lost: set[str] = set()
        self.refused: list[str] = []

    def apply(self, operations: Sequence[Operation], *, files: Path, again: bool = False) -> None:
        """Apply operations of one spool, in order.

        What MLflow refuses for good is noted and left out; all the rest is applied.

        Args:
            files: where the files are that operations name by path.
            again: they may have been applied before, all or some.

        Raises:
            Away: the tracker cannot be reached now; all of them may be applied once more, and of
                those that this object knows to be taken none is sent twice.
        """
        groups = together([o for o in operations if o["n"] > self._taken.get(o["id"], -1)])
        at_once = RUNS_A_TRANSACTION if self._is_embedded else 1
        for start in range(0, len(groups), at_once):
            chunk = groups[start : start + at_once]
            merged = [_merged(group) for group in chunk if group[0]["id"] not in self.lost]
            self._apply_with_faults(merged, files, again=again)
            for group in chunk:
                self._taken[group[0]["id"]] = group[-1]["n"]

    def _apply_with_faults(self, chunk: list[Operation], files: Path, *, again: bool) -> None:
        faults = active_faults()
        struck = False
        for operation in chunk:
            this = (operation["id"], operation["n"])
            tries = self._tries[this] = self._tries.get(this, 0) + 1
            if faults.strikes("tracker_down", *this, tries):
                if faults.draw("before", *this, tries) < 0.5:
                    raise Away("the fault switch broke the connection before the request")
                struck = True
        try:
            self._apply_together(chunk, files, again=again)
        except Away:
            raise
        except Exception as error:
            if is_away(error):
                raise Away(reason_of(error)) from error
            # Once more, step by step, to see which of them it is.
            for operation in chunk:
                self._apply_tolerant(operation, files)
        if struck:
            raise Away("the fault switch broke the connection after the request")
        for operation in chunk:
            del self._tries[operation["id"], operation["n"]]

    def find(self, run: str) -> str | None:
        """MLflow's id of a run of ours; None where there is none."""
        if run not in self.runs:
            self._meet(f"= '{run}'", 1)
        return self.runs.get(run)

    def _find_maker(self, run: str) -> str | None:
        """The same for a run that made what is reused: where there is one there are more, so all
        runs that share the beginning of its id, those of its pipeline run, are asked for at once.
        """
        if run not in self.runs and run[:FAMILY] not in self._families:
            self._families.add(run[:FAMILY])
            self._meet(f"LIKE '{run[:FAMILY]}%'", FAMILY_SIZE)
        return self.find(run)

    def _meet(self, condition: str, most: int) -> None:
        found = self.client.search_runs(
            [self.experiment_id], f"tags.`tokenmill.id` {condition}", max_results=most
        )
        self.runs.update((run.data.tags["tokenmill.id"], run.info.run_id) for run in found)

    @property
    def client(self) -> Any:
        """The client of MLflow, made when it is first used.

        Raises:
            Away: nothing can be recorded with it now.
        """
        if self._client is None:
            try:
                client = open_client(self._uri)
                self.experiment_id = ensure_experiment(client, self._uri, self._pipeline)
            except Exception as error:
                # Whatever it is (no server, no leave, a database of another version): it concerns
                # every operation, so none is given up.
                raise Away(reason_of(error)) from error
            self._client = client
        return self._client

    def close(self) -> None:
        """Leave a SQLite record as one file that can be copied."""
        if self._client is not None:
            merge_journal(self._uri)

    # -- one operation ----------------------------------------------------------------------------

    def _apply_together(self, chunk: list[Operation], files: Path, *, again: bool) -> None:
        """Apply operations on some runs: all of them or, where one fails, none."""

        def do(_: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
            function(*arguments, **named)

        before = dict(self.runs)
        try:
            with one_transaction(self.client):
                for operation in chunk:
                    own = operation["id"]
                    self.runs[own], rest = self._begun(operation, again=again, tolerant=False)
                    self._send_values(rest, self.runs[own], do, again=again, single=False)
        except BaseException:
            self.runs.clear()  # in place: others look at it
            self.runs.update(before)
            raise
        for operation in chunk:  # files may be large, and are sent outside of the transaction
            self._send_files(operation, self.runs[operation["id"]], files, do)

    def _apply_tolerant(self, operation: Operation, files: Path) -> None:
        """Apply the operations on one run step by step, but for what MLflow refuses."""
        own = operation["id"]
        tries = self._tries[own, operation["n"]]
        name = operation.get("name", own)

        def do(what: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
            try:
                function(*arguments, **named)
            except Exception as error:  # noqa: BLE001 - whatever it is, the rest is recorded
                self._raise_if_away(error, tries)
                self._refuse(f"{name}: {what}", error)

        try:
            run, rest = self._begun(operation, again=True, tolerant=True)
        except Exception as error:  # noqa: BLE001 - the other runs are recorded
            self._raise_if_away(error, tries)
            self._refuse(str(name), error)
            self.lost.add(own)
            return
        self.runs[own] = run
        self._send_values(rest, run, do, again=True, single=True)
        self._send_files(operation, run, files, do)

    def _begun(self, operation: Operation, *, again: bool, tolerant: bool) -> tuple[str, Operation]:
        """MLflow's id of the run of an operation, begun where the operation says so, and what of
        the operation is left to do.
        """
        own = operation["id"]
        begin = operation.get("begin")
        found = self.find(own) if again or begin is None else self.runs.get(own)
        if found is not None:
            return found, operation
        if begin is None:
            raise LookupError("its beginning was not recorded, or somebody removed it")
        tags = {**begin["tags"], "tokenmill.id": own, "mlflow.runName": begin["name"]}
        if "parent" in begin:
            tags["mlflow.parentRunId"] = self.find(begin["parent"]) or begin["parent"]
        if not tolerant:  # all tags in one call; one that is refused must not refuse the run
            later = {NOTE} & operation.get("tags", {}).keys()  # it may link to the run itself
            given = operation.get("tags", {})
            tags |= self._tags({"tags": {n: v for n, v in given.items() if n not in later}})
            operation = {**operation, "tags": {name: given[name] for name in later}}
        run = self.client.create_run(self.experiment_id, start_time=begin["time"], tags=tags)
        return str(run.info.run_id), operation

    def _send_values(
        self, operation: Operation, run: str, do: Callable[..., None], *, again: bool, single: bool
    ) -> None:
        """Send params, metrics, tags, datasets, and the end of a run that has no files."""
        tags, points = self._tags(operation), operation.get("metrics", [])
        if again and points and not self._is_embedded:
            points = self._not_there(run, points)  # SQL stores see to it themselves
        for batch in batches(tags, operation.get("params", {}), points, single=single):
            do(told(batch), self.client.log_batch, run, **batch)
        datasets = [dataset_input(data) for data in operation.get("datasets", [])]
        for entries in [[entry] for entry in datasets] if single else [datasets]:
            if entries:
                do("datasets", self.client.log_inputs, run, entries)
        if not _has_files(operation):
            self._end(operation, run, do)

    def _tags(self, operation: Operation) -> dict[str, str]:
        tags = dict(operation.get("tags", {}))
        maker = tags.get("tokenmill.made_by_run")
        if maker:
            tags["tokenmill.made_by_run"] = self._find_maker(maker) or maker
        if NOTE in tags:
            tags[NOTE] = _LINK.sub(self._linked, tags[NOTE])[:NOTE_LENGTH]
        return tags

    def _linked(self, link: re.Match[str]) -> str:
        """A link to a run of ours, or to an artifact of it, as MLflow's pages have it."""
        mark, text, own, path = link.groups()
        run = self._find_maker(own)
        if run is None:  # the store is older than the record, or shared
            return f"{text} (`{own}`, which is not in this record)"
        if mark:
            return f"![{text}](get-artifact?path={path[1:]}&run_uuid={run})"
        inside = f"/artifacts{path}" if path else ""
        return f"[{text}]({page_of(self.experiment_id, run, inside)})"

    def _not_there(self, run: str, points: list[list[Any]]) -> list[list[Any]]:
        there = {
            (metric.key, metric.timestamp, metric.step)
            for name in {point[0] for point in points}
            for metric in self.client.get_metric_history(run, name)
        }
        return [point for point in points if (point[0], point[2], point[3]) not in there]

    def _send_files(
        self, operation: Operation, run: str, files: Path, do: Callable[..., None]
    ) -> None:
        """Send the files of a run, and its end."""
        if not _has_files(operation):
            return
        for path, text in operation.get("texts", {}).items():
            do(path, self.client.log_text, run, text, path)
        for name, digest in operation.get("artifacts", {}).items():
            do(name, self._send_artifact, run, name, digest)
        for model in operation.get("models", []):
            do(f"the model {model['name']}", self._register, run, model)
        for path in operation.get("figures", []):
            do(path, self.client.log_artifact, run, str(files / path), "figures")
        self._end(operation, run, do)

    def _send_artifact(self, run: str, name: str, digest: str) -> None:
        """Send the files of an artifact, from the store."""
        if self._store is None:
            raise FileNotFoundError(f"artifact {digest}: its store is gone")
        manifest = self._store.manifest(digest)
        if manifest.kind in FILE_KINDS:
            self.client.log_artifacts(run, str(self._store.folder(manifest)), name)
            return
        with tempfile.TemporaryDirectory() as folder:
            for row in self._store.table(manifest).to_pylist():
                Path(folder, row["id"]).write_bytes(row["content"])
            self.client.log_artifacts(run, folder, name)

    def _register(self, run: str, model: dict[str, Any]) -> None:
        """Register a run's model as a version, once."""
        from mlflow.exceptions import MlflowException

        name = model["name"]
        try:
            self.client.create_registered_model(name, tags={"tokenmill.pipeline": self._pipeline})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"{self.client.get_run(run).info.artifact_uri}/{model['artifact']}"
        there = self.client.search_model_versions(f"run_id = '{run}'")
        if not any(version.name == name and version.source == source for version in there):
            self.client.create_model_version(
                name,
                source,
                run,
                tags=model["tags"],
                description=_LINK.sub(self._linked, model["description"])[:DESCRIPTION_LENGTH],
            )

    def _end(self, operation: Operation, run: str, do: Callable[..., None]) -> None:
        if "end" in operation:
            ended = self.client.set_terminated
            do("its end", ended, run, operation["end"], end_time=operation["time"])

    # -- trouble ----------------------------------------------------------------------------------

    def _raise_if_away(self, error: Exception, tries: int) -> None:
        """Raise `Away` where the tracker, not the operation, is at fault.

        Of other answers that tell of trouble (5xx) it cannot be said, so they get some patience.
        """
        if is_away(error) or (is_trouble(error) and (tries < PATIENCE or not self._is_well())):
            raise Away(reason_of(error)) from error

    def _is_well(self) -> bool:
        try:
            self.client.get_experiment(self.experiment_id)
        except Exception:  # noqa: BLE001 - whatever it is, it is not well
            return False
        return True

    def _refuse(self, what: str, error: Exception) -> None:
        self.refused.append(redact_text(f"{what}: {reason_of(error)}"))


def _merged(operations: Sequence[Operation]) -> Operation:
    """Operations on one run, in order, as one; it has the number of the first."""
    merged: Operation = {}
    for operation in operations:
        for name, value in operation.items():
            if name == "n":
                merged.setdefault(name, value)
            elif isinstance(value, list):
                merged[name] = [*merged.get(name, []), *value]
            elif isinstance(value, dict) and name != "begin":
                merged[name] = {**merged.get(name, {}), **value}
            else:
                merged[name] = value
    return merged


def _has_files(operation: Operation) -> bool:
    return any(operation.get(name) for name in ("texts", "artifacts", "figures"))
