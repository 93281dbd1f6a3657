"""Every DAG of the catalog is one that can be run."""

import re
from pathlib import Path

import pytest

from pipelines.claims import as_measured
from pipelines.planner import make_plan
from pipelines.spec import read_dag

REPOSITORY = Path(__file__).parents[2]
PAGES = REPOSITORY / "docs" / "catalog"
CATALOG = sorted((REPOSITORY / "pipelines" / "catalog").glob("*.yaml"))


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


EFFECTS = {"collapse", "markov-tokenization", "reversal-curse", "token-premiums"}


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_an_effect_has_its_claims_what_was_measured_and_how_to_scale_it_up(name: str) -> None:
    (path,) = (path for path in CATALOG if path.stem == name)
    spec = read_dag(path)
    assert spec.claims
    assert spec.scale_up
    for claim in spec.claims:
        assert claim.measured is not None, claim.says
        # What did not come out is reported with the reason.
        assert as_measured(claim).outcome == "came out" or claim.remark, claim.says


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_the_page_of_an_effect_says_what_its_dag_says(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    (path,) = (path for path in CATALOG if path.stem == name)
    for claim in read_dag(path).claims:
        assert claim.says in page
        assert as_measured(claim).interval in page
        assert claim.remark in page
    pictures = re.findall(r"\]\(([^)]+\.png)\)", page)
    assert pictures
    for picture in pictures:
        assert (PAGES / picture).read_bytes().startswith(b"\x89PNG")
