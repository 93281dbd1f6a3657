"""One narrow door to Ray: run functions with resources, hear from them, stop them.

Everything that schedules, retries after a lost worker and moves data between processes is Ray's.
A task is a module-level function; it gets its arguments and `emit`, with which it can send small
messages home while it runs.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from cluster.access import MODE, has_token, protect
from cluster.guard import Guard
from cluster.mailbox import INTERVAL, Mailbox, Sender
from cluster.needs import MAY_GROW, NODE_ID, Needs, Node, nodes_of, unmet
from cluster.nested import CallsLost, calls_with
from cluster.team import teams_with

Emit = Callable[[Any], None]
NODES_SECONDS = 1.0
CONNECT_SECONDS = 10.0
PASSED_ON = ("OMP_NUM_THREADS", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO")
SELDOM = (50_000, 20, 20)  # of `gc.set_threshold`
QUIET = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
STARTS = 3  # of a Ray of our own, where it does not come up in time


@dataclass(frozen=True)
class Finished:
    """A task that ended: its value, or the error that ended it.

    `lost` is true when the machinery failed (worker or node gone, out of memory), not the method;
    `cause` is the exception of the task itself.
    """

    task: str
    value: Any = None
    error: str | None = None
    lost: bool = False
    cause: BaseException | None = None


class Unschedulable(ValueError):
    """No node of the cluster can ever run a task that asks for so much."""


class NoCluster(RuntimeError):
    """No cluster answers at an address."""


def start_local(ray: Any, workers: int | None) -> Guard:
    """Start a Ray of our own, and who ends what is left of it if this process is killed.

    Ray gives its processes 30 seconds, which is little on a machine that has much to do: what has
    not started in time is ended and started again.
    """
    for left in range(STARTS - 1, -1, -1):
        guard = Guard()
        try:
            ray.init(
                address="local",
                include_dashboard=False,
                num_cpus=workers or os.cpu_count() or 1,
                object_store_memory=256 * 2**20,  # stages pass data through the store
                **QUIET,
            )
        except Exception as error:
            guard.end()
            ray.shutdown()
            if not left or "timed out" not in str(error):
                raise
        else:
            guard.all_started()
            break
    return guard


class RayRuntime:
    """Tasks on a Ray cluster: the one at `address`, or one of its own on this machine."""

    def __init__(self, *, workers: int | None = None, address: str | None = None) -> None:
        """Start or join the cluster.

        Args:
            workers: processors that a cluster of our own may use; by default all.
            address: `ray://host:port` or `host:port` of a cluster that is there already; "auto" on
                one of its nodes.

        Raises:
            NoCluster: there is none at the address.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # no GPU asked: none seen
        # Sums of floats depend on the number of threads, so it must not depend on the machine.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        # A task that needs more memory than there is would be tried again for ever.
        os.environ.setdefault("RAY_task_oom_retries", "2")
        if address is None:
            protect(os.environ)
            # Nobody looks at the events of its tasks, of which each process would keep many.
            os.environ.setdefault("RAY_task_events_report_interval_ms", "0")
            os.environ.setdefault("RAY_enable_metrics_collection", "0")
        elif has_token():
            os.environ.setdefault(MODE, "token")
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray = ray
        self._guard: Guard | None = None
        self._ours = not ray.is_initialized()
        if self._ours:
            _read_environment_again()
            on_sigterm = signal.getsignal(signal.SIGTERM)
            if address is None:
                self._guard = start_local(ray, workers)
            else:
                _see(address)
                # The workers of a cluster have an environment of their own.
                environment = {"env_vars": dict.fromkeys(PASSED_ON, "1")}
                ray.init(address=address, runtime_env=environment, **QUIET)
            if threading.current_thread() is threading.main_thread():
                # Ray puts a handler of its own there that aborts; ending well is the caller's.
                signal.signal(signal.SIGTERM, on_sigterm)
        mailbox = ray.remote(num_cpus=0, max_restarts=-1)(Mailbox)
        # Beside the driver: a worker's node may be lost.
        here = ray.get_runtime_context().get_node_id()
        beside = NodeAffinitySchedulingStrategy(here, soft=True)
        self._mailbox = mailbox.options(scheduling_strategy=beside).remote()
        # Workers are kept between tasks, GPU workers too: a loaded model serves the next shard.
        self._call = ray.remote(max_calls=0)(_call)
        self._pending: dict[Any, _Queued] = {}
        self._arrived: list[Any] = []
        self._asked: Any = None  # the mailbox's answer, on its way
        self._asked_at = 0.0
        self._nodes: list[Node] = []
        self._nodes_at = -NODES_SECONDS

    def nodes(self) -> list[Node]:
        """The nodes that are alive; asked anew each second."""
        if time.monotonic() - self._nodes_at >= NODES_SECONDS:
            self._nodes_at = time.monotonic()
            self._nodes = nodes_of(self._ray.nodes())
        return self._nodes

    def check(self, needs: Needs) -> None:
        """Raise `Unschedulable` where no node could ever run such a task, and none will come."""
        if os.environ.get(MAY_GROW):
            return
        why = unmet(needs, self.nodes())
        if why is not None:
            raise Unschedulable(f"{why}; ask for less or add a node")

    def submit(
        self,
        task: str,
        function: Callable[..., Any],
        *arguments: Any,
        needs: Needs | None = None,
        retries: int = 3,
    ) -> None:
        """Queue `function(*arguments, emit)`. `retries` counts lost workers, not exceptions."""
        needs = needs or Needs()
        again = partial(self.submit, task, function, *arguments, needs=needs, retries=retries)
        gpus = needs.gpus
        if gpus == "auto":
            gpus = 1.0 if self._has_gpus(needs.workers) else 0.0
        team = replace(needs, gpus=gpus)
        if needs.workers > 1:  # what the team asks for, the task that waits for it must not hold
            needs, gpus = Needs(needs.cpus, labels=needs.labels), 0.0
        options: dict[str, Any] = {"num_cpus": needs.cpus, "num_gpus": gpus, "name": task,
                                   "max_retries": retries}  # fmt: skip
        if needs.memory:
            options["memory"] = needs.memory
        if needs.custom:
            options["resources"] = dict(needs.custom)
        if needs.labels:
            options["label_selector"] = dict(needs.labels)
        keeps_off = {} if team.gpus else self._off_gpu_nodes(needs)
        options |= keeps_off
        # What the task calls itself needs processors as it does. Of the rest the task gives nothing
        # back while it waits, and would wait for ever for calls that ask for the same again.
        shared = ("num_cpus", "name", "max_retries", "label_selector")
        calls = {name: value for name, value in options.items() if name in shared}
        reference = self._call.options(**options).remote(
            self._mailbox, function, arguments, calls, team
        )
        self._pending[reference] = _Queued(task, needs, again, bool(keeps_off))

    def _has_gpus(self, workers: int) -> bool:
        """Whether so many workers would each find a GPU."""
        return sum(int(node.amounts.get("GPU", 0)) for node in self.nodes()) >= workers

    def _off_gpu_nodes(self, needs: Needs) -> dict[str, Any]:
        """Options that leave nodes with GPUs to those who ask for them, while others are there.

        Ray's own fallback would take a node with GPUs as soon as the others are busy.
        """
        if not self._has_others(needs):
            return {}
        with_gpus = [node.id for node in self.nodes() if node.has_gpus]
        if not with_gpus:
            return {}
        return {"label_selector": {**needs.labels, NODE_ID: f"!in({', '.join(with_gpus)})"}}

    def _has_others(self, needs: Needs) -> bool:
        """Whether a node without GPUs suits."""
        return any(node.suits(needs) for node in self.nodes() if not node.has_gpus)

    def _let_in(self) -> None:
        """Queue anew what keeps off nodes with GPUs when all others are lost: it would wait for
        ever.
        """
        waiting = [(r, q) for r, q in self._pending.items() if q.keeps_off]
        lost = [
            (reference, queued)
            for reference, queued in waiting
            if not self._has_others(queued.needs)
            and any(node.suits(queued.needs) for node in self.nodes())
        ]
        if not lost:
            return
        ended, _ = self._ray.wait([r for r, _ in lost], num_returns=len(lost), timeout=0)
        for reference, queued in lost:
            if reference not in ended:
                del self._pending[reference]
                self._ray.cancel(reference, force=True)
                queued.again()

    def wait(self, timeout: float) -> list[Finished]:
        """Tasks that ended within `timeout` seconds; returns as soon as there is one."""
        if not self._pending:
            time.sleep(timeout)
            return []
        ready, _ = self._ray.wait(list(self._pending), num_returns=1, timeout=timeout)
        if not ready:
            self._let_in()
        if ready:  # take all others that are ready as well
            ready, _ = self._ray.wait(
                list(self._pending), num_returns=len(self._pending), timeout=0
            )
        finished = []
        for reference in ready:
            task = self._pending.pop(reference).name
            try:
                value, has_sent, rest = self._ray.get(reference)
                if has_sent:  # what it has sent comes before the rest, and before its end
                    self._drain()
                self._arrived += rest
                finished.append(Finished(task, value))
            except self._ray.exceptions.RayTaskError as error:
                cause = error.cause or error
                lost = isinstance(cause, CallsLost)
                finished.append(Finished(task, error=str(cause), lost=lost, cause=cause))
            except self._ray.exceptions.RayError as error:
                finished.append(Finished(task, error=_first_line(error), lost=True))
        return finished

    def messages(self) -> list[Any]:
        """What tasks emitted since the last call, in the order of each task."""
        if self._asked is None:
            if time.monotonic() - self._asked_at >= INTERVAL:
                self._ask()
        elif self._ray.wait([self._asked], timeout=0)[0]:  # never waits: it may be starting
            self._take_answer()
        arrived, self._arrived = self._arrived, []
        return arrived

    def _drain(self) -> None:
        """Wait for all that was sent so far."""
        if self._asked is not None:
            self._take_answer()
        self._ask()
        self._take_answer()

    def _ask(self) -> None:
        self._asked = self._mailbox.drain.remote()
        self._asked_at = time.monotonic()

    def _take_answer(self) -> None:
        # Its process may be lost, and is replaced then; what it held was for the eye.
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._arrived += self._ray.get(self._asked, timeout=10)
        self._asked = None

    def abandon(self, task: str) -> None:
        """End one task, at once; it will not be among those that ended."""
        for reference in [r for r, queued in self._pending.items() if queued.name == task]:
            del self._pending[reference]
            self._ray.cancel(reference, force=True)

    def cancel(self) -> None:
        """End all tasks, at once."""
        for reference in list(self._pending):
            self._ray.cancel(reference, force=True)
        self._pending.clear()

    def close(self) -> None:
        """Leave the cluster; end it where it is our own."""
        if self._ours:
            self._ray.shutdown()
        if self._guard is not None:
            self._guard.stop()


@dataclass(frozen=True)
class _Queued:
    """A task that has not ended, and how to queue it once more."""

    name: str
    needs: Needs
    again: Callable[[], None]
    keeps_off: bool  # nodes with GPUs


def _read_environment_again() -> None:
    """Have Ray heed what was set just now: it reads its environment when it is first imported.

    Without it a process that had imported Ray before would show no token to its own cluster, which
    asks for one.
    """
    from ray._raylet import (  # type: ignore[attr-defined]  # compiled, without stubs
        AuthenticationTokenLoader,
        Config,
    )

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def _see(address: str) -> None:
    """Raise `NoCluster` where nothing answers; Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # "auto"
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise NoCluster(f"no cluster answers at {address}: {error}") from error


def current_attempt() -> int:
    """How often the machinery has started the present task before; 0 outside of a cluster."""
    import sys

    if "ray" not in sys.modules:
        return 0
    from ray._private.worker import global_worker

    try:
        return int(global_worker.core_worker.get_current_task_attempt_number())
    except AttributeError:
        return 0  # no task of a cluster


def _call(
    mailbox: Any,
    function: Callable[..., Any],
    arguments: Iterable[Any],
    calls: Mapping[str, Any],
    team: Needs,
) -> Any:
    """The value of a call, whether it has sent messages, and the messages that it has not."""
    # What a worker imports first is some hundred thousand objects, none of them garbage.
    gc.set_threshold(*SELDOM)
    emit = Sender(mailbox)
    try:
        with calls_with(calls), teams_with(team, emit):
            value = function(*arguments, emit)
    except BaseException:
        emit.rest()
        raise
    rest = emit.rest()
    return value, emit.has_sent, rest


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"
