"""Text that every machine has: documentation and code of the running Python and its packages."""

from __future__ import annotations

import ast
import itertools
import os
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from stages.content_hash import local_hashes
from stages.reading.records import Read
from stages.reading.source import Source

# The corpus must not change when tokenmill itself does.
LEFT_OUT = frozenset({"tokenmill"})
TEST_FOLDERS = frozenset({"test", "tests", "testing", "idle_test", "__pycache__", "site-packages"})
TOPICS = "pydoc_data/topics.py"


class PythonDocsSource(Source):
    """Prose that every machine has: what Python's library and packages say of themselves.

    Documents are the docstrings and comments of each module, the READMEs of the packages, and the
    help topics of the interpreter. With `max_files`, files are taken from all packages in turn,
    so that a small corpus is a varied one.
    """

    scheme = "python-docs"
    endings: tuple[str, ...] = (".py", "/METADATA")

    def _files(self) -> dict[str, Path]:
        wanted = self.url.removeprefix(f"{self.scheme}://").strip("/")
        names = {name.strip().replace("_", "-").lower() for name in wanted.split(",") if name}
        libraries: dict[str, Iterable[tuple[str, Path]]] = {"stdlib": _standard_library()}
        for name, folder in _installed().items():
            if name not in LEFT_OUT:
                libraries[name] = _package_files(name, folder, self.endings)
        missing = names - libraries.keys()
        if missing:
            raise ValueError(
                f'"{self.url}": no installed package is called {", ".join(sorted(missing))}'
            )
        chosen = [files for name, files in libraries.items() if not names or name in names]
        turns = (file for turn in itertools.zip_longest(*chosen) for file in turn if file)
        files = itertools.islice(turns, self.max_files)
        return {f"{self.scheme}://{place}": path for place, path in sorted(files)}

    def hashes(self) -> Mapping[str, str]:
        files = self._files()
        by_path = local_hashes(files.values())
        return {address: by_path[path] for address, path in files.items()}

    def documents(self) -> Iterator[Read]:
        from operators.corpus import python_prose

        for address, path in self._files().items():
            text = path.read_text(encoding="utf-8", errors="replace")
            if path.name == "METADATA":
                yield Read(address, text.partition("\n\n")[2], address, "eng_Latn")
            elif address.endswith(TOPICS):
                for topic, body in _help_topics(text).items():
                    yield Read(f"{address}#{topic}", body, address, "eng_Latn")
            else:
                yield Read(address, python_prose(text), address, "eng_Latn")


class PythonCodeSource(PythonDocsSource):
    """Code that every machine has: the modules of Python's library and packages, nothing said.

    Docstrings and comments are left out, so that `python-docs://` and this source share no text: a
    language to the one is not a language to the other. A file that does not parse is empty.
    """

    scheme = "python-code"
    endings = (".py",)

    def documents(self) -> Iterator[Read]:
        from operators.corpus.python_code import python_code

        for address, path in self._files().items():
            text = path.read_text(encoding="utf-8", errors="replace")
            # The help topics are one long string of prose.
            code = "" if address.endswith(TOPICS) else python_code(text)
            yield Read(address, code, address, "zxx")


def _standard_library() -> Iterator[tuple[str, Path]]:
    root = Path(sysconfig.get_paths()["stdlib"])
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(set(folders) - TEST_FOLDERS)  # os.walk goes where this list says
        for name in sorted(files):
            if name.endswith(".py"):
                path = Path(folder, name)
                yield f"stdlib/{path.relative_to(root).as_posix()}", path


def _installed() -> dict[str, Path]:
    """Name of each installed package -> its .dist-info folder, by name.

    Read from the folders' names: `importlib.metadata` parses every package's METADATA to say it.
    """
    sites = {sysconfig.get_paths()[kind] for kind in ("purelib", "platlib")}
    folders = {
        folder.name.partition("-")[0].replace("_", "-").lower(): folder
        for site in sorted(sites)
        for folder in Path(site).glob("*.dist-info")
    }
    return dict(sorted(folders.items()))


def _package_files(name: str, folder: Path, endings: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    record = folder / "RECORD"
    lines = record.read_text(encoding="utf-8").splitlines() if record.is_file() else []
    for file in sorted({line.split(",")[0] for line in lines}):
        if not file.endswith(endings) or file.startswith(("..", "/", '"')):
            continue
        if TEST_FOLDERS.isdisjoint(file.split("/")):
            path = folder.parent / file
            if path.is_file():
                yield f"{name}/{file}", path


def _help_topics(source: str) -> dict[str, str]:
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict):
            topics: dict[str, str] = ast.literal_eval(statement.value)
            return topics
    return {}
