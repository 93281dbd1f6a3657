"""What a driver leaves when it is killed is ended; nothing else is."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

DRIVER = """
import subprocess, sys, os, threading, time
from cluster.guard import Guard
guard = Guard()
inner = "import time; time.sleep(600)"
marked = subprocess.Popen([sys.executable, "-c", inner])
# Without the mark: not the guard's business.
plain = subprocess.Popen([sys.executable, "-c", inner], env={}, stdout=subprocess.DEVNULL)
# One whose mark cannot be read, started by one that has it.
outer = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], env={}); print(p.pid, flush=True); time.sleep(600)"
nested = subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE)
grandchild = int(nested.stdout.readline())
guard.all_started()
later = subprocess.Popen([sys.executable, "-c", inner], stdout=subprocess.DEVNULL)
print(guard._watcher.pid, marked.pid, plain.pid, nested.pid, grandchild, later.pid, flush=True)
if sys.argv[1] == "well":
    for process in (plain, nested):
        process.kill()
    os.kill(grandchild, 9)
    threading.Thread(target=marked.wait).start()  # or it stays as a zombie
    guard.stop()
else:
    time.sleep(600)
"""


def start(how: str) -> tuple[subprocess.Popen[str], list[int]]:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, how], stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout is not None
    return driver, [int(number) for number in driver.stdout.readline().split()]


def alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_all_that_a_killed_driver_has_started_is_ended_and_nobody_else() -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    driver, numbers = start("killed")
    assert all(alive(number) for number in numbers)
    time.sleep(2.5)  # one look
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    deadline = time.monotonic() + 20
    watcher, marked, plain, nested, grandchild, later = numbers
    while any(alive(number) for number in (marked, nested, grandchild)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.5)
    assert alive(stranger.pid)
    assert alive(plain)
    assert alive(later)
    for number in (watcher, plain, later):  # the watcher would look on for half a minute
        os.kill(number, signal.SIGKILL)
    stranger.kill()
    stranger.wait()


def test_a_driver_that_ends_well_waits_for_what_it_had_started_and_then_ends_it() -> None:
    driver, (*numbers, later) = start("well")
    began = time.monotonic()
    driver.communicate(timeout=30)
    assert time.monotonic() - began > 4  # the one that stays has been waited for
    assert not any(alive(number) for number in numbers)
    assert alive(later)  # started when all of Ray had been
    os.kill(later, signal.SIGKILL)
