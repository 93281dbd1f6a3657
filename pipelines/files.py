"""Small promises on top of any fsspec filesystem: whole files, files created once, lists.

Everything that the store and its neighbours write goes through here, so that the guarantees stand
in one place: a file is either there and whole, or not there; `create` succeeds for one writer only;
an error of the filesystem says what it means.
"""

from __future__ import annotations

import contextlib
import errno
import io
import mmap
import os
import posixpath
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import fsspec
import xxhash

_BLOCK = 1 << 22
TEMPORARY = ".tmp"
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"}
_STORE_LIBRARIES = ("botocore", "aiobotocore", "aiohttp", "s3fs", "gcsfs", "adlfs", "google")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class StoreError(RuntimeError):
    """The store does not hold what it should; the message says what, where, and what to do."""


class StoreFull(StoreError):
    """There is no room left; what was committed is as it was."""


def checksum_of(data: Any) -> str:
    """`Files.checksum` of bytes in memory."""
    return str(xxhash.xxh3_128_hexdigest(data))


class Written(io.RawIOBase):
    """A file that is being written, and knows how long it is and the hash of its bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._state = xxhash.xxh3_128()
        self.size = 0

    @property
    def checksum(self) -> str:
        return str(self._state.hexdigest())

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._file.write(data)
        self._state.update(data)
        length = memoryview(data).nbytes
        self.size += length
        return length

    def tell(self) -> int:
        return self.size


class Files:
    """The files under one URL. Paths are relative to it and use `/`."""

    def __init__(self, url: str) -> None:
        """`url` is a local path or anything fsspec can write: s3://bucket/prefix, memory://x."""
        self.url = url
        options: dict[str, Any] = {}
        if "://" in url:
            # A listing that was remembered would hide what another process has just written.
            options["use_listings_cache"] = False
        if url.startswith(("s3://", "s3a://")):
            # s3fs tries again by itself; both together would take minutes to see that it is away.
            options["config_kwargs"] = {"retries": {"max_attempts": 1}, "connect_timeout": 10}
        filesystem, root = fsspec.core.url_to_fs(url, **options)
        self.filesystem = filesystem
        self.root = str(root).rstrip("/")

    @cached_property
    def is_local(self) -> bool:
        """Whether the files are on a disk of this machine."""
        return "file" in self._protocols

    @cached_property
    def is_shared(self) -> bool:
        """Whether other processes see the files."""
        return "memory" not in self._protocols

    @cached_property
    def _has_folders(self) -> bool:
        """Whether a folder must be made before a file; asked on S3, it might make a bucket."""
        return not _OBJECT_STORES & set(self._protocols)

    def _make_folder_for(self, target: str) -> None:
        if self._has_folders:
            self.filesystem.makedirs(posixpath.dirname(target), exist_ok=True)

    @property
    def _protocols(self) -> tuple[str, ...]:
        protocol = self.filesystem.protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)

    def full(self, *parts: str) -> str:
        """The path as the filesystem knows it."""
        return posixpath.join(self.root, *parts)

    def address(self, *parts: str) -> str:
        """The address that other programs open: a plain path where the store is local."""
        path = self.full(*parts)
        return path if self.is_local else str(self.filesystem.unstrip_protocol(path))

    # -- reading ----------------------------------------------------------------------------------

    def read(self, path: str) -> bytes | None:
        """A whole file, or None where there is none."""
        with self.reaching():
            try:
                return bytes(self.filesystem.cat_file(self.full(path)))
            except FileNotFoundError:
                return None

    def sizes(self, folder: str) -> dict[str, int]:
        """Files under `folder`, at any depth: path relative to the folder -> bytes.

        What is still being written by `create` or `overwrite` is left out.
        """
        base = self.full(folder)
        with self.reaching():
            try:
                found = self.filesystem.find(base, detail=True)
            except FileNotFoundError:
                return {}
        return {
            posixpath.relpath(path, base): int(info["size"])
            for path, info in found.items()
            if not path.endswith(TEMPORARY)
        }

    def names(self, folder: str) -> list[str]:
        """What lies directly in `folder`, in order; empty where there is no such folder."""
        with self.reaching():
            try:
                found = self.filesystem.ls(self.full(folder), detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
        names = (posixpath.basename(path.rstrip("/")) for path in found)
        return sorted(name for name in names if name and not name.endswith(TEMPORARY))

    def exists(self, path: str) -> bool:
        with self.reaching():
            return bool(self.filesystem.exists(self.full(path)))

    def checksum(self, path: str) -> str:
        """Hash of a file's bytes.

        Raises:
            FileNotFoundError: there is none.
        """
        if self.is_local:
            with Path(self.full(path)).open("rb") as file:
                if os.fstat(file.fileno()).st_size == 0:  # which cannot be mapped
                    return checksum_of(b"")
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    return checksum_of(data)
        state = xxhash.xxh3_128()
        with self.filesystem.open(self.full(path), "rb") as file:
            while block := file.read(_BLOCK):
                state.update(block)
        return str(state.hexdigest())

    # -- writing ----------------------------------------------------------------------------------

    @contextmanager
    def writing(self, path: str) -> Iterator[Written]:
        """A file to write into. It is nobody's until something that names it is written."""
        target = self.full(path)
        with self.reaching(target):
            self._make_folder_for(target)
            with self.filesystem.open(target, "wb") as file:
                yield Written(file)

    def put(self, local: Path, path: str) -> Written:
        """Copy a local file."""
        with local.open("rb") as source, self.writing(path) as target:
            shutil.copyfileobj(source, target, _BLOCK)
        return target

    def take(self, local: Path, path: str) -> str:
        """Move a local file; no copy where it lies on the same disk. Returns its checksum."""
        if self.is_local:
            target = Path(self.full(path))
            with self.reaching(str(target)):
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    local.rename(target)
                except OSError as error:
                    if error.errno != errno.EXDEV:
                        raise
                else:
                    return self.checksum(path)
        written = self.put(local, path)
        local.unlink()
        return written.checksum

    def fetch(self, path: str, local: Path) -> str:
        """Copy into a local file; returns the checksum of its bytes.

        Raises:
            FileNotFoundError: there is none.
        """
        local.parent.mkdir(parents=True, exist_ok=True)
        with (
            self.reaching(),
            self.filesystem.open(self.full(path), "rb") as source,
            local.open("wb") as file,
        ):
            written = Written(file)
            shutil.copyfileobj(source, written, _BLOCK)
        return written.checksum

    def copy(self, source: str, target: str) -> None:
        """Give a file a second name; a link where the filesystem has links, else a copy."""
        to = self.full(target)
        with self.reaching(to):
            if not self.is_local:
                self.filesystem.cp_file(self.full(source), to)
                return
            Path(to).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(self.full(source), to)
            except FileExistsError:
                return
            except OSError:
                shutil.copyfile(self.full(source), to)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file whole, unless it is there already; says whether it did."""
        target = self.full(path)
        with self.reaching(target):
            if not self.is_local:
                self._make_folder_for(target)
                try:
                    self.filesystem.pipe_file(target, data, mode="create")
                except FileExistsError:
                    return False
                return True
            with self._temporary(target, data) as written:
                try:
                    os.link(written, target)  # fails where the name is taken; never half done
                except FileExistsError:
                    return False
                return True

    def overwrite(self, path: str, data: bytes) -> None:
        """Write a file whole, over the one that is there."""
        target = self.full(path)
        with self.reaching(target):
            if self.is_local:
                with self._temporary(target, data) as written:
                    written.replace(target)
            else:
                self._make_folder_for(target)
                self.filesystem.pipe_file(target, data)

    def remove(self, path: str) -> None:
        """Remove a file or a folder with all in it; no error where there is none."""
        with self.reaching(), contextlib.suppress(FileNotFoundError):
            self.filesystem.rm(self.full(path), recursive=True)

    def prune(self, folder: str) -> None:
        """Remove a folder and those above it that are empty, where the filesystem has folders."""
        if self.is_local:
            path = Path(self.full(folder))
            with contextlib.suppress(OSError):
                while path != Path(self.root):
                    path.rmdir()
                    path = path.parent

    @contextmanager
    def reaching(self, writes: str = "") -> Iterator[None]:
        """Say in words what is wrong with a filesystem that does not do what it is asked.

        Args:
            writes: the path that is being written, if one is.

        Raises:
            StoreFull: there is no room left.
            StoreError: it cannot be reached or refuses; where something was to be read, a
                FileNotFoundError stays one.
        """
        try:
            yield
        except StoreError:
            raise
        except FileNotFoundError as error:
            if not writes:
                raise
            raise StoreError(f"{writes} cannot be written in {self.url}: {error}") from error
        except OSError as error:
            if error.errno in _FULL:
                raise StoreFull(
                    f"there is no room left to write {writes} ({error.strerror}); what was "
                    "committed before is as it was: make room (`tokenmill gc` shows what no run "
                    "needs), or use another store, and run again"
                ) from error
            raise StoreError(self._refusal(error)) from error
        except Exception as error:
            # The libraries of object stores raise exceptions of their own, each many; those of
            # a program that writes through us pass.
            if not type(error).__module__.startswith(_STORE_LIBRARIES):
                raise
            raise StoreError(self._refusal(error)) from error

    def _refusal(self, error: Exception) -> str:
        lines = str(error).strip().splitlines() or [""]
        cure = "" if self.is_local else "; check the address, the credentials and the server"
        return f"the store {self.url} does not do what it is asked: {lines[0]}{cure}"

    @contextmanager
    def _temporary(self, target: str, data: bytes) -> Iterator[Path]:
        folder = Path(target).parent
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f".{uuid.uuid4().hex}{TEMPORARY}"
        try:
            path.write_bytes(data)
            yield path
        finally:
            path.unlink(missing_ok=True)
