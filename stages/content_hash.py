"""The hash of a file's content, computed once and remembered by size and time of change.

A key holds the content of what a stage reads from outside the store. Hashing a corpus each time a
plan is made would be slow; asking the file system whether a file was touched is not.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DIGEST_BYTES = 16
PIECE_BYTES = 2**22


def cache_folder() -> Path:
    """Where this user's caches lie (XDG base directories)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tokenmill"


def local_hashes(paths: Iterable[Path]) -> dict[Path, str]:
    """Hash of each local file; those unchanged since they were last hashed are not read."""
    stamps = {path: path.stat() for path in paths}
    marks = {path: f"{stat.st_size}:{stat.st_mtime_ns}" for path, stat in stamps.items()}
    return _remembered(
        {path: (str(path.resolve()), mark) for path, mark in marks.items()},
        lambda path: _hash_opened(path.open("rb")),
    )


def remote_hashes(filesystem: Any, infos: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Hash of each remote file; what the store says of it (ETag, time, size) tells of changes."""
    marks = {}
    for path, info in infos.items():
        known = [info.get(field) for field in ("ETag", "etag", "LastModified", "mtime", "created")]
        told = [str(value) for value in known if value is not None]
        # Where the store says nothing but a size, the content is read each time.
        mark = ":".join([str(info.get("size")), *told]) if told else ""
        marks[path] = (str(filesystem.unstrip_protocol(path)), mark)
    return _remembered(marks, lambda path: _hash_opened(filesystem.open(path, "rb")))


def hash_content(content: bytes) -> str:
    """Hex digest of some bytes."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def _hash_opened(stream: Any) -> str:
    """The same of a file, which may be larger than memory."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    with stream:
        while piece := stream.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _remembered(marks: Mapping[Any, tuple[str, str]], compute: Any) -> dict[Any, str]:
    hashes: dict[Any, str] = {}
    with contextlib.closing(_open_cache()) as cache:
        known = {
            address: (mark, digest)
            for address, mark, digest in cache.execute("SELECT address, mark, digest FROM hashes")
        }
        fresh = []
        for path, (address, mark) in marks.items():
            if mark and known.get(address, ("", ""))[0] == mark:
                hashes[path] = known[address][1]
            else:
                hashes[path] = compute(path)
                fresh.append((address, mark, hashes[path]))
        if fresh:
            # Another process may hold the file; then this one's work is simply not remembered.
            with contextlib.suppress(sqlite3.OperationalError), cache:
                cache.executemany("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?)", fresh)
    return hashes


def _open_cache() -> sqlite3.Connection:
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        cache = sqlite3.connect(folder / "content.sqlite", timeout=5)
        cache.execute(
            "CREATE TABLE IF NOT EXISTS hashes (address TEXT PRIMARY KEY, mark TEXT, digest TEXT)"
        )
    except (OSError, sqlite3.Error):  # no home, a read-only one, a damaged file: do without
        cache = sqlite3.connect(":memory:")
        cache.execute("CREATE TABLE hashes (address TEXT PRIMARY KEY, mark TEXT, digest TEXT)")
    return cache
