"""Nights as processes of this machine, which go on when their keeper ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from cluster.schedule import Schedule

SECONDS_TO_END = 20.0  # after SIGTERM; a run needs up to ten to end well

# A shell stays with the program and writes down its exit status, for a keeper that comes later.
_WITH_STATUS = '"$@"; status=$?; echo $status > "$0.new"; mv "$0.new" "$0"'


class ProcessLauncher:
    """Starts each night in a process group of its own, its output in a file."""

    def __init__(self, folder: Path) -> None:
        """`folder` takes the output and the exit status of each night."""
        self._folder = folder.resolve()
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, schedule: Schedule, night: str) -> Mapping[str, Any]:
        folder = self._folder / schedule.name
        folder.mkdir(parents=True, exist_ok=True)
        stem = re.sub(r"[^0-9T+-]", "", night)
        status, log = folder / f"{stem}.status", folder / f"{stem}.log"
        status.unlink(missing_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                ["sh", "-c", _WITH_STATUS, str(status), *schedule.command],
                cwd=schedule.folder,
                env={**os.environ, "TOKENMILL_NIGHT": night},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children[process.pid] = process
        return {
            "host": socket.gethostname(),
            "pid": process.pid,
            "began": began(process.pid),
            "status": str(status),
            "log": str(log),
        }

    def ended(self, handle: Mapping[str, Any]) -> int | Literal["lost"] | None:
        if handle["host"] != socket.gethostname():
            return None  # the keeper of that machine sees to it
        child = self._children.get(handle["pid"])
        if child is not None:
            child.poll()  # or it would stay as a zombie
        alive = handle["began"] and began(handle["pid"]) == handle["began"]
        with contextlib.suppress(OSError, ValueError):
            return int(Path(handle["status"]).read_text())
        return None if alive else "lost"

    def stop(self, handle: Mapping[str, Any]) -> None:
        if handle["host"] != socket.gethostname() or self.ended(handle) is not None:
            return
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(handle["pid"], sign)
            deadline = time.monotonic() + SECONDS_TO_END
            while time.monotonic() < deadline:
                if self.ended(handle) is not None:
                    return
                time.sleep(0.05)


def began(pid: int) -> str:
    """What tells a process from a later one with the same number; "" where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
