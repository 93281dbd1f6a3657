"""A real PostgreSQL server on 127.0.0.1, with a password."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from s3_server import free_port


class Postgres:
    """A server with data of its own, in a folder that is gone afterwards."""

    def __init__(self) -> None:
        self.port, self.password = free_port(), secrets.token_hex(12)
        self._folder = Path(tempfile.mkdtemp(prefix="tm-pg-"))
        # It does not run as root; PostgreSQL's packages make a user for it.
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self._as_user:
            os.chown(self._folder, pwd.getpwnam("postgres").pw_uid, -1)

    def address(self, database: str, *, password: bool = True) -> str:
        secret = f":{self.password}" if password else ""
        return f"postgresql+psycopg://mill{secret}@127.0.0.1:{self.port}/{database}"

    def start(self, *databases: str) -> None:
        secret = self._folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)  # in a folder of its user alone
        self._call("initdb", "--pgdata", str(self._folder / "data"), "--username", "mill",
                   "--auth", "scram-sha-256", "--pwfile", str(secret), "--no-sync",
                   "--encoding", "UTF8", "--locale", "C")  # fmt: skip
        options = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c port={self.port} -c fsync=off"
        self._call("pg_ctl", "--pgdata", str(self._folder / "data"), "--wait", "--silent",
                   "--log", str(self._folder / "log"), "--options", options, "start")  # fmt: skip
        for database in databases:
            self._call("createdb", "--host", "127.0.0.1", "--port", str(self.port),
                       "--username", "mill", database)  # fmt: skip

    def stop(self) -> None:
        self._call("pg_ctl", "--pgdata", str(self._folder / "data"), "--mode", "immediate",
                   "--silent", "stop")  # fmt: skip
        shutil.rmtree(self._folder, ignore_errors=True)

    def _call(self, program: str, *arguments: str) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
        path = str(found[-1]) if found else shutil.which(program)
        assert path, "tests/machine.sh installs PostgreSQL"
        done = subprocess.run(
            [*self._as_user, path, *arguments],
            env={**os.environ, "PGPASSWORD": self.password}, cwd="/",
            stdout=subprocess.PIPE if program != "pg_ctl" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if program != "pg_ctl" else subprocess.DEVNULL,
            text=True, check=False, timeout=120,
        )  # fmt: skip
        if done.returncode:
            log = self._folder / "log"
            raise RuntimeError(f"{done.stdout}\n{log.read_text() if log.exists() else ''}")
