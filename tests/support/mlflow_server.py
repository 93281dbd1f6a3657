"""A real MLflow server on 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from s3_server import free_port


class Server:
    """An MLflow server; on a SQLite database of its own, unless told another one.

    Args:
        folder: for its database and its artifacts.
        backend: address of a database.
        artifacts: where it keeps artifacts.
        options: more options of `mlflow server`.
        environment: more variables.
    """

    def __init__(
        self,
        folder: Path,
        *,
        backend: str | None = None,
        artifacts: str | None = None,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.port = folder, free_port()
        self._backend = backend or f"sqlite:///{folder / 'server.db'}"
        self._artifacts = artifacts or str(folder / "server-artifacts")
        self._options, self._environment = options, environment or {}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1",
                 "--port", str(self.port), "--workers", "1", "--backend-store-uri", self._backend,
                 "--artifacts-destination", self._artifacts, *self._options],
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                     **self._environment},
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5)
                return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.2)
        raise TimeoutError(self.log.read_text())

    def stop(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(timeout=60)
            self.process = None
