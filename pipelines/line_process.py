"""A process that answers requests: a line of JSON each way, through its standard streams.

It ends when its input does, at once, whatever it was doing: a process that is killed leaves none
behind. Nothing heavy is imported here, so one can be started before anybody knows what to ask it,
and import what it needs meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SECONDS_TO_END = 5.0


class Ended(Exception):
    """The process ended before it answered."""


class LineProcess:
    """A module run as a process, from the side of who asks."""

    def __init__(self, module: str) -> None:
        """Start it; returns before it is ready."""
        # The same packages as here, from whatever folder they came.
        path = os.pathsep.join(dict.fromkeys(entry or str(Path.cwd()) for entry in sys.path))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for the driver, which may have more to ask
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def tell(self, value: Any) -> None:
        """Send a line; where the process has ended, the next question will tell."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(_line(value))
            self._process.stdin.flush()

    def ask(self, value: Any) -> Any:
        """Send a line and wait for the answer.

        Raises:
            Ended: there is none, and the process is gone.
        """
        self.tell(value)
        assert self._process.stdout is not None
        try:
            return json.loads(self._process.stdout.readline())
        except (OSError, ValueError) as error:
            self._process.kill()
            self._process.wait()
            raise Ended from error

    def close(self) -> None:
        """End its input, and it."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


# --- the other side of the pipe -------------------------------------------------------------------


def requests_and_answer() -> tuple[Iterator[Any], Callable[[Any], None]]:
    """The requests of who started this process, which ends with them; and how to answer one."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what libraries print is no answer
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()

    def requests() -> Iterator[Any]:
        while True:
            yield json.loads(lines.get())

    def answer(value: Any) -> None:
        answers.write(_line(value))

    return requests(), answer


def _read(lines: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    os._exit(0)


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"
