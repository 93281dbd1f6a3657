"""Runs on a cluster, through Ray's job server: submit, attach again, follow, stop.

A job is known by what it runs: submitting the same thing twice gives the same job. The server's
token is read where Ray reads it (RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token) and goes
into a header, never into an address, a command or a log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cluster.access import MODE, has_token
from cluster.needs import Node
from cluster.package import Package

TIMES_AGAIN = 3  # that a run whose process is killed is started again
CONNECT_SECONDS = 10.0
AWAY_SECONDS = 120.0  # for which a server may be away from whoever follows a job
PAUSE = 1.0
OPEN = ("PENDING", "RUNNING")


class SubmitError(RuntimeError):
    """Something that keeps a job from being submitted, in words."""


class Unreachable(SubmitError):
    """No job server answers at the address."""


class Unauthorized(SubmitError):
    """The cluster wants a token, and this was none or another one."""


class Incompatible(SubmitError):
    """The cluster's Ray or Python is another one."""


class Impossible(SubmitError):
    """A stage asks for what no node of the cluster has."""


@dataclass(frozen=True)
class Job:
    """A job as the server knows it. Times in seconds since 1970."""

    id: str
    status: str
    entrypoint: str
    started: float | None
    ended: float | None
    message: str
    exit: int | None
    metadata: Mapping[str, str]

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


class JobServer:
    """The job server of a cluster."""

    def __init__(self, address: str) -> None:
        """Connect, and see whether this client may speak with the cluster.

        Args:
            address: `http://host:8265`, the address of the cluster's dashboard.

        Raises:
            Unreachable, Unauthorized, Incompatible: as they say.
        """
        self.address = address if "://" in address else f"http://{address}"
        parts = urlsplit(self.address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unreachable(f"{address} is no address of a job server, such as http://host:8265")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname, port), CONNECT_SECONDS).close()
        except OSError as error:
            raise Unreachable(
                f"no cluster answers at {self.address} ({error}); is it up, and is this the "
                "address of its dashboard (port 8265 by default)?"
            ) from error
        if has_token():
            os.environ.setdefault(MODE, "token")
        from ray.job_submission import JobSubmissionClient

        # It tells of each package, and of each stream that ends.
        for chatty in (
            "ray.dashboard.modules.job.sdk",
            "ray.dashboard.modules.dashboard_sdk",
            "ray._private.runtime_env.packaging",
        ):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        try:
            self._client = self._call(lambda: JobSubmissionClient(self.address))
        except RuntimeError as error:
            if isinstance(error, SubmitError):
                raise
            raise Incompatible(f"the cluster at {self.address}: {error}") from error
        self._check_versions()

    def _call(self, function: Callable[[], Any]) -> Any:
        """Call the server; its errors in words."""
        import requests
        from ray.exceptions import AuthenticationError

        try:
            return function()
        except AuthenticationError as error:
            held = "the token is another one" if has_token() else "this client has no token"
            raise Unauthorized(
                f"the cluster at {self.address} wants a token, and {held}; put the cluster's into "
                "~/.ray/auth_token, or its path into RAY_AUTH_TOKEN_PATH"
            ) from error
        except (ConnectionError, requests.exceptions.RequestException) as error:
            raise Unreachable(f"the cluster at {self.address} does not answer: {error}") from error

    def _check_versions(self) -> None:
        import ray

        answer = self._call(lambda: self._client._do_request("GET", "/api/version"))
        theirs = str(answer.json().get("ray_version", "?"))
        if theirs.split(".")[:2] != ray.__version__.split(".")[:2]:
            raise Incompatible(
                f"the cluster at {self.address} has Ray {theirs}, here is {ray.__version__}; "
                f"install the same here (`pip install ray=={theirs}`), or on the cluster"
            )

    def nodes(self) -> list[Node]:
        """The nodes that are alive."""
        answer = self._call(
            lambda: self._client._do_request("GET", "/api/v0/nodes?detail=True&limit=10000")
        )
        listed = answer.json()["data"]["result"]["result"]
        return [
            Node(n["node_id"], n.get("resources_total") or {}, n.get("labels") or {})
            for n in listed
            if n["state"] == "ALIVE"
        ]

    def submit(
        self,
        name: str,
        shipped: Package,
        command: Sequence[str],
        *,
        variables: Mapping[str, str],
        metadata: Mapping[str, str],
    ) -> Job:
        """Begin a job, or attach to the one of this name that is open or has succeeded; one that
        failed or was stopped is begun anew, and resumes.

        Args:
            name: what the job is known by; of what it runs, so that twice is once.
            command: arguments of Python, in the folder of the package.
            variables: environment of the job, without secrets.
        """
        earlier = [job for job in self.jobs() if job.id.rpartition("-")[0] == name]
        earlier.sort(key=lambda job: int(job.id.rpartition("-")[2]))
        if earlier and (earlier[-1].is_open or earlier[-1].status == "SUCCEEDED"):
            return earlier[-1]
        number = 1 + (int(earlier[-1].id.rpartition("-")[2]) if earlier else 0)
        entrypoint = shlex.join(
            ["python", "-m", "cluster.again", str(TIMES_AGAIN), "python", *command]
        )
        with tempfile.TemporaryDirectory() as folder:
            shipped.write(Path(folder))
            job = self._call(
                lambda: self._client.submit_job(
                    submission_id=f"{name}-{number}",
                    entrypoint=entrypoint,
                    runtime_env={"working_dir": folder, "env_vars": dict(variables)},
                    metadata=dict(metadata),
                )
            )
        return self.job(str(job))

    def job(self, name: str) -> Job:
        """One job.

        Raises:
            LookupError: there is none.
        """
        for job in self.jobs():
            if job.id == name:
                return job
        raise LookupError(f'the cluster at {self.address} knows of no job "{name}"')

    def jobs(self) -> list[Job]:
        """All submitted jobs, the earliest first."""
        found = self._call(self._client.list_jobs)
        jobs = [
            Job(
                id=details.submission_id,
                status=str(details.status),
                entrypoint=details.entrypoint,
                started=details.start_time and details.start_time / 1000,
                ended=details.end_time and details.end_time / 1000,
                message=details.message or "",
                exit=details.driver_exit_code,
                metadata=details.metadata or {},
            )
            for details in found
            if details.submission_id
        ]
        return sorted(jobs, key=lambda job: job.started or 0)

    def logs(self, name: str) -> str:
        """What a job has printed so far."""
        self.job(name)
        return str(self._call(lambda: self._client.get_job_logs(name)))

    def stop(self, name: str, *, wait: float = 0.0) -> bool:
        """Stop a job, and wait so many seconds for its end; says whether it was open."""
        self.job(name)
        was_open = bool(self._call(lambda: self._client.stop_job(name)))
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline and self.job(name).is_open:
            time.sleep(0.5)
        return was_open

    def follow(self, name: str, write: Callable[[str], None]) -> Job:
        """Write what a job prints, once, until it has ended; a lost connection is taken up again.

        Raises:
            Unreachable: the server has been away for two minutes; the job may go on.
        """
        import aiohttp

        told = 0  # characters: a stream begins with all that the job has printed

        async def tail() -> None:
            nonlocal told
            passed = 0
            async for text in self._client.tail_job_logs(name):
                new = text[max(0, told - passed) :]
                passed += len(text)
                if new:
                    write(new)
                    told = passed

        reached = time.monotonic()
        while True:
            # Ray says RuntimeError where a stream breaks off. Whatever broke it, the job goes on.
            with contextlib.suppress(RuntimeError, OSError, aiohttp.ClientError):
                asyncio.run(tail())
            try:
                job = self.job(name)
            except Unreachable:
                if time.monotonic() > reached + AWAY_SECONDS:
                    raise
            else:
                reached = time.monotonic()
                if not job.is_open:
                    return job
            time.sleep(PAUSE)
