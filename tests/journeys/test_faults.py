"""The same twelve-stage DAG with and without faults: the same result, and a true record.

Each story is told a few times here; TOKENMILL_ROUNDS=30 tells it more often, with other seeds.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from journey import Project, make_project, states
from test_record import children, client_of

from pipelines.leases import run_entries
from pipelines.store import Store

pytestmark = pytest.mark.journey

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("TOKENMILL_ROUNDS", "2"))
FAULTS = "kill_worker=0.05,raise=0.02,tracker_down=0.1,slow=0.05"
STAGES = 12
POINTS = 50


def mill(folder: Path) -> Project:
    project = make_project(folder, HERE / "mill.yaml")
    project.dag.write_text((HERE / "mill.yaml").read_text())
    shutil.copy(HERE / "mill_stages.py", folder / "mill_stages.py")
    (poison,) = sorted((folder / "texts").glob("*.txt"))[10:11]
    project.environment["POISON"] = poison.name
    return project


def digests(document: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {
        name: {output: found["digest"] for output, found in stage["outputs"].items()}
        for name, stage in document["stages"].items()
    }


@pytest.fixture(scope="module")
def faultless(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, Any], float]:
    """The DAG run once without faults, and how long that took. Tests must leave it as it is."""
    project = mill(tmp_path_factory.mktemp("faultless"))
    began = time.monotonic()
    document = project.run("--workers", "2")
    return project, document, time.monotonic() - began


def twin(project: Project, folder: Path) -> Project:
    """The same texts, under the same paths, with a store and a record of its own."""
    made = project.twin(folder)
    shutil.copy(project.folder / "mill_stages.py", folder / "mill_stages.py")
    made.environment["TEXTS"] = str(project.folder / "texts")
    return made


def check_store(project: Project, document: dict[str, Any]) -> None:
    """No artifact is half there, and no row is lost or doubled."""
    store = Store(str(project.store))
    manifests = store.artifacts()
    assert manifests
    for manifest in manifests:
        assert store.faults(manifest, contents=True) == []
    stages = document["stages"]
    rows = {
        name: [out["rows"] for out in stages[name]["outputs"].values()]
        for name in ("documents", "clean", "words", "split")
    }
    assert sum(rows["clean"]) == sum(rows["documents"])
    assert sum(rows["words"]) == rows["clean"][0]
    assert sum(rows["split"]) == rows["words"][0]
    assert stages["words"]["quarantined"] == 1
    aside = store.table(store.manifest(stages["words"]["outputs"]["quarantined"]["digest"]))
    assert aside.column("error")[0].as_py().startswith("ValueError: this row is poison")
    for name in ("clean", "words", "split"):
        ids: list[str] = []
        for output in stages[name]["outputs"].values():
            table = store.table(store.manifest(output["digest"]))
            ids += table.column("id").to_pylist()
        assert len(ids) == len(set(ids))


def check_record(project: Project, document: dict[str, Any]) -> None:
    """Nothing is left RUNNING, and the curves are whole."""
    client = client_of(project)
    experiment = client.get_experiment_by_name("mill").experiment_id
    running = client.search_runs([experiment], "attributes.status = 'RUNNING'")
    assert running == [], [run.info.run_name for run in running]
    runs = children(client, document["run"])
    assert len(runs) == STAGES
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for name, stage in document["stages"].items():
        if name.startswith("model") and stage["state"] == "computed":
            points = client.get_metric_history(runs[name].info.run_id, "loss")
            assert [point.step for point in points] == list(range(POINTS)), name
    assert {entry.state for entry in run_entries(Store(str(project.store)))} <= {
        "FINISHED", "KILLED",
    }  # fmt: skip
    assert not list((project.folder / ".tokenmill" / "spool").glob("*"))


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_with_faults_the_result_is_that_of_the_run_without(
    faultless: tuple[Project, dict[str, Any], float], tmp_path: Path, seed: int
) -> None:
    project, expected, _ = faultless
    faulty = twin(project, tmp_path / "faulty")
    faulty.environment |= {"TOKENMILL_FAULTS": FAULTS, "TOKENMILL_FAULTS_SEED": str(seed)}
    document = faulty.run("--workers", "2")
    assert states(document) == dict.fromkeys(expected["stages"], "computed")
    assert digests(document) == digests(expected)
    check_store(faulty, document)
    check_record(faulty, document)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_driver_killed_at_a_random_moment_is_resumed_by_the_next_run(
    faultless: tuple[Project, dict[str, Any], float], tmp_path: Path, seed: int
) -> None:
    project, expected, seconds = faultless
    killed = twin(project, tmp_path / "killed")
    # Slow shards, so that half of the moments fall into the middle of them.
    killed.environment["SECONDS_A_SHARD"] = "0.4"
    process = killed.start("run", str(killed.dag), "--json", "--workers", "2")
    words = killed.store / "shards" / "mill_stages.Words"
    dice = random.Random(seed)
    if seed % 2:
        time.sleep(dice.uniform(1, seconds))
    else:
        finished = dice.randint(2, 8)
        deadline = time.monotonic() + 120
        while len(list(words.glob("*/*/finished/*"))) < finished and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    notes = len(list(words.glob("*/*/finished/*")))
    wait_for_the_end_of_all_processes(killed)
    done = killed.call("run", str(killed.dag), "--json", "--workers", "2")
    assert "not recorded" not in done.stderr, done.stderr
    stages = {stage["name"]: stage for stage in json.loads(done.stdout)}
    document = {"run": stages["words"]["pipeline_run"], "stages": stages}
    assert digests(document) == digests(expected)
    check_store(killed, document)
    check_record(killed, document)
    assert stages["words"]["shards_resumed"] >= (notes if seed % 2 == 0 else 0)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_two_runs_at_once_end_well_and_leave_one_copy_of_each_artifact(
    faultless: tuple[Project, dict[str, Any], float], tmp_path: Path, seed: int
) -> None:
    project, expected, _ = faultless
    both = twin(project, tmp_path / "both")
    processes, documents = [], []
    for _ in range(2):
        processes.append(both.start("run", str(both.dag), "--json", "--workers", "2"))
        time.sleep(random.Random(seed).uniform(0, 2))
    for process in processes:
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        stages = {stage["name"]: stage for stage in json.loads(out)}
        document = {"run": stages["words"]["pipeline_run"], "stages": stages}
        assert digests(document) == digests(expected)
        assert {s["state"] for s in stages.values()} <= {"computed", "reused"}
        assert "not recorded" not in err
        documents.append(document)
    for document in documents:
        check_record(both, document)
        check_store(both, document)
    store = Store(str(both.store))
    made = {manifest.location for manifest in store.artifacts()}
    wanted = {d for outputs in digests(expected).values() for d in outputs.values()}
    assert {manifest.digest for manifest in store.artifacts()} == wanted
    shards = {path.parent for path in both.store.glob("shards/*/*/*/*/*")}
    assert {folder.relative_to(both.store).as_posix() for folder in shards} == made


def test_a_flipped_byte_is_named_by_verify_and_computed_anew_by_the_next_run(
    faultless: tuple[Project, dict[str, Any], float], tmp_path: Path
) -> None:
    project, expected, _ = faultless
    torn = twin(project, tmp_path / "torn")
    shutil.copytree(project.store, torn.store)
    outputs = expected["stages"]["words"]["outputs"]["documents"]
    folder = torn.store / Path(outputs["path"]).relative_to(project.store)
    shard = sorted(folder.iterdir())[1]
    data = bytearray(shard.read_bytes())
    data[random.Random(0).randrange(len(data))] ^= 1
    shard.write_bytes(bytes(data))
    found = torn.call("verify", status=1)
    assert outputs["digest"] in found.stdout
    assert str(shard) in found.stdout
    document = torn.run("--workers", "2")
    assert {n for n, s in states(document).items() if s == "computed"} == {"words"}
    assert digests(document) == digests(expected)
    torn.call("verify")


def test_a_poison_row_among_a_hundred_thousand_is_set_aside_and_told(tmp_path: Path) -> None:
    project = mill(tmp_path)
    rows = [{"id": f"row-{i:06d}", "text": f"the text number {i}"} for i in range(100_000)]
    with pa.OSFile(str(tmp_path / "rows.parquet"), "wb") as file:
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), file)
    project.dag.write_text(
        """
        pipeline: mill
        stages:
          documents:
            uses: corpus.documents
            with: {sources: ["rows.parquet"], shard_rows: 20000}
          words: {uses: "mill_stages:Words", needs: {documents: documents}, with: {poison: "#54322"}}
        """
    )
    document = project.run("--workers", "2")
    words = document["stages"]["words"]
    assert (words["rows"], words["quarantined"]) == (99_999, 1)
    shown = project.call("run", str(project.dag), "--workers", "2")
    assert "quarantined: words: 1 row was set aside" in shown.stdout
    told = json.loads(project.call("show", "words.quarantined", "--json").stdout)
    assert "poison" in json.dumps(told)
    run = children(client_of(project), document["run"])["words"]
    assert run.data.metrics["quarantined"] == 1
    assert "this row is poison" in run.data.tags["mlflow.note.content"]


def processes_of(project: Project) -> dict[int, str]:
    """The command lines of all processes that work on the store of a project, by their ids."""
    mark = f"TOKENMILL_STORE={project.store}".encode()
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(folder.name)] = line
        except (OSError, ValueError):
            continue
    return found


def told_of(processes: dict[int, str]) -> str:
    """What the system says of processes that should have ended, and which guards there are."""
    lines = []
    for number, line in processes.items():
        state = ""
        for name in ("stat", "wchan"):
            with contextlib.suppress(OSError):
                state += f" {name}: " + Path(f"/proc/{number}/{name}").read_text().strip()
        lines.append(f"{number} {line.strip()}{state}")
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if any(word.endswith("cluster/guard.py") for word in words):
                lines.append(f"a guard: {folder.name} {' '.join(words)}")
    return "\n".join(lines)


def wait_for_the_end_of_all_processes(project: Project) -> None:
    """Workers of a driver that was killed end by themselves."""
    deadline = time.monotonic() + 60
    left = {0: "?"}
    while left and time.monotonic() < deadline:
        left = processes_of(project)
        time.sleep(0.2)
    assert not left, "processes outlived the driver:\n" + told_of(left)
