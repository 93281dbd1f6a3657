"""The spool: in order, once, and nothing lost while the tracker is away."""

import json
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import spool as spool_module
from pipelines.spool import Away, LeftSpool, Operation, Spool, left_behind, together


class Tracker:
    """Takes operations, save while it is away; `loses_answers` takes them and then breaks."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.again: list[bool] = []
        self.away = threading.Event()
        self.loses_answers = 0

    def __call__(self, operations: Sequence[Operation], *, again: bool) -> None:
        if self.away.is_set():
            raise Away("nobody is there")
        self.taken += [operation["value"] for operation in operations]
        self.again.append(again)
        if self.loses_answers:
            self.loses_answers -= 1
            raise Away("the answer got lost")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "PAUSES", (0.01,))


@pytest.fixture
def tracker() -> Tracker:
    return Tracker()


def begin(folder: Path, send: Any, **options: Any) -> Spool:
    return Spool(folder, "run", {"pipeline": "p"}, send, **options)


def operation(value: int, run: str = "a") -> Operation:
    return {"id": run, "value": value}


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert reached()


def left_in(folder: Path) -> LeftSpool:
    """The one spool that was left behind, as the next command finds it."""
    with left_behind(folder) as spools:
        (spool,) = spools
    return spool


def values(operations: Sequence[Operation]) -> list[int]:
    return [operation["value"] for operation in operations]


# -- a tracker that is there -----------------------------------------------------------------------


def test_operations_are_sent_in_order_and_the_file_is_gone(
    tmp_path: Path, tracker: Tracker
) -> None:
    spool = begin(tmp_path, tracker)
    for n in range(500):
        spool.append(operation(n))
    assert spool.close(grace=5) == 0
    assert tracker.taken == list(range(500))
    assert not any(tracker.again)
    assert list(tmp_path.iterdir()) == []


def test_operations_that_wait_for_the_same_run_go_together(
    tmp_path: Path, tracker: Tracker
) -> None:
    tracker.away.set()
    spool = begin(tmp_path, tracker)
    for n in range(6):
        spool.append(operation(n, "ab"[n % 2]))
    until(lambda: spool.away)
    tracker.away.clear()
    assert spool.close(grace=5) == 0
    assert [v for v in tracker.taken if v % 2 == 0] == [0, 2, 4]
    assert [v for v in tracker.taken if v % 2 == 1] == [1, 3, 5]
    assert len(tracker.again) < 6


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
def test_grouping_keeps_the_order_on_a_run_and_the_end_of_a_run_behind_what_is_inside_it(
    events: list[tuple[int, bool]],
) -> None:
    operations: list[Operation] = [{"id": "parent", "n": 0, "begin": {}}]
    begun: set[int] = set()
    for child, _ in events:
        n = len(operations)
        inside = {"begin": {"parent": "parent"}} if child not in begun else {}
        begun.add(child)
        operations.append({"id": str(child), "n": n, **inside})
    operations.append({"id": "parent", "n": len(operations), "end": "FINISHED"})
    groups = together(operations)
    assert all(len({o["id"] for o in group}) == 1 for group in groups)
    flat = [o for group in groups for o in group]
    assert sorted(o["n"] for o in flat) == [o["n"] for o in operations]
    for run in {o["id"] for o in operations}:
        numbers = [o["n"] for o in flat if o["id"] == run]
        assert numbers == sorted(numbers)
    assert flat[0]["id"] == "parent"
    assert flat[-1].get("end") == "FINISHED"


def test_an_operation_is_on_disk_before_it_is_sent(tmp_path: Path, tracker: Tracker) -> None:
    tracker.away.set()
    spool = begin(tmp_path, tracker)
    spool.append(operation(1))
    (line,) = spool.path.read_text().splitlines()[1:]
    assert json.loads(line)["value"] == 1
    tracker.away.clear()
    assert spool.close(grace=5) == 0


def test_appending_never_waits_for_the_tracker(tmp_path: Path, tracker: Tracker) -> None:
    released = threading.Event()

    def stuck(operations: Sequence[Operation], *, again: bool) -> None:
        released.wait(20)
        tracker(operations, again=again)

    spool = begin(tmp_path, stuck)
    for n in range(100):
        spool.append(operation(n))
    assert tracker.taken == []
    released.set()
    assert spool.close(grace=5) == 0
    assert tracker.taken == list(range(100))


def test_closing_waits_beyond_its_grace_for_a_tracker_that_makes_progress(tmp_path: Path) -> None:
    taken: list[int] = []

    def slow(operations: Sequence[Operation], *, again: bool) -> None:
        time.sleep(0.02)
        taken.extend(values(operations))

    spool = begin(tmp_path, slow)
    for n in range(10):
        spool.append(operation(n, run=str(n)))
    assert spool.close(grace=0.001) == 0
    assert taken == list(range(10))


def test_closing_waits_for_a_tracker_that_comes_and_goes_as_long_as_it_takes_something(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool_module, "PAUSES", (0.05,))
    taken: list[int] = []

    def flickers(operations: Sequence[Operation], *, again: bool) -> None:
        if not again:
            raise Away("for a moment")
        taken.extend(values(operations))

    spool = begin(tmp_path, flickers)
    for n in range(30):  # one and a half seconds, if nothing else happens
        spool.append(operation(n, run=str(n)))
    assert spool.close(grace=1.0) == 0
    assert taken == list(range(30))


def test_closing_ends_at_its_limit_though_a_request_hangs(tmp_path: Path) -> None:
    released = threading.Event()

    def hangs(operations: Sequence[Operation], *, again: bool) -> None:
        released.wait(30)

    spool = begin(tmp_path, hangs)
    spool.append(operation(0))
    spool.append(operation(1))
    left = spool.close(grace=30, at_most=0.1)
    assert not released.is_set()
    assert left == 2
    assert spool.path.exists()
    released.set()


def test_what_must_be_done_before_is_done_first_and_tried_until_the_tracker_is_there(
    tmp_path: Path, tracker: Tracker
) -> None:
    calls: list[str] = []

    def before() -> None:
        calls.append("before")
        if len(calls) < 3:
            raise Away("not yet")
        assert tracker.taken == []

    spool = begin(tmp_path, tracker, before=before)
    spool.append(operation(0))
    assert spool.close(grace=5) == 0
    assert calls == ["before"] * 3
    assert tracker.taken == [0]
    assert spool.failed == []


# -- a tracker that is away ------------------------------------------------------------------------


def test_a_tracker_that_comes_back_gets_all_that_it_missed_in_order(
    tmp_path: Path, tracker: Tracker
) -> None:
    spool = begin(tmp_path, tracker)
    spool.append(operation(0))
    until(lambda: tracker.taken == [0])
    tracker.away.set()
    for n in range(1, 50):
        spool.append(operation(n))
    until(lambda: spool.away)
    tracker.away.clear()
    until(lambda: len(tracker.taken) == 50)
    assert spool.close(grace=5) == 0
    assert tracker.taken == list(range(50))


def test_operations_whose_answer_got_lost_are_sent_again_and_said_to_be(
    tmp_path: Path, tracker: Tracker
) -> None:
    tracker.loses_answers = 2
    spool = begin(tmp_path, tracker)
    spool.append(operation(0))
    assert spool.close(grace=5) == 0
    assert tracker.taken == [0, 0, 0]
    assert tracker.again == [False, True, True]


def test_what_could_not_be_sent_is_left_for_the_next_command(
    tmp_path: Path, tracker: Tracker
) -> None:
    spool = begin(tmp_path, tracker)
    spool.append(operation(0))
    until((tmp_path / "run.sent").exists)
    tracker.away.set()
    spool.append(operation(1))
    spool.append(operation(2))
    assert spool.close(grace=0.1) == 2
    assert spool.reason == "nobody is there"
    left = left_in(tmp_path)
    assert (left.path, left.header) == (tmp_path / "run.jsonl", {"pipeline": "p"})
    assert values(left.operations) == [1, 2]
    later = Tracker()
    left.send(later)
    assert (later.taken, later.again) == ([1, 2], [True])
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_loses_the_tracker_midway_leaves_the_rest(tmp_path: Path) -> None:
    tracker = Tracker()
    tracker.away.set()
    spool = begin(tmp_path, tracker)
    for n in range(450):
        spool.append(operation(n))
    spool.close(grace=0)
    tracker.away.clear()
    tracker.loses_answers = 0
    sent = 0

    def breaks(operations: Sequence[Operation], *, again: bool) -> None:
        nonlocal sent
        if sent >= 200:
            raise Away("gone")
        tracker(operations, again=again)
        sent += len(operations)

    with pytest.raises(Away):
        left_in(tmp_path).send(breaks)
    left_in(tmp_path).send(tracker)
    assert tracker.taken == list(range(450))


def test_one_operation_that_cannot_be_sent_does_not_hold_up_the_others(
    tmp_path: Path, tracker: Tracker
) -> None:
    def picky(operations: Sequence[Operation], *, again: bool) -> None:
        if 1 in values(operations):
            raise ValueError("not this one")
        tracker(operations, again=again)

    spool = begin(tmp_path, picky)
    for n in range(3):
        spool.append(operation(n, run=str(n)))
    assert spool.close(grace=5) == 0
    assert tracker.taken == [0, 2]
    assert spool.failed == ["ValueError: not this one"]


# -- processes that die, disks that fill -----------------------------------------------------------


def test_a_spool_of_a_process_at_work_is_not_taken(tmp_path: Path, tracker: Tracker) -> None:
    spool = begin(tmp_path, tracker)
    spool.append(operation(0))
    with left_behind(tmp_path) as spools:
        assert spools == []
    spool.close(grace=5)


def test_two_commands_never_send_the_same_spool(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text('{"pipeline": "p"}\n{"n": 0}\n')
    with left_behind(tmp_path) as first:
        assert len(first) == 1
        with left_behind(tmp_path) as second:
            assert second == []


DIES = """
import os, signal, sys
from pathlib import Path
from pipelines.spool import Away, Spool

def away(operations, *, again):
    raise Away("nobody is there")

spool = Spool(Path(sys.argv[1]), "run", {"pipeline": "p"}, away)
for n in range(100):
    spool.append({"id": "a", "value": n})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_had_to_record_is_all_there_and_free_to_be_sent(
    tmp_path: Path, tracker: Tracker
) -> None:
    done = subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    left_in(tmp_path).send(tracker)
    assert tracker.taken == list(range(100))


def test_a_line_that_a_killed_process_has_not_finished_is_none(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text('{"pipeline": "p"}\n{"n": 0}\n{"n": 1')
    assert left_in(tmp_path).operations == [{"n": 0}]


def test_a_number_of_what_was_sent_that_is_half_written_sends_more_and_never_less(
    tmp_path: Path,
) -> None:
    (tmp_path / "run.jsonl").write_text('{"pipeline": "p"}\n{"n": 0}\n{"n": 1}\n')
    (tmp_path / "run.sent").write_text("")
    assert [o["n"] for o in left_in(tmp_path).operations] == [0, 1]


def test_a_full_disk_costs_neither_the_work_nor_what_is_appended_after_it(
    tmp_path: Path, tracker: Tracker
) -> None:
    tracker.away.set()
    spool = begin(tmp_path, tracker)
    spool.append(operation(0))
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (spool.path.stat().st_size + 10, hard))
        spool.append(operation(1))  # ten bytes of it
        spool.append(operation(2))  # none
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    spool.append(operation(3))
    assert len(spool.failed) == 1
    assert str(spool.path) in spool.failed[0]
    on_disk = [json.loads(line) for line in spool.path.read_text().splitlines() if _whole(line)]
    assert values(on_disk[1:]) == [0, 3]
    tracker.away.clear()
    assert spool.close(grace=5) == 0
    assert tracker.taken == [0, 1, 2, 3]


def _whole(line: str) -> bool:
    return line.endswith("}")


def test_a_spool_without_a_header_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").touch()
    with left_behind(tmp_path) as spools:
        assert spools == []
    assert [path.name for path in tmp_path.iterdir()] == ["run.jsonl"]
