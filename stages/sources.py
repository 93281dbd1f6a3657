"""Where text comes from: sources by URL scheme, as files to hash and documents to read.

    path/or/glob, s3://…, https://…   files of any fsspec filesystem: txt, md, jsonl, parquet,
                                      arrow, html
    hf://NAME, hf://NAME/CONFIG, hf://./folder    a data set of the `datasets` library
    python-docs://, python-docs://stdlib,NAME     documentation, docstrings and comments of the
                                      running Python's standard library and installed packages
    sample://parallel                 the parallel corpus that comes with this project

To add a scheme: a subclass of `Source`, and its line in `SCHEMES`.
"""

from __future__ import annotations

import ast
import io
import itertools
import json
import os
import sysconfig
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from stages.content_hash import hash_content, local_hashes, remote_hashes


@dataclass(frozen=True)
class Columns:
    """Which fields of a structured row hold what; None where a source has no such field."""

    text: str = "text"
    id: str | None = None
    language: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Read:
    """A document as read: where from, its text and, where the source says, more."""

    id: str
    text: str
    source: str
    language: str | None = None
    group: str | None = None


class Source(ABC):
    """One entry of `sources:`."""

    def __init__(self, url: str, columns: Columns, max_files: int | None) -> None:
        self.url, self.columns, self.max_files = url, columns, max_files

    @abstractmethod
    def hashes(self) -> Mapping[str, str]:
        """Address of each file -> hash of its content."""

    @abstractmethod
    def documents(self) -> Iterator[Read]:
        """All documents, in an order that depends on the content alone."""


def open_source(url: str, columns: Columns, max_files: int | None = None) -> Source:
    """The source that a URL names.

    Raises:
        ValueError: no such scheme for text.
    """
    scheme = url.partition("://")[0] if "://" in url else ""
    return SCHEMES.get(scheme, FileSource)(url, columns, max_files)


# --- files ----------------------------------------------------------------------------------------

READERS = (".txt", ".md", ".rst", ".text", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather",
           ".html", ".htm")  # fmt: skip


class FileSource(Source):
    """Files and globs on any fsspec filesystem."""

    def __init__(self, url: str, columns: Columns, max_files: int | None) -> None:
        super().__init__(url, columns, max_files)
        import fsspec

        try:
            self._filesystem, self._pattern = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise ValueError(f'the source "{url}" cannot be opened: {error}') from error

    @property
    def _is_local(self) -> bool:
        protocol = self._filesystem.protocol
        return "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def _infos(self) -> dict[str, dict[str, Any]]:
        if "*" in self._pattern or "?" in self._pattern or "[" in self._pattern:
            found = self._filesystem.glob(self._pattern, detail=True)
        elif self._filesystem.isdir(self._pattern):
            found = self._filesystem.find(self._pattern, detail=True)
            found = {path: info for path, info in found.items() if path.endswith(READERS)}
        elif self._filesystem.exists(self._pattern):
            found = {self._pattern: self._filesystem.info(self._pattern)}
        else:
            found = {}
        files = {path: info for path, info in sorted(found.items()) if info["type"] == "file"}
        if not files:
            raise FileNotFoundError(f'the source "{self.url}" matches no file')
        unknown = [path for path in files if not path.endswith(READERS)]
        if unknown:
            raise ValueError(
                f'"{unknown[0]}" is of no known format; known are {", ".join(READERS)}'
            )
        return dict(itertools.islice(files.items(), self.max_files))

    def hashes(self) -> Mapping[str, str]:
        infos = self._infos()
        if self._is_local:
            by_path = local_hashes([Path(path) for path in infos])
            return {self._address(str(path)): digest for path, digest in by_path.items()}
        found = remote_hashes(self._filesystem, infos)
        return {self._address(path): digest for path, digest in found.items()}

    def documents(self) -> Iterator[Read]:
        for path in self._infos():
            content = self._filesystem.cat_file(path)
            yield from read_file(self._address(path), bytes(content), self.columns)

    def _address(self, path: str) -> str:
        if not self._is_local:
            return str(self._filesystem.unstrip_protocol(path))
        # A relative source has relative addresses: ids, and the splits made by them, are the same
        # in every checkout.
        is_relative = "://" not in self.url and not self.url.startswith(("/", "~"))
        return os.path.relpath(path) if is_relative else path


def read_file(address: str, content: bytes, columns: Columns) -> Iterator[Read]:
    """The documents of one file, by the ending of its name.

    Raises:
        ValueError: the content is not what the ending says; file and line are named.
    """
    if address.endswith((".jsonl", ".ndjson")):
        yield from _json_lines(address, content, columns)
    elif address.endswith((".parquet", ".arrow", ".feather")):
        yield from _rows(address, content, columns)
    elif address.endswith((".html", ".htm")):
        from operators.corpus import html_text

        yield Read(address, html_text(_text(address, content)), address)
    else:
        yield Read(address, _text(address, content), address)


def _text(address: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{address}:{line}: is not UTF-8 text ({error.reason})") from error


def _json_lines(address: str, content: bytes, columns: Columns) -> Iterator[Read]:
    # Not splitlines: it ends lines at U+2028 and others, which a JSON string may hold.
    for number, line in enumerate(_text(address, content).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{address}:{number}: is not valid JSON: {error.msg}") from error
        if not isinstance(row, dict):
            raise ValueError(f"{address}:{number}: is not a JSON object")
        yield _from_row(f"{address}:{number}", f"{address}#{number}", address, row, columns)


def _rows(address: str, content: bytes, columns: Columns) -> Iterator[Read]:
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    buffer = io.BytesIO(content)
    try:
        table = (
            pa.parquet.read_table(buffer)
            if address.endswith(".parquet")
            else pa.feather.read_table(buffer)
        )
    except pa.ArrowInvalid as error:
        raise ValueError(f"{address}: cannot be read: {error}") from error
    number = 0
    for batch in table.to_batches():
        for row in batch.to_pylist():
            number += 1
            yield _from_row(
                f"{address}: row {number}", f"{address}#{number}", address, row, columns
            )


def _from_row(place: str, id_: str, address: str, row: Mapping[str, Any], columns: Columns) -> Read:
    def value(field: str | None) -> str | None:
        if field is None:
            return None
        if field not in row:
            raise ValueError(f'{place}: has no field "{field}"; it has {", ".join(row)}')
        return None if row[field] is None else str(row[field])

    text = value(columns.text)
    return Read(
        id=value(columns.id) or id_,
        text=text or "",
        source=address,
        language=value(columns.language),
        group=value(columns.group),
    )


# --- datasets -------------------------------------------------------------------------------------


class HubSource(Source):
    """A data set of the `datasets` library, from the hub or from a local folder.

    `hf://NAME` or `hf://NAME/CONFIG`; a local folder begins with `.` or `/`. The split is `train`
    unless the URL ends in `?split=NAME`.
    """

    def __init__(self, url: str, columns: Columns, max_files: int | None) -> None:
        super().__init__(url, columns, max_files)
        name, _, query = url.removeprefix("hf://").partition("?")
        self._split = "train"
        for pair in filter(None, query.split("&")):
            key, _, value = pair.partition("=")
            if key != "split":
                raise ValueError(f'"{url}": unknown option "{key}"; known is split')
            self._split = value
        self._local = name.startswith((".", "/"))
        if self._local:
            self._path, self._config = name, None
        else:
            parts = name.split("/")
            # A hub name is owner/name; a third part is the configuration.
            self._path = "/".join(parts[:2])
            self._config = parts[2] if len(parts) > 2 else None

    def hashes(self) -> Mapping[str, str]:
        if self._local:
            folder = Path(self._path)
            if not folder.is_dir():
                raise FileNotFoundError(f'the source "{self.url}" is no folder')
            files = sorted(p for p in folder.rglob("*") if p.is_file())
            return {str(path): digest for path, digest in local_hashes(files).items()}
        from huggingface_hub import HfApi

        # The hub's own commit of the data set: exact, and one small request.
        return {self.url: str(HfApi().dataset_info(self._path).sha)}

    def documents(self) -> Iterator[Read]:
        from datasets import load_dataset

        rows = load_dataset(self._path, self._config, split=self._split)
        for number, row in enumerate(rows, start=1):
            place = f"{self.url}#{number}"
            yield _from_row(place, place, self.url, row, self.columns)


# --- the running Python ---------------------------------------------------------------------------

# The corpus must not change when tokenmill itself does.
LEFT_OUT = frozenset({"tokenmill"})
TEST_FOLDERS = frozenset({"test", "tests", "testing", "idle_test", "__pycache__", "site-packages"})


class PythonDocsSource(Source):
    """Prose that every machine has: what Python's library and packages say of themselves.

    Documents are the docstrings and comments of each module, the READMEs of the packages, and the
    help topics of the interpreter. With `max_files`, files are taken from all packages in turn,
    so that a small corpus is a varied one.
    """

    def _files(self) -> dict[str, Path]:
        wanted = self.url.removeprefix("python-docs://").strip("/")
        names = {name.strip().replace("_", "-").lower() for name in wanted.split(",") if name}
        libraries: dict[str, Iterable[tuple[str, Path]]] = {"stdlib": _standard_library()}
        for name, folder in _installed().items():
            if name not in LEFT_OUT:
                libraries[name] = _package_files(name, folder)
        missing = names - libraries.keys()
        if missing:
            raise ValueError(
                f'"{self.url}": no installed package is called {", ".join(sorted(missing))}'
            )
        chosen = [files for name, files in libraries.items() if not names or name in names]
        turns = (file for turn in itertools.zip_longest(*chosen) for file in turn if file)
        return dict(sorted(itertools.islice(turns, self.max_files)))

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
            elif address.endswith("pydoc_data/topics.py"):
                for topic, body in _help_topics(text).items():
                    yield Read(f"{address}#{topic}", body, address, "eng_Latn")
            else:
                yield Read(address, python_prose(text), address, "eng_Latn")


def _standard_library() -> Iterator[tuple[str, Path]]:
    root = Path(sysconfig.get_paths()["stdlib"])
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(set(folders) - TEST_FOLDERS)  # os.walk goes where this list says
        for name in sorted(files):
            if name.endswith(".py"):
                path = Path(folder, name)
                yield f"python-docs://stdlib/{path.relative_to(root).as_posix()}", path


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


def _package_files(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    record = folder / "RECORD"
    lines = record.read_text(encoding="utf-8").splitlines() if record.is_file() else []
    for file in sorted({line.split(",")[0] for line in lines}):
        if not file.endswith((".py", "/METADATA")) or file.startswith(("..", "/", '"')):
            continue
        if TEST_FOLDERS.isdisjoint(file.split("/")):
            path = folder.parent / file
            if path.is_file():
                yield f"python-docs://{name}/{file}", path


def _help_topics(source: str) -> dict[str, str]:
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict):
            topics: dict[str, str] = ast.literal_eval(statement.value)
            return topics
    return {}


# --- the project's own sample ---------------------------------------------------------------------

SAMPLES = {"parallel": "parallel_corpus"}


class SampleSource(Source):
    """A corpus that comes with this project: one sentence a line, versions share a group."""

    def _file(self) -> Path:
        name = self.url.removeprefix("sample://").strip("/")
        if name not in SAMPLES:
            raise ValueError(f'there is no sample "{name}"; there is: {", ".join(SAMPLES)}')
        return Path(str(resources.files("stages") / SAMPLES[name] / "documents.jsonl"))

    def hashes(self) -> Mapping[str, str]:
        return {self.url: hash_content(self._file().read_bytes())}

    def documents(self) -> Iterator[Read]:
        for line in self._file().read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            text = "\n".join(row["sentences"])
            yield Read(row["id"], text, self.url, row["language"], row["group"])


def sample_gold(name: str) -> Path:
    """The hand-made sentence alignment of a sample."""
    return Path(str(resources.files("stages") / SAMPLES[name] / "gold.jsonl"))


SCHEMES: dict[str, type[Source]] = {
    "hf": HubSource,
    "python-docs": PythonDocsSource,
    "sample": SampleSource,
}


def read_sources(urls: Sequence[str], columns: Columns, max_files: int | None) -> Iterator[Read]:
    """The documents of all sources, one after the other."""
    for url in urls:
        yield from open_source(url, columns, max_files).documents()
