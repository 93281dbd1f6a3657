"""gc removes what no kept run needs, and never what is used or leads back to the sources."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serial_runtime import SerialRuntime
from toy_project import CHAIN, Project, states

from pipelines import gc
from pipelines.gc import Collector, Policy
from pipelines.leases import Lease, run_entries, write_entry
from pipelines.store import Store
from pipelines.trace import trace

KEEP_NONE = Policy(runs=0, attempt_days=0)


@pytest.fixture
def project(tmp_path: Path, own_modules_are_forgotten: Callable[[], None]) -> Project:
    return Project(tmp_path, own_modules_are_forgotten)


def run(project: Project, dag: str = CHAIN, state: str = "FINISHED", **options: Any) -> Any:
    lease = Lease(project.store, "toy")
    done = project.run(dag, lease=lease, **options)
    lease.close(state)
    return done


def with_suffix(suffix: str) -> str:
    return CHAIN.replace("documents: made}", f"documents: made}}, with: {{suffix: '{suffix}'}}")


def digests(project: Project) -> set[str]:
    return {manifest.digest for manifest in project.store.artifacts()}


def sweep(project: Project, policy: Policy = KEEP_NONE) -> int:
    collector = Collector(project.store, policy)
    return collector.remove(collector.look())


def files(project: Project) -> set[str]:
    return {p.relative_to(project.store_folder).as_posix()
            for p in project.store_folder.rglob("*") if p.is_file()}  # fmt: skip


def test_what_the_last_run_needs_stays_and_what_only_an_older_one_needs_goes(
    project: Project,
) -> None:
    old = run(project, with_suffix("1"))
    new = run(project, with_suffix("2"))
    sweep(project, Policy(runs=1))
    assert digests(project) == {status.digest for status in new.values()}
    assert old["upper"].digest not in digests(project)
    assert set(states(run(project, with_suffix("2"))).values()) == {"reused"}
    assert states(run(project, with_suffix("1")))["upper"] == "computed"


def test_looking_removes_nothing(project: Project) -> None:
    run(project, with_suffix("1"))
    run(project, with_suffix("2"))
    before = files(project)
    found = Collector(project.store, Policy(runs=1)).look()
    assert len(found.artifacts) == 2
    assert files(project) == before


def test_as_many_runs_as_asked_for_are_kept(project: Project) -> None:
    for suffix in "1234":
        run(project, with_suffix(suffix))
    sweep(project, Policy(runs=3))
    assert len(run_entries(project.store)) == 3
    assert states(run(project, with_suffix("2")))["upper"] == "reused"
    assert states(run(project, with_suffix("1")))["upper"] == "computed"


def test_runs_younger_than_asked_for_are_kept_however_they_ended(project: Project) -> None:
    run(project, with_suffix("1"), state="FAILED")
    run(project, with_suffix("2"))
    assert Collector(project.store, Policy(runs=1, days=1)).look().empty


def test_the_last_result_of_each_stage_stays_without_any_run(project: Project) -> None:
    done = project.run()  # no entry: as a store of an older version has none
    sweep(project)
    assert digests(project) == {status.digest for status in done.values()}


def test_what_a_running_run_uses_is_not_touched(project: Project) -> None:
    old = run(project, with_suffix("1"))
    lease = Lease(project.store, "toy")  # a run that is under way and relies on the old results
    for name, status in old.items():
        lease.uses(name, status.key, "shards/none/of/these")
    run(project, with_suffix("2"))
    sweep(project)
    assert {status.digest for status in old.values()} <= digests(project)
    lease.close("FINISHED")


def test_what_a_run_has_come_to_rely_on_since_the_look_is_put_back(project: Project) -> None:
    old = run(project, with_suffix("1"))
    run(project, with_suffix("2"))
    collector = Collector(project.store, KEEP_NONE)
    found = collector.look()
    assert old["upper"].digest in {m.digest for m in found.artifacts}
    lease = Lease(project.store, "toy")
    for name, status in old.items():
        lease.uses(name, status.key, "shards/none/of/these")
    collector.remove(found)
    assert old["upper"].digest in digests(project)
    assert project.store.faults(old["upper"].outputs["documents"], contents=True) == []
    lease.close("FINISHED")
    assert set(states(run(project, with_suffix("1"))).values()) == {"reused"}


def test_shards_that_a_running_run_writes_are_not_touched(project: Project) -> None:
    lease = Lease(project.store, "toy")
    with pytest.raises(KeyboardInterrupt):
        project.run(runtime=SerialRuntime(interrupted_at="upper#1"), lease=lease)
    assert not Collector(project.store, KEEP_NONE).look().attempts
    lease.close("KILLED")
    assert len(Collector(project.store, KEEP_NONE).look().attempts) == 1


def test_an_unfinished_attempt_is_kept_while_it_is_young_enough_to_be_resumed(
    project: Project,
) -> None:
    lease = Lease(project.store, "toy")
    with pytest.raises(KeyboardInterrupt):
        project.run(runtime=SerialRuntime(interrupted_at="upper#1"), lease=lease)
    lease.close("KILLED")
    sweep(project, Policy(runs=0, attempt_days=7))
    assert run(project)["upper"].shards_resumed == 1


def test_a_run_that_died_is_not_under_way(project: Project) -> None:
    run(project, with_suffix("1"))
    lease = Lease(project.store, "toy")
    lease.uses("upper", "a key", "shards/none/of/these")
    lease._ended.set()
    lease.entry.process_start = "of another process"
    write_entry(project.store, lease.entry)
    run(project, with_suffix("2"))
    sweep(project)
    assert "toy_words.Upper" in {p.split("/")[1] for p in files(project) if p.startswith("shards/")}
    assert len(digests(project)) == 3


def test_lineage_of_what_is_kept_leads_to_the_sources_still(project: Project) -> None:
    run(project, with_suffix("1"))
    new = run(project, with_suffix("2"))
    sweep(project)
    origin = trace(project.store, new["sorted"].outputs["documents"])
    assert (
        origin.inputs["documents"][0].inputs["documents"][0].manifest.digest == new["made"].digest
    )


def test_results_pointers_and_code_of_what_goes_go_with_it(project: Project) -> None:
    old = run(project, with_suffix("1"))
    new = run(project, with_suffix("2"))
    sweep(project)
    assert project.store.record(old["upper"].key or "") is None
    assert project.store.record(new["upper"].key or "") is not None
    for path in project.store.files.sizes("index"):
        assert project.store.record(project.store.pointed(path) or "") is not None
    assert project.store.files.names("code")


def test_no_folder_is_left_empty(project: Project) -> None:
    run(project, with_suffix("1"))
    run(project, with_suffix("2"))
    sweep(project)
    shards = project.store_folder / "shards"
    assert all(any(folder.iterdir()) for folder in shards.rglob("*") if folder.is_dir())


def test_a_sweep_that_was_killed_in_the_middle_loses_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = run(project, with_suffix("1"))
    run(project, with_suffix("2"))
    collector = Collector(project.store, KEEP_NONE)
    found = collector.look()

    def killed(self: Collector) -> set[str]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Collector, "_relied_on", killed)
        with pytest.raises(KeyboardInterrupt):
            collector.remove(found)
    before = len(digests(project))
    Collector(project.store, Policy(runs=5)).look()  # the next one puts back what was aside
    assert len(digests(project)) == before + 1
    assert {status.digest for status in old.values()} <= digests(project)
    assert not [path for path in files(project) if path.endswith(gc.ASIDE)]


def test_two_sweeps_at_once_end_well(project: Project) -> None:
    run(project, with_suffix("1"))
    run(project, with_suffix("2"))
    one, other = (Collector(project.store, KEEP_NONE) for _ in range(2))
    first, second = one.look(), other.look()
    assert one.remove(first) > 0
    other.remove(second)
    assert set(states(run(project, with_suffix("2"))).values()) == {"reused"}


def test_what_is_freed_is_what_was_shown(project: Project) -> None:
    run(project, with_suffix("1"))
    run(project, with_suffix("2"))
    collector = Collector(project.store, KEEP_NONE)
    found = collector.look()
    size = sum(p.stat().st_size for p in project.store_folder.glob("shards/**/*") if p.is_file())
    freed = collector.remove(found)
    left = sum(p.stat().st_size for p in project.store_folder.glob("shards/**/*") if p.is_file())
    assert freed == found.size == size - left
    assert json.dumps(gc.as_json(found))


def test_a_store_that_is_new_has_nothing_to_remove(tmp_path: Path) -> None:
    assert Collector(Store(str(tmp_path / "new")), Policy()).look().empty


def test_an_old_entry_of_a_run_that_needs_nothing_any_more_goes(project: Project) -> None:
    for suffix in "123":
        run(project, with_suffix(suffix))
        time.sleep(0.01)
    sweep(project, Policy(runs=1))
    assert len(run_entries(project.store)) == 1
