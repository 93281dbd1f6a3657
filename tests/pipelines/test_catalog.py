"""Every DAG of the catalog is one that can be run."""

from pathlib import Path

import pytest

from pipelines.planner import make_plan
from pipelines.spec import read_dag

CATALOG = sorted((Path(__file__).parents[2] / "pipelines" / "catalog").glob("*.yaml"))


@pytest.mark.parametrize("path", CATALOG, ids=lambda path: path.stem)
def test_it_plans_without_a_mistake_and_says_what_it_is_for(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("talk.wav", "talk.txt"):
        (tmp_path / name).write_bytes(b"something")
    monkeypatch.setenv("SPEECH_AUDIO", f"{tmp_path}/*.wav")
    monkeypatch.setenv("SPEECH_TEXT", f"{tmp_path}/*.txt")
    monkeypatch.setenv("PARALLEL", "docs/examples/parallel.csv")
    plan = make_plan(read_dag(path))
    assert plan.stages
    assert plan.pipeline == path.stem
    assert plan.description


def test_there_is_one_for_each_kind_of_mining() -> None:
    assert {"clean-corpus", "mine-bitext", "mine-speech"} <= {path.stem for path in CATALOG}
