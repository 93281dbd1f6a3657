"""A killed run is started again; one that ended by itself is not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COUNTED = "import os, signal, sys; open(sys.argv[1], 'a').write('x'); "


def start(folder: Path, times: int, rest: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cluster.again", str(times)]
    program = [sys.executable, "-c", COUNTED + rest, str(folder / "tries")]
    return subprocess.Popen([*command, *program], stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("status", [0, 1, 3, 130])
def test_a_run_that_ends_by_itself_is_not_started_again(tmp_path: Path, status: int) -> None:
    process = start(tmp_path, 3, f"sys.exit({status})")
    process.communicate(timeout=60)
    assert process.returncode == status
    assert (tmp_path / "tries").read_text() == "x"


def test_a_run_that_is_killed_is_started_again_a_few_times(tmp_path: Path) -> None:
    process = start(tmp_path, 2, "os.kill(os.getpid(), signal.SIGKILL)")
    _, told = process.communicate(timeout=60)
    assert process.returncode == 137
    assert (tmp_path / "tries").read_text() == "xxx"
    assert told.count("started again") == 2


def test_a_run_that_goes_well_the_second_time_went_well(tmp_path: Path) -> None:
    rest = "len(open(sys.argv[1]).read()) == 1 and os.kill(os.getpid(), signal.SIGKILL)"
    process = start(tmp_path, 2, rest)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert (tmp_path / "tries").read_text() == "xx"


def test_sigterm_ends_both_and_starts_nothing(tmp_path: Path) -> None:
    process = start(tmp_path, 3, "import time; time.sleep(600)")
    tries = tmp_path / "tries"
    while not (tries.exists() and tries.read_text()):  # it is there before its content is
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert tries.read_text() == "x"
