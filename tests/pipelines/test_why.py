"""why: which part of a key changed, in full: settings, diffs of functions, inputs, sources."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from toy_project import CHAIN, Project

from pipelines.cli import cli
from pipelines.leases import Lease, find_run
from pipelines.resolve import preview
from pipelines.why import Change, Explainer, Explanation


@pytest.fixture
def project(tmp_path: Path, own_modules_are_forgotten: Callable[[], None]) -> Project:
    return Project(tmp_path, own_modules_are_forgotten)


def explain(project: Project, stage: str, dag: str = CHAIN, against: Any = None) -> Explanation:
    plan = project.plan(dag)
    statuses = {status.name: status for status in preview(plan, project.store)}
    return Explainer(plan, project.store, statuses, against).explain(stage)


def run(project: Project, dag: str = CHAIN) -> str:
    lease = Lease(project.store, "toy")
    project.run(dag, lease=lease)
    lease.close("FINISHED", f"mlflow-{lease.entry.run}")
    return lease.entry.run


def with_suffix(suffix: str) -> str:
    return CHAIN.replace("documents: made}", f"documents: made}}, with: {{suffix: '{suffix}'}}")


def test_nothing_changed_is_said_so(project: Project) -> None:
    run(project)
    told = explain(project, "upper")
    assert (told.state, told.why, told.changes) == ("reused", "unchanged", [])
    assert told.key == told.against


def test_a_changed_function_is_shown_as_a_diff_of_what_counts(project: Project) -> None:
    run(project)
    project.replace("    # The method of Upper.\n    return text.upper() + suffix",
                    "    # Another comment.\n    return text.lower() + suffix")  # fmt: skip
    (change,) = explain(project, "upper").changes
    assert (change.part, change.name) == ("code", "toy_words:changed")
    assert "-    return text.upper() + suffix" in change.diff
    assert "+    return text.lower() + suffix" in change.diff
    assert not any("comment" in line for line in change.diff)


def test_a_function_that_is_new_or_gone_is_shown_whole(project: Project) -> None:
    run(project)
    project.edit_stages(
        lambda text: (
            text.replace("text.upper() + suffix", "louder(text) + suffix")
            + "\n\ndef louder(text):\n    return text.upper()\n"
        )
    )
    changes = {change.name: change for change in explain(project, "upper").changes}
    assert changes["toy_words:louder"].before is None
    assert "+    return text.upper()" in changes["toy_words:louder"].diff


def test_a_changed_setting_has_both_values(project: Project) -> None:
    run(project)
    assert explain(project, "upper", with_suffix("!")).changes == [
        Change("config", "suffix", "", "!")
    ]


def test_a_changed_input_names_who_made_it_and_its_rows(project: Project) -> None:
    run(project)
    dag = CHAIN.replace("toy_words:Make}", "toy_words:Make, with: {letters: abcdefg}}")
    project.run(dag, names={"made"})
    (change,) = explain(project, "upper", dag).changes
    assert (change.part, change.name) == ("input", "documents")
    assert [a["rows"] for a in change.before] == [5]
    assert [a["rows"] for a in change.after] == [7]
    assert change.after[0]["made_by"] == "made"


def test_a_stage_that_waits_names_the_first_stage_that_must_run(project: Project) -> None:
    run(project)
    told = explain(project, "sorted", with_suffix("!"))
    assert told.waits_for == "upper"
    assert told.key is None


def test_a_stage_without_a_result_says_so(project: Project) -> None:
    told = explain(project, "made")
    assert (told.against, told.changes, told.why) == (None, [], "it has no result yet")


def test_an_earlier_run_can_be_compared_with(project: Project) -> None:
    first = run(project, with_suffix("1"))
    run(project, with_suffix("2"))
    run(project, with_suffix("3"))
    entry = find_run(project.store, first[:8])
    told = explain(project, "upper", with_suffix("3"), entry)
    assert told.state == "reused"
    assert told.changes == [Change("config", "suffix", "1", "3")]


def test_a_run_is_found_by_its_id_its_beginning_or_that_of_its_mlflow_run(
    project: Project,
) -> None:
    first = run(project)
    for wanted in (first, first[:6], f"mlflow-{first}", f"mlflow-{first[:4]}"):
        found = find_run(project.store, wanted)
        assert found is not None
        assert found.run == first
    assert find_run(project.store, "no such run") is None


def command(project: Project, *arguments: str) -> Any:
    dag = project.folder / "dag.yaml"
    return CliRunner().invoke(
        cli, ["why", arguments[0], str(dag), *arguments[1:], "--store", str(project.store_folder)]
    )


def test_the_command_shows_the_diff_and_explains_what_a_stage_waits_for(project: Project) -> None:
    run(project)
    project.replace("text.upper() + suffix", "text.lower() + suffix")
    told = command(project, "sorted")
    assert told.exit_code == 0
    assert "waits for upper" in told.stdout
    assert "code toy_words:changed changed" in told.stdout
    assert "+    return text.lower() + suffix" in told.stdout


def test_the_command_gives_the_same_as_data(project: Project) -> None:
    run(project)
    project.replace("text.upper() + suffix", "text.lower() + suffix")
    (told,) = json.loads(command(project, "upper", "--json").stdout)
    assert told["changes"][0]["name"] == "toy_words:changed"
    assert told["changes"][0]["diff"]


def test_a_run_that_is_not_there_is_an_error_with_the_last_ones(project: Project) -> None:
    first = run(project)
    told = command(project, "upper", "--against", "zzz")
    assert told.exit_code == 2
    assert 'knows of no run "zzz"' in told.stderr
    assert f"mlflow-{first}" in told.stderr


def test_a_secret_in_a_setting_is_not_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "very-secret-suffix")
    run(project, with_suffix("very-secret-suffix"))
    told = explain(project, "upper", with_suffix("very-secret-suffix"))
    assert told.changes == []
    told = explain(project, "upper", with_suffix("other"))
    assert told.changes == [Change("config", "suffix", "***", "other")]
    for path in project.store_folder.rglob("*.json"):
        assert "very-secret-suffix" not in path.read_text(), path
