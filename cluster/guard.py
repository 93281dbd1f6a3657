"""Ends what a local cluster leaves behind, when its driver is killed and when it ends well.

Ray's processes end by themselves when their driver is gone, but not all at once: one that asks the
control store something asks for a minute before it gives up, and a driver that is killed while they
start may leave some for good. A small process waits at the other end of a pipe, which the system
closes however the driver ends, and then ends what the driver has started, directly or not, and
nothing else. A driver that ends well says so, and waits for the others with it. It needs /proc, and
does nothing where there is none.

What belongs to the driver is known by a mark in its environment, and what such a process has
started belongs to it, too: some of Ray's processes write their title over the place of the mark.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

MARK = "TOKENMILL_CLUSTER"
LOOK_SECONDS = 2.0  # while the driver lives
# Looked again and again: what was about to start when the driver died is not there at first.
LOOKS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 10.0)
LAST_LOOKS = 60  # more of them, while something is still there: one a second
GRACE_SECONDS = 5.0  # for what is still there when the driver has ended well

Process = tuple[int, str]  # its number, and when it started: numbers are used again


class Guard:
    """Watches over the processes that this one starts from now on, until `all_started`."""

    def __init__(self) -> None:
        self._watcher: subprocess.Popen[bytes] | None = None
        if not Path("/proc/self/environ").exists():
            return
        os.environ[MARK] = uuid.uuid4().hex
        self._watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, f"{MARK}={os.environ[MARK]}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            start_new_session=True,  # Ctrl-C is not for it
        )

    def all_started(self) -> None:
        """What is started from now on is none of its business."""
        os.environ.pop(MARK, None)

    def stop(self) -> None:
        """All has ended well: wait a little for what has not gone yet, and end it."""
        if self._watcher is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._watcher.communicate(b".", timeout=4 * GRACE_SECONDS)
            self._watcher.kill()
            self._watcher.wait()
            self._watcher = None

    def end(self) -> None:
        """End what was started since: as if this process had been killed, but it goes on."""
        if self._watcher is not None and self._watcher.stdin is not None:
            self.all_started()
            self._watcher.stdin.close()
            self._watcher = None


def watch(mark: bytes) -> None:
    """Wait for the end of the parent, then end what it has started."""
    known = set[Process]()
    while not select.select([0], [], [], LOOK_SECONDS)[0]:
        known |= family(mark, known)
    if os.read(0, 1024):  # the parent has ended well, and waits
        deadline = time.monotonic() + GRACE_SECONDS
        known |= family(mark, known)
        while _living(known) and time.monotonic() < deadline:
            time.sleep(0.05)
            known |= family(mark, known)
        _end(known)
        return
    for seconds in LOOKS:
        time.sleep(seconds)
        known |= family(mark, known)
        _end(known)
    for _ in range(LAST_LOOKS):
        known |= family(mark, known)
        if not _end(known):
            return
        time.sleep(1.0)


def _living(known: set[Process]) -> list[int]:
    return [number for number, started in known if _read(number)[1] == started]


def _end(known: set[Process]) -> int:
    """Kill those of them that live; how many did."""
    living = _living(known)
    for number in living:
        with contextlib.suppress(OSError):
            os.kill(number, signal.SIGKILL)
    return len(living)


def family(mark: bytes, known: set[Process]) -> set[Process]:
    """Processes with the mark, and all that were started by them or by known ones."""
    found: dict[int, tuple[int, str]] = {}
    members = set[int]()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        number = int(folder.name)
        found[number] = _read(number)
        started = found[number][1]
        if started and ((number, started) in known or mark in _environment(folder)):
            members.add(number)
    grown = True
    while grown:
        inner = {n for n, (parent, started) in found.items() if started and parent in members}
        grown = not inner <= members
        members |= inner
    members.discard(os.getpid())
    return {(number, found[number][1]) for number in members}


def _environment(folder: Path) -> list[bytes]:
    try:
        return (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _read(number: int) -> tuple[int, str]:
    """Parent and start of a process; no start where there is none, or only its remains."""
    try:
        line = Path(f"/proc/{number}/stat").read_text(errors="replace")
    except OSError:
        return 0, ""
    fields = line.rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] == "Z":  # its end may be under way
        return 0, ""
    return int(fields[1]), fields[19]


if __name__ == "__main__":
    watch(sys.argv[1].encode())
