"""What a result is: the hash of its making (the key) and the hash of its content (the digest).

A key holds what changes the result: the stage's type, its identity config, the code it reaches,
the digests of its inputs and the content of what it reads from outside. It never holds resources,
retries, worker counts, storage roots, tracking addresses or the time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.contract import StageConfig

# 128 bits: no collision by chance in any store that will ever be, and the longest digest that an
# MLflow dataset can carry is 36 characters.
DIGEST_BYTES = 16


def canonical_json(value: Any) -> bytes:
    """The one way to write `value`: keys sorted, no spaces, UTF-8.

    Raises:
        TypeError: the value holds something that JSON cannot say; nothing is guessed.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def hash_bytes(*parts: bytes) -> str:
    """Hex digest of the parts; ("ab", "c") and ("a", "bc") differ."""
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.hexdigest()


def identity_config(config: StageConfig) -> dict[str, Any]:
    """The fields of `config` that can change the result, defaults included."""
    execution_only = {
        name
        for name, field in type(config).model_fields.items()
        if isinstance(field.json_schema_extra, dict) and "execution_only" in field.json_schema_extra
    }
    return config.model_dump(mode="json", exclude=execution_only)


@dataclass(frozen=True)
class KeyParts:
    """Everything that a key is made of, kept in the record so that a miss can be explained.

    Attributes:
        uses: the stage's type.
        config: its identity config.
        code: "module:name" -> hash of what the stage reaches.
        inputs: input name -> digests, each with the matrix cell it came from where that counts.
        sources: address -> hash of content read from outside the store.
    """

    uses: str
    config: Mapping[str, Any]
    code: Mapping[str, str]
    inputs: Mapping[str, list[tuple[Mapping[str, Any], str]]]
    sources: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> KeyParts:
        inputs = {name: [(cell, digest) for cell, digest in wires]
                  for name, wires in data["inputs"].items()}  # fmt: skip
        return cls(data["uses"], data["config"], data["code"], inputs, data["sources"])

    @property
    def key(self) -> str:
        """Identity of the planned stage."""
        return hash_bytes(b"stage", canonical_json(self.as_json()))

    @property
    def key_without_code(self) -> str:
        """What a pinned stage is found by: the same making, whatever the code."""
        parts = self.as_json()
        del parts["code"]
        return hash_bytes(b"pinned stage", canonical_json(parts))


def explain(old: KeyParts, new: KeyParts) -> list[str]:
    """Which parts of the key changed, one sentence a change; empty when none did."""
    changes = []
    if old.uses != new.uses:
        changes.append(f"the stage uses {new.uses}, and used {old.uses}")
    for name, before, after in _changed(old.config, new.config):
        changes.append(f"config {name}: {_show(before)} -> {_show(after)}")
    for name, before, after in _changed(old.code, new.code):
        verb = "is new" if before is None else "is gone" if after is None else "changed"
        changes.append(f"code {name} {verb}")
    for name, before, after in _changed(old.inputs, new.inputs):
        was, now = (len(side or ()) for side in (before, after))
        detail = f" ({was} -> {now} artifacts)" if was != now else ""
        changes.append(f"input {name} has other content{detail}")
    sources = list(_changed(old.sources, new.sources))
    if sources:
        names = ", ".join(name for name, _, _ in sources[:3])
        more = f" and {len(sources) - 3} more" if len(sources) > 3 else ""
        changes.append(f"source changed: {names}{more}")
    return changes


def _changed(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterable[tuple[str, Any | None, Any | None]]:
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        present = name in old, name in new
        if not all(present) or canonical_json(before) != canonical_json(after):
            yield name, before, after


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


# --- the digest of Arrow rows ---------------------------------------------------------------------


def rows_hash(table: pa.Table) -> str:
    """Hash of the rows of a table by value.

    Independent of chunking, slicing, padding, what lies under nulls, compression and metadata;
    dependent on column names, types, the order of columns and rows, and every value. Dictionary
    columns count as the values they stand for.
    """
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    _update(state, str(table.num_rows).encode())
    for name, column in zip(table.column_names, table.columns, strict=True):
        array = column.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
        _update(state, name.encode())
        _hash_array(state, array)
    return state.hexdigest()


def content_digest(kind: str, schema: Iterable[tuple[str, str]], parts: Iterable[str]) -> str:
    """Digest of an artifact: its kind, its schema, and the hash of each shard or file in order."""
    return hash_bytes(
        kind.encode(), canonical_json([list(field) for field in schema]), canonical_json([*parts])
    )


def _update(state: Any, data: bytes | memoryview) -> None:
    state.update(len(data).to_bytes(8, "little"))
    state.update(data)


def _hash_array(state: Any, array: pa.Array) -> None:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    kind = array.type
    _update(state, str(kind).encode())
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    _update(state, np.packbits(valid).tobytes())
    if pa.types.is_null(kind):
        return
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            # flatten applies the struct's own nulls and offset to its children.
            _hash_array(state, array.flatten()[index])
        return
    if pa.types.is_map(kind):
        array = array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
        kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())
        _update(state, lengths.to_numpy(zero_copy_only=False).tobytes())
        _hash_array(state, array.flatten())
        return
    if pa.types.is_fixed_size_list(kind):
        _hash_array(state, array.flatten())
        return
    if pa.types.is_boolean(kind):
        values = pc.fill_null(array, False).to_numpy(zero_copy_only=False)
        _update(state, np.packbits(values).tobytes())
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
    _update(state, pc.fill_null(plain, 0).to_numpy(zero_copy_only=False).tobytes())


def _is_varied(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_large_binary(kind)
    )


def _hash_varied(state: Any, array: pa.Array) -> None:
    """Strings and bytes: the lengths, then the bytes of all values without gaps."""
    lengths = pc.fill_null(pc.binary_length(array), 0).cast(pa.int64())
    _update(state, lengths.to_numpy(zero_copy_only=False).tobytes())
    if len(array) == 0:
        _update(state, b"")
        return
    # Nulls may hide bytes; a fresh array of the valid values has none, and no offset either.
    dense = pa.concat_arrays([array.drop_null(), array.slice(0, 0)])
    large = pa.types.is_large_string(dense.type) or pa.types.is_large_binary(dense.type)
    _, offsets, data = dense.buffers()
    if len(dense) == 0 or data is None:
        _update(state, b"")
        return
    ends = np.frombuffer(offsets, dtype=np.int64 if large else np.int32)
    begin, end = ends[dense.offset], ends[dense.offset + len(dense)]
    _update(state, memoryview(data)[int(begin) : int(end)])
