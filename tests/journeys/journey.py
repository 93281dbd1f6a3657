"""Journeys: the real command in processes of its own, on real Ray and MLflow."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from operators.corpus import python_prose
from pipelines.mlflow_client import merge_journal, open_client

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = Path(__file__).with_name("small.yaml")


@dataclass
class Project:
    """A user's folder: a copy of the code, a DAG, some texts, a store and a record."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def code(self) -> Path:
        return self.folder / "code"

    @property
    def dag(self) -> Path:
        return self.folder / "dag.yaml"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {
            **plain(),
            "PYTHONPATH": str(self.code),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "MPLCONFIGDIR": str(_fonts()),
            "TOKENMILL_STORE": str(self.store),
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "TEXTS": str(self.folder / "texts"),
            **self.environment,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", *arguments],
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def call(self, *arguments: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=600)
        except BaseException:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            raise
        done = subprocess.CompletedProcess(arguments, process.returncode, out, err)
        if status is not None:
            assert done.returncode == status, f"{arguments} gave {done.returncode}\n{out}\n{err}"
        assert "Traceback" not in err, err
        return done

    def run(self, *arguments: str, status: int | None = 0) -> dict[str, Any]:
        """`tokenmill run --json`: stages by name, and the MLflow run of it all."""
        done = self.call("run", str(self.dag), "--json", *arguments, status=status)
        assert "not recorded" not in done.stderr, done.stderr
        stages: list[dict[str, Any]] = json.loads(done.stdout)
        (run,) = {stage["pipeline_run"] for stage in stages}
        return {"run": run, "stages": {stage["name"]: stage for stage in stages}}

    def twin(self, folder: Path) -> Project:
        """The same project without its results."""
        folder.mkdir()
        shutil.copytree(self.code, folder / "code")
        shutil.copytree(self.folder / "texts", folder / "texts")
        shutil.copy(self.dag, folder / "dag.yaml")
        shutil.copy(_empty_record(), folder / "mlflow.db")
        return Project(folder, dict(self.environment))


def plain() -> dict[str, str]:
    """The environment without what a Ray in this process left there, its token among it.

    Copies of the code compile nothing anew: all keep their kernels with the ones of these sources.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {"NUMBA_CACHE_DIR": str(REPOSITORY / "operators" / "__pycache__"), **ours}


def states(document: dict[str, Any]) -> dict[str, str]:
    return {name: stage["state"] for name, stage in document["stages"].items()}


def computed(document: dict[str, Any]) -> set[str]:
    return {name for name, state in states(document).items() if state == "computed"}


@functools.cache
def _empty_record() -> Path:
    """A record without runs: MLflow needs seconds to make its tables."""
    folder = tempfile.TemporaryDirectory(prefix="tm-record-")
    atexit.register(folder.cleanup)
    path = Path(folder.name, "mlflow.db")
    open_client(f"sqlite:///{path}")
    merge_journal(f"sqlite:///{path}")
    return path


@functools.cache
def _fonts() -> Path:
    """Where matplotlib keeps a list of the fonts of this machine: it needs seconds to make one."""
    folder = tempfile.TemporaryDirectory(prefix="tm-fonts-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def make_project(folder: Path, dag: Path = SMALL, *, has_record: bool = True) -> Project:
    """A project; without a record if its first run is to make one."""
    copy_code(folder / "code")
    shutil.copy(dag, folder / "dag.yaml")
    if has_record:
        shutil.copy(_empty_record(), folder / "mlflow.db")
    write_texts(folder / "texts")
    return Project(folder)


def copy_code(folder: Path) -> None:
    """The sources of the four packages, to change at will."""
    for package in ("pipelines", "stages", "operators", "cluster"):
        shutil.copytree(
            REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )


def write_texts(folder: Path, count: int = 60) -> None:
    """Prose that every Python has: what modules of its own library say of themselves."""
    folder.mkdir()
    library = Path(sysconfig.get_paths()["stdlib"])
    written = 0
    for path in sorted(library.glob("*.py")):
        text = python_prose(path.read_text(encoding="utf-8", errors="replace"))[:1500]
        if len(text) > 400 and written < count:
            (folder / f"{path.stem}.txt").write_text(text, encoding="utf-8")
            written += 1
