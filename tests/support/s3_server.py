"""A server that speaks the S3 protocol, in a process of its own on 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator

import pytest

ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "an-access-key-of-the-tests",
    "AWS_SECRET_ACCESS_KEY": "a-secret-key-of-the-tests",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def s3_server(bucket: str = "mill") -> Iterator[dict[str, str]]:
    """Serve S3 with an empty bucket; gives the environment by which clients find it."""
    port = free_port()
    environment = {**ACCOUNT, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                request = urllib.request.Request(f"http://127.0.0.1:{port}/{bucket}", method="PUT")
                urllib.request.urlopen(request, timeout=5)
                break
            except OSError:
                assert server.poll() is None, "the S3 server did not start"
                time.sleep(0.1)
        yield environment
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture(scope="session")
def s3_environment() -> Iterator[dict[str, str]]:
    """An S3 server, and the environment by which clients find it."""
    with s3_server() as environment, pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        yield environment


@pytest.fixture
def s3_url(s3_environment: dict[str, str]) -> str:
    """A folder of its own in the bucket of the S3 server."""
    return f"s3://mill/{uuid.uuid4().hex}"
