"""Nights as processes: they outlive their keeper, and their exit status outlives them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.processes import ProcessLauncher
from cluster.schedule import Schedule, Timetable


def night(folder: Path, *command: str) -> Schedule:
    return Schedule("nightly", Timetable("0 2 * * *"), command, str(folder))


def until_ended(launcher: ProcessLauncher, handle: Mapping[str, Any]) -> int | str:
    deadline = time.monotonic() + 30
    while (status := launcher.ended(handle)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return status


def test_output_exit_status_and_the_name_of_the_night_are_kept(tmp_path: Path) -> None:
    launcher = ProcessLauncher(tmp_path / "nights")
    command = ("sh", "-c", "echo for $TOKENMILL_NIGHT in $(pwd); exit 3")
    handle = launcher.start(night(tmp_path, *command), "2026-03-29T03:00+02:00")
    assert until_ended(launcher, handle) == 3
    assert Path(handle["log"]).read_text() == f"for 2026-03-29T03:00+02:00 in {tmp_path}\n"
    # A keeper that was not there when it ended reads the same.
    assert ProcessLauncher(tmp_path / "nights").ended(handle) == 3


KEEPER = """
import json, sys
from pathlib import Path
from cluster.processes import ProcessLauncher
from cluster.schedule import Schedule, Timetable
launcher = ProcessLauncher(Path(sys.argv[1]))
made = Schedule("nightly", Timetable("0 2 * * *"), ["sh", "-c", "sleep 1; exit 4"], sys.argv[1])
print(json.dumps(launcher.start(made, "2026-01-01T02:00+00:00")), flush=True)
input()
"""


def test_a_night_goes_on_when_its_keeper_is_killed_and_the_next_keeper_sees_its_end(
    tmp_path: Path,
) -> None:
    import json

    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert keeper.stdout is not None
    handle = json.loads(keeper.stdout.readline())
    keeper.kill()
    keeper.wait()
    launcher = ProcessLauncher(tmp_path)
    assert launcher.ended(handle) is None
    assert until_ended(launcher, handle) == 4


def test_a_night_killed_from_outside_is_lost(tmp_path: Path) -> None:
    launcher = ProcessLauncher(tmp_path / "nights")
    handle = launcher.start(night(tmp_path, "sleep", "60"), "2026-01-01T02:00+00:00")
    os.killpg(handle["pid"], signal.SIGKILL)
    assert until_ended(launcher, handle) == "lost"


def test_a_night_is_stopped_with_all_that_it_started(tmp_path: Path) -> None:
    launcher = ProcessLauncher(tmp_path / "nights")
    command = ("sh", "-c", f"sleep 60 & echo $! > {tmp_path}/inner; wait")
    handle = launcher.start(night(tmp_path, *command), "2026-01-01T02:00+00:00")
    inner = tmp_path / "inner"
    while not (inner.exists() and inner.read_text()):
        time.sleep(0.02)
    launcher.stop(handle)
    assert launcher.ended(handle) is not None
    deadline = time.monotonic() + 10
    while Path(f"/proc/{int(inner.read_text())}").exists():
        state = Path(f"/proc/{int(inner.read_text())}/stat").read_text().rpartition(")")[2].split()
        if state[0] == "Z":
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_night_of_another_machine_is_left_to_its_own_keeper(tmp_path: Path) -> None:
    launcher = ProcessLauncher(tmp_path / "nights")
    handle = {"host": "elsewhere", "pid": os.getpid(), "began": "1", "status": "x", "log": "y"}
    assert launcher.ended(handle) is None
    launcher.stop(handle)
