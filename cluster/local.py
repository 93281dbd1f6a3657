"""Nodes of a cluster on this machine: a head, or one that joins; each a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cluster.access import protect
from cluster.processes import began

SECONDS_TO_START = 90.0
SECONDS_TO_END = 30.0
_STARTED = b"Ray runtime started"
_LINES_SHOWN = 15
_RAY = (sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats")


class NodeError(RuntimeError):
    """A node that does not start, in words."""


@dataclass(frozen=True)
class LocalNode:
    """A node of a cluster that runs on this machine.

    Attributes:
        address: `host:port` that other nodes join.
        dashboard: `http://host:port` that jobs are submitted to; None of a node that joined.
        pid, began: the process that holds the node; both, since numbers come again.
        folder: what the node writes, its log among it.
    """

    role: Literal["head", "worker"]
    address: str
    dashboard: str | None
    pid: int
    began: str
    folder: str

    @property
    def is_alive(self) -> bool:
        return bool(self.began) and began(self.pid) == self.began

    @property
    def log(self) -> Path:
        return Path(self.folder) / "node.log"


@dataclass(frozen=True)
class Offer:
    """What a node offers; what is None Ray finds out itself."""

    cpus: int | None = None
    gpus: int | None = None
    custom: Mapping[str, float] | None = None
    labels: Mapping[str, str] | None = None

    def options(self) -> list[str]:
        made = []
        if self.cpus is not None:
            made.append(f"--num-cpus={self.cpus}")
        if self.gpus is not None:
            made.append(f"--num-gpus={self.gpus}")
        if self.custom:
            made.append(f"--resources={json.dumps(dict(self.custom))}")
        if self.labels:
            made.append("--labels=" + ",".join(f"{n}={v}" for n, v in self.labels.items()))
        return made


def head_command(host: str, port: int, dashboard_port: int, offer: Offer) -> list[str]:
    """The command of a head that listens at `host`."""
    return [
        *_RAY, "--head", f"--node-ip-address={host}", f"--port={port}",
        f"--dashboard-host={host}", f"--dashboard-port={dashboard_port}",
        "--dashboard-agent-listen-port=0", *offer.options(),
    ]  # fmt: skip


def join_command(address: str, offer: Offer) -> list[str]:
    """The command of a node that joins the head at `address`."""
    return [*_RAY, f"--address={address}", *offer.options()]


def environment(host: str) -> dict[str, str]:
    """The environment of a node: a token asked for, at home on loopback where that is its host."""
    made = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    protect(made, host=host)
    return made


def start(
    command: Sequence[str], *, role: Literal["head", "worker"], address: str, dashboard: str | None
) -> LocalNode:
    """Start a node in the background, and wait until it is up.

    Args:
        command: of `head_command` or `join_command`.
        role: what the node is to the cluster.
        address: `host:port` of the head.
        dashboard: where jobs can be submitted to, of a head.

    Raises:
        NodeError: it ended, or was not up after 90 s; with what it printed last.
    """
    # Short, since the paths of sockets may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="tokenmill-"))
    log = folder / "node.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"--temp-dir={folder}"],
            env=environment(address.rpartition(":")[0]),
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    node = LocalNode(role, address, dashboard, process.pid, began(process.pid), str(folder))
    deadline = time.monotonic() + SECONDS_TO_START
    while _STARTED not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            stop(node)
            said = log.read_text(errors="replace").splitlines()[-_LINES_SHOWN:]
            raise NodeError("\n".join(["Ray did not start:", *said]))
        time.sleep(0.1)
    _remember([*nodes(), node])
    return node


def nodes() -> list[LocalNode]:
    """The nodes on this machine that were started here and live."""
    try:
        found = [LocalNode(**entry) for entry in json.loads(_state_file().read_text())]
    except (OSError, ValueError, TypeError):
        return []
    return [node for node in found if node.is_alive]


def stop(node: LocalNode) -> None:
    """End a node and all that runs on it; returns when it has ended."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + SECONDS_TO_END
        if node.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(node.pid, sign)
        while node.is_alive and time.monotonic() < deadline:
            time.sleep(0.1)
    _remember([other for other in nodes() if other != node])


def _state_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "tokenmill" / "nodes.json"


def _remember(kept: Sequence[LocalNode]) -> None:
    path = _state_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps([asdict(node) for node in kept], indent=1))
    new.replace(path)
