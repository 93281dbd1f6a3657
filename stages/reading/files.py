"""Files and globs on any fsspec filesystem, read by the ending of their names."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.content_hash import local_hashes, remote_hashes
from stages.reading.pdf import pdf_document
from stages.reading.records import Bad, Columns, Limits, Read
from stages.reading.rows import arrow_rows, json_lines, parquet_rows, separated_values
from stages.reading.source import Source
from stages.reading.streams import COMPRESSIONS, BrokenStreamError, opened, plain_name
from stages.reading.text import html_document, text_document
from stages.reading.warc import warc_documents

TEXT = (".txt", ".md", ".rst", ".text")
JSON_LINES = (".jsonl", ".ndjson")
HTML = (".html", ".htm", ".xhtml")
WARC = (".warc", ".wet")
# What reads from the beginning to the end can be read compressed.
STREAMED = (*TEXT, *JSON_LINES, ".csv", ".tsv", *HTML, *WARC)
PARQUET, ARROW, PDF = (".parquet",), (".arrow", ".feather"), (".pdf",)
ENDINGS = (*STREAMED, *PARQUET, *ARROW, *PDF,
           *(name + ending for name in STREAMED for ending in COMPRESSIONS))  # fmt: skip


class FileSource(Source):
    """Files and globs on any fsspec filesystem."""

    endings: tuple[str, ...] = ENDINGS

    def __init__(
        self,
        url: str,
        columns: Columns,
        max_files: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(url, columns, max_files, limits)
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
            found = {path: info for path, info in found.items() if path.endswith(self.endings)}
        elif self._filesystem.exists(self._pattern):
            found = {self._pattern: self._filesystem.info(self._pattern)}
        else:
            found = {}
        files = {path: info for path, info in sorted(found.items()) if info["type"] == "file"}
        if not files:
            raise FileNotFoundError(f'the source "{self.url}" matches no file')
        unknown = [path for path in files if not path.endswith(self.endings)]
        if unknown:
            raise ValueError(
                f'"{unknown[0]}" is of no known format; known are {self._known_endings()}'
            )
        return dict(itertools.islice(files.items(), self.max_files))

    def _known_endings(self) -> str:
        plain = [ending for ending in self.endings if not ending.endswith(COMPRESSIONS)]
        return f"{', '.join(plain)}; texts also with {', '.join(COMPRESSIONS)} behind"

    def hashes(self) -> Mapping[str, str]:
        infos = self._infos()
        if self._is_local:
            by_path = local_hashes([Path(path) for path in infos])
            return {self._address(str(path)): digest for path, digest in by_path.items()}
        found = remote_hashes(self._filesystem, infos)
        return {self._address(path): digest for path, digest in found.items()}

    def documents(self) -> Iterator[Read | Bad]:
        for path, info in self._infos().items():
            address = self._address(path)
            with opened(self._filesystem, path) as stream:
                yield from read_file(address, stream, self.columns, self.limits, info.get("size"))

    def _address(self, path: str) -> str:
        if not self._is_local:
            return str(self._filesystem.unstrip_protocol(path))
        # A relative source has relative addresses: ids, and the splits made by them, are the same
        # in every checkout.
        is_relative = "://" not in self.url and not self.url.startswith(("/", "~"))
        return os.path.relpath(path) if is_relative else path


def read_file(
    address: str, stream: Any, columns: Columns, limits: Limits, size: int | None = None
) -> Iterator[Read | Bad]:
    """The documents of one file, by the ending of its name; what is wrong is said, not raised."""
    name = plain_name(address)
    whole = size if name == address else None
    try:
        if name.endswith(JSON_LINES):
            yield from json_lines(address, stream, columns, limits)
        elif name.endswith((".csv", ".tsv")):
            delimiter = "," if name.endswith(".csv") else "\t"
            yield from separated_values(address, stream, columns, limits, delimiter)
        elif name.endswith(PARQUET):
            yield from parquet_rows(address, stream, columns, limits)
        elif name.endswith(ARROW):
            yield from arrow_rows(address, stream, columns, limits)
        elif name.endswith(HTML):
            yield from html_document(address, stream, limits, whole)
        elif name.endswith(WARC):
            yield from warc_documents(address, stream, limits)
        elif name.endswith(PDF):
            yield from pdf_document(address, stream, limits, whole)
        else:
            yield from text_document(address, stream, limits, whole)
    except BrokenStreamError as error:
        yield broken(address, error)


def broken(address: str, error: BrokenStreamError) -> Bad:
    """A compressed file that ends too early or is damaged; what came before it was read."""
    return Bad(
        f"{address}#end", address, "damaged_compression",
        f"{address}: cannot be decompressed further: {error}; fetch it again",
    )  # fmt: skip
