"""A queue on disk of what is to be recorded: sent in order, and never lost while a tracker is away.

    FOLDER/RUN.jsonl    a header, then one operation a line, appended before it is sent
    FOLDER/RUN.sent     how many of the operations the tracker has taken
    FOLDER/RUN.files/   pictures that operations name

The process that appends holds a lock on the file, so another one can tell the spool of a process
that died (the lock is free) from that of one at work. Operations are plain data and can be sent
again: whoever sends them (`pipelines.lineage.Tracker`) makes the second time change nothing. A line
that a killed process has not finished is none.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

Operation = dict[str, Any]
Send = Callable[[Sequence[Operation]], None]

MOST_AT_ONCE = 200
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Away(Exception):
    """The tracker cannot be reached, or cannot answer now; it may be back later."""


class Spool:
    """The spool of this process's run: appends, and sends in a thread of its own."""

    def __init__(self, folder: Path, run: str, header: Mapping[str, Any], send: Send) -> None:
        """Begin a spool; `send` raises `Away` for what is worth another try, and nothing else."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{run}.jsonl"
        self._file: IO[str] = self.path.open("a", encoding="utf-8")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._file.write(json.dumps(dict(header)) + "\n")
        self._file.flush()
        self._send = send
        self._waiting: list[Operation] = []
        self._sent = 0
        self._away = False
        self.failed: list[str] = []  # what `send` did not expect
        self._closing = False
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="record", daemon=True)
        self._thread.start()

    @property
    def away(self) -> bool:
        """Whether the tracker could not be reached at the last try."""
        return self._away

    @property
    def files(self) -> Path:
        """Where pictures lie that operations name."""
        return self.path.with_suffix(".files")

    def append(self, operation: Operation) -> None:
        """Add an operation; it is on disk when this returns, and sent some time later."""
        line = json.dumps(operation, ensure_ascii=False)
        with self._changed:
            self._file.write(line + "\n")
            self._file.flush()
            self._waiting.append(operation)
            self._changed.notify_all()

    def wait_until(self, reached: Callable[[], bool], seconds: float) -> bool:
        """Wait for something that sending brings about; at once False while the tracker is away."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not reached():
                left = deadline - time.monotonic()
                if self._away or left <= 0:
                    return False
                self._changed.wait(min(left, 0.2))
        return True

    def notify(self) -> None:
        """Let those that wait look again."""
        with self._changed:
            self._changed.notify_all()

    def close(self, grace: float) -> int:
        """Send the rest; while the tracker is away, for so many seconds.

        Returns how many operations wait for the next command; with none, the file is gone.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        deadline = time.monotonic() + grace
        while self._thread.is_alive():
            self._thread.join(0.05)
            if not self._away:
                deadline = time.monotonic() + grace  # it makes progress
            elif time.monotonic() > deadline:
                self._stop.set()
                break
        with self._changed:
            left = len(self._waiting)
        if not left:
            remove(self.path)
        self._file.close()
        return left

    def _work(self) -> None:
        tries = 0
        while not self._stop.is_set():
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return
                batch = self._waiting[:MOST_AT_ONCE]
            try:
                self._send(batch)
            except Away:
                with self._changed:
                    self._away = True
                    self._changed.notify_all()
                self._stop.wait(PAUSES[min(tries, len(PAUSES) - 1)])
                tries += 1
                continue
            except Exception as error:  # noqa: BLE001 - one bad operation must not hold up the others
                self.failed.append(f"{type(error).__name__}: {error}")
            tries = 0
            with self._changed:
                self._away = False
                del self._waiting[: len(batch)]
                self._sent += len(batch)
                mark(self.path, self._sent)
                self._changed.notify_all()


def mark(path: Path, sent: int) -> None:
    """Note that so many operations of a spool were taken."""
    path.with_suffix(".sent").write_text(str(sent))


def remove(path: Path) -> None:
    """Remove a spool of which everything was sent."""
    shutil.rmtree(path.with_suffix(".files"), ignore_errors=True)
    path.with_suffix(".sent").unlink(missing_ok=True)
    path.unlink(missing_ok=True)


@contextlib.contextmanager
def left_behind(folder: Path) -> Iterator[list[tuple[Path, dict[str, Any], list[Operation]]]]:
    """Spools of processes that are gone, the oldest first: path, header, operations not yet sent.

    They are locked while this lasts, so two commands never send the same one.
    """
    with contextlib.ExitStack() as locks:
        found = []
        for path in sorted(folder.glob("*.jsonl"), key=lambda p: p.stat().st_mtime):
            try:
                file = locks.enter_context(path.open("r+", encoding="utf-8"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # its process is at work, or another command sends it
            if not path.exists():
                continue  # it was sent and removed just now
            header, operations = _read(file)
            sent = path.with_suffix(".sent")
            done = int(sent.read_text() or 0) if sent.exists() else 0
            found.append((path, header, operations[done:]))
        yield found


def _read(file: IO[str]) -> tuple[dict[str, Any], list[Operation]]:
    lines = []
    for line in file:
        try:
            lines.append(json.loads(line))
        except ValueError:
            break  # the process was killed while it wrote this line
    return (lines[0], lines[1:]) if lines else ({}, [])
