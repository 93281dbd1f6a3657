"""What a task may start itself: calls beside its own, whose results stay where they were made.

A task that waits for its calls gives its processor back meanwhile, so that one worker is enough.
Outside of a cluster the same calls run here, one after the other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol


class CallsLost(RuntimeError):
    """The machinery failed a call (worker or node gone, out of memory), not the method."""


class Pool(Protocol):
    """Where the calls of a task run."""

    def call(self, function: Callable[..., Any], *arguments: Any, returns: int) -> list[Any]:
        """Queue `function(*arguments)`, which returns a sequence of `returns` values.

        What is given back stands for the values; an argument may be such a stand-in.
        """
        ...

    def finish(self, waited: Sequence[Any], done: Callable[[int], None]) -> list[Any]:
        """Wait for stand-ins, telling how many are done, and return their values.

        Raises:
            CallsLost: a call was lost more often than it may be tried again.
            Exception: what a call raised; the others are ended.
        """
        ...

    def value(self, stand_in: Any) -> Any:
        """The value of one stand-in."""
        ...


class HerePool:
    """Calls in this process, each as it is queued."""

    def call(self, function: Callable[..., Any], *arguments: Any, returns: int) -> list[Any]:
        values = list(function(*arguments))
        assert len(values) == returns
        return values

    def finish(self, waited: Sequence[Any], done: Callable[[int], None]) -> list[Any]:
        done(len(waited))
        return list(waited)

    def value(self, stand_in: Any) -> Any:
        return stand_in


class RayPool:
    """Calls as Ray tasks. A value lies in Ray's object store, on disk where that is full, and is
    made again where it is lost with its node."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        import ray

        self._ray = ray
        self._call = ray.remote(max_calls=0)(_call)
        self._options = dict(options)

    def call(self, function: Callable[..., Any], *arguments: Any, returns: int) -> list[Any]:
        made = self._call.options(**self._options, num_returns=returns).remote(function, *arguments)
        return list(made) if returns > 1 else [made]

    def finish(self, waited: Sequence[Any], done: Callable[[int], None]) -> list[Any]:
        pending = list(waited)
        values: dict[Any, Any] = {}
        try:
            while pending:
                ready, pending = self._ray.wait(pending, num_returns=1)
                more, pending = self._ray.wait(pending, num_returns=len(pending), timeout=0) if (
                    pending
                ) else ([], [])  # fmt: skip
                for stand_in in (*ready, *more):
                    values[stand_in] = self.value(stand_in)
                done(len(values))
        except BaseException:
            for stand_in in pending:
                with contextlib.suppress(Exception):
                    self._ray.cancel(stand_in, force=True)
            raise
        return [values[stand_in] for stand_in in waited]

    def value(self, stand_in: Any) -> Any:
        try:
            return self._ray.get(stand_in)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            if cause is None or isinstance(cause, self._ray.exceptions.RayError):
                raise CallsLost(_first_line(cause or error)) from error
            raise cause from None
        except self._ray.exceptions.RayError as error:
            raise CallsLost(_first_line(error)) from error


_present: list[Pool] = []


@contextlib.contextmanager
def calls_with(options: Mapping[str, Any]) -> Any:
    """While a task of a cluster runs, the calls that it starts are tasks with these options."""
    _present.append(RayPool(options))
    try:
        yield
    finally:
        _present.pop()


def present_pool() -> Pool:
    """Where calls of the present task run."""
    return _present[-1] if _present else HerePool()


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    values = function(*arguments)
    return tuple(values) if len(values) > 1 else values[0]


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"
