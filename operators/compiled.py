"""Compiled functions, and where their machine code is kept: it is never older than their sources.

numba copies what a compiled function calls, and the constants it reads, into its machine code,
and with `cache=True` keeps that as long as the function's own file is unchanged. After a change of
a callee in another file the caller would go on with the old code, under a key that says it is the
new. So here machine code lies in a folder named by all sources that can be in it: of each module
that imports this one, and of whatever of `operators` those import. A change of any of them is
another folder. Where one changes while the process runs, the process keeps nothing more. Where the
sources lie is no part of the name: a copy of them, as each node of a cluster has, compiles nothing
anew with a `$NUMBA_CACHE_DIR` that all can write.

The folder lies beneath `$NUMBA_CACHE_DIR` where that is set, else in the `__pycache__` of
`operators`, as numba itself has it, or where nothing can be written there, in the user's cache
(`$XDG_CACHE_HOME/tokenmill`). Where there is none, each process compiles for itself. Those not used
for long are deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import UserProvidedCacheLocator

# How many folders stay beside each other: of this code, of that before a change, of another branch.
KEPT_FOLDERS = 8
_PREFIX = "kernels-"
_PACKAGE = Path(__file__).parent
_DECORATING = threading.Lock()  # modules may be imported by several threads
_THIS = b"\nfrom operators.compiled import "
_IMPORT = re.compile(
    rb"^[ \t]*(?:from|import) (operators[\w.]*)(?: import (?:\(([^)]*)\)|(.*)))?", re.M
)


def njit(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """`numba.njit`, with the same options. What `cache=True` keeps is right after any change."""
    if function is None:
        return partial(njit, **options)
    if options.get("cache"):
        folder = _folder() if _sources().hold(function.__code__.co_filename) else None
        if folder is not None:
            with _keeping_in(folder):
                return numba.njit(**options)(function)
        options["cache"] = False
    return numba.njit(**options)(function)


class Sources:
    """The sources of the compiled functions of a package, as they were when this was made.

    Attributes:
        digest: of the paths in the package and the contents, hexadecimal.
    """

    def __init__(self, package: Path) -> None:
        read = {}
        for folder, _, names in os.walk(package):
            for name in names:
                if name.endswith(".py"):
                    path = f"{folder}/{name}"
                    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (read in each worker)
                        read[path] = os.fstat(file.fileno()), file.read()
        waiting = [path for path, (_, content) in read.items() if _THIS in content]
        found = set(waiting)
        while waiting:
            new = _imported(read[waiting.pop()][1], package) & read.keys() - found
            found |= new
            waiting.extend(new)
        self._marks = {path: _mark(read[path][0]) for path in found}
        self._plain = [path for path in found if _THIS not in read[path][1]]  # constants, say
        self._changed = False
        joined = hashlib.blake2b(digest_size=12)
        for path in sorted(found):
            one = hashlib.blake2b(read[path][1], digest_size=16).hexdigest()
            joined.update(f"{path.removeprefix(str(package))} {one}\n".encode())
        self.digest = joined.hexdigest()

    def hold(self, path: str) -> bool:
        """Whether this file is one of them, and none asked for so far has changed since.

        Those that compile nothing, for which nobody asks, are looked at each time.
        """
        if path not in self._marks:
            return False
        try:
            self._changed = self._changed or any(
                self._marks[one] != _mark(os.stat(one))  # noqa: PTH116
                for one in (path, *self._plain)
            )
        except OSError:
            self._changed = True
        return not self._changed


def _mark(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _imported(content: bytes, package: Path) -> set[str]:
    """The files that imports may name: modules, packages, and modules named in packages."""
    files = set()
    for match in _IMPORT.finditer(content):
        module, *names = (group.decode() for group in match.groups(b""))
        base = "/".join([str(package), *module.split(".")[1:]])
        files |= {f"{base}.py", f"{base}/__init__.py"}
        files |= {f"{base}/{name}.py" for name in re.findall(r"\w+", " ".join(names))}
    return files


@cache
def _sources() -> Sources:
    return Sources(_PACKAGE)


@cache
def _folder() -> Path | None:
    """The folder for the machine code of these sources; None where none can be written."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    places = [Path(named)] if named else [_PACKAGE / "__pycache__"]
    if not named:
        with contextlib.suppress(RuntimeError):  # a user without a home
            own = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
            places.append(Path(own) / "tokenmill")
    for place in places:
        folder = place.absolute() / f"{_PREFIX}{_sources().digest}"
        with contextlib.suppress(OSError):
            new = not folder.is_dir()
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            os.utime(folder)  # the last used are kept
            if new:
                _delete_unused(folder)
            return folder
    return None


def _delete_unused(new: Path) -> None:
    used = {}
    for other in new.parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another process deleted it
            used[other] = other.stat().st_mtime_ns
    for other in sorted(used.keys() - {new}, key=used.__getitem__)[: -(KEPT_FOLDERS - 1)]:
        shutil.rmtree(other, ignore_errors=True)


class ByContent(UserProvidedCacheLocator):  # type: ignore[misc]  # numba has no types
    """Where numba keeps a function: in the folder of its sources, wherever those lie.

    numba's own locator goes by the absolute path of the source, some releases by its time, too.
    """

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        super().__init__(function, file)
        self._cache_path = numba.config.CACHE_DIR

    def get_disambiguator(self) -> str:
        package = Path(self._py_file).parent.relative_to(_PACKAGE)
        return ".".join([*package.parts, super().get_disambiguator()])

    def get_source_stamp(self) -> str:
        return _sources().digest


@contextlib.contextmanager
def _keeping_in(folder: Path) -> Iterator[None]:
    """numba decides when it decorates where code is kept; functions of others keep their place."""
    chosen = {"CACHE_DIR": str(folder), "CACHE_LOCATOR_CLASSES": f"{__name__}.ByContent"}
    with _DECORATING:
        before = {name: getattr(numba.config, name, "") for name in chosen}
        try:
            for name, value in chosen.items():
                setattr(numba.config, name, value)
            yield
        finally:
            for name, value in before.items():
                setattr(numba.config, name, value)
