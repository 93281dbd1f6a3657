"""Running a plan: what is reused, what is computed, and what happens when a stage fails."""

import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from serial_runtime import SerialRuntime
from toy_project import CHAIN, Project, having, states

from pipelines.cli import cli
from pipelines.results import Point
from pipelines.run import Runner
from pipelines.status import StageStatus
from stages.kinds import Kind


@pytest.fixture
def project(tmp_path: Path, own_modules_are_forgotten: Callable[[], None]) -> Project:
    return Project(tmp_path, own_modules_are_forgotten)


# -- what a run makes ------------------------------------------------------------------------------


def test_a_run_computes_every_stage_and_leaves_its_artifacts(project: Project) -> None:
    done = project.run()
    assert states(done) == dict.fromkeys(("made", "upper", "sorted"), "computed")
    assert project.texts(done["upper"]) == list("ABCDE")
    assert [part.rows for part in done["upper"].outputs["documents"].parts] == [2, 2, 1]
    assert {s.why for s in done.values()} == {"it has no result yet"}
    assert len({s.digest for s in done.values()}) == 3
    assert done["made"].metrics == {"letters": 5.0, "curve": 2.0}
    assert done["upper"].metrics == {"rows_seen": 5.0, "twice": 10.0}
    made_by = done["sorted"].outputs["documents"].made_by
    assert made_by["inputs"] == {"documents": [done["upper"].digest]}
    assert (made_by["stage"], made_by["pipeline"], made_by["output"]) == (
        "sorted", "toy", "documents",
    )  # fmt: skip
    assert project.runtimes[0].calls == ["close"]


def test_the_order_in_which_shards_come_home_changes_nothing(
    project: Project, tmp_path: Path
) -> None:
    forth = project.run()
    project.store_folder = tmp_path / "another"
    back = project.run(runtime=SerialRuntime(backwards=True))
    assert project.runtimes[0].tasks == ["made", "upper#2", "upper#1", "upper#0", "sorted"]
    assert {n: s.digest for n, s in forth.items()} == {n: s.digest for n, s in back.items()}


def test_files_are_an_artifact_as_rows_are(project: Project) -> None:
    dag = CHAIN + "  model: {uses: toy_words:Folder, needs: {documents: made}}\n"
    manifest = project.run(dag)["model"].outputs["model"]
    assert (project.store.folder(manifest) / "weights").read_bytes() == b"5"
    assert project.run(dag)["model"].state == "reused"


def test_a_stage_that_writes_no_row_has_an_artifact_that_opens(project: Project) -> None:
    done = project.run(
        """\
        pipeline: toy
        stages:
          made: {uses: toy_words:Make, with: {letters: ""}}
          upper: {uses: toy_words:Upper, needs: {documents: made}}
          filter: {uses: toy_words:Filter, needs: {documents: upper}}
        """
    )
    assert states(done) == dict.fromkeys(("made", "upper", "filter"), "computed")
    assert (done["made"].rows, done["upper"].rows, done["filter"].rows) == (0, 0, 0)


def test_listeners_hear_of_starts_points_and_ends(project: Project) -> None:
    heard: list[str] = []

    class Listener:
        def started(self, status: StageStatus) -> None:
            heard.append(f"started {status.name}")

        def progressed(self, status: StageStatus) -> None:
            assert status.state == "running"

        def points(self, points: Iterable[Point]) -> None:
            heard.extend(f"{p.stage} {p.metric}={p.value} at {p.step}" for p in points)

        def finished(self, status: StageStatus, figures: Mapping[str, bytes]) -> None:
            heard.append(f"{status.state} {status.name} {sorted(figures)}")

        def run_of(self, status: StageStatus) -> str | None:
            return f"run of {status.name}"

    done = project.run(listeners=[Listener()])
    assert heard == [
        "started made", "made curve=1.0 at 1", "made curve=2.0 at 2", "computed made ['picture']",
        "started upper", "computed upper []", "started sorted", "computed sorted []",
    ]  # fmt: skip
    assert done["made"].run_id == "run of made"
    heard.clear()
    again = project.run(listeners=[Listener()])
    assert heard == ["reused made []", "reused upper []", "reused sorted []"]
    assert again["made"].run_id == "run of made"


# -- reuse -----------------------------------------------------------------------------------------


def test_a_second_run_reuses_all_and_never_starts_the_runtime(project: Project) -> None:
    first = project.run()
    second = project.run()
    assert states(second) == dict.fromkeys(first, "reused")
    assert project.runtimes == []
    assert {s.why for s in second.values()} == {"unchanged"}
    for name in first:
        assert second[name].outputs == first[name].outputs
        assert second[name].metrics == first[name].metrics
        assert second[name].key == first[name].key


def test_a_store_that_was_moved_reuses_all(project: Project, tmp_path: Path) -> None:
    project.run()
    project.store_folder.rename(tmp_path / "elsewhere")
    project.store_folder = tmp_path / "elsewhere"
    assert having(project.run(), "reused") == {"made", "upper", "sorted"}
    assert project.runtimes == []


def test_a_project_that_was_moved_reuses_all(project: Project, tmp_path: Path) -> None:
    project.run()
    (tmp_path / "moved").mkdir()
    for name in ("toy_words.py", "store"):
        shutil.move(tmp_path / name, tmp_path / "moved" / name)
    project.folder = tmp_path / "moved"
    project.store_folder = tmp_path / "moved" / "store"
    project._forget()
    assert having(project.run(), "reused") == {"made", "upper", "sorted"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("upper, needs: {documents: upper}}", "upper, needs: {documents: upper}}"),
        ("toy_words:Make}", "toy_words:Make, resources: {cpus: 2, memory: 1MiB}, retries: 3}"),
        ("toy_words:Make}", "toy_words:Make, with: {speed: 9}}"),
        ("toy_words:Make}", "toy_words:Make, with: {letters: abcde}}"),
        ("toy_words:Make}", "toy_words:Make, code: pinned}"),
        ("pipeline: toy", "pipeline: other"),
        ("made", "renamed"),
        ("sorted: {uses", "sorted_otherwise: {uses"),
    ],
    ids=[
        "nothing", "resources_and_retries", "execution_field", "default_written_out", "pinned",
        "name_of_the_pipeline", "name_of_a_stage", "name_of_the_last_stage",
    ],
)  # fmt: skip
def test_what_cannot_change_a_result_recomputes_nothing(
    project: Project, old: str, new: str
) -> None:
    project.run()
    done = project.run(CHAIN.replace(old, new))
    assert set(states(done).values()) == {"reused"}


def test_a_changed_setting_recomputes_its_stage_and_what_its_bytes_reach(project: Project) -> None:
    project.run()
    done = project.run(CHAIN.replace("Upper,", "Upper, with: {suffix: '!'},"))
    assert states(done) == {"made": "reused", "upper": "computed", "sorted": "computed"}
    assert done["upper"].why == 'config suffix: "" -> "!"'
    assert done["sorted"].why == "input documents has other content"
    assert project.texts(done["sorted"]) == ["A!", "B!", "C!", "D!", "E!"]


def test_a_stage_that_makes_the_same_bytes_again_wakes_nobody_downstream(project: Project) -> None:
    project.run()
    project.replace("return text.upper() + suffix", "return (text + suffix).upper()")
    done = project.run()
    assert states(done) == {"made": "reused", "upper": "computed", "sorted": "reused"}
    assert done["upper"].why == "code toy_words:changed changed"
    assert len(done["upper"].outputs["documents"].made_by) > 3


def test_an_edited_body_recomputes_only_the_stages_that_reach_it(project: Project) -> None:
    before = project.run()
    project.replace("return text.upper() + suffix", 'return text.upper() + suffix + "."')
    done = project.run()
    assert states(done) == {"made": "reused", "upper": "computed", "sorted": "computed"}
    assert done["upper"].digest != before["upper"].digest
    assert project.texts(done["sorted"])[0] == "A."


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# The method of Upper.", "# What Upper does."),
        ('"""Upper case, a shard at a time."""', '"""Upper case."""'),
        ('description="put behind each"', 'description="what is put behind"'),
        ('"a throw"', '"one throw"'),
        ("thrown = DIARY", "drawn = thrown = DIARY"),
    ],
    ids=["comment", "docstring", "description", "other_stage", "body_of_another_stage"],
)
def test_an_edit_that_no_stage_of_the_dag_sees_recomputes_nothing(
    project: Project, old: str, new: str
) -> None:
    project.run()
    project.replace(old, new)
    assert set(states(project.run()).values()) == {"reused"}


def test_a_change_that_is_undone_finds_the_old_results(project: Project) -> None:
    first = project.run()
    project.run(CHAIN.replace("Make}", "Make, with: {letters: xyz}}"))
    done = project.run()
    assert set(states(done).values()) == {"reused"}
    assert {n: s.digest for n, s in done.items()} == {n: s.digest for n, s in first.items()}


PINNED = CHAIN.replace("Upper,", "Upper, code: pinned,")


def test_a_pinned_stage_keeps_its_result_through_a_code_change_and_says_so(
    project: Project,
) -> None:
    before = project.run(PINNED)
    project.replace("return text.upper() + suffix", 'return text.upper() + suffix + "."')
    done = project.run(PINNED)
    assert states(done) == {"made": "reused", "upper": "reused", "sorted": "reused"}
    assert done["upper"].why == "pinned, although code toy_words:changed changed"
    assert done["upper"].digest == before["upper"].digest
    # Without the pin the change counts.
    assert project.run()["upper"].state == "computed"


def test_a_pinned_stage_is_computed_where_its_config_or_input_changed(project: Project) -> None:
    project.run(PINNED)
    assert project.run(PINNED.replace("pinned,", "pinned, with: {suffix: '!'},"))[
        "upper"
    ].state == ("computed")
    assert project.run(PINNED.replace("Make}", "Make, with: {letters: xyz}}"))["upper"].state == (
        "computed"
    )


def test_a_source_that_changed_recomputes_and_is_named(project: Project, tmp_path: Path) -> None:
    dag = "pipeline: toy\nstages:\n  reads: {uses: toy_words:Reads}\n"
    (tmp_path / "words.txt").write_text("one")
    assert project.run(dag)["reads"].state == "computed"
    assert project.run(dag)["reads"].state == "reused"
    (tmp_path / "words.txt").write_text("two")
    done = project.run(dag)["reads"]
    assert (done.state, done.why) == ("computed", "source changed: words.txt")
    assert project.texts(done) == ["two"]


def test_identical_stages_are_computed_once(project: Project) -> None:
    dag = """\
        pipeline: toy
        stages:
          one: {uses: toy_words:Make}
          two: {uses: toy_words:Make}
          three: {uses: toy_words:Make, with: {speed: 3}}
          r: {uses: toy_words:Compare, needs: {scores: [one, two, three]}}
        """
    done = project.run(dag)
    assert project.diary == ["Make", "Compare"]
    assert sorted(states(done).values()) == ["computed", "computed", "reused", "reused"]
    assert len({done[name].digest for name in ("one", "two", "three")}) == 1


def test_a_stage_that_gathers_sees_which_cell_is_which(project: Project) -> None:
    dag = """\
        pipeline: toy
        stages:
          made: {uses: toy_words:Make, matrix: {letters: [%s, %s]}}
          r: {uses: toy_words:Compare, needs: {scores: made}}
        """
    done = project.run(dag % ("abc", "xy"))
    found = project.store.table(done["r"].outputs["metrics"]).to_pylist()
    assert {row["id"]: row["value"] for row in found} == {
        "{'letters': 'abc'}": 3.0, "{'letters': 'xy'}": 2.0,
    }  # fmt: skip
    assert project.run(dag % ("abc", "xy"))["r"].state == "reused"
    assert project.run(dag % ("abc", "xyz"))["r"].state == "computed"


@pytest.mark.parametrize("value", ["c#", "#", "a/b", "é", "a b"])
def test_any_matrix_value_can_be_run(project: Project, value: str) -> None:
    dag = f"""\
        pipeline: toy
        stages:
          made: {{uses: toy_words:Make, matrix: {{letters: ["{value}"]}}}}
          upper: {{uses: toy_words:Upper, needs: {{documents: made}}}}
        """
    assert set(states(project.run(dag)).values()) == {"computed"}
    assert set(states(project.run(dag)).values()) == {"reused"}


def test_a_matrix_value_never_writes_outside_the_store(project: Project, tmp_path: Path) -> None:
    project.run(
        """\
        pipeline: toy
        stages:
          made: {uses: toy_words:Make, matrix: {letters: ["../../../../../../outside"]}}
        """
    )
    outside = {path.name for path in tmp_path.iterdir()}
    assert outside <= {"store", "dag.yaml", "toy_words.py", "diary.txt"}
    assert not list(tmp_path.parent.glob("outside*"))


# -- torn, lost, anew ------------------------------------------------------------------------------


def test_a_torn_artifact_is_computed_again_and_wakes_nobody(project: Project) -> None:
    first = project.run()
    manifest = first["upper"].outputs["documents"]
    shard = project.store_folder / manifest.location / "part-00001.arrow"
    shard.write_bytes(shard.read_bytes()[:50])
    done = project.run()
    assert states(done) == {"made": "reused", "upper": "computed", "sorted": "reused"}
    assert done["upper"].why == "its artifacts are gone from the store"
    assert done["upper"].digest == first["upper"].digest
    assert project.texts(done["upper"]) == list("ABCDE")
    assert set(states(project.run()).values()) == {"reused"}


def test_names_runs_those_and_no_others(project: Project) -> None:
    done = project.run(names={"made", "upper"})
    assert states(done) == {"made": "computed", "upper": "computed", "sorted": "skipped"}
    assert done["sorted"].why == "not asked for"
    assert project.run(names={"made"})["upper"].state == "skipped"


def test_anew_computes_what_the_store_has(project: Project) -> None:
    project.run()
    done = project.run(anew={"upper"})
    assert states(done) == {"made": "reused", "upper": "computed", "sorted": "reused"}
    assert done["upper"].why == "asked for anew"


def test_what_was_made_anew_is_what_the_next_run_reuses(project: Project) -> None:
    dag = "pipeline: toy\nstages:\n  dice: {uses: toy_words:Dice}\n"
    first = project.run(dag)["dice"]
    anew = project.run(dag, anew={"dice"})["dice"]
    assert (project.texts(first), project.texts(anew)) == (["1"], ["2"])
    again = project.run(dag)["dice"]
    assert (again.state, again.digest) == ("reused", anew.digest)


def test_identical_stages_made_anew_are_computed_once(project: Project) -> None:
    dag = "pipeline: toy\nstages:\n  one: {uses: toy_words:Make}\n  two: {uses: toy_words:Make}\n"
    project.run(dag, anew={"one", "two"})
    assert project.diary == ["Make"]


# -- failures --------------------------------------------------------------------------------------


FORK = """\
pipeline: toy
stages:
  made: {uses: toy_words:Make}
  upper: {uses: toy_words:Upper, needs: {documents: made}, with: {fails_at: d}}
  sorted: {uses: toy_words:Sort, needs: {documents: upper}}
  last: {uses: toy_words:Sort, needs: {documents: sorted}}
  beside: {uses: toy_words:Sort, needs: {documents: made}}
"""


def test_an_exception_names_the_row_skips_what_is_behind_and_lets_others_finish(
    project: Project,
) -> None:
    done = project.run(FORK)
    assert states(done) == {
        "made": "computed", "upper": "failed", "sorted": "skipped", "last": "skipped",
        "beside": "computed",
    }  # fmt: skip
    assert re.fullmatch(
        r'row "d": ValueError: cannot read d at toy_words\.py:\d+ in apply '
        r"\(shard 1; none may be set aside\)",
        done["upper"].error,
    )
    assert done["sorted"].why == "it needs upper"
    assert done["last"].why == "it needs sorted"
    assert done["upper"].outputs == {}


def test_a_failed_stage_leaves_no_artifact_and_is_tried_again_by_the_next_run(
    project: Project,
) -> None:
    project.run(FORK)
    assert {m.made_by["stage"] for m in project.store.artifacts()} == {"made", "beside"}
    done = project.run(FORK.replace("fails_at: d", "fails_at: q"))
    assert states(done) == {
        "made": "reused", "upper": "computed", "sorted": "computed", "last": "computed",
        "beside": "reused",
    }  # fmt: skip


def test_a_failure_that_no_single_row_causes_names_the_shard(project: Project) -> None:
    dag = CHAIN.replace("toy_words:Upper,", "toy_words:Broken, with: {how: together},")
    error = project.run(dag)["upper"].error
    assert "too many" in error
    assert "(shard 0; no single row fails by itself)" in error


def test_a_method_that_fails_is_tried_again_as_often_as_asked(project: Project) -> None:
    dag = """\
        pipeline: toy
        stages:
          flaky: {uses: toy_words:Flaky, with: {times: 2}, retries: %d}
        """
    failed = project.run(dag % 1)["flaky"]
    assert (failed.state, project.diary) == ("failed", ["Flaky"] * 2)
    assert "OSError: the network is away" in failed.error
    (project.folder / "diary.txt").unlink()
    done = project.run(dag % 2)["flaky"]
    assert (done.state, project.diary) == ("computed", ["Flaky"] * 3)
    # The shards of failed attempts are no part of what was made.
    assert project.texts(done) == ["x", "y"]


def test_a_lost_worker_fails_its_stage_and_is_not_the_method(project: Project) -> None:
    done = project.run(runtime=SerialRuntime(lost={"upper#1"}))
    assert states(done) == {"made": "computed", "upper": "failed", "sorted": "skipped"}
    assert done["upper"].error.startswith("its worker was lost, and retries are used up: ")


def test_a_stage_that_no_node_can_run_fails_by_itself(project: Project) -> None:
    done = project.run(CHAIN.replace("Upper,", "Upper, resources: {cpus: 99},"))
    assert states(done) == {"made": "computed", "upper": "failed", "sorted": "skipped"}
    assert "it asks for 99 cpus" in done["upper"].error


@pytest.mark.parametrize(
    ("settings", "numbers"),
    [
        ("loses: 2", "5 came in by documents, and there are 1 in documents, 2 in dropped"),
        ("doubles: 1", "5 came in by documents, and there are 4 in documents, 2 in dropped"),
    ],
)
def test_rows_that_are_not_accounted_for_fail_the_stage_with_the_numbers(
    project: Project, settings: str, numbers: str
) -> None:
    dag = CHAIN.replace("toy_words:Upper,", f"toy_words:Filter, with: {{{settings}}},")
    done = project.run(dag)
    assert states(done) == {"made": "computed", "upper": "failed", "sorted": "skipped"}
    assert numbers in done["upper"].error
    assert "(dropped by reason: vowel: 2)" in done["upper"].error
    assert [m.made_by["stage"] for m in project.store.artifacts()] == ["made"]


def test_rows_that_are_accounted_for_pass_with_the_reasons(project: Project) -> None:
    done = project.run(CHAIN.replace("toy_words:Upper", "toy_words:Filter"))
    assert (done["upper"].state, done["upper"].dropped) == ("computed", {"vowel": 2})
    assert project.texts(done["upper"]) == list("bcd")
    assert project.texts(done["upper"], "dropped") == list("ae")
    assert project.run(CHAIN.replace("toy_words:Upper", "toy_words:Filter"))["upper"].dropped == {
        "vowel": 2
    }


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("schema", 'these rows are no documents: column "text" (string) is missing'),
        ("shards differ", "more"),
        ("counts", "ZeroDivisionError"),
    ],
    ids=["wrong_schema", "shards_of_different_schemas", "summary_that_raises"],
)
def test_a_stage_that_is_wrong_fails_by_itself_and_others_finish(
    project: Project, how: str, message: str
) -> None:
    dag = CHAIN.replace("toy_words:Upper,", f"toy_words:Broken, with: {{how: {how}}},")
    done = project.run(dag + "  beside: {uses: toy_words:Sort, needs: {documents: made}}\n")
    assert states(done) == {
        "made": "computed", "upper": "failed", "sorted": "skipped", "beside": "computed",
    }  # fmt: skip
    assert message in done["upper"].error


def test_a_model_without_files_fails_its_stage(project: Project) -> None:
    dag = CHAIN + (
        "  model: {uses: toy_words:Folder, needs: {documents: made}, with: {writes: false}}\n"
    )
    done = project.run(dag)["model"]
    assert (done.state, "wrote no file of its model" in done.error) == ("failed", True)


def test_a_source_that_cannot_be_read_fails_its_stage_and_no_other(project: Project) -> None:
    dag = CHAIN + "  reads: {uses: toy_words:Reads, with: {path: nowhere.txt}}\n"
    done = project.run(dag)
    assert done["reads"].state == "failed"
    assert "nowhere.txt" in done["reads"].error
    assert done["sorted"].state == "computed"


def test_a_source_that_cannot_be_read_is_no_traceback_of_the_preview(project: Project) -> None:
    dag = CHAIN + "  reads: {uses: toy_words:Reads, with: {path: nowhere.txt}}\n"
    shown = project.preview(dag)
    assert "nowhere.txt" in shown["reads"].why + shown["reads"].error
    assert shown["made"].state == "computed"


def test_an_interrupted_run_ends_its_tasks_and_what_was_done_is_kept(project: Project) -> None:
    runtime = SerialRuntime(interrupted_at="upper#1")
    plan, store = project.plan(), project.store
    runner = Runner(plan, store, lambda: runtime)
    with pytest.raises(KeyboardInterrupt):
        runner.run()
    assert runtime.calls == ["cancel", "close"]
    assert states(runner.statuses) == {"made": "computed", "upper": "skipped", "sorted": "skipped"}
    assert runner.statuses["upper"].why == "the run was interrupted"
    done = project.run()
    assert states(done) == {"made": "reused", "upper": "computed", "sorted": "computed"}


# -- what a preview says ---------------------------------------------------------------------------


def _nothing(project: Project) -> None:
    pass


def _all_done(project: Project) -> None:
    project.run()


def _edited(project: Project) -> None:
    project.run()
    project.replace("return text.upper() + suffix", 'return text.upper() + suffix + "."')


def _torn(project: Project) -> None:
    manifest = project.run()["sorted"].outputs["documents"]
    (project.store_folder / manifest.location / "part-00000.arrow").unlink()


def _other_setting(project: Project) -> None:
    project.run(CHAIN.replace("Upper,", "Upper, with: {suffix: '!'},"))


@pytest.mark.parametrize(
    "before", [_nothing, _all_done, _edited, _torn, _other_setting], ids=lambda f: f.__name__[1:]
)
def test_a_preview_says_what_the_run_then_does(
    project: Project, before: Callable[[Project], None]
) -> None:
    before(project)
    shown = project.preview()
    again = project.preview()
    assert states(shown) == states(again), "a preview changed something"
    done = project.run()
    assert states(shown) == states(done)
    known = [name for name, status in shown.items() if status.key is not None]
    assert known
    for name in known:
        assert (shown[name].key, shown[name].why) == (done[name].key, done[name].why)
        assert shown[name].digest in (None, done[name].digest)


def test_a_preview_of_some_names_says_what_the_run_of_those_does(project: Project) -> None:
    shown = project.preview(names={"made", "upper"})
    assert states(shown) == states(project.run(names={"made", "upper"}))


def test_a_preview_writes_nothing(project: Project) -> None:
    project.preview()
    assert not project.store_folder.exists()
    assert project.diary == []


def test_a_dry_run_shows_what_is_computed_anew(project: Project) -> None:
    project.run()
    arguments = ["--store", str(project.store_folder), "--json"]
    dag = str(project.folder / "dag.yaml")
    result = CliRunner().invoke(cli, ["run", dag, "--dry-run", "--from", "upper", *arguments])
    assert result.exit_code == 0, result.output
    shown = {entry["name"]: entry["state"] for entry in json.loads(result.stdout)}
    assert (shown["made"], shown["upper"]) == ("reused", "computed")


def test_the_plan_as_json_has_what_is_promised_of_each_stage(project: Project) -> None:
    done = project.run()
    project.plan()
    dag = str(project.folder / "dag.yaml")
    result = CliRunner().invoke(cli, ["plan", dag, "--store", str(project.store_folder), "--json"])
    assert result.exit_code == 0, result.output
    entries = json.loads(result.stdout)
    assert [entry["name"] for entry in entries] == ["made", "upper", "sorted"]
    for entry in entries:
        assert {"name", "state", "key", "digest", "why", "seconds", "rows"} <= set(entry)
        assert (entry["state"], entry["digest"], entry["rows"]) == (
            "reused", done[entry["name"]].digest, 5,
        )  # fmt: skip


# -- rows in the store are what the kinds say ------------------------------------------------------


def test_every_artifact_of_a_run_is_whole_and_of_its_kind(project: Project) -> None:
    project.run(CHAIN.replace("toy_words:Upper", "toy_words:Filter"))
    for manifest in project.store.artifacts():
        assert project.store.faults(manifest, contents=True) == []
        assert manifest.kind in (Kind.DOCUMENTS, Kind.DROPPED)
        assert project.store.table(manifest).num_rows == manifest.rows
