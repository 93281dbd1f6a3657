"""Things that go wrong: a stage that fails, a run that is interrupted, a killed worker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from journey import REPOSITORY, Project, make_project, states
from test_record import children, client_of

pytestmark = pytest.mark.journey

STAGES = '''
import os, signal, time
from pathlib import Path
import pyarrow as pa
from stages.contract import Field, Input, Kind, Output, RowStage, StageConfig

class Slow(RowStage):
    """Sleeps over each shard."""
    class Config(StageConfig):
        seconds: float = Field(60.0, description="how long")
        marker: str = Field("", description="file that says it began")
        die_once: bool = Field(False, description="kill its own worker the first time")
    inputs = {"documents": Input(Kind.DOCUMENTS, "any")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "the same")}
    def apply(self, rows, context):
        marker = Path(self.config.marker)
        first = not marker.exists()
        written = marker.with_suffix(".new")
        written.write_text(str(os.getpid()))
        written.rename(marker)  # whoever sees it can read it
        if self.config.die_once and first:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.config.seconds)
        return rows

class Picky(RowStage):
    """Fails on one row."""
    inputs = {"documents": Input(Kind.DOCUMENTS, "any")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "the same")}
    def apply(self, rows, context):
        for row in rows.to_pylist():
            if row["id"].endswith("b.txt"):
                raise ValueError("cannot read this one")
        return rows
'''

DAG = """
pipeline: trouble
stages:
  documents: {uses: corpus.documents, with: {sources: ["${TEXTS}/*.txt"]}}
  picky: {uses: "my_stages:Picky", needs: {documents: documents}}
  after: {uses: corpus.clean, needs: {documents: picky}}
  beside: {uses: corpus.clean, needs: {documents: documents}, with: {min_chars: 1}}
"""

SLOW_DAG = """
pipeline: trouble
stages:
  documents: {uses: corpus.documents, with: {sources: ["${TEXTS}/*.txt"]}}
  slow:
    uses: "my_stages:Slow"
    needs: {documents: documents}
    with: {seconds: SECONDS, marker: "MARKER", die_once: DIE}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = make_project(tmp_path)
    shutil.rmtree(tmp_path / "texts")
    (tmp_path / "texts").mkdir()
    for name in "abc":
        (tmp_path / "texts" / f"{name}.txt").write_text(f"The text called {name}.")
    (tmp_path / "my_stages.py").write_text(STAGES)
    return made


def test_a_failing_stage_names_its_row_skips_what_needs_it_and_lets_others_finish(
    project: Project,
) -> None:
    project.dag.write_text(DAG)
    document = project.run("--workers", "2", status=1)
    assert states(document) == {
        "documents": "computed",
        "picky": "failed",
        "after": "skipped",
        "beside": "computed",
    }
    error = document["stages"]["picky"]["error"]
    assert "cannot read this one" in error
    assert "b.txt" in error
    client = client_of(project)
    assert client.get_run(document["run"]).info.status == "FAILED"
    runs = children(client, document["run"])
    assert {name: run.info.status for name, run in runs.items()} == {
        "documents": "FINISHED",
        "picky": "FAILED",
        "beside": "FINISHED",
    }


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_at_once_with_130_and_a_true_record(
    project: Project, kind: signal.Signals, tmp_path: Path
) -> None:
    marker = tmp_path / "began"
    dag = SLOW_DAG.replace("SECONDS", "300").replace("MARKER", str(marker)).replace("DIE", "false")
    project.dag.write_text(dag)
    process = project.start("run", str(project.dag), "--json", "--workers", "1")
    deadline = time.monotonic() + 120
    while not marker.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    worker = int(marker.read_text())
    process.send_signal(kind)
    began = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 130, err
    assert "Traceback" not in err
    stages = json.loads(out)
    assert {s["name"]: s["state"] for s in stages} == {
        "documents": "computed",
        "slow": "skipped",
    }
    run = stages[0]["pipeline_run"]
    runs = children(client_of(project), run)
    assert client_of(project).get_run(run).info.status == "KILLED"
    assert runs["slow"].info.status == "KILLED"
    deadline = time.monotonic() + 20
    while _alive(worker) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _alive(worker), "the worker outlived the run"


def test_a_worker_killed_with_sigkill_costs_an_infrastructure_retry_and_no_result(
    project: Project, tmp_path: Path
) -> None:
    dag = SLOW_DAG.replace("SECONDS", "0").replace("DIE", "true")
    project.dag.write_text(dag.replace("MARKER", str(tmp_path / "began")))
    document = project.run("--workers", "1")
    assert states(document) == {"documents": "computed", "slow": "computed"}
    assert document["stages"]["slow"]["rows"] == 3


def test_a_stage_that_no_node_can_run_says_so(project: Project) -> None:
    project.dag.write_text(
        DAG.replace('uses: "my_stages:Picky",', 'uses: "my_stages:Picky", resources: {cpus: 64},')
    )
    document = project.run("--workers", "1", status=1)
    assert "64 CPU" in document["stages"]["picky"]["error"]


def test_the_example_of_the_documentation_runs_with_a_stage_of_its_own(project: Project) -> None:
    shutil.copytree(REPOSITORY / "docs" / "examples", project.folder / "docs" / "examples")
    (project.folder / "my_stages.py").unlink()
    done = project.call("run", "docs/examples/dag.yaml", "--json",
                        "--workers", "1")  # fmt: skip
    stages: list[dict[str, Any]] = json.loads(done.stdout)
    own = next(s for s in stages if s["uses"] == "my_stages:Uppercase")
    import pyarrow.dataset as ds

    path = next(iter(own["outputs"].values()))["path"]
    texts = ds.dataset(path, format="ipc").to_table().column("text").to_pylist()
    assert texts
    assert all(text == text.upper() != text.lower() for text in texts)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        "zombie" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc").exists() else True
    )
