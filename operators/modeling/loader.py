"""Micro-batches that are ready when they are wanted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from operators.modeling.micro_batches import MicroBatch


class Loader:
    """Loads the micro-batches of the next batch while one is computed."""

    def __init__(self, load: Callable[[int], list[MicroBatch]]) -> None:
        self._load = load
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="data")
        self._next: tuple[int, Future[list[MicroBatch]]] | None = None

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def take(self, batch: int) -> list[MicroBatch]:
        """The micro-batches of a batch, by its number; the next one is begun."""
        if self._next is not None and self._next[0] == batch:
            micros = self._next[1].result()
        else:
            micros = self._thread.submit(self._load, batch).result()
        self._next = (batch + 1, self._thread.submit(self._load, batch + 1))
        return micros
