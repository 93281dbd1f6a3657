"""A process of its own that speaks with the tracker.

MLflow computes a good deal for each run that it records, and takes seconds to import. Neither is
to hold up the process that runs the DAG, so the spool's operations go through a pipe to this one,
a line a request, a line an answer. It ends when the pipe does: at once, whatever it was doing,
since what it has not confirmed stays in the spool and can be sent again.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pipelines.redact import redact_text
from pipelines.spool import Away, Operation
from pipelines.store import Store

SECONDS_TO_END = 5.0


class Sender(Protocol):
    """Takes operations to a tracker.

    Attributes:
        runs: our id -> the tracker's, of every run met so far.
        refused: what the tracker will not take, and never will; one sentence each.
    """

    runs: dict[str, str]
    refused: list[str]

    @property
    def experiment_id(self) -> str:
        """The tracker's id of the experiment; "" while it is not known."""
        ...

    def apply(self, operations: Sequence[Operation], *, files: Path, again: bool) -> None:
        """Apply operations on one run, as `pipelines.lineage.Tracker.apply` does."""
        ...

    def catch_up(self, folder: Path) -> str:
        """See to what earlier runs left behind, as `pipelines.leftovers.catch_up` does."""
        ...

    def earlier_values(
        self, stage: str, cell: Mapping[str, str], metric: str, runs: int, besides: str
    ) -> list[float]:
        """A metric in earlier runs, as `pipelines.lineage.earlier_values` finds it."""
        ...

    def close(self) -> None:
        """Nothing is to be sent any more."""
        ...


def make_sender(tracking_uri: str, pipeline: str, store: Store) -> Sender:
    """A sender in a process of its own, wherever that one can see the store."""
    maker = ProcessSender if store.files.is_shared else DirectSender
    return maker(tracking_uri, pipeline, store)


class DirectSender:
    """Sends from this process."""

    def __init__(self, tracking_uri: str, pipeline: str, store: Store) -> None:
        from pipelines.lineage import Tracker

        self._uri, self._pipeline, self._store = tracking_uri, pipeline, store
        self._tracker = Tracker(tracking_uri, pipeline, store)
        self.runs, self.refused = self._tracker.runs, self._tracker.refused
        self.apply, self.close = self._tracker.apply, self._tracker.close

    @property
    def experiment_id(self) -> str:
        return self._tracker.experiment_id

    def catch_up(self, folder: Path) -> str:
        from pipelines.leftovers import catch_up

        return catch_up(folder, self._uri, self._store)

    def earlier_values(
        self, stage: str, cell: Mapping[str, str], metric: str, runs: int, besides: str
    ) -> list[float]:
        from pipelines.lineage import earlier_values

        return earlier_values(self._uri, self._pipeline, stage, cell, metric, runs, besides)


class ProcessSender:
    """Sends from a process of its own. One thread sends; another one may close it meanwhile."""

    def __init__(self, tracking_uri: str, pipeline: str, store: Store) -> None:
        """Start the process."""
        self.runs: dict[str, str] = {}
        self.refused: list[str] = []
        self._experiment_id = ""
        self._about = {"tracking_uri": tracking_uri, "pipeline": pipeline, "store": store.url}
        self._busy = threading.Lock()
        self._process = self._start()

    def apply(self, operations: Sequence[Operation], *, files: Path, again: bool) -> None:
        self._ask("apply", operations=list(operations), files=str(files), again=again)

    def catch_up(self, folder: Path) -> str:
        return str(self._ask("catch_up", folder=str(folder)))

    def earlier_values(
        self, stage: str, cell: Mapping[str, str], metric: str, runs: int, besides: str
    ) -> list[float]:
        found: list[float] = self._ask(
            "earlier_values", stage=stage, cell=dict(cell), metric=metric, runs=runs,
            besides=besides,
        )  # fmt: skip
        return found

    @property
    def experiment_id(self) -> str:
        return self._experiment_id

    def close(self) -> None:
        """Let it finish, where it does nothing at the moment; else end it."""
        if self._busy.acquire(timeout=0.1):
            with contextlib.suppress(Away, RuntimeError):
                self._exchange("close", {})
            self._busy.release()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        # The same packages as here, from whatever folder they came.
        path = os.pathsep.join(dict.fromkeys(entry or str(Path.cwd()) for entry in sys.path))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pipelines.sender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for the driver, which may have more to record
        )
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # the first request will tell
            process.stdin.write(_line(self._about))
            process.stdin.flush()
        return process

    def _ask(self, call: str, **arguments: Any) -> Any:
        with self._busy:
            if self._process.poll() is not None:
                self._process = self._start()
            return self._exchange(call, arguments)

    def _exchange(self, call: str, arguments: dict[str, Any]) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(_line({"call": call, **arguments}))
            stdin.flush()
            answer = json.loads(stdout.readline())
        except (OSError, ValueError) as error:
            self._process.kill()  # the next request begins another one
            self._process.wait()
            raise Away("the process that sends records ended") from error
        self.runs.update(answer["runs"])
        self.refused += answer["refused"]
        self._experiment_id = answer["experiment_id"]
        if "away" in answer:
            raise Away(answer["away"])
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]


# --- the other side of the pipe -------------------------------------------------------------------


def serve() -> None:
    """Answer requests from standard input until it ends."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what libraries print is no answer
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    about = json.loads(requests.get())
    sender = DirectSender(about["tracking_uri"], about["pipeline"], Store(about["store"]))
    known = told = 0
    while True:
        request = json.loads(requests.get())
        answer: dict[str, Any] = {"value": None}
        try:
            answer["value"] = _answer(sender, request)
        except Away as away:
            answer["away"] = str(away)
        except Exception as error:  # noqa: BLE001 - the spool goes on with the next operation
            answer["error"] = redact_text(f"{type(error).__name__}: {error}")
        answer["runs"] = dict(list(sender.runs.items())[known:])
        answer["refused"] = sender.refused[told:]
        answer["experiment_id"] = sender.experiment_id
        known, told = len(sender.runs), len(sender.refused)
        answers.write(_line(answer))


def _answer(sender: Sender, request: dict[str, Any]) -> Any:
    if request["call"] == "apply":
        files = Path(request["files"])
        return sender.apply(request["operations"], files=files, again=request["again"])
    if request["call"] == "catch_up":
        return sender.catch_up(Path(request["folder"]))
    if request["call"] == "earlier_values":
        return sender.earlier_values(
            request["stage"], request["cell"], request["metric"], request["runs"],
            request["besides"],
        )  # fmt: skip
    return sender.close()


def _read_requests(requests: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


if __name__ == "__main__":
    serve()
