"""Tokens: for their owner alone, made once, and left as they are where somebody says otherwise."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster.access import ensure_token, has_token, protect, token_file


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_token_is_made_once_and_readable_by_its_owner_alone(home: Path) -> None:
    assert not has_token()
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: ensure_token(), range(32)))
    (path,) = paths
    assert path == home / ".ray" / "auth_token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    token = path.read_text()
    assert len(token) == 64
    assert ensure_token().read_text() == token
    assert [entry.name for entry in path.parent.iterdir()] == ["auth_token"]
    assert has_token()


def test_a_cluster_asks_for_the_token_and_keeps_to_loopback(home: Path) -> None:
    environment: dict[str, str] = {}
    protect(environment)
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_AUTH_TOKEN_PATH"] == str(token_file())
    assert environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert token_file().read_text() not in environment.values()


def test_a_cluster_at_another_address_asks_for_the_token_too() -> None:
    environment: dict[str, str] = {}
    protect(environment, host="10.0.0.5")
    assert environment["RAY_AUTH_MODE"] == "token"
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in environment


def test_who_says_that_it_is_open_gets_it_open(home: Path) -> None:
    environment = {"RAY_AUTH_MODE": "disabled"}
    protect(environment)
    assert environment["RAY_AUTH_MODE"] == "disabled"
    assert not has_token()


def test_without_a_home_to_write_to_there_is_a_token_all_the_same(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("HOME", str(home / "file"))
    environment: dict[str, str] = {}
    protect(environment)
    assert len(environment["RAY_AUTH_TOKEN"]) == 64
