"""Fixtures of the journeys."""

from __future__ import annotations

import fcntl
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from journey import Project, make_project
from s3_server import s3_environment, s3_url

__all__ = ["s3_environment", "s3_url"]  # fixtures


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Project, dict[str, Any]]:
    """The small DAG, run once with two workers. Tests must leave it as it is."""
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):  # pytest-xdist: the folder that all workers share
        folder = folder.parent
    document = folder / "finished.json"
    with (folder / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if document.exists():
            return Project(folder / "finished"), json.loads(document.read_text())
        project = make_project(folder / "finished", has_record=False)
        ran = project.run("--workers", "2")
        document.write_text(json.dumps(ran))
        return project, ran


@pytest.fixture
def after_a_run(
    finished: tuple[Project, dict[str, Any]], tmp_path: Path
) -> tuple[Project, dict[str, Any]]:
    """A copy of the finished project, store included, to change at will."""
    project, document = finished
    copied = project.twin(tmp_path / "project")
    shutil.copytree(project.store, copied.store)
    copied.environment["TEXTS"] = str(project.folder / "texts")
    return copied, document
