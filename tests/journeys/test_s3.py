"""The store on S3: the same DAG, the same artifacts, from any program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from journey import Project, make_project, states

from pipelines.files import StoreError
from pipelines.leases import run_entries
from pipelines.store import Store
from stages.kinds import Kind

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def on_s3(
    tmp_path_factory: pytest.TempPathFactory,
    s3_environment: dict[str, str],
    finished: tuple[Project, dict[str, Any]],
) -> tuple[Project, dict[str, Any]]:
    project = make_project(tmp_path_factory.mktemp("on_s3"))
    project.environment |= {**s3_environment, "TOKENMILL_STORE": "s3://mill/team/store"}
    project.environment["TEXTS"] = str(finished[0].folder / "texts")
    return project, project.run("--workers", "2")


def test_a_second_run_on_s3_reuses_all(on_s3: tuple[Project, dict[str, Any]]) -> None:
    project, document = on_s3
    assert set(states(document).values()) == {"computed"}
    again = project.run("--workers", "2")
    assert set(states(again).values()) == {"reused"}


def test_every_digest_is_that_of_a_local_store(
    on_s3: tuple[Project, dict[str, Any]], finished: tuple[Project, dict[str, Any]]
) -> None:
    _, document = on_s3
    _, local = finished
    for name, stage in local["stages"].items():
        assert document["stages"][name]["digest"] == stage["digest"], name


def test_rows_on_s3_open_with_pyarrow_and_files_with_their_libraries(
    on_s3: tuple[Project, dict[str, Any]],
) -> None:
    import s3fs

    _, document = on_s3
    output = document["stages"]["clean"]["outputs"]["documents"]
    assert output["path"].startswith("s3://mill/team/store/shards/")
    filesystem = s3fs.S3FileSystem(use_listings_cache=False)
    found = ds.dataset(output["path"].removeprefix("s3://"), format="ipc", filesystem=filesystem)
    assert found.count_rows() == output["rows"]
    store = Store("s3://mill/team/store")
    model = document["stages"]["prior"]["outputs"]["model"]
    folder = store.folder(store.manifest(model["digest"]))
    from transformers import AutoModelForCausalLM

    assert AutoModelForCausalLM.from_pretrained(folder).num_parameters() > 0


def test_every_byte_on_s3_is_as_it_was_written_and_the_runs_have_ended(
    on_s3: tuple[Project, dict[str, Any]],
) -> None:
    project, _ = on_s3
    assert "0 with faults" in project.call("verify").stdout
    store = Store("s3://mill/team/store")
    assert {manifest.kind for manifest in store.artifacts()} >= {Kind.DOCUMENTS, Kind.MODEL}
    assert {entry.state for entry in run_entries(store)} == {"FINISHED"}


@pytest.mark.parametrize(
    ("store", "environment", "said"),
    [
        ("s3://no-such-bucket/x", {}, "no-such-bucket"),
        ("s3://mill/x", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://mill/x"),
        ("memory://x", {}, "memory://"),
        ("nothing://x", {}, "nothing"),
    ],
    ids=["no_bucket", "no_server", "memory_is_of_one_process", "no_such_protocol"],
)
def test_a_store_that_cannot_be_used_is_one_line_and_nothing_runs(
    tmp_path: Path, s3_environment: dict[str, str], store: str, environment: dict[str, str],
    said: str,
) -> None:  # fmt: skip
    project = make_project(tmp_path)
    project.environment |= {**s3_environment, **environment, "TOKENMILL_STORE": store}
    done = project.call("run", str(project.dag), "--workers", "1", status=2)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("tokenmill: ")]
    assert said in line
    assert done.stdout == ""


def test_a_store_error_is_no_traceback_of_other_commands(
    tmp_path: Path, s3_environment: dict[str, str]
) -> None:
    project = make_project(tmp_path)
    project.environment |= {**s3_environment, "TOKENMILL_STORE": "s3://no-such-bucket/x"}
    for command in ("ls", "verify"):
        done = project.call(command, status=None)
        assert done.returncode in (0, 2)
        assert issubclass(StoreError, RuntimeError)
