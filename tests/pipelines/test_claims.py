"""Claims: read with their mistakes, judged by their intervals, shown with the catalog."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from toy_project import Project

from pipelines import gallery
from pipelines.claims import Claim, Finding, as_measured, judge_claim, told
from pipelines.cli import cli
from pipelines.findings import findings_of
from pipelines.located import Mistake
from pipelines.plan import Plan

CLAIM = Claim("it is worse", "somebody 2020", "c.c", "edited", "difference", "above zero")


def rows(value: float, low: float, high: float, row: str = "edited") -> list[dict[str, Any]]:
    found = {"difference": value, "difference_low": low, "difference_high": high}
    return [{"id": row, "metric": metric, "value": v} for metric, v in found.items()]


@pytest.mark.parametrize(
    ("interval", "outcome"),
    [
        ((0.2, 0.1, 0.3), "came out"),
        ((-0.2, -0.3, -0.1), "the opposite"),
        ((0.2, -0.1, 0.5), "undecided"),
        ((0.2, 0.0, 0.5), "undecided"),
        ((-0.2, -0.5, 0.0), "undecided"),
    ],
)
def test_a_claim_comes_out_where_the_whole_interval_is_on_its_side(
    interval: tuple[float, float, float], outcome: str
) -> None:
    assert judge_claim(CLAIM, rows(*interval)).outcome == outcome


@pytest.mark.parametrize(
    ("interval", "outcome"),
    [
        ((0.8, 0.7, 0.9), "came out"),
        ((1.2, 1.1, 1.3), "the opposite"),
        ((0.9, 0.7, 1.1), "undecided"),
        ((0.9, 0.7, 1.0), "undecided"),
    ],
)
def test_a_ratio_is_held_against_one(interval: tuple[float, float, float], outcome: str) -> None:
    claim = dataclasses.replace(CLAIM, expect="below one")
    assert judge_claim(claim, rows(*interval)).outcome == outcome


@given(st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)).map(sorted))
def test_what_comes_out_one_way_is_the_opposite_the_other_way(interval: Sequence[float]) -> None:
    low, value, high = interval
    up = judge_claim(CLAIM, rows(value, low, high)).outcome
    down = judge_claim(
        Claim(CLAIM.says, CLAIM.source, "c.c", "edited", "difference", "below zero"),
        rows(value, low, high),
    ).outcome
    swapped = {"came out": "the opposite", "the opposite": "came out", "undecided": "undecided"}
    assert down == swapped[up]


def test_one_comparison_of_many_is_judged_by_its_corrected_interval() -> None:
    corrected = {"corrected_low": -0.1, "corrected_high": 0.5}
    found = rows(0.2, 0.1, 0.3) + [
        {"id": "edited", "metric": metric, "value": value} for metric, value in corrected.items()
    ]
    finding = judge_claim(CLAIM, found)
    assert (finding.outcome, finding.low, finding.high) == ("undecided", -0.1, 0.5)
    other = dataclasses.replace(CLAIM, metric="score")
    found += [
        {"id": "edited", "metric": f"score{end}", "value": value}
        for end, value in {"": 0.2, "_low": 0.1, "_high": 0.3}.items()
    ]
    assert judge_claim(other, found).low == 0.1


def test_without_a_result_nothing_is_claimed() -> None:
    assert judge_claim(CLAIM, None) == Finding(CLAIM, "not run")


@pytest.mark.parametrize(
    "found",
    [
        rows(0.2, 0.1, 0.3, "editde"),
        rows(0.2, 0.1, 0.3)[:2],
        rows(0.2, float("nan"), 0.3),
        rows(float("inf"), 0.1, 0.3),
    ],
)
def test_without_a_number_and_its_interval_a_claim_is_undecided(found: Any) -> None:
    finding = judge_claim(CLAIM, found)
    assert finding.outcome == "undecided"
    assert "c.c has no difference with an interval for edited" in told(finding)


def test_of_an_artifact_without_rows_no_more_is_said() -> None:
    finding = judge_claim(CLAIM, [])
    assert (finding.outcome, finding.told) == ("undecided", "c.c has no rows")


DAG = """\
pipeline: toy
stages:
  made: {uses: corpus.documents, with: {sources: [texts]}}
  tokenizer: {uses: tokenizer.train, needs: {documents: made}}
  tokens: {uses: tokenizer.encode, needs: {documents: made, tokenizer: tokenizer}}
  model: {uses: training.language_model, needs: {tokens: tokens, tokenizer: tokenizer}}
claims:
"""
WHOLE = {
    "says": "x", "source": "y", "artifact": "model.history", "row": "r", "metric": "m",
    "expect": "below zero",
}  # fmt: skip


def written(**change: Any) -> str:
    entry = {name: value for name, value in (WHOLE | change).items() if value is not None}
    return f"{DAG}  - {json.dumps(entry)}\nscale_up: more of it\n"


def test_the_claims_of_a_file_are_read(plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of(written())
    assert plan.claims == (Claim("x", "y", "model.history", "r", "m", "below zero"),)
    assert plan.scale_up == "more of it"


def test_what_was_measured_is_read_and_judged_like_a_result(
    plan_of: Callable[[str], Plan],
) -> None:
    (claim,) = plan_of(written(measured=[-0.2, -1, -0.1], remark=" in short ")).claims
    assert (claim.measured, claim.remark) == ((-0.2, -1.0, -0.1), "in short")
    assert as_measured(claim).verdict == "came out: -0.2 [-1, -0.1]"
    assert as_measured(CLAIM).verdict == "not run"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"measured": 0.2}, "a value and both ends of its interval"),
        ({"measured": [0.2, 0.3]}, "a value and both ends of its interval"),
        ({"measured": [0.2, 0.3, 0.4]}, "a value and both ends of its interval"),
        ({"measured": [0.2, "low", 0.4]}, "a value and both ends of its interval"),
        ({"remark": 3}, "should be text"),
        ({"metric": None}, 'the key "metric" is missing'),
        ({"expect": "better"}, '"above zero" or "below zero"'),
        ({"artifact": "model"}, "a stage and its output"),
        ({"artifact": "modle.history"}, 'unknown stage "modle"'),
        ({"artifact": "model.histroy"}, 'model has no metrics "histroy"'),
        ({"artifact": "model.model"}, 'model has no metrics "model"'),
        ({"says": ["x"]}, "should be text"),
        ({"where": "here"}, 'unknown key "where"'),
    ],
)
def test_mistakes_in_claims_name_the_line_and_the_cure(
    mistakes_of: Callable[[str], list[Mistake]], change: Mapping[str, Any], says: str
) -> None:
    (mistake,) = mistakes_of(written(**change))
    assert mistake.line == 8
    assert says in f"{mistake.problem} {mistake.cure}"


def test_a_claim_on_one_cell_of_a_matrix_is_refused(
    mistakes_of: Callable[[str], list[Mistake]],
) -> None:
    text = written().replace("{uses: training", "{matrix: {seed: [1, 2]}, uses: training")
    (mistake,) = mistakes_of(text)
    assert "model is a matrix" in mistake.problem


def test_claims_are_in_no_key(plan_of: Callable[[str], Plan]) -> None:
    with_, without = plan_of(written()), plan_of(DAG.replace("claims:\n", ""))
    assert with_.stages == without.stages


# -- of results in a store -------------------------------------------------------------------------

MEASURING = '''
import pyarrow as pa

from stages.contract import Input, Kind, Output, Stage, StageConfig
from stages.kinds import METRICS, REPORT


class Measured(Stage):
    """Rows with an interval, and a picture."""

    class Config(StageConfig):
        low: float = 0.1

    outputs = {"found": Output(Kind.METRICS, "x"), "report": Output(Kind.REPORT, "x")}

    def run(self, inputs, outputs, context):
        low = self.config.low
        values = {"difference": low + 1, "difference_low": low, "difference_high": low + 2}
        outputs["found"].write(pa.Table.from_pylist(
            [{"id": "edited", "metric": m, "value": v, "weight": 1.0, "group": ""}
             for m, v in values.items()], METRICS))
        outputs["report"].write(pa.Table.from_pylist(
            [{"id": "plot.png", "media_type": "image/png", "content": b"a picture"},
             {"id": "report.md", "media_type": "text/markdown", "content": b"# R"}], REPORT))
'''
CATALOG = """\
pipeline: effect
description: Is there an effect?
stages:
  compared: {uses: "measuring:Measured", with: {low: LOW}}
claims:
  - {says: it is worse, source: "somebody | 2020", artifact: compared.found, row: edited,
     metric: difference, expect: above zero, measured: [2, 1, 3], remark: As it was here.}
scale_up: Take more.
"""


@pytest.fixture
def project(
    tmp_path: Path, own_modules_are_forgotten: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> Project:
    made = Project(tmp_path, own_modules_are_forgotten)
    (tmp_path / "measuring.py").write_text(MEASURING)
    package = tmp_path / "package" / "catalog"
    package.mkdir(parents=True)
    (package / "effect.yaml").write_text(CATALOG.replace("LOW", "0.1"))
    (package / "other.yaml").write_text("pipeline: other\ndescription: '${UNSET}'\nstages: {}\n")
    monkeypatch.setattr(gallery, "files", lambda _: tmp_path / "package")
    return made


def asked(project: Project, *arguments: str) -> str:
    store = ["--store", str(project.store_folder)]
    done = CliRunner().invoke(cli, ["catalog", *arguments, *store])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_catalog_shows_what_the_last_run_here_found(project: Project, tmp_path: Path) -> None:
    listed = " ".join(asked(project).split())
    assert "not run" in listed
    assert "came out: +2 [+1, +3]" in listed
    dag = CATALOG.replace("LOW", "0.1")
    statuses = project.run(dag)
    (finding,) = findings_of(project.plan(dag), statuses.values(), project.store)
    assert (finding.outcome, finding.interval) == ("came out", "+1.1 [+0.1, +2.1]")
    (entry, _) = json.loads(asked(project, "--json"))
    assert entry["claims"][0]["outcome"] == "came out"
    shown = asked(project, "effect")
    assert "it is worse: came out: +1.1 [+0.1, +2.1] [somebody | 2020]" in shown
    assert "measured: came out: +2 [+1, +3]\n  As it was here." in shown
    assert "Take more." in shown

    project.run(CATALOG.replace("LOW", "-0.5"))
    assert "undecided" in asked(project, "effect")

    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "effect-renamed-plot.png").write_bytes(b"of an earlier run")
    asked(project, "--pages", str(tmp_path / "pages"))
    assert not (tmp_path / "pages" / "effect-renamed-plot.png").exists()
    page = (tmp_path / "pages" / "effect.md").read_text()
    assert "| it is worse | somebody \\| 2020 |" in page
    assert "**undecided**" in page
    assert "**it is worse**: As it was here." in page
    assert "(effect-compared-plot.png)" in page
    assert (tmp_path / "pages" / "effect-compared-plot.png").read_bytes() == b"a picture"
    assert not (tmp_path / "pages" / "other.md").exists()
    index = (tmp_path / "pages" / "README.md").read_text()
    assert "| [effect](effect.md) | it is worse | somebody \\| 2020 | undecided: " in index
    assert "other" not in index


def test_pages_of_some_leave_the_index_as_it_is(project: Project, tmp_path: Path) -> None:
    project.run(CATALOG.replace("LOW", "0.1"))
    asked(project, "effect", "--pages", str(tmp_path / "pages"))
    assert (tmp_path / "pages" / "effect.md").exists()
    assert not (tmp_path / "pages" / "README.md").exists()


def test_a_name_that_is_not_in_the_catalog_is_answered_with_those_that_are(
    project: Project,
) -> None:
    done = CliRunner().invoke(cli, ["catalog", "efect", "--store", str(project.store_folder)])
    assert done.exit_code == 2
    assert 'there is no "efect" in the catalog; there are: effect, other' in done.output
