"""A process of its own that speaks with the tracker.

MLflow computes a good deal for each run that it records, and takes seconds to import. Neither is
to hold up the process that runs the DAG, so the spool's operations go through a pipe to this one.
It may be ended whatever it is doing: what it has not confirmed stays in the spool and can be sent
again. What it does stands in `pipelines.direct_sender`, with all that needs importing.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipelines.line_process import Ended, LineProcess
from pipelines.spool import Away, Operation

if TYPE_CHECKING:
    from pipelines.store import Store


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
        """A metric in earlier runs, as `pipelines.history.earlier_values` finds it."""
        ...

    def close(self) -> None:
        """Nothing is to be sent any more."""
        ...


def start_process(tracking_uri: str) -> LineProcess:
    """The process of a `ProcessSender`: it imports what it needs, for seconds, from now on."""
    process = LineProcess("pipelines.direct_sender")
    process.tell(tracking_uri)
    return process


def make_sender(
    tracking_uri: str, pipeline: str, store: Store, process: LineProcess | None = None
) -> Sender:
    """A sender in a process of its own, wherever that one can see the store."""
    if not store.files.is_shared:
        from pipelines.direct_sender import DirectSender

        return DirectSender(tracking_uri, pipeline, store)
    return ProcessSender(tracking_uri, pipeline, store, process)


class ProcessSender:
    """Sends from a process of its own. One thread sends; another one may close it meanwhile."""

    def __init__(
        self, tracking_uri: str, pipeline: str, store: Store, process: LineProcess | None = None
    ) -> None:
        """Begin.

        Args:
            process: one that `start_process` made earlier; by default it is started now.
        """
        self.runs: dict[str, str] = {}
        self.refused: list[str] = []
        self._experiment_id = ""
        self._uri = tracking_uri
        self._about = {"pipeline": pipeline, "store": store.url}
        self._busy = threading.Lock()
        self._process = process or start_process(tracking_uri)
        self._process.tell(self._about)

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
        self._process.close()

    def _ask(self, call: str, **arguments: Any) -> Any:
        with self._busy:
            if self._process.has_ended:
                self._process = start_process(self._uri)
                self._process.tell(self._about)
            return self._exchange(call, arguments)

    def _exchange(self, call: str, arguments: dict[str, Any]) -> Any:
        try:
            answer = self._process.ask({"call": call, **arguments})
        except Ended as error:  # the next request begins another one
            raise Away("the process that sends records ended") from error
        self.runs.update(answer["runs"])
        self.refused += answer["refused"]
        self._experiment_id = answer["experiment_id"]
        if "away" in answer:
            raise Away(answer["away"])
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]
