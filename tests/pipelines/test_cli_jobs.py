"""What `submit`, `cluster` and `doctor` refuse before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from s3_server import free_port

from pipelines.cli import cli
from pipelines.console import JOB

DAG = """\
pipeline: p
stages:
  documents: {uses: corpus.documents, with: {sources: ["${TEXTS}/*.txt"]}}
"""
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TOKENMILL_STORE", "MLFLOW_TRACKING_URI", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN",
                 "RAY_AUTH_TOKEN_PATH"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEXTS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dag.yaml").write_text(DAG)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def refused(*arguments: str, status: int = 2) -> str:
    done = call(*arguments)
    assert done.exit_code == status, done.output
    (line,) = done.stderr.splitlines()
    return line


def test_without_an_address_it_says_what_is_missing(project: Path) -> None:
    done = call("submit")
    assert done.exit_code == 2
    assert "--address" in done.stderr


def test_a_store_in_this_process_is_of_no_use_there(project: Path) -> None:
    assert "memory of this process" in refused(
        "submit", "--address", NOWHERE, "--store", "memory://x"
    )


@pytest.mark.parametrize(
    "address", ["http://me:hunter22@host:5000", "postgresql://me:hunter22@h/db"]
)
def test_a_password_in_an_address_is_not_sent(project: Path, address: str) -> None:
    said = refused("submit", "--address", NOWHERE, "--tracking-uri", address)
    assert "holds a password" in said
    assert "hunter22" not in said


def test_a_secret_that_the_file_reads_is_not_sent(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_TOKEN", "hf_abcdefghijklmnop")
    (project / "dag.yaml").write_text(DAG.replace("${TEXTS}", "${HUB_TOKEN}${TEXTS}"))
    said = refused("submit", "--address", NOWHERE)
    assert "${HUB_TOKEN}" in said
    assert "hf_abc" not in said


def test_nobody_there_is_exit_status_4(project: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    for words in (["submit"], ["jobs"], ["logs", "x"], ["stop", "x"]):
        assert "no cluster answers" in refused(*words, "--address", address, status=4)


def test_a_submitted_run_does_not_write_into_a_folder_that_is_gone_afterwards(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(JOB, "1")
    assert "needs --store" in refused("run", "dag.yaml")
    assert "needs --tracking-uri" in refused("run", "dag.yaml", "--store", str(project / "store"))


def test_the_cluster_says_what_is_wrong_with_what_it_is_told(project: Path) -> None:
    assert "10.0.0.5:6379" in refused("cluster", "join", "somewhere")
    assert "keeps to its machine" in refused("cluster", "join", "127.0.0.1:6379")
    assert "no token" in refused("cluster", "join", "10.0.0.5:6379")
    assert "no number" in refused("cluster", "start", "--resource", "licence=many")
    assert "NAME=VALUE" in refused("cluster", "start", "--label", "zone")
    assert "no node runs" in call("cluster", "status").stdout
    assert "no node runs" in call("cluster", "stop").stdout


def test_the_doctor_sees_a_token_that_others_can_read(project: Path) -> None:
    record = f"sqlite:///{project / 'r.db'}"
    token = project / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("t" * 64)
    token.chmod(0o600)
    well = call("doctor", "--store", str(project / "store"), "--tracking-uri", record, "--json")
    assert well.exit_code == 0, well.output
    assert {finding["level"] for finding in json.loads(well.stdout)} == {"ok"}
    assert not [path for path in (project / "store").rglob("*") if path.is_file()]
    token.chmod(0o644)
    told = call("doctor", "--store", str(project / "store"), "--tracking-uri", record)
    assert told.exit_code == 1
    assert f"chmod 600 {token}" in told.stdout


def test_the_doctor_sees_a_store_that_cannot_be_written(project: Path) -> None:
    (project / "file").write_text("")
    told = call("doctor", "--store", str(project / "file" / "store"))
    assert told.exit_code == 1
    assert "WRONG  store" in told.stdout


def test_nights_on_a_cluster_are_submitted(project: Path) -> None:
    (project / "dag.yaml").write_text(DAG + 'schedule: {cron: "0 2 * * *"}\n')
    ledger = f"sqlite:///{project / 'nights.db'}"
    done = call("schedule", "add", "--submit", NOWHERE, "--ledger", ledger)
    assert done.exit_code == 0, done.output
    from cluster.ledger import DatabaseLedger

    ((schedule, _, _),) = DatabaseLedger(ledger).schedules()
    assert list(schedule.command)[4:] == [
        "submit", str(project / "dag.yaml"), "--follow", "--address", NOWHERE
    ]  # fmt: skip
    assert "drop --workers" in refused("schedule", "add", "--submit", NOWHERE, "--workers", "2",
                                       "--ledger", ledger)  # fmt: skip
