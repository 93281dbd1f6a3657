"""Files of rows: JSON lines, CSV and TSV, Parquet, Arrow. Read line by line, batch by batch."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stages.reading.records import Bad, Columns, Limits, Read, beginning, from_row
from stages.reading.streams import Line, bounded_lines
from stages.reading.text import LOOKED_AT, binary_fault, decoded_line

BATCH_ROWS = 256
_TSV = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}


def json_lines(address: str, stream: Any, columns: Columns, limits: Limits) -> Iterator[Read | Bad]:
    """A document a line; blank lines are none, but count."""
    for line in _text_lines(address, stream, limits):
        if isinstance(line, Bad):
            yield line
            continue
        number, text = line
        if not text.strip():
            continue
        place, id_ = f"{address}:{number}", f"{address}#{number}"
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            said = getattr(error, "msg", None) or str(error)
            yield Bad(
                id_, address, "invalid_json",
                f"{place}: is not valid JSON: {said}{_column(error)}", text=beginning(text),
            )  # fmt: skip
            continue
        if not isinstance(row, dict):
            yield Bad(id_, address, "no_json_object", f"{place}: is not a JSON object",
                      text=beginning(text))  # fmt: skip
            continue
        yield from_row(place, id_, address, row, columns, limits)


def _column(error: Exception) -> str:
    return f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""


def separated_values(
    address: str, stream: Any, columns: Columns, limits: Limits, delimiter: str
) -> Iterator[Read | Bad]:
    """A document a row; the first row names the columns.

    CSV as RFC 4180 has it, with quotes. TSV knows no quotes: a tab always ends a value.
    """
    csv.field_size_limit(max(csv.field_size_limit(), limits.max_bytes))
    waiting: list[Bad] = []

    def lines() -> Iterator[str]:
        for line in _text_lines(address, stream, limits):
            if isinstance(line, Bad):
                waiting.append(line)
            else:
                yield line[1] + "\n"

    dialect: Any = {"delimiter": ","} if delimiter == "," else _TSV
    reader = csv.reader(lines(), strict=True, **dialect)
    header: list[str] | None = None
    for number in itertools.count():
        place, id_ = f"{address}: row {number}", f"{address}#{number}"
        row: list[str] | None = []
        try:
            row = next(reader, None)
        except csv.Error as error:
            waiting.append(
                Bad(id_, address, "invalid_csv",
                    f"{place}: is not valid CSV before line {reader.line_num + 1}: {error}")
            )  # fmt: skip
        yield from waiting
        waiting.clear()
        if row is None:
            break
        if not row:
            continue
        if header is None:
            header = row
        elif len(row) != len(header):
            yield Bad(
                id_, address, "wrong_number_of_fields",
                f"{place}: has {len(row)} fields, and the first row names {len(header)}",
                float(len(row)), beginning(delimiter.join(row)),
            )  # fmt: skip
        else:
            named = dict(zip(header, row, strict=True))
            yield from_row(place, id_, address, named, columns, limits)


def _text_lines(address: str, stream: Any, limits: Limits) -> Iterator[tuple[int, str] | Bad]:
    # Not the lines of a text file: they end at "\n" alone, since a JSON string may hold U+2028.
    for line in bounded_lines(stream, limits.max_bytes):
        if line.number == 1 and _is_binary(address, line) is not None:
            yield _is_binary(address, line)  # type: ignore[misc]
            return
        text = decoded_line(address, line, limits)
        yield text if isinstance(text, Bad) else (line.number, text)


def _is_binary(address: str, line: Line) -> Bad | None:
    return binary_fault(address, line.content[:LOOKED_AT])


def parquet_rows(
    address: str, stream: Any, columns: Columns, limits: Limits
) -> Iterator[Read | Bad]:
    """A document a row, read by batches within row groups."""
    import pyarrow as pa
    import pyarrow.parquet

    def batches() -> Iterator[Any]:
        file = pa.parquet.ParquetFile(stream)
        wanted = _wanted(file.schema_arrow.names, columns)
        yield from file.iter_batches(batch_size=BATCH_ROWS, columns=wanted)

    yield from _batched(address, stream, batches(), columns, limits)


def arrow_rows(address: str, stream: Any, columns: Columns, limits: Limits) -> Iterator[Read | Bad]:
    """A document a row of an Arrow IPC file or stream, record batch by record batch."""
    import pyarrow as pa

    def batches() -> Iterator[Any]:
        try:
            reader: Any = pa.ipc.open_file(stream)
        except pa.ArrowInvalid:
            stream.seek(0)
            reader = pa.ipc.open_stream(stream)
            yield from reader
            return
        for index in range(reader.num_record_batches):
            yield reader.get_batch(index)

    yield from _batched(address, stream, batches(), columns, limits)


def _wanted(names: Iterable[str], columns: Columns) -> list[str] | None:
    """The columns to read; all where one is missing, so that the message can name them."""
    asked = {columns.text, columns.id, columns.language, columns.group} - {None}
    return [name for name in names if name in asked] if asked <= set(names) else None


def _batched(
    address: str, stream: Any, batches: Iterator[Any], columns: Columns, limits: Limits
) -> Iterator[Read | Bad]:
    import pyarrow as pa

    number = 0
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            if stream.failure is not None:
                raise
            behind = f" after row {number}" if number else ""
            yield Bad(
                f"{address}#{number + 1}" if number else address, address, "unreadable",
                f"{address}: cannot be read{behind}: {error}",
            )  # fmt: skip
            return
        if batch is None:
            return
        starts = range(0, batch.num_rows, BATCH_ROWS)
        for row in _rows(batch.slice(start, BATCH_ROWS) for start in starts):
            number += 1
            place, id_ = f"{address}: row {number}", f"{address}#{number}"
            if isinstance(row, UnicodeDecodeError):
                said = f"{place}: is not UTF-8 text ({row.reason} at byte {row.start})"
                yield Bad(id_, address, "invalid_utf8", said, float(row.start))
                continue
            found = from_row(place, id_, address, row, columns, limits)
            yield found
            if isinstance(found, Bad) and found.reason == "missing_field":
                return  # and so has no other row


def _rows(batches: Iterable[Any]) -> Iterator[Mapping[str, Any] | UnicodeDecodeError]:
    for batch in batches:
        try:
            yield from batch.to_pylist()
        except UnicodeDecodeError:
            for row in range(batch.num_rows):
                try:
                    yield from batch.slice(row, 1).to_pylist()
                except UnicodeDecodeError as error:
                    yield error
