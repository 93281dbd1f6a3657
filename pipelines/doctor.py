"""Looks at a set-up as a run would, and as a stranger would: does it work, and who else may use it?

Nothing is changed but a file in the store, which is removed again.
"""

from __future__ import annotations

import shutil
import stat
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pipelines.files import StoreError
from pipelines.redact import redact_text
from pipelines.store import Store

SECONDS = 10.0
LEAST_FREE = 2 * 2**30  # bytes on the disk of a local store
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Level = Literal["ok", "open", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: "open" is what works, and works for strangers, too.
        cure: what to do about it; empty where all is well.
    """

    about: str
    level: Level
    says: str
    cure: str = ""


def examine(store: Store, tracking_uri: str, address: str | None, spool: Path) -> Iterator[Finding]:
    """Look at everything, the near things first.

    Args:
        store: where artifacts lie.
        tracking_uri: where runs are recorded.
        address: a cluster's dashboard, `http://host:8265`, if one is used.
        spool: where records wait for a tracker that is away.
    """
    yield _versions()
    yield _token()
    yield from _store(store)
    yield from _tracker(tracking_uri)
    waiting = len(list(spool.glob("*"))) if spool.is_dir() else 0
    if waiting:
        yield Finding("record", "ok", f"{waiting} runs have records that wait to be sent",
                      "the next `tokenmill run` sends them")  # fmt: skip
    if address is not None:
        yield from _cluster(address)


def _versions() -> Finding:
    import importlib.metadata as installed

    names = ("ray", "pyarrow", "polars", "torch", "mlflow", "transformers", "tokenizers")
    found = ", ".join(f"{name} {installed.version(name)}" for name in names)
    return Finding("versions", "ok", f"Python {sys.version.split()[0]}, {found}")


def _token() -> Finding:
    from cluster.access import token_file

    path = token_file()
    if not path.is_file():
        return Finding("token", "ok", f"no token of a cluster in {path}; the first one makes it")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Finding("token", "open", f"others on this machine can read {path}",
                       f"chmod 600 {path}")  # fmt: skip
    return Finding("token", "ok", f"{path}, which only you can read")


def _store(store: Store) -> Iterator[Finding]:
    probe = f"doctor/{uuid.uuid4().hex}"
    try:
        with store.files.reaching(probe):
            first = store.files.create(probe, b"a")
            second = store.files.create(probe, b"b")
            kept = store.files.read(probe)
            store.files.remove(probe)
            store.files.prune("doctor")
    except (StoreError, OSError) as error:
        yield Finding("store", "wrong", str(error),
                      "check the address and the keys, or name another with --store")  # fmt: skip
        return
    if not first or second or kept != b"a":
        yield Finding("store", "wrong", f"{store.url} writes over what is there, though asked not "
                      "to", "take a store with conditional writes (S3 has them)")  # fmt: skip
    else:
        yield Finding("store", "ok", f"{store.url}: writes, reads, and never writes twice")
    if store.is_local:
        free = shutil.disk_usage(store.address()).free
        if free < LEAST_FREE:
            yield Finding("disk", "wrong", f"{free / 2**30:.1f} GiB are free under {store.url}",
                          "`tokenmill gc` shows what no kept run needs")  # fmt: skip


def _tracker(uri: str) -> Iterator[Finding]:
    parts = urlsplit(uri)
    shown = redact_text(uri)
    if parts.scheme not in ("http", "https"):
        yield Finding("tracker", "ok", f"{shown}, written directly")
        return
    status = _get(f"{uri.rstrip('/')}/health")
    if status is None:
        yield Finding("tracker", "wrong", f"nothing answers at {shown}",
                      "start it (`tokenmill ui`, cluster/deploy/compose.yaml), or check "
                      "MLFLOW_TRACKING_URI; runs go on, and are recorded later")  # fmt: skip
        return
    anonymous = _get(f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1")
    yield from _open("tracker", shown, parts.hostname, anonymous == 200,
                     "change every record", "`mlflow server --app-name basic-auth`, as in "
                     "cluster/deploy/compose.yaml")  # fmt: skip


def _cluster(address: str) -> Iterator[Finding]:
    from cluster.submit import JobServer, SubmitError

    url = address if "://" in address else f"http://{address}"
    anonymous = _get(f"{url.rstrip('/')}/api/jobs/")
    try:
        server = JobServer(address)
        nodes = server.nodes()
    except SubmitError as error:
        yield Finding("cluster", "wrong", str(error), "`tokenmill cluster start` starts one here")
        return
    has = "; ".join(str(node) for node in nodes)
    yield Finding("nodes", "ok", f"{len(nodes)}: {has}")
    yield from _open("cluster", url, urlsplit(url).hostname, anonymous == 200,
                     "run any code on it", "start its nodes with RAY_AUTH_MODE=token, as "
                     "`tokenmill cluster start` does")  # fmt: skip


def _open(
    about: str, where: str, host: str | None, is_open: bool, may: str, cure: str
) -> Iterator[Finding]:
    if not is_open:
        yield Finding(about, "ok", f"{where} asks who one is")
    elif host in LOOPBACK:
        yield Finding(about, "open", f"{where} asks nobody who he is: all users of this machine, "
                      f"and those who forward its port, can {may}", cure)  # fmt: skip
    else:
        yield Finding(about, "open", f"{where} asks nobody who he is: who reaches it can {may}",
                      cure)  # fmt: skip


def _get(url: str) -> int | None:
    """What a stranger is answered; None where nobody answers."""
    import requests

    session = requests.Session()
    session.trust_env = False  # no password of ~/.netrc
    try:
        return session.get(url, timeout=SECONDS, allow_redirects=False).status_code
    except requests.RequestException:
        return None


def is_well(findings: list[Finding]) -> bool:
    return all(finding.level == "ok" for finding in findings)
