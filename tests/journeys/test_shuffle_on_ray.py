"""Documents that meet on real Ray: a killed worker, one worker or two, and Ctrl-C in the middle."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from journey import Project, make_project

pytestmark = pytest.mark.journey

STAGES = '''
import os, signal, time, zlib
from pathlib import Path
import pyarrow as pa, pyarrow.compute
from stages.contract import Field, Input, Kind, Output, Stage, StageConfig

class Meet(Stage):
    """Equal texts meet; of each the smallest id stays. Its steps come to harm."""
    class Config(StageConfig):
        marker: str = Field("", description="where steps leave a word")
        harm: str = Field("none", description="killed once, or slow")
    inputs = {"documents": Input(Kind.DOCUMENTS, "any")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "kept"), "dropped": Output(Kind.DROPPED, "not")}
    conserves = ("documents", ("documents", "dropped"))
    def _harm(self, step):
        marker = Path(self.config.marker + step)
        first = not marker.exists()
        marker.write_text(str(os.getpid()))
        if self.config.harm == "killed" and first:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.config.harm == "slow":
            time.sleep(300)
    def run(self, inputs, outputs, context):
        rows = inputs["documents"]
        double = context.shuffle(rows, self.hashed, "hash", self.repeated, partitions=3)
        context.metric("doubles", double.rows)
        context.shuffle(double, None, "part", self.divided, partitions=rows.parts, outputs=outputs)
    def hashed(self, rows, part, inputs, context):
        if part == 1:
            self._harm("split")
        texts = rows["text"].to_pylist()
        return pa.table({"hash": [zlib.crc32(text.encode()) for text in texts], "id": rows["id"],
                         "part": [part] * len(texts), "row": list(range(len(texts))),
                         "ballast": [bytes(BALLAST)] * len(texts)})
    def repeated(self, rows, part, inputs, context):
        if part == 0:
            self._harm("gather")
        rows = rows.drop_columns(["ballast"]).sort_by([("hash", "ascending"), ("id", "ascending")])
        hashes = rows["hash"].to_pylist()
        return rows.filter(pa.array([k > 0 and hashes[k] == hashes[k - 1]
                                     for k in range(len(hashes))], pa.bool_()))
    def divided(self, rows, part, inputs, context):
        documents = inputs["documents"].part(part)
        gone = set(rows["row"].to_pylist())
        kept = pa.array([k not in gone for k in range(documents.num_rows)], pa.bool_())
        rest = documents.filter(pa.compute.invert(kept))
        return {"documents": documents.filter(kept), "dropped": pa.table({
            "id": rest["id"], "source": rest["source"],
            "reason": pa.array(["double"] * rest.num_rows, pa.string()),
            "value": pa.nulls(rest.num_rows, pa.float64()), "text": rest["text"]})}
'''

DAG = """
pipeline: meeting
stages:
  documents: {uses: corpus.documents, with: {sources: ["${TEXTS}/*.txt"], shard_rows: 8}}
  met:
    uses: "my_stages:Meet"
    needs: {documents: documents}
    with: {harm: HARM, marker: "MARKER"}
"""

# More than the object store of an embedded cluster holds: 256 MiB.
BALLAST = 4 * 2**20  # a row; there are 75


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = make_project(tmp_path / "project")
    texts = tmp_path / "project" / "texts"
    assert len(list(texts.iterdir())) == 60
    for path in sorted(texts.iterdir())[::4]:
        shutil.copy(path, texts / f"{path.stem}-again.txt")
    stages = STAGES.replace("BALLAST", str(BALLAST))
    (made.folder / "my_stages.py").write_text(stages, encoding="utf-8")
    return made


def written(project: Project, harm: str, marker: Path) -> None:
    dag = DAG.replace("HARM", harm).replace("MARKER", str(marker))
    project.dag.write_text(dag, encoding="utf-8")


def test_workers_killed_in_the_middle_and_another_number_of_them_change_no_digest(
    project: Project, tmp_path: Path
) -> None:
    digests = []
    for harm, workers in (("killed", "1"), ("none", "2")):
        # Outside of the key there is nothing to tell the runs apart by.
        shutil.rmtree(project.store, ignore_errors=True)
        written(project, harm, tmp_path / f"{harm}-")
        met = project.run("--workers", workers)["stages"]["met"]
        assert met["state"] == "computed", met["error"]
        assert met["metrics"]["doubles"] == 15
        digests.append({name: output["digest"] for name, output in met["outputs"].items()})
    assert (tmp_path / "killed-split").exists()
    assert (tmp_path / "killed-gather").exists()
    assert digests[0] == digests[1]


def test_an_interrupted_run_ends_the_calls_of_its_stage(project: Project, tmp_path: Path) -> None:
    written(project, "slow", tmp_path / "slow-")
    process = project.start("run", str(project.dag), "--json", "--workers", "2")
    marker = tmp_path / "slow-split"
    deadline = time.monotonic() + 120
    while not marker.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    worker = int(marker.read_text())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    deadline = time.monotonic() + 20
    while _alive(worker) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _alive(worker), "a call outlived the run"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "zombie" not in Path(f"/proc/{process}/status").read_text()
