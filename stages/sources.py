"""Where text comes from: sources by URL scheme, as files to hash and documents to read.

    path/or/glob, s3://…, https://…   files of any fsspec filesystem: txt, md, jsonl, csv, tsv,
                                      parquet, arrow, html, pdf, warc, wet; many also compressed
    hf://NAME, hf://NAME/CONFIG, hf://./folder    a data set of the `datasets` library
    python-docs://, python-docs://stdlib,NAME     documentation, docstrings and comments of the
                                      running Python's standard library and installed packages
    python-code://, python-code://stdlib,NAME     their code, without docstrings and comments
    sample://parallel                 the parallel corpus that comes with this project

To add a scheme: a subclass of `Source`, and its line in `SCHEMES`. The readers are in
`stages.reading`, a module a family of formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stages.reading.files import FileSource
from stages.reading.hub import HubSource
from stages.reading.python_docs import PythonCodeSource, PythonDocsSource
from stages.reading.records import Bad, Columns, Limits, Read
from stages.reading.samples import SAMPLES, SampleSource, sample_gold
from stages.reading.source import Source

__all__ = ["SAMPLES", "SCHEMES", "Bad", "Columns", "Limits", "Read", "Source", "open_source",
           "read_sources", "sample_gold"]  # fmt: skip

SCHEMES: dict[str, type[Source]] = {
    "hf": HubSource,
    "python-code": PythonCodeSource,
    "python-docs": PythonDocsSource,
    "sample": SampleSource,
}


def open_source(
    url: str, columns: Columns, max_files: int | None = None, limits: Limits | None = None
) -> Source:
    """The source that a URL names.

    Raises:
        ValueError: no such scheme for text.
    """
    scheme = url.partition("://")[0] if "://" in url else ""
    return SCHEMES.get(scheme, FileSource)(url, columns, max_files, limits)


def read_sources(
    urls: Sequence[str], columns: Columns, max_files: int | None, limits: Limits | None = None
) -> Iterator[Read | Bad]:
    """The documents of all sources, one after the other, and what was bad."""
    for url in urls:
        yield from open_source(url, columns, max_files, limits).documents()
