"""`tokenmill schedule`: what it keeps, what it refuses, what it shows."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cluster.ledger import DatabaseLedger
from pipelines.cli import cli

DAG = """\
pipeline: nightly-corpus
stages:
  made: {uses: corpus.documents, with: {sources: [texts]}}
"""
SCHEDULE = 'schedule: {cron: "30 2 * * *", timezone: Europe/Berlin, overlap: queue, limit: 6h}\n'


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[str, str], Path]
) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    for name in ("TOKENMILL_LEDGER", "TOKENMILL_STORE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    write("dag.yaml", DAG + SCHEDULE)
    write("plain.yaml", DAG)

    def called(*arguments: str, status: int = 0) -> Result:
        done = CliRunner().invoke(cli, ["schedule", *arguments])
        assert done.exit_code == status, done.output
        return done

    return called


def test_a_schedule_is_added_shown_paused_and_removed(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    assert "added nightly-corpus: next " in call("add", "--workers", "2").output
    assert "changed nightly-corpus" in call("add").output
    (shown,) = json.loads(call("list", "--json").stdout)
    assert shown["name"] == "nightly-corpus"
    assert (shown["cron"], shown["timezone"], shown["overlap"]) == (
        "30 2 * * *", "Europe/Berlin", "queue")  # fmt: skip
    assert "T02:30+0" in shown["next"]
    ledger = DatabaseLedger(f"sqlite:///{tmp_path}/.tokenmill/schedule.db")
    ((made, _, paused),) = ledger.schedules()
    assert made.limit == 21600.0
    assert made.command[1:5] == ["-P", "-m", "pipelines.cli", "run"]
    assert made.command[5] == str(tmp_path / "dag.yaml")
    assert not paused
    call("pause", "nightly-corpus")
    assert json.loads(call("list", "--json").stdout)[0]["next"] == "paused"
    call("resume", "nightly-corpus")
    assert "nightly-corpus" in call("list").output
    call("remove", "nightly-corpus")
    assert json.loads(call("list", "--json").stdout) == []
    assert json.loads(call("history", "--json").stdout) == []


def test_a_dag_without_a_schedule_is_refused_with_the_cure(call: Callable[..., Result]) -> None:
    assert "add `schedule:" in call("add", "plain.yaml", status=2).output


@pytest.mark.parametrize("command", ["pause", "resume", "remove"])
def test_an_unknown_name_is_answered_with_the_nearest(
    call: Callable[..., Result], command: str
) -> None:
    call("add")
    assert "nightly-corpus" in call(command, "nightly-corpse", status=2).output


def test_a_password_is_not_kept(call: Callable[..., Result], tmp_path: Path) -> None:
    done = call("add", "--tracking-uri", "http://me:hunter2hunter2@host/", status=2)
    assert "password" in done.output
    assert "hunter2" not in done.output
    database = tmp_path / ".tokenmill" / "schedule.db"
    assert not database.exists() or b"hunter2" not in database.read_bytes()


def test_a_ledger_that_cannot_be_opened_is_told_in_a_line_without_secrets(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    done = call("list", "--ledger", f"sqlite:///{tmp_path}/file/x.db", status=2)
    assert "ledger cannot be opened" in done.output
    done = call("list", "--ledger", "nonsense://u:hunter2hunter2@h/", status=2)
    assert "hunter2" not in done.output
