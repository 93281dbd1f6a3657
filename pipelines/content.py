"""The digest of Arrow rows, by value: the same wherever and however the rows lie.

Independent of chunking, slices, padding, what lies under nulls, compression and metadata; dependent
on names and types of columns, on the order of columns and rows, and on every value.

Values are hashed with 128 bits of XXH3 (https://xxhash.com), faster than they can be read: no
collision by chance, but one can be made on purpose. docs/decisions.md says why.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipelines.identity import canonical_json, hash_bytes


def rows_hash(table: pa.Table) -> str:
    """Hash of the rows of a table by value.

    Independent of chunking, slicing, padding, what lies under nulls, compression and metadata;
    dependent on column names, types, the order of columns and rows, and every value. Dictionary
    columns count as the values they stand for.
    """
    state = xxhash.xxh3_128()
    _update(state, str(table.num_rows).encode())
    for name, column in zip(table.column_names, table.columns, strict=True):
        _, *more = chunks = column.chunks or [pa.array([], column.type)]
        array = pa.concat_arrays(chunks) if more else chunks[0]  # which copies even a single one
        _update(state, name.encode())
        _hash_array(state, array)
    return str(state.hexdigest())


def content_digest(kind: str, schema: Iterable[tuple[str, str]], parts: Iterable[str]) -> str:
    """Digest of an artifact: its kind, its schema, and the hash of each shard or file in order."""
    return hash_bytes(
        kind.encode(), canonical_json([list(field) for field in schema]), canonical_json([*parts])
    )


def _update(state: Any, data: Any) -> None:
    """Hash bytes, or the values of an array of NumPy as they lie, behind their length."""
    if isinstance(data, np.ndarray):
        data = np.ascontiguousarray(data).view(np.uint8).data if data.size else b""
    state.update(len(data).to_bytes(8, "little"))
    state.update(data)


def _hash_array(state: Any, array: pa.Array) -> None:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    kind = array.type
    _update(state, str(kind).encode())
    if pa.types.is_null(kind) or (len(array) and array.null_count == len(array)):
        _update(state, bytes((len(array) + 7) // 8))
        return  # what lies under nulls is no value
    if array.null_count:
        valid = array.is_valid().to_numpy(zero_copy_only=False)
        _update(state, np.packbits(valid))
    else:
        _update(state, b"")
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            # flatten applies the struct's own nulls and offset to its children.
            _hash_array(state, array.flatten()[index])
        return
    if pa.types.is_map(kind):
        array = array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
        kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        _update(state, _lengths(pc.list_value_length(array)))
        _hash_array(state, array.flatten())
        return
    if pa.types.is_fixed_size_list(kind):
        _hash_array(state, array.flatten())
        return
    if pa.types.is_boolean(kind):
        values = pc.fill_null(array, False).to_numpy(zero_copy_only=False)
        _update(state, np.packbits(values))
        return
    if _is_varied(kind):
        _hash_varied(state, array)
        return
    if pa.types.is_fixed_size_binary(kind) or pa.types.is_decimal(kind):
        _hash_varied(state, array.cast(pa.string() if pa.types.is_decimal(kind) else pa.binary()))
        return
    try:
        width = kind.bit_width
    except ValueError:
        width = 0
    if width not in (8, 16, 32, 64):
        raise TypeError(f"a column of type {kind} cannot be hashed; cast it to a plain type")
    plain = array.view(pa.int8() if width == 8 else getattr(pa, f"int{width}")())
    if plain.null_count:  # or all would be copied
        plain = pc.fill_null(plain, 0)
    _update(state, plain.to_numpy(zero_copy_only=False))


def _lengths(lengths: pa.Array) -> np.ndarray:
    """Lengths as 64-bit integers; that of a null is 0."""
    if lengths.null_count:
        lengths = pc.fill_null(lengths, 0)
    values: np.ndarray = lengths.to_numpy(zero_copy_only=False)
    return values.astype(np.int64)


def _is_varied(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_large_binary(kind)
    )


def _hash_varied(state: Any, array: pa.Array) -> None:
    """Strings and bytes: the lengths, then the bytes of all values without gaps."""
    if array.null_count:
        _update(state, _lengths(pc.binary_length(array)))
        # Nulls may hide bytes; a fresh array of the valid values has none.
        array = pa.concat_arrays([array.drop_null(), array.slice(0, 0)])
        ends = _ends(array)
    else:
        ends = _ends(array)
        _update(state, np.diff(ends).astype(np.int64))
    data = array.buffers()[2]
    if len(array) == 0 or data is None:
        _update(state, b"")
        return
    _update(state, memoryview(data)[int(ends[0]) : int(ends[-1])])


def _ends(array: pa.Array) -> np.ndarray:
    """Where the values of strings and bytes begin, and where the last one ends."""
    large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    offsets = array.buffers()[1]
    if offsets is None:
        return np.zeros(len(array) + 1, np.int64)
    every = np.frombuffer(offsets, dtype=np.int64 if large else np.int32)
    ends: np.ndarray = every[array.offset : array.offset + len(array) + 1]
    return ends if len(ends) else np.zeros(1, np.int64)


def id_sums(table: pa.Table) -> tuple[int, int]:
    """How many rows a table has, and the sum of 64-bit hashes of their ids modulo 2**64.

    Equal sums mean the same ids, each as often, in any order. They are the same in every process.
    """
    total = 0
    for chunk in table.column("id").chunks:
        total += sum(
            map(xxhash.xxh3_64_intdigest, chunk.fill_null("").cast(pa.binary()).to_pylist())
        )
    return table.num_rows, total % 2**64
