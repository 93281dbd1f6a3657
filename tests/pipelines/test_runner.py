"""Running a plan: what is reused, what is computed, and what happens when a stage fails."""

import json
import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from serial_runtime import SerialRuntime

from pipelines.cli import cli
from pipelines.execute import Point
from pipelines.plan import Plan, make_plan
from pipelines.resolve import preview
from pipelines.run import Runner
from pipelines.spec import read_dag
from pipelines.status import StageStatus
from pipelines.store import Store
from stages.kinds import Kind

STAGES = '''\
"""The stages of the tests: letters are made, changed, and counted."""
import pyarrow as pa
from pathlib import Path

from stages.contract import Field, Input, Kind, Output, RowStage, Stage, StageConfig, execution_field
from stages.kinds import DOCUMENTS, DROPPED, METRICS

DIARY = Path(__file__).with_name("diary.txt")


def note(text):
    with DIARY.open("a") as file:
        file.write(text + "\\n")


def row(id_, text):
    return {"id": id_, "text": text, "language": "eng_Latn", "source": "toy", "group": None,
            "edits": []}


class Make(Stage):
    """Letters, in shards of two."""

    class Config(StageConfig):
        letters: str = Field("abcde", description="one row each")
        speed: int = execution_field(1, description="of nothing", why="it does nothing")
        seed: int = Field(0, description="of nothing")

    outputs = {"documents": Output(Kind.DOCUMENTS, "letters")}

    def run(self, inputs, outputs, context):
        note("Make")
        letters = [row(letter, letter) for letter in self.config.letters]
        for start in range(0, len(letters), 2):
            outputs["documents"].write(pa.Table.from_pylist(letters[start : start + 2], DOCUMENTS))
            context.progress(start, len(letters))
        context.metric("letters", len(letters))
        context.metric("curve", 1.0, step=1)
        context.metric("curve", 2.0, step=2)
        context.figure("picture", b"png")


def changed(text, suffix):
    # The method of Upper.
    return text.upper() + suffix


class Upper(RowStage):
    """Upper case, a shard at a time."""

    class Config(StageConfig):
        suffix: str = Field("", description="put behind each")
        fails_at: str = Field("", description="a text at which it fails")

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "upper case")}
    conserves = ("documents", ("documents",))

    def apply(self, rows, context):
        note("Upper")
        made = []
        for entry in rows.to_pylist():
            if entry["text"] == self.config.fails_at:
                raise ValueError(f"cannot read {entry['text']}")
            made.append(entry | {"text": changed(entry["text"], self.config.suffix)})
        context.count("rows_seen", len(made))
        return pa.Table.from_pylist(made, DOCUMENTS)

    def summary(self, counts):
        return {"twice": 2.0 * counts.get("rows_seen", 0)}


class Sort(Stage):
    """All letters in one shard, in order: the same bytes from the same rows."""

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "sorted")}

    def run(self, inputs, outputs, context):
        note("Sort")
        rows = sorted(inputs["documents"].table().to_pylist(), key=lambda entry: entry["id"])
        outputs["documents"].write(pa.Table.from_pylist(rows, DOCUMENTS))


class Filter(Stage):
    """Vowels are dropped; `loses` rows vanish, `doubles` rows come twice."""

    class Config(StageConfig):
        loses: int = Field(0, description="rows that vanish")
        doubles: int = Field(0, description="rows that come twice")

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "kept"), "dropped": Output(Kind.DROPPED, "not")}
    conserves = ("documents", ("documents", "dropped"))

    def run(self, inputs, outputs, context):
        rows = inputs["documents"].table().to_pylist()
        vowels = [r for r in rows if r["text"] in "aeiou"]
        kept = [r for r in rows if r["text"] not in "aeiou"]
        kept = kept[self.config.loses :] + kept[: self.config.doubles]
        outputs["documents"].write(pa.Table.from_pylist(kept, DOCUMENTS))
        outputs["dropped"].write(pa.Table.from_pylist(
            [{"id": r["id"], "source": "toy", "reason": "vowel", "value": 1.0, "text": r["text"]}
             for r in vowels], DROPPED))


class Flaky(Stage):
    """Fails `times` times, then makes letters."""

    class Config(StageConfig):
        times: int = Field(1, description="failures")

    outputs = {"documents": Output(Kind.DOCUMENTS, "letters")}

    def run(self, inputs, outputs, context):
        note("Flaky")
        outputs["documents"].write(pa.Table.from_pylist([row("x", "x")], DOCUMENTS))
        outputs["documents"].write(pa.Table.from_pylist([row("y", "y")], DOCUMENTS))
        if DIARY.read_text().count("Flaky") <= self.config.times:
            raise OSError("the network is away")


class Broken(RowStage):
    """Each way in which a stage can be wrong."""

    class Config(StageConfig):
        how: str = Field(description="the way")

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "letters")}

    def apply(self, rows, context):
        how = self.config.how
        if how == "schema":
            return rows.drop_columns(["text"])
        if how == "shards differ":
            first = rows.column("id")[0].as_py() == "a"
            return rows.append_column("more", pa.nulls(len(rows)) if first else rows.column("id"))
        if how == "together" and rows.num_rows > 1:
            raise ValueError("too many")
        if how == "counts":
            context.count("rows", 1)
        return rows

    def summary(self, counts):
        return {"share": 1 / (counts.get("rows", 0) - 3)} if self.config.how == "counts" else {}


class Folder(Stage):
    """A model of two files."""

    class Config(StageConfig):
        writes: bool = Field(True, description="whether it does")

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"model": Output(Kind.MODEL, "a model")}

    def run(self, inputs, outputs, context):
        if self.config.writes:
            folder = outputs["model"].folder()
            (folder / "config.json").write_text("{}")
            (folder / "weights").write_bytes(str(inputs["documents"].rows).encode())


class Compare(Stage):
    """Who is who."""

    inputs = {"scores": Input(Kind.DOCUMENTS, "letters of all cells", many=True)}
    outputs = {"metrics": Output(Kind.METRICS, "rows by cell")}

    def run(self, inputs, outputs, context):
        note("Compare")
        outputs["metrics"].write(pa.Table.from_pylist(
            [{"id": str(dict(a.cell)), "metric": "rows", "value": float(a.rows), "weight": 1.0,
              "group": None} for a in inputs["scores"]], METRICS))


class Reads(Stage):
    """The text of a file beside it."""

    class Config(StageConfig):
        path: str = Field("words.txt", description="the file")

    outputs = {"documents": Output(Kind.DOCUMENTS, "the text")}

    def _path(self):
        return Path(__file__).with_name(self.config.path)

    def sources(self):
        return {self.config.path: self._path().read_text()}

    def run(self, inputs, outputs, context):
        outputs["documents"].write(pa.Table.from_pylist([row("t", self._path().read_text())],
                                                        DOCUMENTS))


class Dice(Stage):
    """Other rows each time."""

    outputs = {"documents": Output(Kind.DOCUMENTS, "a throw")}

    def run(self, inputs, outputs, context):
        note("Dice")
        thrown = DIARY.read_text().count("Dice")
        outputs["documents"].write(pa.Table.from_pylist([row("t", str(thrown))], DOCUMENTS))
'''

CHAIN = """\
pipeline: toy
stages:
  made: {uses: toy_words:Make}
  upper: {uses: toy_words:Upper, needs: {documents: made}}
  sorted: {uses: toy_words:Sort, needs: {documents: upper}}
"""


class Project:
    """A folder with stages, a DAG and a store, as a user has it."""

    def __init__(self, folder: Path, forget: Callable[[], None]) -> None:
        self.folder = folder
        self._forget = forget
        self.store_folder = folder / "store"
        self.runtimes: list[SerialRuntime] = []
        self.edit_stages(lambda _: STAGES)

    def edit_stages(self, edit: Callable[[str], str]) -> None:
        path = self.folder / "toy_words.py"
        before = path.read_text() if path.exists() else ""
        after = edit(before)
        assert after != before, "the edit changed nothing"
        path.write_text(after)
        self._forget()

    def replace(self, old: str, new: str) -> None:
        self.edit_stages(lambda text: text.replace(old, new, 1))

    @property
    def store(self) -> Store:
        return Store(str(self.store_folder))

    def plan(self, dag: str = CHAIN, **options: Any) -> Plan:
        path = self.folder / "dag.yaml"
        path.write_text(textwrap.dedent(dag))
        return make_plan(read_dag(path, **options))

    def run(
        self, dag: str = CHAIN, *, runtime: SerialRuntime | None = None, **options: Any
    ) -> dict[str, StageStatus]:
        """Run a DAG; the status of each planned stage."""

        def start() -> SerialRuntime:
            self.runtimes.append(runtime or SerialRuntime())
            return self.runtimes[-1]

        self.runtimes = []
        statuses = Runner(self.plan(dag), self.store, start, **options).run()
        return {status.name: status for status in statuses}

    def preview(self, dag: str = CHAIN, names: set[str] | None = None) -> dict[str, StageStatus]:
        return {s.name: s for s in preview(self.plan(dag), self.store, names)}

    def texts(self, status: StageStatus, output: str = "documents") -> list[str]:
        return list(self.store.table(status.outputs[output]).column("text").to_pylist())

    @property
    def diary(self) -> list[str]:
        path = self.folder / "diary.txt"
        return path.read_text().split() if path.exists() else []


def states(statuses: Mapping[str, StageStatus]) -> dict[str, str]:
    return {name: status.state for name, status in statuses.items()}


def having(statuses: Mapping[str, StageStatus], state: str) -> set[str]:
    return {name for name, status in statuses.items() if status.state == state}


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
        r'ValueError: cannot read d at toy_words\.py:\d+ in apply \(row "d" of shard 1\)',
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
