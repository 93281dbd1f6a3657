"""A team's set-up: MLflow with names and passwords on PostgreSQL, artifacts and store on S3, and two
people who run at once.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
import requests
from journey import Project, make_project
from mlflow_server import Server
from postgres import Postgres
from s3_server import s3_server

from cluster.ledger import DatabaseLedger
from cluster.schedule import Keeper, Schedule, Timetable, label

pytestmark = pytest.mark.journey

PASSWORDS = {"admin": "the-admins-own-password", "ada": "what-only-ada-knows",
             "bob": "what-only-bob-knows"}  # fmt: skip
VOCABULARIES = {"ada": 300, "bob": 330}
LAST = "scores[arm=edited,seed=1]"


@dataclass
class Team:
    postgres: Postgres
    tracker: Server
    s3: dict[str, str]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    postgres = Postgres()
    with s3_server() as s3:
        postgres.start("mlflow", "nights")
        # As cluster/deploy/compose.yaml says.
        (folder / "mlflow.ini").write_text(
            f"[mlflow]\ndatabase_uri = {postgres.address('mlflow', password=False)}\n"
            "default_permission = EDIT\nadmin_username = admin\n"
            f"admin_password = {PASSWORDS['admin']}\n"
        )
        tracker = Server(
            folder,
            backend=postgres.address("mlflow", password=False),
            artifacts="s3://mill/mlflow",
            options=["--app-name", "basic-auth"],
            environment={
                **s3,
                "PGPASSWORD": postgres.password,
                "MLFLOW_S3_ENDPOINT_URL": s3["AWS_ENDPOINT_URL"],
                "MLFLOW_AUTH_CONFIG_PATH": str(folder / "mlflow.ini"),
                "MLFLOW_FLASK_SERVER_SECRET_KEY": "a-secret-of-the-server",
            },
        )
        try:
            tracker.start()
            for name in ("ada", "bob"):
                made = requests.post(
                    f"{tracker.uri}/api/2.0/mlflow/users/create",
                    json={"username": name, "password": PASSWORDS[name]},
                    auth=("admin", PASSWORDS["admin"]),
                    timeout=30,
                )
                assert made.status_code == 200, made.text
            yield Team(postgres, tracker, s3)
        finally:
            tracker.stop()
            postgres.stop()


def asks(team: Team, name: str, path: str, **question: Any) -> Any:
    answer = requests.post(
        f"{team.tracker.uri}/api/2.0/mlflow/{path}",
        json=question, auth=(name, PASSWORDS[name]), timeout=30,
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    return answer.json()


def values(run: dict[str, Any], what: str) -> dict[str, Any]:
    return {entry["key"]: entry["value"] for entry in run["data"].get(what, [])}


def project_of(team: Team, name: str, folder: Path) -> Project:
    project = make_project(folder)
    project.environment |= {
        **team.s3,
        "HOME": str(folder),
        "TOKENMILL_STORE": "s3://mill/store",
        "MLFLOW_TRACKING_URI": team.tracker.uri,
        "MLFLOW_TRACKING_USERNAME": name,
        "MLFLOW_TRACKING_PASSWORD": PASSWORDS[name],
    }
    return project


def test_two_people_at_once_have_all_their_runs_and_nothing_of_the_other(
    team: Team, tmp_path: Path
) -> None:
    projects = {name: project_of(team, name, tmp_path / name) for name in VOCABULARIES}
    processes: dict[str, subprocess.Popen[str]] = {
        name: project.start("run", "dag.yaml", "--json", "--workers", "1", "--set",
                            f"tokenizer.vocab_size={VOCABULARIES[name]}", "--only", LAST)
        for name, project in projects.items()
    }  # fmt: skip
    ran: dict[str, dict[str, Any]] = {}
    for name, process in processes.items():
        out, err = process.communicate(timeout=500)
        assert process.returncode == 0, err
        assert "not recorded" not in err
        ran[name] = {s["name"]: s for s in json.loads(out) if s["state"] in ("computed", "reused")}
        assert LAST in ran[name]

    (experiment,) = [
        e["experiment_id"]
        for e in asks(team, "ada", "experiments/search", max_results=10)["experiments"]
        if e["name"] == "small"
    ]
    runs = asks(team, "bob", "runs/search", experiment_ids=[experiment], max_results=500)["runs"]
    assert {run["info"]["status"] for run in runs} == {"FINISHED"}
    parents = [run for run in runs if "mlflow.parentRunId" not in values(run, "tags")]
    assert len(parents) == 2
    assert len(runs) == 2 + sum(len(stages) for stages in ran.values())
    for parent in parents:
        inside = {
            run["info"]["run_name"]: run
            for run in runs
            if values(run, "tags").get("mlflow.parentRunId") == parent["info"]["run_id"]
        }
        size = values(inside["tokenizer"], "params")["vocab_size"]
        (name,) = [name for name, own in VOCABULARIES.items() if str(own) == size]
        assert set(inside) == set(ran[name])
        for stage, run in inside.items():
            tags, numbers = values(run, "tags"), values(run, "metrics")
            assert tags["tokenmill.digest"] == ran[name][stage]["digest"], stage
            assert tags["tokenmill.state"] == ran[name][stage]["state"], stage
            for metric, value in ran[name][stage]["metrics"].items():
                assert numbers[metric] == pytest.approx(value), (stage, metric)
        # Every point of every curve, once.
        history = requests.get(
            f"{team.tracker.uri}/api/2.0/mlflow/metrics/get-history",
            params={"run_id": inside["prior"]["info"]["run_id"], "metric_key": "loss"},
            auth=("ada", PASSWORDS["ada"]),
            timeout=30,
        ).json()["metrics"]
        steps = [int(point["step"]) for point in history]
        assert steps == sorted(set(steps))
        assert len(steps) > 1
    # The files went to S3, through the server.
    listed = requests.get(
        f"{team.tracker.uri}/api/2.0/mlflow/artifacts/list",
        params={"run_id": parents[0]["info"]["run_id"]},
        auth=("ada", PASSWORDS["ada"]), timeout=30,
    ).json()["files"]  # fmt: skip
    assert "lineage.svg" in [file["path"] for file in listed]

    # No secret is in what is kept.
    secrets = [*PASSWORDS.values(), team.postgres.password, team.s3["AWS_SECRET_ACCESS_KEY"]]
    kept = json.dumps(runs)
    for project in projects.values():
        for path in [*project.folder.glob("*"), *project.folder.rglob(".tokenmill/**/*")]:
            if path.is_file():
                kept += path.read_text(errors="replace")
    assert not [secret for secret in secrets if secret in kept]


class Starts:
    """A launcher of nights that are over at once."""

    def __init__(self) -> None:
        self.nights: list[str] = []

    def start(self, schedule: Schedule, night: str) -> Mapping[str, Any]:
        self.nights.append(night)
        return {}

    def ended(self, handle: Mapping[str, Any]) -> Literal[0]:
        return 0

    def stop(self, handle: Mapping[str, Any]) -> None:
        pass


def test_keepers_on_one_postgresql_that_all_wake_at_once_fire_each_night_once(team: Team) -> None:
    address = team.postgres.address("nights")
    now = datetime(2026, 5, 1, tzinfo=UTC)
    schedule = Schedule("nightly", Timetable("0 2 * * *", "UTC"), ["true"], "/")
    DatabaseLedger(address).add(schedule, now)
    starts = [Starts() for _ in range(4)]
    keepers = [Keeper(DatabaseLedger(address), starting) for starting in starts]
    with ThreadPoolExecutor(len(keepers)) as pool:
        for _ in range(40):
            now += timedelta(hours=12)
            list(pool.map(lambda keeper, at=now: keeper.tick(at), keepers))
    fired = sorted(night for starting in starts for night in starting.nights)
    assert fired == [label(datetime(2026, 5, day, 2, tzinfo=UTC)) for day in range(1, 21)]
    assert {entry.state for entry in DatabaseLedger(address).nights()} == {"finished"}


def test_the_doctor_tells_a_server_that_asks_for_names_from_one_that_does_not(
    team: Team, tmp_path: Path
) -> None:
    project = project_of(team, "ada", tmp_path / "ada")
    shown = {
        finding["about"]: finding
        for finding in json.loads(project.call("doctor", "--json", status=0).stdout)
    }
    assert {finding["level"] for finding in shown.values()} == {"ok"}
    assert "asks who one is" in shown["tracker"]["says"]
    assert "never writes twice" in shown["store"]["says"]

    (tmp_path / "open").mkdir()
    anybody = Server(tmp_path / "open")
    anybody.start()
    try:
        project.environment["MLFLOW_TRACKING_URI"] = anybody.uri
        told = project.call("doctor", status=1).stdout
        assert "OPEN   tracker" in told
        assert "basic-auth" in told
    finally:
        anybody.stop()
    assert "WRONG  tracker: nothing answers" in project.call("doctor", status=1).stdout
