"""Clusters that are not there, or are others than one thinks."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import ray
from s3_server import free_port

from cluster import submit
from cluster.local import Offer, head_command, join_command
from cluster.submit import Incompatible, JobServer, Unreachable


class OldCluster(BaseHTTPRequestHandler):
    """Answers as a dashboard of an older Ray would."""

    version = "2.11.0"

    def do_GET(self) -> None:
        body = json.dumps({"version": "4", "ray_version": self.version, "ray_commit": "x"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def old_cluster() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), OldCluster)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_another_ray_is_refused_with_both_versions(
    old_cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Incompatible, match=r"has Ray 2\.11\.0, here is " + ray.__version__):
        JobServer(old_cluster)
    monkeypatch.setattr(OldCluster, "version", "1.13.0")
    with pytest.raises(Incompatible, match=r"Ray version 1\.13\.0"):
        JobServer(old_cluster)


@pytest.mark.parametrize("address", ["ftp://host:1", "http://", "http:///path"])
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(Unreachable, match="no address of a job server"):
        JobServer(address)


def test_where_nobody_answers_it_says_so_at_once() -> None:
    with pytest.raises(Unreachable, match="no cluster answers"):
        JobServer(f"127.0.0.1:{free_port()}")


def test_a_node_offers_what_it_is_told_to() -> None:
    offer = Offer(cpus=3, gpus=0, custom={"licence": 2.0}, labels={"zone": "x", "kind": "cpu"})
    command = join_command("10.0.0.5:6379", offer)
    assert "--address=10.0.0.5:6379" in command
    assert command[-4:] == ["--num-cpus=3", "--num-gpus=0", '--resources={"licence": 2.0}',
                            "--labels=zone=x,kind=cpu"]  # fmt: skip
    head = head_command("127.0.0.1", 1, 2, Offer())
    assert "--node-ip-address=127.0.0.1" in head
    assert "--dashboard-host=127.0.0.1" in head
    assert not [word for word in head if word.startswith(("--num", "--resources", "--labels"))]


class Broken:
    """A client whose streams break off, and begin again with all that was printed."""

    printed = "one\ntwo\nthree\nfour\n"

    def __init__(self) -> None:
        self.streams = 0
        self.away = 0

    async def tail_job_logs(self, _: str) -> AsyncIterator[str]:
        self.streams += 1
        if self.streams == 1:
            yield self.printed[:5]
            raise RuntimeError("WebSocket connection closed unexpectedly")
        if self.streams == 2:
            yield self.printed[:3]
            yield self.printed[3:10]
            raise aiohttp.ClientError
        if self.streams == 3:
            raise OSError("refused")
        yield self.printed

    def list_jobs(self) -> list[Any]:
        if self.streams == 3:
            self.away += 1
            raise ConnectionError("away")
        status = "SUCCEEDED" if self.streams > 3 else "RUNNING"
        return [SimpleNamespace(submission_id="job", status=status, entrypoint="", start_time=1,
                                end_time=2, message="", driver_exit_code=0, metadata={})]  # fmt: skip


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> tuple[JobServer, Broken]:
    monkeypatch.setattr(submit, "PAUSE", 0.0)
    server = JobServer.__new__(JobServer)
    server.address, server._client = "http://nowhere", Broken()
    return server, server._client


def test_a_stream_that_breaks_off_is_taken_up_where_it_was(
    broken: tuple[JobServer, Broken],
) -> None:
    server, client = broken
    told: list[str] = []
    assert server.follow("job", told.append).status == "SUCCEEDED"
    assert "".join(told) == Broken.printed
    assert (client.streams, client.away) == (4, 1)


def test_a_server_that_stays_away_ends_the_following(
    broken: tuple[JobServer, Broken], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "AWAY_SECONDS", 0.0)
    with pytest.raises(Unreachable, match="does not answer"):
        broken[0].follow("job", lambda _: None)


def test_a_mistake_of_ours_while_following_is_no_lost_connection(
    broken: tuple[JobServer, Broken],
) -> None:
    with pytest.raises(ZeroDivisionError):
        broken[0].follow("job", lambda _: print(1 / 0))
