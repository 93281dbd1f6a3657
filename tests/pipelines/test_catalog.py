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


EFFECTS = {"collapse", "continual", "digits", "fair-lm", "markov-tokenization", "meap", "picky-bpe",
           "reversal-curse", "reweighting", "token-premiums"}  # fmt: skip
WITH_CLAIMS = EFFECTS | {"mine-bitext", "mine-speech"}


@pytest.mark.parametrize("name", sorted(WITH_CLAIMS))
def test_an_effect_has_its_claims_what_was_measured_and_how_to_scale_it_up(name: str) -> None:
    (path,) = (path for path in CATALOG if path.stem == name)
    spec = read_dag(path)
    assert spec.claims
    assert spec.scale_up
    for claim in spec.claims:
        assert claim.measured is not None, claim.says
        # What did not come out is reported with the reason.
        assert as_measured(claim).outcome == "came out" or claim.remark, claim.says


@pytest.mark.parametrize("name", sorted(WITH_CLAIMS))
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


def test_most_effects_come_out() -> None:
    out = set[str]()
    for path in CATALOG:
        if path.stem in EFFECTS:
            found = (as_measured(claim).outcome for claim in read_dag(path).claims)
            out |= {path.stem} if "came out" in found else set()
    assert len(out) >= 7
    assert EFFECTS - out == {"meap"}


def test_what_has_claims_has_a_page() -> None:
    assert {path.stem for path in CATALOG if read_dag(path).claims} == WITH_CLAIMS
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    for name in WITH_CLAIMS:
        assert f"[{name}]({name}.md)" in index
