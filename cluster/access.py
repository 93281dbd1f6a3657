"""Who may speak with a cluster: those with its token, and, on loopback, only from this machine.

Ray runs what anybody sends it, so a cluster of ours asks for a token unless RAY_AUTH_MODE says
otherwise. The token lies in a file that only its owner reads; what is passed on is its path.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
LOOPBACK = "127.0.0.1"
# How Ray itself keeps to loopback on a desktop; an address of 127.0.0.1 it takes for the machine's.
_LOOPBACK_ONLY = ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


def token_file() -> Path:
    """Where Ray looks for the token when it is in no variable."""
    return Path(os.environ.get(TOKEN_PATH) or Path.home() / ".ray" / "auth_token")


def has_token() -> bool:
    """Whether this process could show a token."""
    return bool(os.environ.get(TOKEN)) or token_file().is_file()


def ensure_token() -> Path:
    """The file of the token; made if there is none.

    Raises:
        OSError: it cannot be made.
    """
    path = token_file()
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Two may come at the same time; the first one's stands.
    handle, made = tempfile.mkstemp(dir=path.parent)  # readable by its owner alone
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):
            os.link(made, path)
    finally:
        Path(made).unlink()
    return path


def protect(environment: MutableMapping[str, str], *, host: str = LOOPBACK) -> None:
    """Have a cluster that starts in an environment ask for a token, and keep to loopback.

    What the environment says itself stands.
    """
    if environment.setdefault(MODE, "token") == "token" and not environment.get(TOKEN):
        try:
            environment[TOKEN_PATH] = str(ensure_token())
        except OSError:  # no home to write to: a token for as long as this process lives
            environment[TOKEN] = secrets.token_hex(32)
    if host == LOOPBACK:
        environment.setdefault(*_LOOPBACK_ONLY)
