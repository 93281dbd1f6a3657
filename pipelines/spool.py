"""A queue on disk of what is to be recorded: sent in order, and never lost while a tracker is away.

    FOLDER/RUN.jsonl    a header, then one operation a line, appended before it is sent
    FOLDER/RUN.sent     the number of the first operation that the tracker has not taken
    FOLDER/RUN.files/   pictures that operations name

The process that appends holds a lock on the file, so another one can tell the spool of a process
that died (the lock is free) from that of one at work. Operations are plain data and can be sent
again: whoever sends them (`pipelines.lineage.Tracker`) makes the second time change nothing. So the
number of what was sent may lag behind, and a line that a killed process has not finished is none.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

Operation = dict[str, Any]

FAMILY = 12  # hexadecimal digits that the ids of a pipeline run and of the runs inside it share
MOST_AT_ONCE = 200  # operations sent together, so that those on one run become one request
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
PAUSE_AT_THE_END = 0.5


class Away(Exception):
    """The tracker cannot be reached, or cannot answer now; it may be back later."""


class Send(Protocol):
    """Sends operations, in order.

    Raises:
        Away: some were not taken, or nobody knows whether they were; they are sent once more, as
            `again`. Any other exception says that they never will be.
    """

    def __call__(self, operations: Sequence[Operation], *, again: bool) -> None: ...


class Spool:
    """The spool of this process's run: appends, and sends in a thread of its own."""

    def __init__(
        self,
        folder: Path,
        run: str,
        header: Mapping[str, Any],
        send: Send,
        *,
        before: Callable[[], None] | None = None,
    ) -> None:
        """Begin a spool.

        Args:
            header: what whoever finds the spool needs to know of it.
            before: called in the sending thread before anything is sent; may raise `Away`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{run}.jsonl"
        # Locked under another name first: with its own name it could be taken for one left behind.
        new = folder / f".{run}.new"
        self._file = new.open("ab", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.write(_line(header))
        new.rename(self.path)
        self.reason = ""  # why the tracker is away
        self.failed: list[str] = []  # what could not be kept or sent, a sentence each
        self._send, self._before = send, before
        self._waiting: list[Operation] = []
        self._count = 0
        self._torn = False
        self._away = False
        self._reached = time.monotonic()
        self._closing = threading.Event()
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
        """Where files lie that operations name."""
        return files_of(self.path)

    def append(self, operation: Operation) -> None:
        """Add an operation; it is on disk when this returns, and sent some time later.

        A full disk does not raise: the operation is sent from memory, and `failed` says so.
        """
        with self._changed:
            numbered = {**operation, "n": self._count}
            self._count += 1
            self._write(_line(numbered))
            self._waiting.append(numbered)
            self._changed.notify_all()

    def close(self, grace: float, at_most: float | None = None) -> int:
        """Send the rest, and end.

        Args:
            grace: seconds to wait while the tracker is away; as long as it takes the operations
                there is no limit.
            at_most: seconds after which to end in any case.

        Returns:
            How many operations wait for the next command; with none, the file is gone.
        """
        began = time.monotonic()
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        while self._thread.is_alive():
            self._thread.join(0.02)
            now = time.monotonic()
            late = self._away and now > max(began, self._reached) + grace
            if late or (at_most is not None and now > began + at_most):
                break
        self._stop.set()
        with self._changed:
            left = len(self._waiting)
        if not left:
            remove(self.path)
        self._file.close()
        return left

    def _write(self, line: bytes) -> None:
        try:
            if self._torn:
                self._file.write(b"\n")
            self._torn = self._file.write(line) < len(line)
        except OSError as error:
            self._torn = True
            if not self.failed:
                self.failed.append(f"{self.path} cannot be written: {error}")

    # -- the sending thread -----------------------------------------------------------------------

    def _work(self) -> None:
        if self._before is not None:
            before = self._before
            self._keep_trying(lambda _: before())
        while not self._stop.is_set():
            with self._changed:
                while not (self._waiting or self._closing.is_set()):
                    self._changed.wait(1.0)
                batch = self._waiting[:MOST_AT_ONCE]
            if not batch:
                return
            if not self._keep_trying(partial(self._send_batch, batch)):
                return
            with self._changed:
                self._waiting = self._waiting[len(batch) :]
            mark(self.path, batch[-1]["n"] + 1)

    def _send_batch(self, batch: list[Operation], again: bool) -> None:
        try:
            self._send(batch, again=again)
        except Away:
            raise
        except Exception as error:  # noqa: BLE001 - one bad operation must not hold up the others
            if len(batch) == 1:
                self.failed.append(f"{type(error).__name__}: {error}")
                return
            for operation in batch:
                self._send_batch([operation], again=True)

    def _keep_trying(self, action: Callable[[bool], None]) -> bool:
        """Call `action` until the tracker is not away; False when the spool is closed before."""
        tries = 0
        while not self._stop.is_set():
            try:
                action(tries > 0)
            except Away as error:
                self.reason = str(error)
                self._away = True
                pause = PAUSES[min(tries, len(PAUSES) - 1)]
                tries += 1
                if self._closing.is_set():
                    self._stop.wait(min(pause, PAUSE_AT_THE_END))
                else:
                    self._closing.wait(pause)
                continue
            except Exception as error:  # noqa: BLE001 - one bad operation must not hold up the others
                self.failed.append(f"{type(error).__name__}: {error}")
            self._away = False
            self._reached = time.monotonic()
            return True
        return False


@dataclass(frozen=True)
class LeftSpool:
    """The spool of a process that is gone."""

    path: Path
    header: dict[str, Any]
    operations: list[Operation]  # not yet sent

    def send(self, send: Send) -> None:
        """Send what is left, and remove the spool.

        Raises:
            Away: the tracker cannot be reached; what was not sent is left for the next time.
        """
        for start in range(0, len(self.operations), MOST_AT_ONCE):
            batch = self.operations[start : start + MOST_AT_ONCE]
            send(batch, again=True)
            mark(self.path, batch[-1]["n"] + 1)
        remove(self.path)


@contextlib.contextmanager
def left_behind(folder: Path) -> Iterator[list[LeftSpool]]:
    """Spools of processes that are gone, the oldest first.

    They are locked while this lasts, so two commands never send the same one.
    """
    with contextlib.ExitStack() as locks:
        found = []
        for path in sorted(folder.glob("*.jsonl"), key=_changed_at):
            try:
                file = locks.enter_context(path.open("rb"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # its process is at work, or another command sends it
            if not path.exists():
                continue  # it was sent and removed just now
            lines = [line for line in map(_read, file.read().split(b"\n")) if line is not None]
            if lines and "n" not in lines[0]:
                sent = _sent(path)
                left = [operation for operation in lines[1:] if operation["n"] >= sent]
                found.append(LeftSpool(path, lines[0], left))
        yield found


def together(operations: Sequence[Operation]) -> list[list[Operation]]:
    """Operations grouped by the run they are on, in order; the end of a run comes after what is
    on the runs inside it.
    """
    outer = {o["begin"]["parent"] for o in operations if "parent" in o.get("begin", {})}
    groups: dict[tuple[str, bool], list[Operation]] = {}
    for operation in operations:
        run = operation["id"]
        groups.setdefault((run, "end" in operation and run in outer), []).append(operation)
    return list(groups.values())


def files_of(path: Path) -> Path:
    """Where files lie that operations of a spool name."""
    return path.with_suffix(".files")


def mark(path: Path, number: int) -> None:
    """Note the number of the first operation of a spool that was not taken."""
    with contextlib.suppress(OSError):  # what was taken can be sent again
        path.with_suffix(".sent").write_text(str(number))


def remove(path: Path) -> None:
    """Remove a spool of which everything was sent."""
    shutil.rmtree(files_of(path), ignore_errors=True)
    path.with_suffix(".sent").unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _sent(path: Path) -> int:
    try:
        return int(path.with_suffix(".sent").read_text())
    except (OSError, ValueError):  # none, or the process was killed while it wrote the number
        return 0


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=_plain).encode(errors="replace") + b"\n"


def _plain(value: Any) -> Any:
    """Numbers of NumPy and torch as Python's; anything else in words."""
    return value.item() if hasattr(value, "item") else str(value)


def _read(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None  # the process was killed, or the disk was full, while it was written
    return value if isinstance(value, dict) else None
