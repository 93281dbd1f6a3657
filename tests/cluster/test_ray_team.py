"""A team: ranks of one process group on workers of Ray, and what comes home from them."""

import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from cluster import runtime
from cluster.needs import Needs, Node, unmet
from cluster.team import Raised, TeamLost, TooSmall, _cause, _is_of_a_peer, _packed, present_teams

CPUS = Node("a", {"CPU": 4, "memory": 4e9}, {"zone": "x"})
GPUS = Node("b", {"CPU": 8, "GPU": 2, "memory": 64e9}, {"zone": "y"})


@pytest.mark.parametrize(
    ("needs", "room"),
    [
        (Needs(workers=12), 12),
        (Needs(cpus=3, workers=3), 3),
        (Needs(cpus=3, workers=4), None),
        (Needs(gpus=1, workers=2), 2),
        (Needs(gpus=1, workers=3), None),
        (Needs(cpus=0.1, workers=120), 120),
        (Needs(cpus=0, workers=10**6), 10**6),
        (Needs(memory=2 * 10**9, labels={"zone": "x"}, workers=2), 2),
        (Needs(memory=2 * 10**9, labels={"zone": "x"}, workers=3), None),
    ],
)
def test_a_team_finds_room_where_all_its_workers_do_at_once(needs: Needs, room: int | None) -> None:
    assert (unmet(needs, [CPUS, GPUS]) is None) == (room is not None)


def test_a_cluster_that_is_too_small_for_a_team_is_told_with_both_numbers() -> None:
    why = str(unmet(Needs(cpus=2, gpus=1, workers=3), [CPUS, GPUS]))
    assert "it asks for 3 workers at once, each with 2 CPU, 1 GPU, and there is room for 2" in why


class WithGpus(runtime.RayRuntime):
    """What a runtime asks Ray for, without Ray."""

    def __init__(self, nodes: list[Node]) -> None:
        self.asked: list[tuple[dict[str, Any], Needs]] = []
        self._known, self._pending, self._mailbox, self._call = nodes, {}, None, self

    def nodes(self) -> list[Node]:
        return self._known

    def options(self, **options: Any) -> Any:
        self._options = options
        return self

    def remote(self, mailbox: Any, function: Any, arguments: Any, calls: Any, team: Needs) -> Any:
        self.asked.append((self._options, team))
        return object()


def test_a_task_with_a_team_holds_nothing_that_the_team_asks_for() -> None:
    cluster = WithGpus([CPUS, GPUS])
    cluster.submit("t", print, needs=Needs(2, 1, 10**9, {"licence": 1}, {"zone": "y"}, workers=2))
    ((options, team),) = cluster.asked
    assert (options["num_cpus"], options["num_gpus"]) == (2, 0)
    assert not {"memory", "resources"} & options.keys()
    assert options["label_selector"] == {"zone": "y"}
    assert (team.gpus, team.memory, team.custom) == (1, 10**9, {"licence": 1})


@pytest.mark.parametrize(("workers", "gpus"), [(1, 1.0), (2, 1.0), (3, 0.0)])
def test_a_gpu_comes_by_itself_where_each_worker_finds_one(workers: int, gpus: float) -> None:
    cluster = WithGpus([CPUS, GPUS])
    cluster.submit("t", print, needs=Needs(gpus="auto", workers=workers))
    ((_, team),) = cluster.asked
    assert team.gpus == gpus


class WorkerGroupError(Exception):
    def __init__(self, *failures: Exception) -> None:
        self.worker_failures = dict(enumerate(failures))


class ControllerError(Exception):
    def __init__(self, failure: Exception) -> None:
        self.controller_failure = failure


class WorkerGroupStartupTimeoutError(Exception):
    pass


def raised(error: Exception, *, of_peer: bool = False) -> Raised:
    return pickle.loads(pickle.dumps(Raised(_packed(error), of_peer)))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("failure", "kind", "said"),
    [
        (WorkerGroupError(raised(ValueError("no"))), ValueError, "no"),
        (
            WorkerGroupError(raised(RuntimeError("closed"), of_peer=True), raised(KeyError("k"))),
            KeyError,
            "k",
        ),
        (WorkerGroupError(raised(RuntimeError("closed"), of_peer=True)), TeamLost, "closed"),
        (WorkerGroupError(raised(ValueError("no")), OSError("gone")), TeamLost, "OSError: gone"),
        (ControllerError(OSError("no controller")), TeamLost, "OSError: no controller"),
        (OSError("no Ray"), TeamLost, "OSError: no Ray"),
    ],
)
def test_a_failure_is_that_of_the_method_or_a_lost_worker(
    failure: Exception, kind: type[Exception], said: str
) -> None:
    cause = _cause(failure)
    assert type(cause) is kind
    assert said in str(cause)


def test_workers_that_have_not_found_room_yet_are_no_failure() -> None:
    assert _cause(ControllerError(WorkerGroupStartupTimeoutError())) is None


def test_an_exception_that_cannot_travel_is_told_in_words() -> None:
    class Local(Exception):
        pass

    error = pickle.loads(_packed(Local("of here")))
    assert (type(error), str(error)) == (RuntimeError, "Local: of here")


def test_what_a_rank_sees_of_another_that_is_gone_is_told_from_its_own_faults() -> None:
    import torch.distributed as dist

    assert _is_of_a_peer(RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer"))
    assert _is_of_a_peer(dist.DistBackendError("NCCL: unhandled system error"))
    assert not _is_of_a_peer(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not _is_of_a_peer(ConnectionError("Broken pipe"))


# -- on Ray ---------------------------------------------------------------------------------------


def ranks(way: str, rank: int, size: int, emit: Callable[[Any], None]) -> tuple[float, int]:
    import torch
    import torch.distributed as dist

    value = torch.tensor([float(rank + 1)])
    emit(f"rank {rank} begins")
    dist.all_reduce(value)
    if way == "fails" and rank == 1:
        raise FloatingPointError("the loss is no number")
    if way == "is killed" and rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    dist.all_reduce(value)
    emit(f"rank {rank} ends")
    return float(value), size


def team(way: str, size: int, emit: Callable[[Any], None]) -> Any:
    teams = present_teams()
    assert teams is not None
    emit("begins")
    value = teams.run(ranks, way, size=size)
    emit("ends")
    return value


@pytest.fixture(scope="module")
def cluster() -> Iterator[runtime.RayRuntime]:
    # What a Ray sets is not for the journeys that come after.
    with mock.patch.dict(os.environ), pytest.MonkeyPatch.context() as patched:
        path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), *sys.path)))
        patched.setenv("PYTHONPATH", path)  # its workers look for the functions of this module
        started = runtime.RayRuntime(workers=2)
        yield started
        started.close()


def run(cluster: runtime.RayRuntime, way: str, size: int = 2) -> tuple[runtime.Finished, list[Any]]:
    cluster.submit("t", team, way, size, needs=Needs(workers=2))
    told: list[Any] = []
    while not (ended := cluster.wait(0.2)):
        told += cluster.messages()
    return ended[0], told + cluster.messages()


@pytest.mark.journey
def test_ranks_reduce_together_and_the_first_one_tells(cluster: runtime.RayRuntime) -> None:
    ended, told = run(cluster, "succeeds")
    assert (ended.error, ended.value) == (None, (6.0, 2))
    assert told == ["begins", "rank 0 begins", "rank 0 ends", "ends"]


@pytest.mark.journey
def test_an_exception_of_any_rank_comes_home_as_it_is(cluster: runtime.RayRuntime) -> None:
    ended, _ = run(cluster, "fails")
    assert type(ended.cause) is FloatingPointError
    assert (ended.error, ended.lost) == ("the loss is no number", False)


@pytest.mark.journey
def test_a_rank_that_is_killed_is_a_lost_worker(cluster: runtime.RayRuntime) -> None:
    ended, _ = run(cluster, "is killed")
    assert type(ended.cause) is TeamLost
    assert ended.lost


@pytest.mark.journey
def test_a_team_that_never_finds_room_is_an_error_at_once(cluster: runtime.RayRuntime) -> None:
    ended, _ = run(cluster, "succeeds", size=3)
    assert type(ended.cause) is TooSmall
    assert "3 workers at once, each with 1 CPU, and there is room for 2" in str(ended.error)
