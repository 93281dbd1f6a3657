"""A runtime that runs each task in this process, one after the other, when it is waited for."""

from collections.abc import Callable
from typing import Any

from cluster.needs import Needs
from cluster.runtime import Finished, Unschedulable

IDLE_WAITS = 20  # a Runner that waits so often with nothing under way would wait for ever


class SerialRuntime:
    """What `pipelines.tasks.Runtime` asks for, and a diary of what was asked.

    Attributes:
        tasks: names of the tasks that ran, in order.
        calls: "cancel" and "close", as they came.
    """

    def __init__(
        self,
        *,
        cpus: float = 4.0,
        backwards: bool = False,
        lost: set[str] | None = None,
        interrupted_at: str | None = None,
    ) -> None:
        """Prepare.

        Args:
            cpus: more than this many a task are unschedulable.
            backwards: run the task that was submitted last first.
            lost: tasks whose worker is lost.
            interrupted_at: the task at which somebody presses Ctrl-C.
        """
        self.tasks: list[str] = []
        self.calls: list[str] = []
        self._cpus, self._backwards = cpus, backwards
        self._lost, self._interrupted_at = lost or set(), interrupted_at
        self._waiting: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = []
        self._messages: list[Any] = []
        self._idle = 0

    def check(self, needs: Needs) -> None:
        if needs.cpus > self._cpus:
            raise Unschedulable(f"it asks for {needs.cpus:g} cpus")

    def submit(
        self,
        task: str,
        function: Callable[..., Any],
        *arguments: Any,
        needs: Needs | None = None,
        retries: int = 3,
    ) -> None:
        self._waiting.append((task, function, arguments))

    def wait(self, timeout: float) -> list[Finished]:
        if not self._waiting:
            self._idle += 1
            assert self._idle < IDLE_WAITS, "the run waits for tasks, and none is under way"
            return []
        task, function, arguments = self._waiting.pop(-1 if self._backwards else 0)
        if task == self._interrupted_at:
            raise KeyboardInterrupt
        self.tasks.append(task)
        if task in self._lost:
            return [Finished(task, error="WorkerCrashedError: gone", lost=True)]
        try:
            return [Finished(task, function(*arguments, self._messages.append))]
        except Exception as error:  # noqa: BLE001 - as a worker would, whatever it was
            return [Finished(task, error=str(error), cause=error)]

    def messages(self) -> list[Any]:
        messages, self._messages = self._messages, []
        return messages

    def abandon(self, task: str) -> None:
        self.calls.append(f"abandon {task}")
        self._waiting = [w for w in self._waiting if w[0] != task]

    def cancel(self) -> None:
        self.calls.append("cancel")
        self._waiting.clear()

    def close(self) -> None:
        self.calls.append("close")
