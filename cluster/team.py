"""A team: one function on several workers at once, as the ranks of a torch process group.

Ray Train finds the workers their places, joins them into a group and ends them all when one fails.
What to do then is not its business but the engine's: the task that waits for the team is tried
again, and finds its checkpoints.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from cluster.mailbox import Sender
from cluster.needs import MAY_GROW, NODE_ID, Needs, nodes_of, unmet
from cluster.nested import CallsLost

# What a rank sees of another one that is gone.
_OF_A_PEER = (
    "Connection closed by peer", "Connection reset by peer", "Connection refused", "Broken pipe",
    "Socket closed", "Socket Timeout", "Timed out waiting",
)  # fmt: skip
PEER_SECONDS = 5.0  # in which Ray has seen that a worker is gone
START_SECONDS = 60.0  # between looks whether the workers still find room
_RAY_TRAIN = {
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(START_SECONDS),
    # The folder of a task stays where it is, and nobody reads what Ray Train tells of itself.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
}


class TeamLost(CallsLost):
    """The machinery failed a worker of a team (process or node gone), not the method."""


class TooSmall(ValueError):
    """The cluster can never hold all workers of a team at once."""


class Raised(Exception):
    """What a rank raised, on its way through processes that need not know its class.

    `of_peer`: it says no more than that another rank is gone.
    """

    def __init__(self, error: bytes, of_peer: bool) -> None:
        super().__init__(error, of_peer)
        self.error, self.of_peer = error, of_peer


@dataclass(frozen=True)
class Teams:
    """The teams of one task: what a worker takes, and who hears what rank 0 tells."""

    needs: Needs
    emit: Sender

    def run(self, function: Callable[..., Any], *arguments: Any, size: int) -> Any:
        """`function(*arguments, rank, size, emit)` on so many workers at once.

        What the ranks but the first emit is dropped.

        Returns:
            What rank 0 returned.

        Raises:
            TooSmall: there will never be room for so many.
            TeamLost: a worker is gone.
            Exception: what a rank raised; the others are ended.
        """
        self.emit.flush()
        self.emit.has_sent = True  # by rank 0
        name = uuid.uuid4().hex
        rank = partial(_rank, self.emit.mailbox, name, function, arguments)
        while True:
            failure = _fit(rank, self._scaling(size), name)
            if failure is None:
                return self._left(name)
            cause = _cause(failure)
            if cause is not None:
                raise cause from None

    def _scaling(self, size: int) -> dict[str, Any]:
        """How Ray Train is told what the workers need."""
        import ray

        nodes = nodes_of(ray.nodes())
        needs = replace(self.needs, workers=size)
        why = unmet(needs, nodes)
        if why is not None and not os.environ.get(MAY_GROW):
            raise TooSmall(f"{why}; ask for fewer workers or for less, or add a node")
        amounts = needs.amounts()
        labels = dict(needs.labels)
        with_gpus = [node for node in nodes if node.has_gpus]
        others = [node for node in nodes if not node.has_gpus]
        if "GPU" not in amounts and with_gpus and unmet(needs, others) is None:
            labels[NODE_ID] = f"!in({', '.join(node.id for node in with_gpus)})"
        scaling = {
            "num_workers": size,
            "use_gpu": "GPU" in amounts,
            "resources_per_worker": {"CPU": 0.0, **amounts},
        }
        # Older versions of Ray Train know no labels, and most clusters have none.
        return scaling | ({"label_selector": labels} if labels else {})

    def _left(self, name: str) -> Any:
        import ray

        try:
            value = ray.get(self.emit.mailbox.take.remote(name))
        except ray.exceptions.RayError as error:
            raise TeamLost(f"what the team returned is lost: {error}") from error
        if value is None:
            raise TeamLost("what the team returned is lost with the process that held it")
        return pickle.loads(value)


_present: list[Teams] = []


@contextlib.contextmanager
def teams_with(needs: Needs, emit: Sender) -> Iterator[None]:
    """While a task of a cluster runs, each worker of its teams takes these needs."""
    _present.append(Teams(needs, emit))
    try:
        yield
    finally:
        _present.pop()


def present_teams() -> Teams | None:
    """The teams of the present task; None outside of a cluster."""
    return _present[-1] if _present else None


def _fit(rank: Callable[[], None], scaling: Mapping[str, Any], name: str) -> Exception | None:
    """Have Ray Train run the ranks; what failed, or None."""
    os.environ.update(_RAY_TRAIN)
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    # Whether and how often to try again is the engine's to say.
    limits = {"max_failures": 0, "controller_failure_limit": 0, "max_preemption_failures": 0}
    known = {n: limit for n, limit in limits.items() if n in FailureConfig.__dataclass_fields__}
    here = threading.current_thread() is threading.main_thread()
    on_interrupt = signal.getsignal(signal.SIGINT)  # Ray Train puts its own there
    with tempfile.TemporaryDirectory() as folder:
        trainer = TorchTrainer(
            rank,
            scaling_config=ScalingConfig(**scaling),
            run_config=RunConfig(
                name=name, storage_path=folder, failure_config=FailureConfig(**known)
            ),
        )
        try:
            trainer.fit()
        except (TrainingFailedError, ray.exceptions.RayError) as error:
            failure: Exception = error
            return failure
        finally:
            if here:
                signal.signal(signal.SIGINT, on_interrupt)
    return None


def _cause(failure: Exception) -> BaseException | None:
    """What is behind a failure of Ray Train; None where the workers have only not found room yet,
    as others take it.
    """
    failures = list(getattr(failure, "worker_failures", {}).values())
    raised = [getattr(error, "_base_exc", error) for error in failures]
    gone = [error for error in raised if not isinstance(error, Raised)]
    if failures and not gone:
        own = [error for error in raised if not error.of_peer]
        if own:
            error = pickle.loads(own[0].error)
            assert isinstance(error, BaseException)
            return error
        gone = [pickle.loads(raised[0].error)]
    controller = getattr(failure, "controller_failure", None)
    if type(controller).__name__ == "WorkerGroupStartupTimeoutError":
        return None
    first = gone[0] if gone else controller or failure
    lines = str(first).strip().splitlines() or [""]
    return TeamLost(f"a worker of the team is gone ({type(first).__name__}: {lines[0]})")


def _rank(
    mailbox: Any, name: str, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    """One rank, in a thread of a worker of Ray Train."""
    import ray.train
    import ray.train.torch

    place = ray.train.get_context()
    rank, size = place.get_world_rank(), place.get_world_size()
    emit = Sender(mailbox)
    try:
        import torch

        device = ray.train.torch.get_device()
        if device.type == "cuda":  # so that "cuda" is the GPU of this rank
            torch.cuda.set_device(device)
        value = function(*arguments, rank, size, emit if rank == 0 else _not_heard)
    except Exception as error:
        of_peer = _is_of_a_peer(error)
        if of_peer:
            time.sleep(PEER_SECONDS)  # whoever has gone is to be heard of first
        raise Raised(_packed(error), of_peer) from error
    finally:
        emit.flush()
    if rank == 0:
        ray.get(mailbox.leave.remote(name, ray.cloudpickle.dumps(value)))


def _not_heard(message: Any) -> None:
    """Where ranks other than the first send their messages."""


def _is_of_a_peer(error: Exception) -> bool:
    import torch.distributed as dist

    if not isinstance(error, RuntimeError):
        return False
    return isinstance(error, dist.DistError) or any(text in str(error) for text in _OF_A_PEER)


def _packed(error: Exception) -> bytes:
    """An exception as bytes that can be opened again, by all means."""
    try:
        packed = pickle.dumps(error)
        pickle.loads(packed)
    except Exception:  # noqa: BLE001 - its class decides what it needs
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return packed
