"""A tracking server that is away holds up nothing and misses nothing."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from journey import Project, make_project
from mlflow_server import Server
from test_record import children, client_of, datasets

pytestmark = pytest.mark.journey

STEPS = 200
AT_ONCE = ("--set", "model.pause=0")

DAG = """
pipeline: outage
stages:
  documents: {uses: corpus.documents, with: {sources: ["${TEXTS}/*.txt"]}}
  tokenizer: {uses: tokenizer.train, needs: {documents: documents}, with: {vocab_size: 300}}
  tokens: {uses: tokenizer.encode, needs: {documents: documents, tokenizer: tokenizer}}
  model:
    uses: "mill_stages:Train"
    needs: {tokens: tokens}
    with: {steps: STEPS, pause: 0.06}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def project(tmp_path: Path, server: Server) -> Project:
    made = make_project(tmp_path / "project")
    shutil.copy(Path(__file__).with_name("mill_stages.py"), made.folder)
    made.dag.write_text(DAG.replace("STEPS", str(STEPS)))
    made.environment["MLFLOW_TRACKING_URI"] = server.uri
    return made


def client(server: Server) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(server.uri)


def curve(server: Server, run: Any) -> list[int]:
    return [point.step for point in client(server).get_metric_history(run.info.run_id, "loss")]


def test_a_server_that_stops_in_the_middle_of_training_and_comes_back_misses_nothing(
    project: Project, server: Server
) -> None:
    server.start()
    back_again = project.folder / "back-again"
    process = project.start(
        "run", str(project.dag), "--json", "--workers", "1",
        "--set", f"model.ends_with={back_again}",
    )  # fmt: skip
    known = client(server)
    deadline = time.monotonic() + 120
    seen = 0
    while seen < 5 and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.2)
        experiment = known.get_experiment_by_name("outage")
        runs = known.search_runs([experiment.experiment_id]) if experiment else []
        training = [run for run in runs if run.info.run_name == "model"]
        seen = len(curve(server, training[0])) if training else 0
    server.stop()
    went = time.time() * 1000
    time.sleep(3)  # of at least twelve seconds of training
    back = time.time() * 1000
    server.start()
    assert process.poll() is None
    back_again.touch()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "not recorded" not in err
    assert "records wait in" not in err
    (model,) = [stage for stage in json.loads(out) if stage["name"] == "model"]
    assert model["state"] == "computed"
    runs = children(known, model["pipeline_run"])
    assert curve(server, runs["model"]) == list(range(STEPS))
    points = known.get_metric_history(runs["model"].info.run_id, "loss")
    assert [p for p in points if went < p.timestamp < back], "training stopped with the server"
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert known.get_run(model["pipeline_run"]).info.status == "FINISHED"


def test_a_server_that_is_away_all_the_time_gets_everything_from_the_next_command(
    project: Project, server: Server
) -> None:
    done = project.call("run", str(project.dag), "--json", "--workers", "1", *AT_ONCE)
    assert "records wait in" in done.stderr
    stages = {stage["name"]: stage for stage in json.loads(done.stdout)}
    assert {stage["state"] for stage in stages.values()} == {"computed"}
    assert list((project.folder / ".tokenmill" / "spool").glob("*.jsonl"))
    server.start()
    again = project.call("run", str(project.dag), "--json", "--workers", "1", *AT_ONCE)
    assert "records of an earlier run" in again.stderr
    known = client(server)
    experiment = known.get_experiment_by_name("outage").experiment_id
    parents = [
        run for run in known.search_runs([experiment], order_by=["attributes.start_time"])
        if "mlflow.parentRunId" not in run.data.tags
    ]  # fmt: skip
    assert [run.info.status for run in parents] == ["FINISHED", "FINISHED"]
    first = children(known, parents[0].info.run_id)
    assert first.keys() == stages.keys()
    assert {run.info.status for run in first.values()} == {"FINISHED"}
    assert curve(server, first["model"]) == list(range(STEPS))
    assert datasets(first["model"], "output") == {"model.model": stages["model"]["digest"]}
    assert [f.path for f in known.list_artifacts(first["model"].info.run_id, "model")]
    # The second run reuses what the first made, and says which run that was.
    second = children(known, parents[1].info.run_id)
    made_by = second["model"].data.tags["tokenmill.made_by_run"]
    assert made_by == first["model"].info.run_id
    assert not list((project.folder / ".tokenmill" / "spool").glob("*"))


def test_the_run_of_a_driver_that_was_killed_is_closed_by_the_next_command(
    tmp_path: Path,
) -> None:
    project = make_project(tmp_path / "project")
    shutil.copy(Path(__file__).with_name("mill_stages.py"), project.folder)
    project.dag.write_text(DAG.replace("STEPS", "3000"))
    process = project.start("run", str(project.dag), "--json", "--workers", "1")
    known = client_of(project)
    deadline = time.monotonic() + 120
    running: list[Any] = []
    while len(running) < 2 and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.3)
        experiment = known.get_experiment_by_name("outage")
        found = known.search_runs([experiment.experiment_id]) if experiment else []
        running = [
            run for run in found
            if run.info.status == "RUNNING" and run.info.run_name.startswith(("outage", "model"))
        ]  # fmt: skip
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    project.dag.write_text(DAG.replace("STEPS", "3"))
    done = project.call("run", str(project.dag), "--json", "--workers", "1")
    assert "whose process was gone" in done.stderr
    for run in running:
        assert known.get_run(run.info.run_id).info.status == "KILLED"
    (parent,) = {stage["pipeline_run"] for stage in json.loads(done.stdout)}
    assert known.get_run(parent).info.status == "FINISHED"
