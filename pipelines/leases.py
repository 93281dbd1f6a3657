"""Which runs are under way, which have been, and what each of them uses.

    STORE/runs/live/RUN.json     who runs it, since when, and the keys it relies on
    STORE/runs/ended/RUN.json    the same, when it has ended

An entry is written before a run looks up its first result and again before each key it relies on,
so that whoever cleans up (`pipelines.gc`) sees what is in use. A run that is alive refreshes it;
one that was killed stops, and is known to be dead: at once on its own machine, where the process is
gone, and after `STALE_SECONDS` elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import posixpath
import socket
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipelines.store import Store

BEAT_SECONDS = 30.0
STALE_SECONDS = 600.0


@dataclass
class RunEntry:
    """One run of a plan, as the store knows it.

    Attributes:
        run: id of the run, 32 hexadecimal characters; the record has it as tag `tokenmill.id`.
        tracking_run: id of its MLflow parent run, once known.
        state: RUNNING, FINISHED, FAILED or KILLED.
        stages: planned stage -> key of the result it relies on or is making.
        attempts: prefixes in the store under which it writes.
        beat: when it was last known to be alive, in seconds since 1970.
    """

    run: str
    pipeline: str
    host: str
    pid: int
    process_start: str
    started: float
    beat: float
    state: str = "RUNNING"
    tracking_run: str | None = None
    stages: dict[str, str] = field(default_factory=dict)
    attempts: list[str] = field(default_factory=list)

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether the run may still be at work."""
        if self.state != "RUNNING":
            return False
        if self.is_here:
            return process_start(self.pid) == self.process_start
        return time.time() - self.beat < STALE_SECONDS


class Lease:
    """The entry of this process's run, kept fresh until it is closed. Safe to use in threads."""

    def __init__(self, store: Store, pipeline: str) -> None:
        now = time.time()
        self._store = store
        self._lock = threading.Lock()
        self.entry = RunEntry(
            run=uuid.uuid4().hex,
            pipeline=pipeline,
            host=socket.gethostname(),
            pid=os.getpid(),
            process_start=process_start(os.getpid()),
            started=now,
            beat=now,
        )
        self._ended = threading.Event()
        self._write()
        self._beating = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._beating.start()

    def uses(self, stage: str, key: str, prefix: str) -> None:
        """Say that a stage relies on a key, before its result is looked up, and under which prefix
        its shards will be written where there is none.
        """
        with self._lock:
            if self.entry.stages.get(stage) == key and prefix in self.entry.attempts:
                return
            self.entry.stages[stage] = key
            self.entry.attempts.append(prefix)
        self._write()

    def close(self, state: str, tracking_run: str | None = None) -> None:
        """The run ended; the entry stays, and says with which results."""
        self._ended.set()
        with self._lock:
            self.entry.state = state
            self.entry.tracking_run = tracking_run or self.entry.tracking_run
        self._write()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # the next beat may reach the store again
                self._write()

    def _write(self) -> None:
        with self._lock:
            self.entry.beat = time.time()
            write_entry(self._store, self.entry)


def write_entry(store: Store, entry: RunEntry) -> None:
    """Write an entry whole, over the one that is there; one that has ended is moved."""
    data = json.dumps(vars(entry)).encode()  # asdict would copy all of it first
    live = posixpath.join("runs", "live", f"{entry.run}.json")
    if entry.state == "RUNNING":
        store.files.overwrite(live, data)
        return
    store.files.overwrite(posixpath.join("runs", "ended", f"{entry.run}.json"), data)
    store.files.remove(live)


def run_entries(store: Store, *, live: bool = False) -> list[RunEntry]:
    """All runs that the store knows, the oldest first; with `live`, those that have not ended."""
    found: dict[str, RunEntry] = {}
    for folder in ("live",) if live else ("live", "ended"):
        for name in store.files.names(posixpath.join("runs", folder)):
            data = store.files.read(posixpath.join("runs", folder, name))
            if data is not None:
                entry = RunEntry(**json.loads(data))
                found[entry.run] = entry
    return sorted(found.values(), key=lambda entry: entry.started)


def find_run(store: Store, wanted: str) -> RunEntry | None:
    """The run whose id, or whose MLflow run, is or begins with `wanted`; the last of several."""
    found: Iterable[RunEntry] = (
        entry
        for entry in reversed(run_entries(store))
        if entry.run.startswith(wanted) or (entry.tracking_run or "").startswith(wanted)
    )
    return next(iter(found), None)


def process_start(pid: int) -> str:
    """What tells a process from a later one with the same number; "" where there is none."""
    try:
        # Field 22 of the line, counted behind the name, which may hold spaces and brackets.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return _without_proc(pid)


def _without_proc(pid: int) -> str:
    if Path("/proc/self").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"


def describe(entry: RunEntry) -> dict[str, Any]:
    """An entry for `--json`."""
    return {**asdict(entry), "alive": entry.alive}
