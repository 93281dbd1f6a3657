"""The documentation of the stages says what is so: its DAGs plan, its code is the code."""

import re
from pathlib import Path

import pytest

from pipelines.planner import make_plan
from pipelines.registry import find_stage, vocabulary
from pipelines.spec import read_dag

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "stages").glob("*.md"))
EXAMPLES = DOCS / "examples"


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)


def complete_dags():
    for page in PAGES:
        for number, block in enumerate(blocks(page, "yaml")):
            if re.search(r"^pipeline:", block, re.M):
                yield pytest.param(block, id=f"{page.stem}-{number}")


@pytest.mark.parametrize("block", list(complete_dags()))
def test_every_dag_on_a_page_of_a_family_plans_without_a_mistake(block, tmp_path):
    (tmp_path / "dag.yaml").write_text(block, encoding="utf-8")
    assert make_plan(read_dag(tmp_path / "dag.yaml")).stages


@pytest.mark.parametrize("word", list(vocabulary()))
def test_every_stage_has_its_part_on_one_page_and_stands_in_a_dag_there(word):
    (page,) = [page for page in PAGES if word in words_of(page)]
    assert any(f"uses: {word}\n" in block for block in blocks(page, "yaml"))


def words_of(page):
    return set(re.findall(r"^## (\S+\.\S+)$", page.read_text("utf-8"), re.M))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_table_of_settings_names_settings_there_are(page):
    known = {
        name
        for word, stage in vocabulary().items()
        if word in words_of(page)
        for name in stage.Config.model_fields
    }
    tables = re.findall(r"^\| setting .*\n\|[-|]+\n((?:\|.*\n)+)", page.read_text("utf-8"), re.M)
    named = {
        name.split(":")[0]
        for table in tables
        for line in table.splitlines()
        for name in re.findall(r"`([^`]+)`", line.split("|")[1])
    }
    assert named <= known


def test_the_page_on_own_stages_shows_the_example_as_it_is():
    first = blocks(DOCS / "own-stages.md", "python")[0]
    assert first == (EXAMPLES / "my_stages.py").read_text("utf-8")


def test_a_stage_of_ones_own_takes_twenty_lines_at_most():
    assert len((EXAMPLES / "my_stages.py").read_text("utf-8").splitlines()) <= 20


def test_the_example_plans_without_a_mistake():
    plan = make_plan(read_dag(EXAMPLES / "dag.yaml"))
    assert [(stage.name, stage.word) for stage in plan.stages] == [
        ("documents", "corpus.documents"),
        ("loud", "my_stages:Uppercase"),
    ]


def test_the_example_finds_its_texts_from_the_root_and_writes_them_in_capitals(
    run_stage, monkeypatch
):
    monkeypatch.chdir(DOCS.parent)
    plan = make_plan(read_dag("docs/examples/dag.yaml"))
    settings = plan["documents"].config.model_dump()
    given = run_stage(plan["documents"].stage_class, **settings)["documents"]
    ran = run_stage(find_stage("my_stages:Uppercase", EXAMPLES), {"documents": given})
    before, after = given.table().to_pylist(), ran.rows()
    assert [row["id"] for row in after] == [
        "docs/examples/texts/harvest.txt",
        "docs/examples/texts/mill.txt",
    ]
    for old, new in zip(before, after, strict=True):
        assert new == {**old, "text": old["text"].upper(), "edits": ["uppercase"]}
