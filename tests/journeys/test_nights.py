"""Nights and gates for real: real runs, real MLflow history, the real clock."""

from __future__ import annotations

import itertools
import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from journey import Project, copy_code

pytestmark = pytest.mark.journey

DAG = """\
pipeline: gated
stages:
  score: {uses: "mine:Score"}
gates:
  - {stage: score, metric: score, direction: lower, against: median of last 3 runs, tolerance: 5%}
schedule: {cron: "* * * * *", overlap: queue}
notify: {command: [sh, -c, "cat > told.json"]}
"""
STAGE = '''
from stages.contract import Field, Kind, Output, Stage, StageConfig
from stages.kinds import METRICS


class Score(Stage):
    """Says a number."""

    class Config(StageConfig):
        value: float = Field(1.0, description="the number")

    outputs = {"metrics": Output(Kind.METRICS, "none")}

    def run(self, inputs, outputs, context):
        context.metric("score", self.config.value)
        outputs["metrics"].write(METRICS.empty_table())
'''


@pytest.fixture
def project(tmp_path: Path) -> Project:
    copy_code(tmp_path / "code")
    (tmp_path / "dag.yaml").write_text(DAG)
    (tmp_path / "mine.py").write_text(STAGE)
    return Project(tmp_path)


def parents(project: Project) -> list[Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(project.tracking_uri)
    found = client.get_experiment_by_name("gated")
    return list(
        client.search_runs(
            [found.experiment_id], "tags.`tokenmill.pid` != ''",
            order_by=["attributes.start_time ASC"],
        )
    )  # fmt: skip


def test_gates_hold_a_metric_against_the_history_in_mlflow(project: Project) -> None:
    def run(value: float, status: int) -> str:
        done = project.call("run", "--set", f"score.value={value}", "--quiet", status=status)
        return done.stderr

    assert "no earlier run yet" in run(1.0, 0)
    assert "worse by 0.02 (2.00%)" in run(1.02, 0)
    assert not (project.folder / "told.json").exists()
    failing = run(1.5, 3)
    assert "gate FAILED: score.score = 1.5, the median of the last 2 runs is 1.01" in failing
    assert "worse by 0.49 (48.51%), more than the 5% allowed" in failing
    told = json.loads((project.folder / "told.json").read_text())
    assert told["pipeline"] == "gated"
    assert told["failed"][0]["reference"] == pytest.approx(1.01)
    # A run that failed its gate is no measure for the next.
    assert "the median of the last 2 runs is 1.01: worse by 0.02" in run(1.03, 0)
    runs = parents(project)
    assert [run.data.tags["tokenmill.gates"] for run in runs] == [
        "passed", "passed", "failed", "passed"]  # fmt: skip
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert "**failed**: score.score = 1.5" in runs[2].data.tags["mlflow.note.content"]
    assert told["run"] == runs[2].info.run_id


def test_three_nights_by_the_real_clock_run_once_though_a_keeper_is_killed_and_two_follow(
    project: Project,
) -> None:
    project.call("schedule", "add")
    keepers = [project.start("schedule", "start")]

    def history() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            project.call("schedule", "history", "--json").stdout
        )
        return found

    def until(count: int) -> None:
        deadline = time.monotonic() + 100 + 70 * count
        while len([n for n in history() if n["state"] == "finished"]) < count:
            assert time.monotonic() < deadline, history()
            time.sleep(5)  # each look is a process

    try:
        until(1)
        keepers[0].send_signal(signal.SIGKILL)
        keepers[0].communicate()
        keepers += [project.start("schedule", "start") for _ in range(2)]
        until(3)
    finally:
        for keeper in keepers:
            if keeper.poll() is None:
                keeper.send_signal(signal.SIGTERM)
                keeper.communicate(timeout=30)
    nights = [night for night in history() if night["state"] == "finished"]
    assert len({night["night"] for night in nights}) == len(nights)
    minutes = [int(night["night"][14:16]) for night in nights[:3]]
    assert [(b - a) % 60 for a, b in itertools.pairwise(minutes)] == [1, 1]
    runs = [run.data.tags.get("tokenmill.night") for run in parents(project)]
    assert runs[:3] == [night["night"] for night in nights[:3]]
    assert len(runs) == len(set(runs))
