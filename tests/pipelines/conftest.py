"""Fixtures for the pipeline tests: a folder with a DAG file and a user's own stages beside it."""

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from s3_server import s3_environment, s3_url

from pipelines import execute
from pipelines.located import InvalidDag, Mistake
from pipelines.plan import Plan
from pipelines.planner import make_plan
from pipelines.spec import read_dag

__all__ = ["s3_environment", "s3_url"]  # fixtures


@pytest.fixture(autouse=True)
def own_modules_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    """Modules that a test writes into its folder are gone from this process when it ends.

    Gives a function that forgets them at once, as a new process would.
    """
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget() -> None:
        for name, module in list(sys.modules.items()):  # thousands: no Path of each
            if (getattr(module, "__file__", None) or "").startswith(f"{tmp_path}/"):
                del sys.modules[name]
        importlib.invalidate_caches()
        execute._prepared.clear()
        execute._same_code.clear()

    yield forget
    forget()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a dedented text file into the test's folder."""

    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return written


PlanOf = Callable[..., Plan]
MistakesOf = Callable[..., list[Mistake]]


@pytest.fixture
def plan_of(write: Callable[[str, str], Path]) -> PlanOf:
    """The plan of a DAG given as text."""

    def planned(text: str, **options: object) -> Plan:
        return make_plan(read_dag(write("dag.yaml", text), **options))  # type: ignore[arg-type]

    return planned


@pytest.fixture
def mistakes_of(plan_of: PlanOf) -> MistakesOf:
    """Every mistake of a DAG given as text; fails where it has none."""

    def mistakes(text: str, **options: object) -> list[Mistake]:
        with pytest.raises(InvalidDag) as raised:
            plan_of(text, **options)
        return raised.value.mistakes

    return mistakes
