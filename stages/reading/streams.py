"""Bytes of files, decompressed as they are read, and lines of bounded length."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
CHUNK = 2**20
KEPT_OF_LONG_LINES = 4096


class BrokenStreamError(ValueError):
    """Compressed content that ends too early or is damaged."""


class Line(NamedTuple):
    """A line without its end; of one that is too long only the beginning."""

    number: int  # from 1
    offset: int  # of its first byte in the (decompressed) file
    content: bytes
    length: int

    @property
    def is_whole(self) -> bool:
        return self.length == len(self.content)


class Watched:
    """A stream that remembers when the store itself failed: that is no fault of the content."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failure: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            return bytes(self._stream.read(size))
        except Exception as error:
            self.failure = error
            raise

    def seek(self, place: int, whence: int = 0) -> int:
        return int(self._stream.seek(place, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """The file is closed by who opened it."""


class _Decompressed:
    """Bytes of a compressed stream; damage is a `BrokenStreamError`."""

    def __init__(self, raw: Watched, ending: str) -> None:
        self._raw = raw
        self._offset = 0
        if ending == ".zst":
            import pyarrow as pa

            self._one_piece: Any = pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd").read
        elif ending == ".gz":
            self._one_piece = gzip.GzipFile(fileobj=raw).read1
        else:
            self._one_piece = {".bz2": bz2.BZ2File, ".xz": lzma.LZMAFile}[ending](raw).read1

    @property
    def failure(self) -> Exception | None:
        return self._raw.failure

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; b"" at the end."""
        try:
            # One piece at a time: `read` loses what it has when the stream turns out to be cut.
            content = bytes(self._one_piece(CHUNK if size < 0 else size))
        except (EOFError, OSError, ValueError, lzma.LZMAError, zlib.error) as error:
            if self.failure is not None:
                raise self.failure from error
            raise BrokenStreamError(f"{error} after {self._offset} bytes") from error
        self._offset += len(content)
        return content


def plain_name(path: str) -> str:
    """The name of a file without the ending of its compression."""
    for ending in COMPRESSIONS:
        if path.endswith(ending):
            return path.removesuffix(ending)
    return path


@contextmanager
def opened(filesystem: Any, path: str) -> Iterator[Any]:
    """The content of a file as a stream of bytes with `read`, decompressed by its ending."""
    with filesystem.open(path, "rb") as raw:
        ending = path.removeprefix(plain_name(path))
        watched = Watched(raw)
        yield _Decompressed(watched, ending) if ending else watched


def read_at_most(stream: Any, most: int) -> tuple[bytes, bool]:
    """The first `most` bytes of a stream, and whether that is all of it."""
    pieces, size = [], 0
    while size <= most and (piece := stream.read(min(CHUNK, most + 1 - size))):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)[:most], size <= most


def bounded_lines(stream: Any, most: int) -> Iterator[Line]:
    """The lines of a stream. Of a line above `most` bytes little more than that is in memory."""
    number, offset, length = 0, 0, 0
    pieces: list[bytes] = []

    def line() -> Line:
        content = b"".join(pieces)
        return Line(number, offset, content if length <= most else content[:KEPT_OF_LONG_LINES],
                    length)  # fmt: skip

    while chunk := stream.read(CHUNK):
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            number += 1
            length += end - start
            pieces.append(chunk[start:end])
            yield line()
            offset += length + 1
            pieces, length = [], 0
            start = end + 1
        length += len(chunk) - start
        if length <= most or not pieces:
            pieces.append(chunk[start:])
        else:
            pieces = [pieces[0][:KEPT_OF_LONG_LINES]]
    if length:
        number += 1
        yield line()
