"""The story of a first day: run, look, run again, change things, run again."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from journey import Project, computed, states

pytestmark = pytest.mark.journey

Finished = tuple[Project, dict[str, Any]]


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text, f"{path} has no {before!r}"
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_a_first_run_computes_every_stage_and_ends_well(finished: Finished) -> None:
    _, document = finished
    assert len(document["stages"]) == 27
    assert set(states(document).values()) == {"computed"}


def test_a_second_run_computes_nothing_and_gives_the_same_digests(after_a_run: Finished) -> None:
    project, first = after_a_run
    again = project.run()
    assert set(states(again).values()) == {"reused"}
    assert {n: s["digest"] for n, s in again["stages"].items()} == {
        n: s["digest"] for n, s in first["stages"].items()
    }


def test_one_worker_gives_the_digests_that_two_gave(finished: Finished, tmp_path: Path) -> None:
    project, two = finished
    alone = project.twin(tmp_path / "alone")
    alone.environment["TEXTS"] = str(project.folder / "texts")
    one = alone.run("--workers", "1")
    for name, stage in two["stages"].items():
        assert one["stages"][name]["outputs"].keys() == stage["outputs"].keys()
        for output, made in stage["outputs"].items():
            assert one["stages"][name]["outputs"][output]["digest"] == made["digest"], (
                f"{name}.{output}"
            )


def test_an_edited_comment_in_an_operator_computes_nothing(after_a_run: Finished) -> None:
    project, _ = after_a_run
    path = project.code / "operators" / "weighting" / "sample_weights.py"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"""', '"""Said in other words. ', 1)
        + "\n\n# A remark at the end.\n",
        encoding="utf-8",
    )
    assert computed(project.run()) == set()


def test_an_edit_that_changes_no_bytes_wakes_nobody_downstream(after_a_run: Finished) -> None:
    project, _ = after_a_run
    edit(
        project.code / "stages" / "tokenizer.py",
        "        return packed.table\n",
        "        result = packed.table\n        return result\n",
    )
    document = project.run()
    assert computed(document) == {"tokens"}
    assert document["stages"]["tokens"]["why"] == "code stages.tokenizer:Encode changed"


def test_an_edit_that_changes_bytes_wakes_the_stages_behind_it_and_no_others(
    after_a_run: Finished,
) -> None:
    project, first = after_a_run
    edit(
        project.code / "stages" / "report_words.py",
        '"weight": weight,',
        '"weight": 2 * weight,',
    )
    document = project.run()
    assert computed(document) == {"comparison"}
    assert document["stages"]["comparison"]["digest"] == first["stages"]["comparison"]["digest"]
    made = document["stages"]["comparison"]["outputs"]["comparison"]["digest"]
    assert made != first["stages"]["comparison"]["outputs"]["comparison"]["digest"]


def test_a_moved_store_computes_nothing(after_a_run: Finished, tmp_path: Path) -> None:
    project, _ = after_a_run
    shutil.move(project.store, tmp_path / "elsewhere")
    assert computed(project.run("--store", str(tmp_path / "elsewhere"))) == set()


def test_other_resources_and_worker_counts_compute_nothing(after_a_run: Finished) -> None:
    project, _ = after_a_run
    text = project.dag.read_text(encoding="utf-8")
    changed = re.sub(
        r"(  model:\n    uses: training.language_model\n)",
        r"\1    resources: {cpus: 2, memory: 1GiB}\n    retries: {task: 1, infrastructure: 5}\n",
        text,
    )
    assert changed != text
    project.dag.write_text(changed, encoding="utf-8")
    assert computed(project.run("--workers", "1")) == set()


def test_a_changed_setting_runs_what_depends_on_it_and_says_why(after_a_run: Finished) -> None:
    project, _ = after_a_run
    document = project.run("--set", "edited.threshold=1.5", "--only", "edited")
    assert computed(document) == {"edited"}
    stage = document["stages"]["edited"]
    assert stage["why"] == "config threshold: 0.02 -> 1.5"
    # Above 1 nothing is edited: the very bytes that went in come out.
    assert stage["digest"] == document["stages"]["tokens"]["digest"]
    assert stage["metrics"]["changed"] == 0


def test_a_new_source_file_is_seen_and_named(after_a_run: Finished) -> None:
    project, _ = after_a_run
    texts = project.folder / "texts"
    project.environment["TEXTS"] = str(texts)
    document = project.run("--only", "documents")
    # The same contents under other addresses are other sources; ids hold the address.
    assert computed(document) == {"documents"}
    (texts / "new.txt").write_text("A new text has come. " * 40, encoding="utf-8")
    document = project.run("--only", "documents")
    assert document["stages"]["documents"]["why"] == f"source changed: {texts / 'new.txt'}"
    assert project.run("--only", "documents")["stages"]["documents"]["state"] == "reused"


def test_the_edited_rows_say_what_was_edited(finished: Finished) -> None:
    import pyarrow.dataset as ds

    _, document = finished

    def rows(name: str) -> list[dict[str, Any]]:
        path = document["stages"][name]["outputs"]["tokens"]["path"]
        return ds.dataset(path, format="ipc").to_table().to_pylist()

    before, after = rows("tokens"), rows("edited")
    assert [row["id"] for row in before] == [row["id"] for row in after]
    changed = 0
    for old, new in zip(before, after, strict=True):
        replayed = list(old["tokens"])
        for change in new["edits"]:
            assert replayed[change["position"]] == change["before"]
            replayed[change["position"]] = change["after"]
        assert replayed == new["tokens"]
        changed += len(new["edits"])
    assert changed == document["stages"]["edited"]["metrics"]["changed"] > 0
