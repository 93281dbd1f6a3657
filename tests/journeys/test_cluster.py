"""Submitted runs on a cluster of two nodes with a token: it works, it resumes, it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from journey import REPOSITORY, Project, copy_code, plain, write_texts
from s3_server import free_port

pytestmark = pytest.mark.journey

DAG = """\
pipeline: submitted
stages:
  rows: {uses: "mine:Rows"}
  slow: {uses: "mine:Slow", needs: {documents: rows}}
"""
STAGES = '''
import os
import time

import pyarrow as pa

from stages.contract import Field, Input, Kind, Output, RowStage, Stage, StageConfig
from stages.kinds import DOCUMENTS


class Rows(Stage):
    """Eight shards of one row."""

    class Config(StageConfig):
        pass

    outputs = {"documents": Output(Kind.DOCUMENTS, "rows")}

    def run(self, inputs, outputs, context):
        for number in range(8):
            row = {"id": str(number), "text": f"row {number}", "language": "eng_Latn",
                   "source": "mine", "group": None, "edits": []}
            outputs["documents"].write(pa.Table.from_pylist([row], DOCUMENTS))


class Slow(RowStage):
    """The same rows, slowly."""

    class Config(StageConfig):
        seconds: float = Field(0.5, description="a shard")

    inputs = {"documents": Input(Kind.DOCUMENTS, "rows")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "the same rows")}

    def apply(self, rows, context):
        time.sleep(self.config.seconds)
        return rows


class Where(RowStage):
    """Rows that say on which node they were made; slow, so that many nodes are wanted."""

    class Config(StageConfig):
        part: int

    inputs = {"documents": Input(Kind.DOCUMENTS, "rows")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "the same rows")}

    def apply(self, rows, context):
        import ray

        time.sleep(0.3)
        node = ray.get_runtime_context().get_node_id()
        position = rows.column_names.index("source")
        told = f"{node} {self.config.part}"  # what is equal is kept once, whoever made it
        there = pa.array([told] * rows.num_rows, rows.schema.field("source").type)
        return rows.set_column(position, rows.schema.field("source"), there)
'''

PLACES = """\
pipeline: places
stages:
  rows: {uses: "mine:Rows"}
  plain: {uses: "mine:Where", needs: {documents: rows}, with: {part: 1}}
  gpu: {uses: "mine:Where", needs: {documents: rows}, with: {part: 2}, resources: {gpus: 1}}
  labelled:
    uses: "mine:Where"
    needs: {documents: rows}
    with: {part: 3}
    resources: {labels: {zone: x}}
  unlabelled:
    uses: "mine:Where"
    needs: {documents: rows}
    with: {part: 4}
    resources: {labels: {zone: "!x"}}
  licensed:
    uses: "mine:Where"
    needs: {documents: rows}
    with: {part: 5}
    resources: {custom: {licence: 1}}
"""
ZONE = """\
pipeline: zone
stages:
  rows: {uses: "mine:Rows"}
  where:
    uses: "mine:Where"
    needs: {documents: rows}
    with: {part: 1}
    resources: {labels: {zone: y}}
"""
TRAINING = """\
pipeline: lossy
stages:
  documents: {uses: corpus.documents, with: {sources: ["${TEXTS}/*.txt"], shard_rows: 10}}
  slow: {uses: "mine:Slow", needs: {documents: documents}, with: {seconds: 2.0}}
  tokenizer: {uses: tokenizer.train, needs: {documents: slow}, with: {vocab_size: 300}}
  tokens: {uses: tokenizer.encode, needs: {documents: slow, tokenizer: tokenizer}}
  model:
    uses: "mill_stages:Train"
    needs: {tokens: tokens}
    with: {steps: 60, pause: 0.1}
"""


@dataclass
class Cluster:
    """A head that runs no tasks, and nodes that do; at home in a folder with its own token."""

    home: Path
    gcs: int
    dashboard: int
    nodes: dict[int, subprocess.Popen[str]] = field(default_factory=dict)  # by the raylet's number

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.dashboard}"

    @property
    def token(self) -> Path:
        return self.home / ".ray" / "auth_token"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
            "TMPDIR": str(self.home),
            "RAY_API_SERVER_ADDRESS": self.address,
        }

    def call(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pipelines.cli", "cluster", *arguments],
            env={**plain(), **self.environment, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True, text=True, check=False, timeout=150,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def add(self, **offer: Any) -> int:
        """Add a node; returns the number of its raylet."""
        node = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "tests" / "support" / "ray_node.py"),
             f"127.0.0.1:{self.gcs}", str(self.home / secrets.token_hex(2)), json.dumps(offer)],
            env={**plain(), **self.environment, "RAY_AUTH_MODE": "token",
                 "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"},
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip
        assert node.stdout is not None
        raylet = int(node.stdout.readline())
        self.nodes[raylet] = node
        return raylet

    def lose(self, raylet: int) -> None:
        """A machine that is gone from one moment to the next."""
        os.kill(raylet, signal.SIGKILL)
        for number, _ in workers([raylet]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.end(raylet)

    def end(self, raylet: int) -> None:
        node = self.nodes.pop(raylet)
        node.terminate()
        try:
            node.wait(30)
        except subprocess.TimeoutExpired:
            node.kill()


def workers(raylets: Iterable[int]) -> list[tuple[int, str]]:
    """Processes of nodes: number, and the task each is at."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            title = (folder / "cmdline").read_bytes().split(b"\0")[0].decode()
        except (OSError, ValueError, IndexError):
            continue
        if parent in raylets:
            found.append((int(folder.name), title.removeprefix("ray::")))
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # Short, since the paths of sockets are.
    home = Path("/tmp") / f"tm-{secrets.token_hex(3)}"
    home.mkdir()
    made = Cluster(home, free_port(), free_port())
    try:
        made.call("start", "--port", str(made.gcs), "--dashboard-port", str(made.dashboard),
                  "--cpus", "0")  # fmt: skip
        made.add(num_cpus=2)
        yield made
    finally:
        for raylet in list(made.nodes):
            made.end(raylet)
        made.call("stop")
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def project(tmp_path: Path, cluster: Cluster) -> Project:
    copy_code(tmp_path / "code")
    (tmp_path / "dag.yaml").write_text(DAG)
    (tmp_path / "mine.py").write_text(STAGES)
    (tmp_path / ".env").write_text("SECRET=hunter2hunter2")
    return Project(tmp_path, dict(cluster.environment))


def digests(store: Path) -> dict[str, str]:
    from pipelines.store import Store

    return {m.made_by["stage"]: m.digest for m in Store(str(store)).artifacts()}


def test_a_submitted_run_gives_what_a_local_one_gives_and_twice_is_once(
    project: Project, cluster: Cluster
) -> None:
    first = json.loads(project.call("submit", "--json").stdout)
    again = json.loads(project.call("submit", "--json").stdout)
    assert first["id"] == again["id"]
    followed = project.call("submit", "--follow")
    assert "2 computed" in followed.stdout
    there = digests(project.store)
    assert first["id"] in project.call("jobs").stdout
    assert "2 computed" in project.call("logs", first["id"]).stdout

    project.environment["TOKENMILL_STORE"] = str(project.folder / "local")
    project.call("run", "--quiet")
    assert digests(project.folder / "local") == there

    # What is shipped is code; the token is nowhere.
    token = cluster.token.read_text()
    for path in [*cluster.home.rglob("*"), *project.store.rglob("*"), *project.folder.glob("*.db")]:
        if path.is_file() and path != cluster.token and path.stat().st_size < 2**24:
            content = path.read_bytes()
            assert token.encode() not in content, path
            assert b"hunter2hunter2" not in content, path
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            assert token.encode() not in (folder / "cmdline").read_bytes()


def test_a_run_whose_process_is_killed_comes_back_and_takes_over_what_was_done(
    project: Project,
) -> None:
    started = json.loads(project.call("submit", "--json", "--set", "slow.seconds=2").stdout)
    finished = project.store / "shards"
    deadline = time.monotonic() + 120
    while len(list(finished.glob("mine.Slow/*/*/finished/*"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    mark = b"--set\0slow.seconds=2"
    drivers = []
    for folder in Path("/proc").iterdir():
        try:
            line = (folder / "cmdline").read_bytes() if folder.name.isdigit() else b""
        except OSError:
            continue
        if (
            mark in line
            and b"pipelines.cli" in line
            and b"cluster.again" not in line
            and b"submit" not in line
        ):
            drivers.append(int(folder.name))
    assert len(drivers) == 1
    os.kill(drivers[0], signal.SIGKILL)
    done = project.call("logs", started["id"], "--follow")
    assert "started again" in done.stdout
    assert "shards were finished by an interrupted run" in done.stdout
    assert "1 computed" in done.stdout or "2 computed" in done.stdout


def test_what_a_cluster_refuses_is_told_in_a_line_with_a_status_of_its_own(
    project: Project,
) -> None:
    right = dict(project.environment)

    def refused(status: int, *arguments: str, **environment: str | None) -> str:
        project.environment = {n: v for n, v in (right | environment).items() if v is not None}
        (line,) = project.call("submit", *arguments, status=status).stderr.splitlines()
        return line

    nobody = project.folder / "nobody"
    nobody.mkdir()
    assert "this client has no token" in refused(5, HOME=str(nobody))
    wrong = project.folder / "wrong"
    wrong.write_text("0" * 32)
    assert "the token is another one" in refused(5, RAY_AUTH_TOKEN_PATH=str(wrong))
    dead = f"http://127.0.0.1:{free_port()}"
    assert f"no cluster answers at {dead}" in refused(4, RAY_API_SERVER_ADDRESS=dead)
    (project.folder / "big.yaml").write_text(
        DAG.replace('"mine:Rows"', '"mine:Rows", resources: {cpus: 99}')
    )
    line = refused(6, "big.yaml")
    assert "--may-grow" in line
    assert '"rows"' in line
    assert "99 CPU" in line
    assert "2 CPU" in line


def test_it_makes_a_token_for_its_owner_alone_and_is_reached_from_this_machine_alone(
    cluster: Cluster,
) -> None:
    assert cluster.token.stat().st_mode & 0o777 == 0o600
    (head,) = json.loads(cluster.call("status", "--json"))
    family = {head["pid"]}
    grown = True
    while grown:
        inner = {number for number, _ in workers(family)}
        grown = not inner <= family
        family |= inner
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True)
    places = {
        line.split()[3].rpartition(":")[0]
        for line in listening.stdout.splitlines()
        if any(f"pid={number}," in line for number in family)
    }
    assert places
    assert places <= {"127.0.0.1", "[::ffff:127.0.0.1]", "[::1]"}


def test_tasks_run_where_gpus_labels_and_resources_are_and_others_keep_off_the_gpus(
    project: Project, cluster: Cluster
) -> None:
    with_gpu = cluster.add(num_cpus=2, num_gpus=1, labels={"zone": "x"}, resources={"licence": 1})
    try:
        (project.folder / "dag.yaml").write_text(PLACES)
        project.call("submit", "--follow")
    finally:
        cluster.end(with_gpu)
    found = {}
    from pipelines.store import Store

    store = Store(str(project.store))
    for manifest in store.artifacts():
        told = store.table(manifest)["source"].to_pylist()
        found[manifest.made_by["stage"]] = {source.split()[0] for source in told}
    (gpu,) = found["gpu"]
    assert found["labelled"] == found["licensed"] == {gpu}
    (elsewhere,) = found["plain"]
    assert elsewhere != gpu
    assert found["unlabelled"] == {elsewhere}


def test_what_keeps_off_gpus_goes_there_when_all_other_nodes_are_lost(
    project: Project, cluster: Cluster
) -> None:
    plain = cluster.add(num_cpus=1, labels={"zone": "y"})
    with_gpu = cluster.add(num_cpus=1, num_gpus=1, labels={"zone": "y"})
    try:
        (project.folder / "dag.yaml").write_text(ZONE)
        started = json.loads(project.call("submit", "--json").stdout)
        deadline = time.monotonic() + 120
        while len(list(project.store.glob("shards/mine.Where/*/*/finished/*"))) < 2:
            assert time.monotonic() < deadline, project.call("logs", started["id"]).stdout
            time.sleep(0.02)
        cluster.lose(plain)
        project.call("logs", started["id"], "--follow")
    finally:
        cluster.end(with_gpu)
    from pipelines.store import Store

    store = Store(str(project.store))
    (made,) = [m for m in store.artifacts() if m.made_by["stage"] == "where"]
    told = [source.split()[0] for source in store.table(made)["source"].to_pylist()]
    assert len(told) == 8
    assert len(set(told)) == 2  # and no other node has the label
    assert told.count(told[0]) >= 2


def test_nodes_lost_in_a_map_and_in_a_training_change_nothing(
    project: Project, cluster: Cluster
) -> None:
    """TOKENMILL_LOSE="FILE STAGE STAGE" takes another DAG, and loses a node at each stage."""
    given = os.environ.get("TOKENMILL_LOSE", "").split()
    if given:
        dag, *at = given
        shutil.copy(dag, project.dag)
    else:
        at = ["slow", "model"]
        project.dag.write_text(TRAINING)
        shutil.copy(REPOSITORY / "tests" / "journeys" / "mill_stages.py", project.folder)
        write_texts(project.folder / "texts")
    lost = []
    cluster.add(num_cpus=2)
    started = json.loads(project.call("submit", "--json").stdout)
    for stage in at:
        deadline = time.monotonic() + 400
        while not (busy := [r for r in cluster.nodes
                            if any(t.startswith(stage) for _, t in workers([r]))]):  # fmt: skip
            assert time.monotonic() < deadline, project.call("logs", started["id"]).stdout
            time.sleep(0.05)
        time.sleep(1.0)  # in the middle of it
        cluster.lose(busy[0])
        lost.append(stage)
        cluster.add(num_cpus=2)
    followed = project.call("logs", started["id"], "--follow")
    assert lost == at
    assert "retries remaining" in followed.stdout  # so Ray says that a node went with a task
    assert " computed" in followed.stdout
    listed = project.call("jobs").stdout.splitlines()
    assert ["SUCCEEDED" in line for line in listed if started["id"] in line] == [True]

    there = digests(project.store)
    project.environment["TOKENMILL_STORE"] = str(project.folder / "local")
    project.call("run", "--quiet")
    assert digests(project.folder / "local") == there


def test_a_night_that_is_stopped_stops_its_job_and_others_leave_theirs_running(
    project: Project,
) -> None:
    states = {}
    cases = (("2026-11-21T02:00+00:00", signal.SIGTERM, 6.0), (None, signal.SIGTERM, 6.5))
    for night, sign, seconds in cases:
        project.environment.pop("TOKENMILL_NIGHT", None)
        if night:
            project.environment["TOKENMILL_NIGHT"] = night
        follower = project.start("submit", "--follow", "--set", f"slow.seconds={seconds}")
        deadline = time.monotonic() + 60
        while not (running := [job for job in json.loads(project.call("jobs", "--json").stdout)
                               if job["status"] == "RUNNING"]):  # fmt: skip
            assert time.monotonic() < deadline
        (job,) = running
        follower.send_signal(sign)
        follower.communicate(timeout=60)
        jobs = json.loads(project.call("jobs", "--json").stdout)
        states[night] = next(j["status"] for j in jobs if j["id"] == job["id"])
        project.call("stop", job["id"])
        deadline = time.monotonic() + 60
        while any(
            j["status"] == "RUNNING" for j in json.loads(project.call("jobs", "--json").stdout)
        ):
            assert time.monotonic() < deadline
    assert states == {"2026-11-21T02:00+00:00": "STOPPED", None: "RUNNING"}
