"""The record in MLflow: what a run leaves, once, whatever happens to the tracker or the driver."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from s3_server import free_port
from toy_project import Project

from pipelines import lineage, mlflow_client
from pipelines import spool as spool_module
from pipelines.cli import cli
from pipelines.direct_sender import DirectSender
from pipelines.faults import Faults
from pipelines.leases import Lease, RunEntry, run_entries, write_entry
from pipelines.leftovers import catch_up, close_dead_runs, send_spools
from pipelines.lineage import Tracker
from pipelines.mlflow_client import is_away, merge_journal, one_transaction, open_client
from pipelines.recorder import Recorder
from pipelines.results import Point
from pipelines.run import Runner
from pipelines.spool import Away, Operation, left_behind
from pipelines.status import StageStatus
from pipelines.trace import find_artifacts

DAG = """\
pipeline: toy
description: Letters.
stages:
  made: {uses: toy_words:Make}
  upper: {uses: toy_words:Upper, needs: {documents: made}}
  model: {uses: toy_words:Folder, needs: {documents: made}}
"""


@pytest.fixture(scope="session")
def empty_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow file with its tables: making them takes seconds."""
    path = tmp_path_factory.mktemp("record") / "mlflow.db"
    open_client(f"sqlite:///{path}")
    merge_journal(f"sqlite:///{path}")
    return path


class World:
    """A project, a record, and a folder for spools."""

    def __init__(self, project: Project, empty_record: Path) -> None:
        self.project = project
        self.folder = project.folder
        self.record = self.folder / "tracking" / "mlflow.db"
        self.record.parent.mkdir()
        shutil.copy(empty_record, self.record)
        self.spool = self.folder / "spool"

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.record}"

    @property
    def client(self) -> Any:
        return open_client(self.uri)

    def go_away(self) -> None:
        """A file stands where the record's folder was: it cannot be opened."""
        self.record.parent.rename(self.folder / "elsewhere")
        self.record.parent.write_text("")

    def come_back(self) -> None:
        self.record.parent.unlink()
        (self.folder / "elsewhere").rename(self.record.parent)

    def recorder(self, dag: str = DAG, run: str | None = None) -> Recorder:
        plan = self.project.plan(dag)
        sender = DirectSender(self.uri, plan.pipeline, self.project.store)
        return Recorder(
            self.uri, plan, self.project.store, run=run or uuid.uuid4().hex, spool=self.spool,
            sender=sender,
        )  # fmt: skip

    def run(self, dag: str = DAG, **options: Any) -> tuple[dict[str, StageStatus], list[str]]:
        """Run a DAG and record it: the statuses, and what was told at the end."""
        from serial_runtime import SerialRuntime

        recorder = self.recorder(dag)
        runner = Runner(self.project.plan(dag), self.project.store, SerialRuntime, [recorder])
        statuses = runner.run()
        return {s.name: s for s in statuses}, recorder.close(state="FINISHED", **options)

    def runs(self) -> list[Any]:
        client = self.client
        experiments = [e.experiment_id for e in client.search_experiments()]
        return list(client.search_runs(experiments, order_by=["attributes.start_time ASC"]))

    def snapshot(self) -> list[Any]:
        """All that the record holds, less the ids that MLflow draws."""
        client = self.client
        names = {run.info.run_id: run.info.run_name for run in self.runs()}
        found = []
        for run in self.runs():
            tags = {n: v for n, v in run.data.tags.items() if n != "mlflow.parentRunId"}
            parent = run.data.tags.get("mlflow.parentRunId", "")
            found.append(
                (
                    (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time),
                    (names.get(parent), tags, run.data.params),
                    [
                        (name, point.timestamp, point.step, point.value)
                        for name in sorted(run.data.metrics)
                        for point in client.get_metric_history(run.info.run_id, name)
                    ],
                    sorted((i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs),
                    sorted(f.path for f in client.list_artifacts(run.info.run_id)),
                )
            )
        return sorted(found, key=str)


@pytest.fixture
def world(
    tmp_path: Path,
    own_modules_are_forgotten: Callable[[], None],
    empty_record: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    monkeypatch.setattr(spool_module, "PAUSES", (0.01,))
    monkeypatch.setattr(spool_module, "PAUSE_AT_THE_END", 0.01)
    return World(Project(tmp_path, own_modules_are_forgotten), empty_record)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tracker, list[Operation], Path]]:
    """What recorders handed to their trackers."""
    seen: list[tuple[Tracker, list[Operation], Path]] = []
    apply = Tracker.apply

    def noted(
        self: Tracker, operations: Sequence[Operation], *, files: Path, again: bool = False
    ) -> None:
        seen.append((self, list(operations), files))
        apply(self, operations, files=files, again=again)

    monkeypatch.setattr(Tracker, "apply", noted)
    return seen


def children(runs: list[Any]) -> dict[str, Any]:
    return {r.info.run_name: r for r in runs if "mlflow.parentRunId" in r.data.tags}


def until_sent(recorder: Recorder) -> None:
    deadline = time.monotonic() + 60
    while recorder._spool._waiting:
        assert time.monotonic() < deadline, recorder._spool.reason
        time.sleep(0.01)


def parents(runs: list[Any]) -> list[Any]:
    return [r for r in runs if "mlflow.parentRunId" not in r.data.tags]


# -- what a run leaves -----------------------------------------------------------------------------


def links_lead_somewhere(runs: list[Any]) -> None:
    """Links in descriptions are to runs that are there; each child's to its parent, and back."""
    known = {run.info.run_id for run in runs}
    linked = {
        run.info.run_id: set(re.findall(r"/runs/(\w+)", run.data.tags["mlflow.note.content"]))
        for run in runs
    }
    for run in runs:
        assert "tokenmill:" not in run.data.tags["mlflow.note.content"]
        assert linked[run.info.run_id] <= known
        parent = run.data.tags.get("mlflow.parentRunId")
        if parent is not None:
            assert parent in linked[run.info.run_id]
            assert run.info.run_id in linked[parent]


def test_a_run_leaves_a_parent_its_children_and_no_spool(world: World) -> None:
    statuses, told = world.run(report="All well.")
    assert told == []
    assert list(world.spool.iterdir()) == []
    runs = world.runs()
    (parent,) = parents(runs)
    assert parent.info.status == "FINISHED"
    note = parent.data.tags["mlflow.note.content"]
    assert "Letters.\n\nAll well." in note
    assert note.startswith("![what was made from what](get-artifact?path=lineage.svg&run_uuid="
                           f"{parent.info.run_id})")  # fmt: skip
    assert "lineage.svg" in [file.path for file in world.client.list_artifacts(parent.info.run_id)]
    links_lead_somewhere(runs)
    inside = children(runs)
    assert inside.keys() == statuses.keys()
    assert {run.data.tags["mlflow.parentRunId"] for run in inside.values()} == {parent.info.run_id}
    made = inside["made"]
    assert made.info.status == "FINISHED"
    assert (made.data.params["letters"], made.data.metrics["rows"]) == ("abcde", 5)
    curve = world.client.get_metric_history(made.info.run_id, "curve")
    assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 2.0)]
    files = {f.path for f in world.client.list_artifacts(made.info.run_id, "figures")}
    assert files == {"figures/picture.png"}
    models = {f.path for f in world.client.list_artifacts(inside["model"].info.run_id, "model")}
    assert models == {"model/config.json", "model/weights"}
    assert statuses["made"].outputs["documents"].made_by["run"] == made.data.tags["tokenmill.id"]


def test_a_reused_stage_links_to_the_run_that_made_it(world: World) -> None:
    world.run()
    first = children(world.runs())["upper"].info.run_id
    world.run()
    _, second = parents(world.runs())
    inside = [r for r in world.runs() if r.data.tags.get("mlflow.parentRunId") ==
              second.info.run_id]  # fmt: skip
    (upper,) = [run for run in inside if run.info.run_name == "upper"]
    assert upper.data.tags["tokenmill.made_by_run"] == first
    assert f"/runs/{first}?" in upper.data.tags["mlflow.note.content"]


def test_points_are_in_the_record_while_the_stage_goes_on(world: World) -> None:
    recorder = world.recorder()
    status = StageStatus(world.project.plan(DAG).stages[0], state="running")
    recorder.started(status)
    recorder.points([Point("made", "loss", 0.5, 7)])
    until_sent(recorder)
    run = recorder.recorded_as(status)
    (point,) = world.client.get_metric_history(run, "loss")
    assert (point.step, point.value) == (7, 0.5)
    assert world.client.get_run(run).info.status == "RUNNING"
    recorder.close(state="KILLED")


def test_a_stage_that_is_computed_again_in_the_same_run_gets_a_run_of_its_own(
    world: World,
) -> None:
    recorder = world.recorder()
    planned = world.project.plan(DAG).stages[0]
    seen = set()
    for state in ("failed", "computed"):
        status = StageStatus(planned)
        recorder.started(status)
        seen.add(recorder.run_of(status))
        status.state = state  # type: ignore[assignment]
        recorder.finished(status, {})
    recorder.close(state="FINISHED")
    made = [run for run in world.runs() if run.info.run_name == "made"]
    assert {run.data.tags["tokenmill.id"] for run in made} == seen
    assert sorted(run.info.status for run in made) == ["FAILED", "FINISHED"]


def test_the_run_of_a_stage_is_known_after_the_end(world: World) -> None:
    recorder = world.recorder()
    status = StageStatus(world.project.plan(DAG).stages[0])
    other = StageStatus(world.project.plan(DAG).stages[1])
    recorder.started(status)
    status.state = "computed"
    recorder.finished(status, {})
    recorder.close(state="FINISHED")
    made = children(world.runs())["made"]
    assert recorder.recorded_as(status) == made.info.run_id
    assert recorder.run_of(status) == made.data.tags["tokenmill.id"]
    assert recorder.recorded_as(other) is recorder.run_of(other) is None


def test_rows_set_aside_are_counted_and_shown(world: World) -> None:
    dag = DAG.replace("upper: {", 'upper: {quarantine: 50%, with: {fails_at: "c"}, ')
    statuses, _ = world.run(dag)
    assert statuses["upper"].quarantined == 1
    upper = children(world.runs())["upper"]
    assert upper.data.metrics["quarantined"] == 1
    assert "| `c` | ValueError: cannot read c" in upper.data.tags["mlflow.note.content"]


def test_no_secret_gets_into_the_spool_or_the_record(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "correct-horse-battery"
    monkeypatch.setenv("MY_API_KEY", secret)
    dag = DAG.replace("toy_words:Make}", f'toy_words:Make, with: {{letters: "{secret}"}}}}')
    world.go_away()
    world.run(dag, grace=0.0)
    spool = b"".join(path.read_bytes() for path in world.spool.rglob("*") if path.is_file())
    assert b"made" in spool
    assert secret.encode() not in spool
    world.come_back()
    send_spools(world.spool, world.uri)
    record = b"".join(path.read_bytes() for path in world.record.parent.rglob("*") if
                      path.is_file() and path.name != "weights")  # fmt: skip
    assert b"toy_words:Make" in record
    assert secret.encode() not in record


DIES_OVER_THE_TABLES = """
import os, signal, sys, threading, time
from pathlib import Path
from pipelines.mlflow_client import open_client

def kill():
    new = Path(sys.argv[1]).with_name(".mlflow.db.new")
    while not (new.exists() and new.stat().st_size > 100_000):
        time.sleep(0.0005)
    os.kill(os.getpid(), signal.SIGKILL)

threading.Thread(target=kill, daemon=True).start()
open_client("sqlite:///" + sys.argv[1])
"""


def test_a_process_killed_while_the_tables_are_made_leaves_no_record_that_is_half_there(
    tmp_path: Path,
) -> None:
    record = tmp_path / "mlflow.db"
    done = subprocess.run([sys.executable, "-c", DIES_OVER_THE_TABLES, str(record)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not record.exists()
    assert len(open_client(f"sqlite:///{record}").search_experiments()) == 1
    assert sorted(p.name for p in tmp_path.iterdir() if "new" in p.name) == []


# -- twice is once ---------------------------------------------------------------------------------


def test_operations_that_are_sent_twice_change_nothing(
    world: World, kept: list[tuple[Tracker, list[Operation], Path]]
) -> None:
    world.run()
    before = world.snapshot()
    assert len(before) == 4
    sent = list(kept)
    assert {operation["id"] for _, operations, _ in sent for operation in operations} == {
        run.data.tags["tokenmill.id"] for run in world.runs()
    }
    stranger = Tracker(world.uri, "toy", world.project.store)
    for _, operations, files in sent:
        without_pictures = [{**o, "figures": []} for o in operations]
        stranger.apply(without_pictures, files=files, again=True)
    assert stranger.refused == []
    assert world.snapshot() == before


class BreaksTwice(Faults):
    """Each request breaks before it, then after it, and goes well at the third try."""

    def strikes(self, kind: str, *names: object) -> bool:
        return kind == "tracker_down" and names[-1] in (1, 2)

    def draw(self, *names: object) -> float:
        return 0.0 if names[-1] == 1 else 0.9


def test_a_connection_that_breaks_before_and_after_each_request_leaves_the_same_record(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "active_faults", BreaksTwice)
    _, told = world.run(grace=60)
    assert told == []
    runs = world.runs()
    assert len(runs) == 4
    assert {run.info.status for run in runs} == {"FINISHED"}
    curve = world.client.get_metric_history(children(runs)["made"].info.run_id, "curve")
    assert [point.step for point in curve] == [1, 2]
    for run in children(runs).values():
        names = [i.dataset.name for i in run.inputs.dataset_inputs]
        assert len(names) == len(set(names))


def test_a_transaction_of_which_a_part_was_undone_is_not_committed(world: World) -> None:
    client = world.client
    experiment = client.create_experiment("atomic")
    store = client._tracking_client.store

    def undone() -> None:
        with one_transaction(client):
            client.create_run(experiment)
            with contextlib.suppress(RuntimeError), store.ManagedSessionMaker() as session:
                session.rollback()

    with pytest.raises(Exception, match="was undone"):
        undone()
    assert client.search_runs([experiment]) == []


def test_what_fails_within_a_transaction_leaves_no_part_of_it(world: World) -> None:
    client = world.client
    experiment = client.create_experiment("atomic")

    def half() -> None:
        with one_transaction(client):
            run = client.create_run(experiment)
            client.log_param(run.info.run_id, "a", "1")
            client.log_metric(run.info.run_id, "bad\x00name%", 1.0)

    with pytest.raises(Exception, match="bad"):
        half()
    assert client.search_runs([experiment]) == []
    client.create_run(experiment)
    assert len(client.search_runs([experiment])) == 1


# -- a tracker that refuses ------------------------------------------------------------------------


def test_what_mlflow_refuses_is_told_and_left_out_and_the_rest_is_recorded(world: World) -> None:
    recorder = world.recorder()
    status = StageStatus(world.project.plan(DAG).stages[0])
    recorder.started(status)
    status.state = "computed"
    status.metrics = {"good": 1.0, "50% off": 2.0}
    recorder.finished(status, {})
    told = recorder.close(state="FINISHED")
    assert len(told) == 1
    assert told[0].startswith("not recorded in MLflow: made: metric 50% off: MlflowException")
    made = children(world.runs())["made"]
    assert made.info.status == "FINISHED"
    assert made.data.metrics["good"] == 1.0
    assert made.data.params["letters"] == "abcde"
    assert made.data.tags["tokenmill.state"] == "computed"


def test_a_file_that_is_gone_costs_only_itself(world: World) -> None:
    world.go_away()
    statuses, _ = world.run(grace=0.0)
    world.come_back()
    world.project.store.remove(statuses["model"].outputs["model"].location)
    (sent, refused) = send_spools(world.spool, world.uri)
    assert sent.startswith("sent ")
    assert "not recorded in MLflow: model: model: " in refused
    assert children(world.runs())["model"].info.status == "FINISHED"
    assert list(world.spool.iterdir()) == []


def test_a_deleted_experiment_keeps_the_records_waiting_with_the_cure(world: World) -> None:
    client = world.client
    number = client.create_experiment("toy")
    client.delete_experiment(number)
    _, told = world.run(grace=0.0)
    (line,) = told
    assert f"mlflow experiments restore -x {number}" in line
    client.restore_experiment(number)
    send_spools(world.spool, world.uri)
    assert len(world.runs()) == 4


def test_a_tracker_that_refuses_connections_is_away_in_few_words(world: World) -> None:
    with pytest.raises(Away) as away:
        catch_up(world.spool, f"http://127.0.0.1:{free_port()}", world.project.store)
    assert str(away.value).endswith("Connection refused")
    assert len(str(away.value)) < 60


def test_errors_of_the_line_are_told_from_errors_of_the_request() -> None:
    from mlflow.exceptions import MlflowException, RestException

    refused = {"error_code": "INVALID_PARAMETER_VALUE", "message": "Timeout is no metric"}
    assert not is_away(RestException(refused))
    assert not is_away(ValueError("no such thing"))
    assert not is_away(FileNotFoundError("gone"))
    for away in (
        ConnectionRefusedError(),
        TimeoutError(),
        MlflowException("API request failed with exception Max retries exceeded"),
        RestException({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "locked"}),
        RestException({"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "slowly"}),
    ):
        assert is_away(away), away


# -- a tracker that is away ------------------------------------------------------------------------


def test_a_tracker_that_is_away_all_the_time_costs_the_run_nothing_but_its_record(
    world: World,
) -> None:
    world.go_away()
    statuses, told = world.run(grace=0.0)
    assert {status.state for status in statuses.values()} == {"computed"}
    (line,) = told
    assert "is away" in line
    assert "records wait in" in line
    assert "tokenmill ui" in line

    world.come_back()
    done = catch_up(world.spool, world.uri, world.project.store)
    assert done.startswith("sent ")
    assert done.endswith("of an earlier run")
    assert list(world.spool.iterdir()) == []
    runs = world.runs()
    assert len(runs) == 4
    assert {r.info.status for r in runs} == {"FINISHED"}
    made = children(runs)["made"]
    made_by = statuses["made"].outputs["documents"].made_by["run"]
    assert made.data.tags["tokenmill.id"] == made_by
    figures = world.client.list_artifacts(made.info.run_id, "figures")
    assert [f.path for f in figures] == ["figures/picture.png"]
    assert catch_up(world.spool, world.uri, world.project.store) == ""


def test_a_result_is_found_by_our_id_of_a_run_and_by_that_of_mlflow(world: World) -> None:
    world.go_away()
    statuses, _ = world.run(grace=0.0)
    world.come_back()
    send_spools(world.spool, world.uri)
    ours = statuses["upper"].outputs["documents"].made_by["run"]
    theirs = children(world.runs())["upper"].info.run_id
    (manifest,) = find_artifacts(world.project.store, ours)
    arguments = ["--json", "--store", world.project.store.url, "--tracking-uri", world.uri]
    for run in (ours, theirs):
        done = CliRunner().invoke(cli, ["lineage", run, *arguments])
        assert done.exit_code == 0, done.output
        assert [origin["digest"] for origin in json.loads(done.stdout)] == [manifest.digest]
    unknown = CliRunner().invoke(cli, ["lineage", "0" * 32, *arguments])
    assert unknown.exit_code == 2

    # The next run reuses it, and links to the run by the id that MLflow has for it.
    world.run()
    later = [r for r in world.runs() if r.data.tags.get("tokenmill.state") == "reused"]
    links = {r.info.run_name: r.data.tags["tokenmill.made_by_run"] for r in later}
    assert links["upper"] == theirs

    # In a record in which the maker is not, its run is named, and no link leads nowhere.
    world.record = world.folder / "another" / "mlflow.db"
    world.run()
    alone = children(world.runs())["upper"].data.tags
    assert alone["tokenmill.made_by_run"] == ours
    assert "which is not in this record" in alone["mlflow.note.content"]
    assert f"`{ours}`" in alone["mlflow.note.content"]
    links_lead_somewhere(world.runs())
    world.record = world.folder / "tracking" / "mlflow.db"

    # A search for the run that only reused it leads to the result, too.
    (reused,) = [r.info.run_id for r in later if r.info.run_name == "upper"]
    done = CliRunner().invoke(cli, ["lineage", reused, *arguments])
    assert [origin["digest"] for origin in json.loads(done.stdout)] == [manifest.digest]


def test_the_next_run_sends_what_the_last_could_not_before_its_own(world: World) -> None:
    world.go_away()
    world.run(grace=0.0)
    world.come_back()
    _, told = world.run()
    (line,) = told
    assert line.startswith("sent ")
    runs = world.runs()
    assert len(runs) == 8
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_records_for_another_tracker_are_left_and_told(world: World) -> None:
    world.go_away()
    world.run(grace=0.0)
    world.come_back()
    (told,) = send_spools(world.spool, f"sqlite:///{world.folder / 'other.db'}")
    assert "wait for another tracker" in told
    assert world.uri in told
    with left_behind(world.spool) as spools:
        assert len(spools) == 1


# -- drivers that died -----------------------------------------------------------------------------

DIES = """
import os, signal, sys, time
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from pipelines.faults import Faults
from pipelines.leases import Lease
from pipelines.planner import make_plan
from pipelines.recorder import Recorder
from pipelines.results import Point
from pipelines.direct_sender import DirectSender
from pipelines.spec import read_dag
from pipelines.status import StageStatus
from pipelines.store import Store

folder, uri = Path(sys.argv[1]), sys.argv[2]
plan, store = make_plan(read_dag(folder / "dag.yaml")), Store(str(folder / "store"))
lease = Lease(store, plan.pipeline)
recorder = Recorder(uri, plan, store, run=lease.entry.run, spool=folder / "spool",
                    sender=DirectSender(uri, plan.pipeline, store))
status = StageStatus(plan.stages[0], state="running")
recorder.started(status)
while sys.argv[3] == "known" and recorder.recorded_as(status) is None:
    time.sleep(0.01)
recorder.points([Point("made", "loss", float(step), step) for step in range(20)])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["known", "at once"])
def test_a_driver_killed_is_closed_by_the_next_command_with_all_that_it_had_to_record(
    world: World, when: str
) -> None:
    world.project.plan(DAG)
    done = subprocess.run(
        [sys.executable, "-c", DIES, str(world.folder), world.uri, when],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    told = catch_up(world.spool, world.uri, world.project.store)
    assert "closed 1 run whose process was gone: toy" in told
    runs = world.runs()
    assert len(runs) == 2
    assert {run.info.status for run in runs} == {"KILLED"}
    assert all(run.info.end_time >= run.info.start_time for run in runs)
    assert all("tokenmill.closed" in run.data.tags for run in runs)
    points = world.client.get_metric_history(children(runs)["made"].info.run_id, "loss")
    assert [point.step for point in points] == list(range(20))
    assert [entry.state for entry in run_entries(world.project.store)] == ["KILLED"]
    assert catch_up(world.spool, world.uri, world.project.store) == ""


def test_a_run_that_is_alive_is_not_closed(world: World) -> None:
    lease = Lease(world.project.store, "toy")
    recorder = world.recorder(run=lease.entry.run)
    status = StageStatus(world.project.plan(DAG).stages[0])
    recorder.started(status)
    until_sent(recorder)
    assert catch_up(world.spool, world.uri, world.project.store) == ""
    assert {run.info.status for run in world.runs()} == {"RUNNING"}
    assert [entry.state for entry in run_entries(world.project.store)] == ["RUNNING"]
    recorder.close(state="FINISHED")
    lease.close("FINISHED")


def entry(world: World, **changed: Any) -> RunEntry:
    """An entry of a run on another machine."""
    given = {"run": uuid.uuid4().hex, "pipeline": "toy", "host": "elsewhere", "pid": 1,
             "process_start": "1", "started": 1.0, "beat": 2.0}  # fmt: skip
    return RunEntry(**{**given, **changed})


def recorded(world: World, of: RunEntry, store: str) -> str:
    """A parent run that says it is running, as a driver on another machine left it."""
    client = world.client
    found = client.get_experiment_by_name("toy")
    number = found.experiment_id if found else client.create_experiment("toy")
    tags = {"tokenmill.id": of.run, "tokenmill.host": of.host, "tokenmill.pid": str(of.pid),
            "tokenmill.process_start": of.process_start, "tokenmill.store": store,
            "tokenmill.pipeline": of.pipeline}  # fmt: skip
    return str(client.create_run(number, tags=tags, start_time=1000).info.run_id)


def test_a_run_of_another_machine_is_closed_only_when_its_store_says_that_it_is_dead(
    world: World,
) -> None:
    import time

    store = world.project.store
    stale, fresh, unknown = entry(world), entry(world, beat=time.time()), entry(world)
    ended = entry(world, state="FINISHED", beat=3.0)
    for one in (stale, fresh, ended):
        write_entry(store, one)
    runs = {
        "stale": recorded(world, stale, store.url),
        "fresh": recorded(world, fresh, store.url),
        "ended": recorded(world, ended, store.url),
        "unknown": recorded(world, unknown, str(world.folder / "no-such-store")),
    }
    close_dead_runs(world.uri, store)
    closed = {name: world.client.get_run(run).info for name, run in runs.items()}
    assert {name: info.status for name, info in closed.items()} == {
        "stale": "KILLED", "fresh": "RUNNING", "ended": "FINISHED", "unknown": "RUNNING",
    }  # fmt: skip
    assert closed["ended"].end_time == 3000
    assert not (world.folder / "no-such-store").exists()


def test_a_stage_left_running_inside_a_run_that_ended_is_closed(world: World) -> None:
    of = entry(world)
    parent = recorded(world, of, world.project.store.url)
    client = world.client
    client.set_terminated(parent, "FINISHED")
    number = client.get_run(parent).info.experiment_id
    child = client.create_run(number, tags={"mlflow.parentRunId": parent, "tokenmill.id": "x"})
    foreign = client.create_run(number, tags={"of": "somebody else"})
    close_dead_runs(world.uri, world.project.store)
    assert client.get_run(child.info.run_id).info.status == "KILLED"
    assert client.get_run(foreign.info.run_id).info.status == "RUNNING"


def test_a_store_out_of_reach_does_not_end_a_run_and_closes_nothing_in_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = entry(world)
    run = recorded(world, of, world.project.store.url)

    def unreachable(*_: Any, **__: Any) -> list[RunEntry]:
        raise OSError("the network is away")

    monkeypatch.setattr("pipelines.leftovers.run_entries", unreachable)
    assert close_dead_runs(world.uri, world.project.store) == []
    assert world.client.get_run(run).info.status == "RUNNING"


def test_catching_up_with_a_tracker_that_is_away_raises_away_and_keeps_everything(
    world: World,
) -> None:
    world.go_away()
    world.run(grace=0.0)
    before = {path: path.read_bytes() for path in world.spool.glob("*.jsonl")}
    assert before
    with pytest.raises(Away):
        catch_up(world.spool, world.uri, world.project.store)
    assert {path: path.read_bytes() for path in world.spool.glob("*.jsonl")} == before


def test_ui_sends_and_closes_before_it_serves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.go_away()
    world.run(grace=0.0)
    world.come_back()
    monkeypatch.chdir(world.folder)
    (world.folder / ".tokenmill").mkdir()
    world.spool.rename(world.folder / ".tokenmill" / "spool")
    served: list[int] = []

    def serve(*_: Any) -> int:
        served.append(len(world.runs()))
        return 0

    monkeypatch.setattr(mlflow_client, "open_ui", serve)
    monkeypatch.setattr("pipelines.cli_ui.stop_on_sigterm", lambda: None)
    arguments = ["ui", "--store", world.project.store.url, "--tracking-uri", world.uri]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "records of an earlier run" in done.stderr
    assert served == [4]
