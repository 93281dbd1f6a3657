"""Sends to the tracker from the process that it is in; run as a module, at the end of a pipe."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.line_process import requests_and_answer
from pipelines.mlflow_client import load_mlflow
from pipelines.redact import redact_text
from pipelines.spool import Away
from pipelines.store import Store

if TYPE_CHECKING:
    from pipelines.sender import Sender


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
        from pipelines.history import earlier_values

        return earlier_values(self._uri, self._pipeline, stage, cell, metric, runs, besides)


def serve() -> None:
    """Answer requests from standard input until it ends."""
    requests, give = requests_and_answer()
    tracking_uri = next(requests)
    with contextlib.suppress(Exception):  # the first request will tell
        load_mlflow(tracking_uri)
    about = next(requests)
    sender = DirectSender(tracking_uri, about["pipeline"], Store(about["store"]))
    known = told = 0
    for request in requests:
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
        give(answer)


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


if __name__ == "__main__":
    serve()
