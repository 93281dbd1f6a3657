"""What must happen when rows, workers, shards and stores fail; and what must not."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from serial_runtime import SerialRuntime
from toy_project import Project, states

from pipelines.files import StoreError, StoreFull
from pipelines.isolation import MethodError, apply_to_sound_rows
from pipelines.leases import Lease, run_entries
from pipelines.shards import finished_shards
from pipelines.store import Store, TornArtifact
from stages.kinds import Kind

POISON = '''


class Poison(RowStage):
    """Fails at rows whose text is in `at`; counts the others."""

    class Config(StageConfig):
        at: list[str] = Field([], description="texts at which it fails")

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "the same")}

    def apply(self, rows, context):
        for text in rows.column("text").to_pylist():
            if text in self.config.at:
                raise ValueError(f"cannot read {text}")
        note("Poison" if rows.num_rows > 1 else "one")
        context.count("seen", rows.num_rows)
        return rows


class Swap(RowStage):
    """Loses one row and doubles another; `kind` says how."""

    class Config(StageConfig):
        how: str = Field("", description="the way")

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "the same")}

    def apply(self, rows, context):
        if self.config.how == "doubled" and rows.num_rows > 1:
            return pa.concat_tables([rows.slice(1), rows.slice(1, 1)])
        if self.config.how == "lost":
            return rows.slice(1)
        return rows


class Grow(RowStage):
    """Makes two rows of each."""

    expands = True
    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "twice as many")}

    def apply(self, rows, context):
        return pa.concat_tables([rows, rows])


class Tears(Stage):
    """Tears its own input, once."""

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "the same")}

    def run(self, inputs, outputs, context):
        note("Tears")
        outputs["documents"].write(inputs["documents"].table())
'''

QUARANTINE = """
pipeline: toy
stages:
  made: {{uses: toy_words:Make, with: {{letters: {letters}}}}}
  poison:
    uses: toy_words:Poison
    needs: {{documents: made}}
    quarantine: {share}
    with: {{at: {at}}}
  sorted: {{uses: toy_words:Sort, needs: {{documents: poison}}}}
"""

SWAP = """
pipeline: toy
stages:
  made: {uses: toy_words:Make}
  swap: {uses: "toy_words:Swap", needs: {documents: made}, with: {how: "HOW"}}
"""


@pytest.fixture
def project(tmp_path: Path, own_modules_are_forgotten: Callable[[], None]) -> Project:
    made = Project(tmp_path, own_modules_are_forgotten)
    made.edit_stages(lambda text: text + POISON)
    return made


def poisoned(at: str = "[c]", share: str = "0.2", letters: str = "abcde") -> str:
    return QUARANTINE.format(at=at, share=share, letters=letters)


# -- poison rows -----------------------------------------------------------------------------------


def test_a_poison_row_is_set_aside_with_its_exception_and_the_others_go_on(
    project: Project,
) -> None:
    done = project.run(poisoned())
    assert states(done) == dict.fromkeys(("made", "poison", "sorted"), "computed")
    assert project.texts(done["sorted"]) == list("abde")
    status = done["poison"]
    assert (status.quarantined, status.rows) == (1, 4)
    aside = project.store.table(status.outputs["quarantined"]).to_pylist()
    assert [row["id"] for row in aside] == ["c"]
    assert aside[0]["text"] == "c"
    assert aside[0]["error"].startswith("ValueError: cannot read c at toy_words.py:")
    assert status.as_json()["quarantined"] == 1
    assert status.outputs["quarantined"].kind is Kind.QUARANTINED


def test_what_goes_on_is_counted_once(project: Project) -> None:
    assert project.run(poisoned())["poison"].metrics["seen"] == 4


def test_the_result_does_not_depend_on_the_poison_rows_of_its_shard(project: Project) -> None:
    with_poison = project.run(poisoned("[c, e]", "0.4"))
    alone = project.run(
        """
        pipeline: toy
        stages:
          made: {uses: toy_words:Make, with: {letters: abd}}
          poison: {uses: toy_words:Poison, needs: {documents: made}}
          sorted: {uses: toy_words:Sort, needs: {documents: poison}}
        """
    )
    assert with_poison["sorted"].digest == alone["sorted"].digest


def test_rows_set_aside_are_part_of_the_result_that_is_reused(project: Project) -> None:
    first = project.run(poisoned())["poison"]
    again = project.run(poisoned())["poison"]
    assert (again.state, again.quarantined) == ("reused", 1)
    assert again.outputs["quarantined"].digest == first.outputs["quarantined"].digest


def test_one_row_more_than_allowed_fails_the_stage_and_shows_the_rows(project: Project) -> None:
    done = project.run(poisoned("[b, d]", "0.2"))
    assert states(done) == {"made": "computed", "poison": "failed", "sorted": "skipped"}
    error = done["poison"].error
    assert error.startswith("2 of 5 rows failed, and 1 may be set aside (`quarantine: 0.2`)")
    assert 'row "b": ValueError: cannot read b' in error
    assert 'row "d"' in error


def test_as_many_rows_as_allowed_are_set_aside(project: Project) -> None:
    done = project.run(poisoned("[b, d]", "0.4"))
    assert done["poison"].quarantined == 2
    assert project.texts(done["sorted"]) == list("ace")


def test_a_stricter_share_does_not_reuse_a_result_that_set_more_rows_aside(
    project: Project,
) -> None:
    project.run(poisoned())
    done = project.run(poisoned(share="0"))
    assert done["poison"].state == "failed"
    assert 'row "c"' in done["poison"].error


def test_the_allowed_share_is_no_part_of_the_key(project: Project) -> None:
    first = project.run(poisoned(at="[]", share="0.2"))["poison"]
    again = project.run(poisoned(at="[]", share="0.5"))["poison"]
    assert (again.state, again.key) == ("reused", first.key)


def test_by_default_one_row_in_a_thousand_may_be_set_aside_and_none_of_few(
    project: Project,
) -> None:
    dag = poisoned().replace("quarantine: 0.2", "")
    done = project.run(dag)
    assert done["poison"].state == "failed"
    assert "none may be set aside" in done["poison"].error


def table(texts: str) -> pa.Table:
    return pa.table({"id": [f"row {t}" for t in texts], "text": list(texts)})


@pytest.mark.parametrize("bad", ["", "a", "z", "m", "az", "bcd", "amz", "abcdefgh"])
def test_every_poison_row_is_found_wherever_it_stands(bad: str) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"

    def apply(rows: pa.Table) -> dict[str, pa.Table]:
        for text in rows.column("text").to_pylist():
            if text in bad:
                raise ValueError(text)
        return {"documents": rows}

    made, aside = apply_to_sound_rows(apply, table(letters), 0, allowed=len(bad))
    assert made["documents"].column("text").to_pylist() == [t for t in letters if t not in bad]
    found = [] if aside is None else aside.column("text").to_pylist()
    assert found == list(bad)


def test_finding_one_poison_row_costs_a_logarithm_of_calls() -> None:
    calls = 0

    def apply(rows: pa.Table) -> dict[str, pa.Table]:
        nonlocal calls
        calls += 1
        if "row 777" in rows.column("id").to_pylist():
            raise ValueError
        return {"documents": rows}

    rows = pa.table({"id": [f"row {i}" for i in range(4096)]})
    _, aside = apply_to_sound_rows(apply, rows, 0, allowed=1)
    assert aside is not None
    assert aside.num_rows == 1
    assert calls <= 2 * 12 + 3


def test_a_method_that_is_broken_is_not_called_for_every_row() -> None:
    calls = 0

    def apply(rows: pa.Table) -> dict[str, pa.Table]:
        nonlocal calls
        calls += 1
        raise NameError("it never works")

    rows = pa.table({"id": [f"row {i}" for i in range(4096)]})
    with pytest.raises(MethodError, match='row "row 0": NameError: it never works'):
        apply_to_sound_rows(apply, rows, 0, allowed=4)
    assert calls <= 30


def test_a_failure_that_is_gone_when_looked_for_sets_no_row_aside() -> None:
    calls = 0

    def apply(rows: pa.Table) -> dict[str, pa.Table]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("the network is away")
        return {"documents": rows}

    made, aside = apply_to_sound_rows(apply, table("abc"), 0, allowed=3)
    assert aside is None
    assert made["documents"].num_rows == 3


def test_a_torn_input_is_no_failure_of_a_row() -> None:
    def apply(rows: pa.Table) -> dict[str, pa.Table]:
        raise TornArtifact("digest", "path", "gone")

    with pytest.raises(TornArtifact):
        apply_to_sound_rows(apply, table("abc"), 0, allowed=3)


# -- conservation ----------------------------------------------------------------------------------


def test_a_row_stage_that_loses_rows_fails_without_having_promised_anything(
    project: Project,
) -> None:
    done = project.run(SWAP.replace("HOW", "lost"))
    assert done["swap"].state == "failed"
    assert "5 came in by documents, and there are 2 in documents" in done["swap"].error
    assert "lost: a, c, e" in done["swap"].error


def test_equal_counts_of_other_rows_are_found_by_their_ids(project: Project) -> None:
    done = project.run(SWAP.replace("HOW", "doubled"))
    error = done["swap"].error
    assert "5 came in by documents, and there are 5 in documents" in error
    assert "lost: a, c" in error
    assert "doubled or new: b, d" in error


def test_a_stage_that_makes_more_rows_of_each_says_so_and_passes(project: Project) -> None:
    dag = SWAP.replace("toy_words:Swap", "toy_words:Grow").replace(', with: {how: "HOW"}', "")
    assert project.run(dag)["swap"].rows == 10


# -- shards of an interrupted attempt --------------------------------------------------------------

CHAIN_OF_SHARDS = """
pipeline: toy
stages:
  made: {uses: toy_words:Make, with: {letters: abcdefghij}}
  poison: {uses: "toy_words:Poison", needs: {documents: made}}
"""


def interrupt(project: Project, at: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        project.run(CHAIN_OF_SHARDS, runtime=SerialRuntime(interrupted_at=at))


def test_finished_shards_of_an_interrupted_run_are_not_computed_again(project: Project) -> None:
    whole = project.run(CHAIN_OF_SHARDS)
    digest = whole["poison"].digest
    project.store_folder = project.folder / "another"
    (project.folder / "diary.txt").unlink()
    interrupt(project, "poison#3")
    assert project.diary.count("Poison") == 3
    done = project.run(CHAIN_OF_SHARDS)["poison"]
    assert project.diary.count("Poison") == 5
    assert (done.shards, done.shards_resumed) == (5, 3)
    assert done.as_json()["shards_resumed"] == 3
    assert done.digest == digest
    assert done.metrics["seen"] == 10
    assert project.texts(done) == list("abcdefghij")


def test_all_shards_of_a_result_lie_in_one_folder_that_other_programs_open(
    project: Project,
) -> None:
    interrupt(project, "poison#3")
    done = project.run(CHAIN_OF_SHARDS)["poison"]
    folder = Path(project.store.address(done.outputs["documents"].location))
    assert sorted(path.name for path in folder.iterdir()) == [
        f"part-{i:05d}.arrow" for i in range(5)
    ]
    assert project.store.faults(done.outputs["documents"], contents=True) == []


def test_an_attempt_that_became_an_artifact_leaves_no_notes(project: Project) -> None:
    project.run(CHAIN_OF_SHARDS)
    assert not [p for p in project.store_folder.rglob("*") if "finished" in p.parts]


def test_a_finished_shard_that_was_torn_is_computed_again(project: Project) -> None:
    interrupt(project, "poison#3")
    (first, *_) = sorted(project.store_folder.glob("shards/toy_words.Poison/*/*/documents/*.arrow"))
    first.write_bytes(first.read_bytes()[:-8] + bytes(8))
    done = project.run(CHAIN_OF_SHARDS)["poison"]
    assert done.shards_resumed == 2
    assert project.texts(done) == list("abcdefghij")


def test_shards_finished_by_other_code_are_of_no_use(project: Project) -> None:
    interrupt(project, "poison#3")
    project.replace(
        'context.count("seen", rows.num_rows)', 'context.count("seen", 2 * rows.num_rows)'
    )
    done = project.run(CHAIN_OF_SHARDS)["poison"]
    assert done.shards_resumed == 0
    assert done.metrics["seen"] == 20


def test_a_shard_is_known_by_its_content_not_by_its_number(project: Project) -> None:
    interrupt(project, "poison#3")
    moved = CHAIN_OF_SHARDS.replace("abcdefghij", "ghabcdefij")
    done = project.run(moved)["poison"]
    # The key of the stage holds the digest of its whole input, so another input starts anew.
    assert done.shards_resumed == 0
    again = project.run(CHAIN_OF_SHARDS)["poison"]
    assert again.shards_resumed == 3


def test_rows_set_aside_by_an_interrupted_run_are_set_aside_still(project: Project) -> None:
    dag = poisoned("[a]", "0.5", "abcdef")
    with pytest.raises(KeyboardInterrupt):
        project.run(dag, runtime=SerialRuntime(interrupted_at="poison#1"))
    done = project.run(dag)["poison"]
    assert (done.shards_resumed, done.quarantined) == (1, 1)
    assert project.store.table(done.outputs["quarantined"]).column("id").to_pylist() == ["a"]


def test_a_shard_that_vanishes_while_it_is_taken_over_is_computed(project: Project) -> None:
    interrupt(project, "poison#3")
    for path in project.store_folder.glob("shards/toy_words.Poison/*/*/documents/*.arrow"):
        path.unlink()
    done = project.run(CHAIN_OF_SHARDS)["poison"]
    assert (done.state, done.shards_resumed) == ("computed", 0)


def test_notes_of_an_attempt_of_its_own_are_not_looked_for(project: Project) -> None:
    interrupt(project, "poison#3")
    (attempt,) = project.store_folder.glob("shards/toy_words.Poison/*/*")
    prefix = attempt.relative_to(project.store_folder).as_posix()
    assert finished_shards(project.store, prefix) == {}
    assert len(finished_shards(project.store, prefix[:-8] + "another")) == 3


# -- torn inputs -----------------------------------------------------------------------------------

TEARS = """
pipeline: toy
stages:
  made: {uses: toy_words:Make}
  sorted: {uses: toy_words:Sort, needs: {documents: made}}
  last: {uses: "toy_words:Tears", needs: {documents: sorted}}
"""


def flip(path: Path, position: int = -20) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))


def test_a_flipped_byte_in_an_input_is_found_when_it_is_opened_and_computed_anew(
    project: Project, own_modules_are_forgotten: Callable[[], None]
) -> None:
    first = project.run(TEARS.replace("  last", "  # last"))
    (shard,) = project.store_folder.glob("shards/toy_words.Sort/*/*/documents/*.arrow")
    flip(shard, len(shard.read_bytes()) // 2)
    done = project.run(TEARS)
    assert states(done) == {"made": "reused", "sorted": "computed", "last": "computed"}
    assert project.texts(done["last"]) == list("abcde")
    assert done["sorted"].digest == first["sorted"].digest
    assert project.diary.count("Sort") == 2
    assert project.store.faults(done["sorted"].outputs["documents"], contents=True) == []
    again = project.run(TEARS)
    assert set(states(again).values()) == {"reused"}


def test_an_artifact_that_goes_on_being_torn_fails_the_stage_in_the_end(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: Store, manifest: Any, part: Any) -> None:
        raise TornArtifact(manifest.digest, f"{manifest.location}/{part.path}", "it always is")

    monkeypatch.setattr(Store, "_check", never)
    done = project.run(TEARS)
    assert done["sorted"].state == "failed"
    assert "it always is" in done["sorted"].error
    assert done["last"].state == "skipped"


def test_with_verify_always_a_flipped_byte_is_found_where_nothing_is_opened(
    project: Project,
) -> None:
    project.run(TEARS)
    (shard,) = project.store_folder.glob("shards/toy_words.Sort/*/*/documents/*.arrow")
    flip(shard, len(shard.read_bytes()) // 2)
    assert set(states(project.run(TEARS)).values()) == {"reused"}
    store = Store(str(project.store_folder))
    store.verify = "always"
    from pipelines.run import Runner

    statuses = Runner(project.plan(TEARS), store, SerialRuntime).run()
    assert {s.name: s.state for s in statuses} == {
        "made": "reused", "sorted": "computed", "last": "reused",
    }  # fmt: skip


# -- the machinery ---------------------------------------------------------------------------------


class Moody(SerialRuntime):
    """Raises what it is told, so many times, before it runs a task."""

    def __init__(self, troubles: dict[str, list[BaseException]]) -> None:
        super().__init__()
        self._troubles = troubles

    def submit(self, task: str, function: Any, *arguments: Any, **options: Any) -> None:
        troubles = self._troubles.get(task, [])
        if troubles:
            error = troubles.pop(0)

            def failing(*_: Any) -> None:
                raise error

            super().submit(task, failing, *arguments, **options)
        else:
            super().submit(task, function, *arguments, **options)


def test_a_store_out_of_reach_costs_retries_of_the_machinery_not_of_the_method(
    project: Project,
) -> None:
    runtime = Moody({"made": [StoreError("away"), StoreError("away")]})
    done = project.run(CHAIN_OF_SHARDS, runtime=runtime)
    assert done["made"].state == "computed"
    assert runtime.tasks.count("made") == 3


def test_a_store_that_stays_out_of_reach_fails_the_stage(project: Project) -> None:
    done = project.run(CHAIN_OF_SHARDS, runtime=Moody({"made": [StoreError("away")] * 9}))
    assert (done["made"].state, done["made"].error) == ("failed", "away")


def test_a_full_disk_fails_the_stage_at_once_and_says_what_to_do(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.files import Written as File

    def full(self: File, data: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    project.run(CHAIN_OF_SHARDS.replace("abcdefghij", "abc"))
    with monkeypatch.context() as patched:
        patched.setattr(File, "write", full)
        done = project.run(CHAIN_OF_SHARDS)
    assert states(done) == {"made": "failed", "poison": "skipped"}
    assert "No space left on device" in done["made"].error
    assert "tokenmill gc" in done["made"].error
    assert project.runtimes[0].tasks == ["made"]
    assert all(not project.store.faults(m, contents=True) for m in project.store.artifacts())
    assert set(states(project.run(CHAIN_OF_SHARDS)).values()) == {"computed"}


def test_a_disk_that_is_full_at_the_commit_leaves_no_artifact(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Store, *_: Any) -> None:
        raise StoreFull("there is no room left")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "commit", full)
        done = project.run(CHAIN_OF_SHARDS)
    assert (done["made"].state, done["made"].outputs) == ("failed", {})
    assert project.store.artifacts() == []


class Late(SerialRuntime):
    """One task is taken up and never ends, so many times."""

    def __init__(self, late: str, times: int) -> None:
        super().__init__()
        self.late, self.times = late, times

    def wait(self, timeout: float) -> list[Any]:
        if self._waiting and self._waiting[0][0] == self.late and self.times > 0:
            from pipelines.results import Progress

            stage, _, shard = self.late.partition("#")
            index = int(shard) if shard else None
            self._messages.append(Progress(stage, index, 0, None, ""))
            time.sleep(0.02)
            return []
        return super().wait(timeout)

    def abandon(self, task: str) -> None:
        super().abandon(task)
        if task == self.late:
            self.times -= 1


TIMED = CHAIN_OF_SHARDS.replace("poison: {", "poison: {timeout: 0.05s, ")


def test_a_straggler_is_ended_and_tried_again(project: Project) -> None:
    runtime = Late("poison#2", times=1)
    done = project.run(TIMED, runtime=runtime)
    assert done["poison"].state == "computed"
    assert runtime.calls.count("abandon poison#2") == 1
    assert project.texts(done["poison"]) == list("abcdefghij")


def test_a_task_that_is_always_late_fails_its_stage_and_says_who_waited(project: Project) -> None:
    dag = TIMED + "  sorted: {uses: toy_words:Sort, needs: {documents: poison}}\n"
    done = project.run(dag, runtime=Late("poison#2", times=9))
    assert states(done) == {"made": "computed", "poison": "failed", "sorted": "skipped"}
    error = done["poison"].error
    assert error.startswith("shard 2 ran for more than its 0.05 s, 4 times; sorted waited for it")


def test_a_stage_without_a_time_limit_is_never_ended(project: Project) -> None:
    runtime = SerialRuntime()
    project.run(CHAIN_OF_SHARDS, runtime=runtime)
    assert runtime.calls == ["close"]


def test_the_other_shards_of_a_stage_that_failed_are_not_run(project: Project) -> None:
    runtime = SerialRuntime(lost={"poison#1"})
    done = project.run(CHAIN_OF_SHARDS, runtime=runtime)
    assert done["poison"].state == "failed"
    assert "poison#2" not in runtime.tasks


# -- code that is edited while a run goes on -------------------------------------------------------


class Editor(SerialRuntime):
    """Somebody edits the stages when a task has been given out."""

    def __init__(self, project: Project, task: str, old: str, new: str) -> None:
        super().__init__()
        self._edit = (project, task, old, new)

    def submit(self, task: str, function: Any, *arguments: Any, **options: Any) -> None:
        project, wanted, old, new = self._edit
        super().submit(task, function, *arguments, **options)
        if task == wanted:
            path = project.folder / "toy_words.py"
            path.write_text(path.read_text().replace(old, new))


def test_a_stage_whose_code_is_edited_before_it_runs_fails_and_leaves_no_result(
    project: Project,
) -> None:
    runtime = Editor(project, "poison#0", "context.count", "note('x'), context.count")
    done = project.run(CHAIN_OF_SHARDS, runtime=runtime)
    assert states(done) == {"made": "computed", "poison": "failed"}
    assert (
        "its code was edited while the run went on (toy_words); run again" in done["poison"].error
    )
    assert project.store.record(done["poison"].key or "") is None


def test_an_edit_that_the_stage_does_not_reach_stops_nothing(project: Project) -> None:
    runtime = Editor(project, "poison#0", "# The method of Upper.", "# Edited.")
    done = project.run(CHAIN_OF_SHARDS, runtime=runtime)
    assert states(done) == {"made": "computed", "poison": "computed"}


# -- the run's entry -------------------------------------------------------------------------------


def test_a_run_says_what_it_relies_on_and_where_it_writes(project: Project) -> None:
    lease = Lease(project.store, "toy")
    done = project.run(CHAIN_OF_SHARDS, lease=lease)
    (entry,) = run_entries(project.store)
    assert entry.stages == {name: status.key for name, status in done.items()}
    assert entry.alive
    for status in done.values():
        location = next(iter(status.outputs.values())).location
        assert any(location.startswith(f"{prefix}/") for prefix in entry.attempts)
    lease.close("FINISHED", "the MLflow run")
    (entry,) = run_entries(project.store)
    assert (entry.state, entry.tracking_run, entry.alive) == ("FINISHED", "the MLflow run", False)


def test_the_key_is_in_the_entry_before_its_result_is_looked_up(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease(project.store, "toy")
    looked_up = Store.result

    def result(self: Store, key: str) -> Any:
        (entry,) = run_entries(project.store)
        assert key in entry.stages.values()
        return looked_up(self, key)

    monkeypatch.setattr(Store, "result", result)
    project.run(CHAIN_OF_SHARDS, lease=lease)
    lease.close("FINISHED")


def test_an_entry_of_a_process_that_is_gone_is_not_alive(project: Project) -> None:
    lease = Lease(project.store, "toy")
    lease.entry.process_start = "of an earlier process with this number"
    assert not lease.entry.alive
    lease.entry.host = "another machine"
    assert lease.entry.alive
    lease.entry.beat -= 10_000
    assert not lease.entry.alive
    lease.close("KILLED")
