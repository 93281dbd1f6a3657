"""Checkpoints outlive a task: what they promise to a stage, on any store and among other runs."""

import json
import pickle
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serial_runtime import SerialRuntime
from toy_project import Project, states

from cluster.team import TeamLost
from pipelines.checkpoints import StoredCheckpoints, attempt_of, drop_checkpoints, folder_of
from pipelines.code import CodeIndex
from pipelines.gc import Collector, Policy
from pipelines.isolation import describe, keep_place
from pipelines.leases import Lease, write_entry
from pipelines.store import Store

KEY = "0123456789abcdef" * 2

STAGES = '''
import os
from pathlib import Path
import pyarrow as pa
from stages.contract import Field, Input, Kind, Output, RowStage, Stage, StageConfig, execution_field
from stages.kinds import METRICS

HERE = Path(__file__).parent


class Count(Stage):
    """A sum of steps that is saved at each; it fails where a file says so."""

    class Config(StageConfig):
        steps: int = Field(6, description="to count")
        size: int = Field(1, description="of the team")
        says: int = Field(1, description="what workers() says")

    outputs = {"metrics": Output(Kind.METRICS, "the sum")}

    def workers(self):
        return self.config.says

    def run(self, inputs, outputs, context):
        self.seen = "by run"
        total = context.team(self.count, self.config.size)
        # Who looks at what the team has saved has not gone on from it.
        assert context.checkpoints().latest()[0] == self.config.steps
        outputs["metrics"].write(pa.Table.from_pylist(
            [{"id": "sum", "metric": "sum", "value": total, "weight": 1.0, "group": None}], METRICS))

    def count(self, rank, size, inputs, context):
        assert (rank, size) == (0, 1)
        assert not hasattr(self, "seen"), "a step sees what run has set"
        checkpoints, done, total = context.checkpoints(), 0, 0.0
        found = checkpoints.latest()
        if found is not None:
            done = found[0]
            total = float((found[1] / "deep" / "total").read_text())
        for step in range(done + 1, self.config.steps + 1):
            fails = HERE / f"fails at {step}"
            if fails.exists():
                fails.unlink()
                raise FloatingPointError(f"no sum at {step}")
            with (HERE / "counted").open("a") as file:
                file.write(f"{step} ")
            total += step
            (HERE / "new" / "deep").mkdir(parents=True, exist_ok=True)
            (HERE / "new" / "deep" / "total").write_text(str(total))
            checkpoints.save(step, HERE / "new")
            checkpoints.keep([step, step - 1])
        context.count("counted", 1)
        return total


class Rows(RowStage):
    """Asks for what it has not."""

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "letters")}

    def apply(self, rows, context):
        context.checkpoints()
        return rows
'''

DAG = 'pipeline: counted\nstages:\n  sum: {{uses: "counting:Count", {more}with: {{{settings}}}}}\n'


def dag(settings: str = "", more: str = "") -> str:
    return DAG.format(settings=settings, more=more)


@pytest.fixture
def project(tmp_path: Path, own_modules_are_forgotten: Callable[[], None]) -> Project:
    made = Project(tmp_path, own_modules_are_forgotten)
    (tmp_path / "counting.py").write_text(STAGES, encoding="utf-8")
    return made


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    # What is fetched from a store that is away goes with the test.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if request.param == "local":
        return Store(str(tmp_path / "store"))
    if request.param == "s3":
        return Store(f"{request.getfixturevalue('s3_url')}/deep/store")
    return Store(f"memory://tokenmill-{uuid.uuid4().hex}/deep/store")


def attempt(store: Store, notes: list[Any] | None = None) -> StoredCheckpoints:
    """The checkpoints of a new attempt at one key."""
    told = [] if notes is None else notes
    return StoredCheckpoints(
        store, store.new_attempt("a:Stage", KEY), KEY, lambda *note: told.append(note)
    )


def work(tmp_path: Path, text: str) -> Path:
    """What a stage wants to save."""
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    (folder / "inner").mkdir()
    (folder / "weights").write_text(text)
    (folder / "inner" / "state").write_bytes(b"")
    return folder


def texts(found: tuple[int, Path] | None) -> tuple[int, str] | None:
    if found is None:
        return None
    step, folder = found
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert names == {"weights", "inner/state"}
    return step, (folder / "weights").read_text()


def files(store: Store) -> set[str]:
    return set(store.files.sizes("checkpoints"))


def test_what_is_saved_is_found_by_the_same_attempt_and_by_the_next(
    store: Store, tmp_path: Path
) -> None:
    one = attempt(store)
    assert one.latest() is None
    folder = work(tmp_path, "at ten")
    one.save(10, folder)
    assert not [path for path in folder.rglob("*") if path.is_file()]
    one.save(9, work(tmp_path, "at nine"))
    notes: list[Any] = []
    other = attempt(store, notes)
    assert texts(one.latest()) == texts(other.latest()) == (10, "at ten")
    assert notes == [("resumed", 10)]
    for checkpoints in (one, other):
        checkpoints.close()


def test_another_key_with_the_same_beginning_has_checkpoints_of_its_own(
    store: Store, tmp_path: Path
) -> None:
    attempt(store).save(1, work(tmp_path, "one"))
    key = KEY[:-1] + "0"
    assert StoredCheckpoints(store, store.new_attempt("a:Stage", key), key).latest() is None


def test_only_what_is_to_be_kept_stays(store: Store, tmp_path: Path) -> None:
    saved = attempt(store)
    for step in range(1, 5):
        saved.save(step, work(tmp_path, str(step)))
    saved.keep([2, 3])
    assert texts(saved.latest()) == (3, "3")
    saved.keep(iter([2]))
    assert texts(saved.latest()) == (2, "2")
    assert len(files(store)) == 3
    saved.keep([])
    assert saved.latest() is None
    assert not files(store)
    saved.close()


def test_a_step_that_is_saved_again_is_replaced(store: Store, tmp_path: Path) -> None:
    saved = attempt(store)
    saved.save(1, work(tmp_path, "first"))
    saved.save(1, work(tmp_path, "again"))
    assert texts(saved.latest()) == (1, "again")
    assert len(files(store)) == 3
    saved.close()


@pytest.mark.parametrize("damage", ["changed", "shorter", "gone", "mark"])
def test_a_damaged_checkpoint_is_passed_over_with_a_note(
    store: Store, tmp_path: Path, damage: str
) -> None:
    saved = attempt(store)
    saved.save(1, work(tmp_path, "sound"))
    saved.save(2, work(tmp_path, "torn"))
    (weights,) = [p for p in files(store) if "/2-" in p and p.endswith("/weights")]
    path = f"checkpoints/{weights}"
    if damage == "gone":
        store.files.remove(path)
    elif damage == "mark":
        store.files.overwrite(path.removesuffix("/weights") + ".json", b'{"step": 2')
    else:
        store.files.overwrite(path, b"tarn" if damage == "changed" else b"tor")
    notes: list[Any] = []
    other = attempt(store, notes)
    assert texts(other.latest()) == (1, "sound")
    assert notes == [("damaged", 2), ("resumed", 1)]
    other.close()


@given(killed=st.integers(0, 4))
def test_a_crash_while_saving_leaves_the_earlier_ones_as_they_were(killed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder + "/store")
        saved = attempt(store)
        saved.save(1, work(Path(folder), "whole"))
        writes = 0

        def until_killed(call: Callable[..., Any]) -> Callable[..., Any]:
            def called(*arguments: Any) -> Any:
                nonlocal writes
                writes += 1
                if writes > killed:
                    raise KeyboardInterrupt
                return call(*arguments)

            return called

        real = store.files.take, store.files.overwrite, store.files.remove
        for name in ("take", "overwrite", "remove"):
            setattr(store.files, name, until_killed(getattr(store.files, name)))
        try:
            saved.save(2, work(Path(folder), "new"))
            saved.keep([2])
        except KeyboardInterrupt:
            pass
        store.files.take, store.files.overwrite, store.files.remove = real  # type: ignore[method-assign]
        whole = (1, "whole") if killed < 3 else (2, "new")
        assert texts(attempt(Store(folder + "/store")).latest()) == whole


def test_nothing_to_save_is_an_error_that_says_so(tmp_path: Path) -> None:
    saved = attempt(Store(str(tmp_path / "store")))
    with pytest.raises(ValueError, match=r"there is no file in .* to save as the checkpoint of 3"):
        saved.save(3, tmp_path)
    with pytest.raises(ValueError, match="a step of 0 or more, not -1"):
        saved.save(-1, work(tmp_path, "x"))


def test_two_runs_at_once_save_and_keep_side_by_side(store: Store, tmp_path: Path) -> None:
    leases = [Lease(store, "toy") for _ in range(2)]
    runs = [attempt(store) for _ in leases]
    for lease, run in zip(leases, runs, strict=True):
        lease.uses("sum", KEY, run._prefix)
    runs[0].save(5, work(tmp_path, "of the first"))
    runs[1].save(3, work(tmp_path, "of the second"))
    runs[1].keep([])
    assert texts(runs[1].latest()) == (5, "of the first")
    drop_checkpoints(store, runs[0]._prefix, KEY)  # the first is done, the second goes on
    runs[1].save(6, work(tmp_path, "of the second"))
    assert texts(runs[1].latest()) == (6, "of the second")
    drop_checkpoints(store, runs[1]._prefix, KEY)
    assert not files(store)
    for lease, run in zip(leases, runs, strict=True):
        lease.close("FINISHED")
        run.close()


def test_what_one_run_goes_on_from_no_other_can_remove(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    one, other = attempt(store), attempt(store)
    one.save(5, work(tmp_path, "five"))
    found = other.latest()
    one.keep([])
    assert texts(found) == (5, "five")


def test_the_next_attempt_removes_what_runs_that_are_gone_have_left(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    dead, alive, present = attempt(store), attempt(store), attempt(store)
    lease = Lease(store, "toy")
    lease.uses("sum", KEY, alive._prefix)
    dead.save(1, work(tmp_path, "dead"))
    alive.save(2, work(tmp_path, "alive"))
    dead.save(3, work(tmp_path, "dead"))
    assert texts(present.latest()) == (3, "dead")
    present.save(4, work(tmp_path, "new"))
    left = {attempt_of(f"checkpoints/{'/'.join(p.split('/')[:3])}") for p in files(store)}
    assert left == {alive._prefix, present._prefix}
    lease.close("FINISHED")


# -- with the engine ------------------------------------------------------------------------------


def counted(project: Project) -> list[int]:
    return [int(step) for step in (project.folder / "counted").read_text().split()]


def fail_at(project: Project, *steps: int) -> None:
    for step in steps:
        (project.folder / f"fails at {step}").touch()


def test_a_stage_that_is_tried_again_goes_on_from_its_last_step(project: Project) -> None:
    fail_at(project, 3, 5)
    done = project.run(dag(more="retries: {task: 2}, "))["sum"]
    assert done.state == "computed", done.error
    assert counted(project) == [1, 2, 3, 4, 5, 6]
    assert done.metrics["resumed_from_step"] == 4
    assert done.metrics["counted"] == 1


def test_the_next_run_goes_on_where_the_last_one_failed_and_gives_the_same(
    project: Project, tmp_path: Path
) -> None:
    fail_at(project, 4)
    failed = project.run(dag())["sum"]
    assert failed.state == "failed"
    assert "FloatingPointError: no sum at 4 at counting.py" in str(failed.error)
    done = project.run(dag())["sum"]
    assert counted(project) == [1, 2, 3, 4, 5, 6]
    project.store_folder = tmp_path / "another"
    undisturbed = project.run(dag())["sum"]
    assert "resumed_from_step" not in undisturbed.metrics
    assert done.outputs["metrics"].digest == undisturbed.outputs["metrics"].digest


def test_other_settings_or_other_code_begin_anew(project: Project, tmp_path: Path) -> None:
    fail_at(project, 4)
    project.run(dag())
    project.run(dag("steps: 5"))
    assert counted(project) == [1, 2, 3, 1, 2, 3, 4, 5]
    path = tmp_path / "counting.py"
    path.write_text(STAGES.replace("total += step", "total += 2 * step"), encoding="utf-8")
    project._forget()
    project.run(dag())
    assert counted(project)[8:] == [1, 2, 3, 4, 5, 6]


def test_checkpoints_go_when_the_stage_is_committed(project: Project) -> None:
    fail_at(project, 4)
    project.run(dag())
    assert len({path.split("/")[3] for path in files(project.store)}) == 4, "two, with their marks"
    assert project.run(dag())["sum"].state == "computed"
    assert not (project.store_folder / "checkpoints").exists()


def test_a_worker_of_a_team_that_is_lost_costs_a_retry_of_the_infrastructure(
    project: Project,
) -> None:
    class Losing(SerialRuntime):
        losses = 2

        def wait(self, timeout: float) -> list[Any]:
            ended = super().wait(timeout)
            for end in ended:
                if self.losses:
                    self.losses -= 1
                    lost = TeamLost("a worker of the team is gone")
                    return [type(end)(end.task, error=str(lost), lost=True, cause=lost)]
            return ended

    done = project.run(dag(), runtime=Losing())["sum"]
    assert done.state == "computed"
    assert project.runtimes[0].tasks == ["sum"] * 3
    limited = dag("steps: 7", more="retries: {infrastructure: 1}, ")
    failed = project.run(limited, runtime=Losing())["sum"]
    assert "its worker was lost, and retries are used up: a worker of the team" in str(failed.error)


def test_gc_keeps_what_can_be_gone_on_from_and_removes_the_rest(project: Project) -> None:
    fail_at(project, 4)
    lease = Lease(project.store, "toy")
    project.run(dag(), lease=lease)
    collector = Collector(project.store, Policy(runs=0, attempt_days=0))
    assert not collector.look().attempts, "of a run that is alive"
    lease.close("FAILED")
    assert not Collector(project.store, Policy(runs=0, attempt_days=7)).look().attempts
    sweep = collector.look()
    (folder,) = [path for path in sweep.attempts if path.startswith("checkpoints/")]
    assert sweep.attempts[folder] == sum(project.store.files.sizes(folder).values())
    collector.remove(sweep)
    assert not (project.store_folder / "checkpoints").exists()


def test_gc_removes_checkpoints_of_a_key_that_has_its_result(project: Project) -> None:
    lease = Lease(project.store, "toy")
    done = project.run(dag(), lease=lease)["sum"]
    # A run that was killed before it could remove them.
    prefix = done.outputs["metrics"].location.rpartition("/")[0]
    left = folder_of(prefix, str(done.key)) + "/" + prefix.rpartition("/")[2]
    project.store.files.overwrite(f"{left}/6-00.json", json.dumps({"files": {}}).encode())
    collector = Collector(project.store, Policy(runs=5, attempt_days=7))
    assert not collector.look().attempts
    lease.entry.process_start = "of another process"
    write_entry(project.store, lease.entry)
    assert list(collector.look().attempts) == [left]
    lease.close("KILLED")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("size: 2", "a team has 1 to 1 workers, as Count.workers() says, and not 2"),
        ("size: 0", "a team has 1 to 1 workers"),
        ("size: 2, says: 3", "a team of 2 workers needs a cluster, and this task is in none"),
    ],
)
def test_a_team_that_cannot_be_is_an_error_that_says_why(
    project: Project, settings: str, said: str
) -> None:
    assert said in str(project.run(dag(settings))["sum"].error)


def test_where_a_rank_raised_is_told_at_home_though_its_traceback_stays_behind() -> None:
    with pytest.raises(ValueError, match="no") as caught:
        float("no number")
    keep_place(caught.value, ", rank 1")
    home = pickle.loads(pickle.dumps(caught.value))
    assert describe(home).startswith(f"ValueError: {caught.value} at {Path(__file__).name}:")
    assert describe(home).endswith(f" in {caught.traceback[0].name}, rank 1")


def test_the_workers_of_a_team_are_part_of_what_a_stage_asks_for(project: Project) -> None:
    assert project.plan(dag("says: 3"))["sum"].resources.workers == 3
    assert project.plan(dag())["sum"].resources.workers == 1


def test_a_row_stage_has_no_checkpoints(project: Project) -> None:
    done = project.run(
        'pipeline: p\nstages:\n  made: {uses: "toy_words:Make"}\n'
        '  rows: {uses: "counting:Rows", needs: {documents: made}}\n'
    )
    assert states(done) == {"made": "computed", "rows": "failed"}
    assert "a RowStage has no checkpoints" in str(done["rows"].error)


def test_what_the_engine_does_for_a_stage_is_no_code_of_it(
    project: Project, tmp_path: Path
) -> None:
    reached = CodeIndex([tmp_path]).reach("counting", "Count")
    assert {name.partition(":")[0] for name in reached} == {"counting", "stages.kinds"}
    assert {"counting:Count", "counting:HERE"} <= set(reached)
