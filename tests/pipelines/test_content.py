"""The digest of rows: what must, and what must not, change it."""

import datetime
import io
import itertools
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.content import content_digest, id_sums, rows_hash
from stages.kinds import SCHEMAS

# -- rows: any type --------------------------------------------------------------------------------

SCALARS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "string": (pa.string(), st.text(max_size=5)),
    "large_string": (pa.large_string(), st.text(max_size=5)),
    "binary": (pa.binary(), st.binary(max_size=5)),
    "large_binary": (pa.large_binary(), st.binary(max_size=5)),
    "fixed_binary": (pa.binary(3), st.binary(min_size=3, max_size=3)),
    "bool": (pa.bool_(), st.booleans()),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "uint16": (pa.uint16(), st.integers(0, 2**16 - 1)),
    "int32": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "float16": (pa.float16(), st.floats(width=16, allow_nan=False).map(np.float16)),
    "float32": (pa.float32(), st.floats(width=32, allow_nan=False)),
    "float64": (pa.float64(), st.floats(allow_nan=False)),
    "timestamp": (
        pa.timestamp("us", tz="UTC"),
        st.datetimes(timezones=st.just(datetime.UTC), min_value=datetime.datetime(1990, 1, 1)),
    ),
    "date32": (pa.date32(), st.dates()),
    "time64": (pa.time64("us"), st.times()),
    "duration": (pa.duration("us"), st.timedeltas(datetime.timedelta(-9), datetime.timedelta(9))),
    "decimal128": (
        pa.decimal128(9, 2),
        st.integers(-(10**6), 10**6).map(lambda n: Decimal(n) / 100),
    ),
    "decimal256": (
        pa.decimal256(50, 2),
        st.integers(-(10**6), 10**6).map(lambda n: Decimal(n) / 100),
    ),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["", "a", "bc", "d"])),
    "null": (pa.null(), st.none()),
}


def _lists(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(st.none() | inner, max_size=3)


NESTED: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "list": (pa.list_(pa.int32()), _lists(st.integers(0, 9))),
    "large_list": (pa.large_list(pa.string()), _lists(st.text(max_size=2))),
    "list_of_list": (pa.list_(pa.list_(pa.int32())), _lists(_lists(st.integers(0, 9)))),
    "list_of_bool": (pa.list_(pa.bool_()), _lists(st.booleans())),
    "fixed_list": (
        pa.list_(pa.float32(), 2),
        st.lists(st.none() | st.integers(0, 9).map(float), min_size=2, max_size=2),
    ),
    "struct": (
        pa.struct([("a", pa.int32()), ("b", pa.string())]),
        st.fixed_dictionaries(
            {"a": st.none() | st.integers(0, 9), "b": st.none() | st.text(max_size=2)}
        ),
    ),
    "edits": (
        SCHEMAS["tokens"].field("edits").type,  # type: ignore[index]
        _lists(
            st.fixed_dictionaries(
                {name: st.integers(0, 9) for name in ("position", "before", "after")}
            )
        ),
    ),
    "struct_of_list": (
        pa.struct([("a", pa.list_(pa.int32()))]),
        st.fixed_dictionaries({"a": st.none() | _lists(st.integers(0, 9))}),
    ),
    "map": (
        pa.map_(pa.string(), pa.int32()),
        st.lists(
            st.tuples(st.sampled_from("xyz"), st.none() | st.integers(0, 9)),
            max_size=3,
            unique_by=lambda pair: pair[0],
        ),
    ),
}

TYPES = SCALARS | NESTED


@st.composite
def columns(draw: st.DrawFn, *, nulls: bool = True) -> tuple[pa.DataType, list[Any]]:
    kind, values = TYPES[draw(st.sampled_from(sorted(TYPES)))]
    return kind, draw(st.lists(st.none() | values if nulls else values, max_size=8))


def table_of(kind: pa.DataType, values: list[Any], name: str = "x") -> pa.Table:
    return pa.table({name: pa.array(values, kind)})


def said(table: pa.Table) -> str:
    """The values as text, which tells 0.0 from -0.0."""
    return repr(table.to_pylist())


def through_ipc(table: pa.Table, compression: str | None) -> pa.Table:
    buffer = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(buffer, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=3)
    return pa.ipc.open_file(pa.BufferReader(buffer.getvalue())).read_all()


def dirty(array: pa.Array, valid: list[bool]) -> pa.Array:
    """The same buffers under another validity: what lies under a null is not zero."""
    bits = pa.py_buffer(np.packbits(np.array(valid, dtype=bool), bitorder="little").tobytes())
    children = (
        [array.field(i) for i in range(array.type.num_fields)]
        if pa.types.is_struct(array.type)
        else [array.values]
        if hasattr(array, "values") and pa.types.is_nested(array.type)
        else None
    )
    buffers = array.buffers()
    own = {0: 1, 1: 2}.get(len(buffers), 3 if _has_data(array.type) else 2)
    if pa.types.is_struct(array.type) or pa.types.is_fixed_size_list(array.type):
        own = 1
    return pa.Array.from_buffers(array.type, len(array), [bits, *buffers[1:own]], children=children)


def _has_data(kind: pa.DataType) -> bool:
    return any(
        check(kind)
        for check in (
            pa.types.is_string, pa.types.is_binary,
            pa.types.is_large_string, pa.types.is_large_binary,
        )
    )  # fmt: skip


@given(columns(), st.lists(st.integers(0, 8), max_size=3))
def test_the_hash_of_rows_does_not_depend_on_chunks(
    column: tuple[pa.DataType, list[Any]], cuts: list[int]
) -> None:
    kind, values = column
    whole = table_of(kind, values)
    places = sorted({0, len(values), *(min(cut, len(values)) for cut in cuts)})
    pieces = [values[a:b] for a, b in itertools.pairwise(places)]
    chunked = pa.table({"x": pa.chunked_array([pa.array(p, kind) for p in pieces], kind)})
    assert said(chunked) == said(whole)
    assert rows_hash(chunked) == rows_hash(whole)


@given(columns(), st.integers(0, 5), st.integers(0, 5))
def test_the_hash_of_rows_does_not_depend_on_offsets(
    column: tuple[pa.DataType, list[Any]], before: int, after: int
) -> None:
    kind, values = column
    padding = values[::-1] or [None]
    padded = [*(padding * 5)[:before], *values, *(padding * 5)[:after]]
    sliced = table_of(kind, padded).slice(before, len(values))
    assert rows_hash(sliced) == rows_hash(table_of(kind, values))


@given(columns(), st.sampled_from([None, "lz4", "zstd"]))
def test_the_hash_of_rows_does_not_depend_on_compression(
    column: tuple[pa.DataType, list[Any]], compression: str | None
) -> None:
    table = table_of(*column)
    assert rows_hash(through_ipc(table, compression)) == rows_hash(table)


@given(columns(nulls=False), st.lists(st.booleans(), min_size=8, max_size=8))
def test_the_hash_of_rows_does_not_depend_on_what_lies_under_nulls(
    column: tuple[pa.DataType, list[Any]], mask: list[bool]
) -> None:
    kind, values = column
    if pa.types.is_null(kind) or pa.types.is_dictionary(kind):
        return
    valid = mask[: len(values)]
    hiding = dirty(pa.array(values, kind), valid)
    clean = pa.array([v if ok else None for v, ok in zip(values, valid, strict=True)], kind)
    assert hiding.to_pylist() == clean.to_pylist()
    assert rows_hash(pa.table({"x": hiding})) == rows_hash(pa.table({"x": clean}))


@given(columns())
def test_the_hash_of_rows_does_not_depend_on_metadata(
    column: tuple[pa.DataType, list[Any]],
) -> None:
    table = table_of(*column)
    field = table.schema.field(0).with_metadata({"a": "b"})
    noted = table.cast(pa.schema([field], metadata={"made": "today"}))
    assert noted.schema.metadata
    assert rows_hash(noted) == rows_hash(table)


@given(st.data())
def test_tables_hash_alike_only_where_their_values_are_alike(data: st.DataObject) -> None:
    kind, values = TYPES[data.draw(st.sampled_from(sorted(TYPES)))]
    rows = st.lists(st.none() | values, max_size=4)
    left, right = (table_of(kind, data.draw(rows)) for _ in range(2))
    assert (rows_hash(left) == rows_hash(right)) == (said(left) == said(right))


@given(columns(), st.randoms())
def test_the_hash_of_rows_depends_on_their_order(
    column: tuple[pa.DataType, list[Any]], random: Any
) -> None:
    kind, values = column
    shuffled = [*values]
    random.shuffle(shuffled)
    one, other = table_of(kind, values), table_of(kind, shuffled)
    assert (rows_hash(one) == rows_hash(other)) == (said(one) == said(other))


@pytest.mark.parametrize("name", sorted(TYPES))
def test_no_row_one_null_and_two_nulls_differ_in_every_type(name: str) -> None:
    kind, _ = TYPES[name]
    hashes = {rows_hash(table_of(kind, [None] * n)) for n in range(3)}
    assert len(hashes) == 3


def test_the_hash_of_no_rows_depends_on_the_type_only() -> None:
    empty = {name: rows_hash(table_of(kind, [])) for name, (kind, _) in TYPES.items()}
    # A dictionary column counts as the values that it stands for.
    assert empty.pop("dictionary") == empty["string"]
    assert len(set(empty.values())) == len(empty)
    no_chunks = pa.table({"x": pa.chunked_array([], pa.string())})
    assert rows_hash(no_chunks) == empty["string"]


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (pa.list_(pa.int32()), [[1], [2]], [[1, 2], []]),
        (pa.list_(pa.int32()), [[1], [2]], [[], [1, 2]]),
        (pa.list_(pa.int32()), [[1], None], [[1], []]),
        (pa.list_(pa.int32()), [[None], []], [[], [None]]),
        (pa.list_(pa.list_(pa.int32())), [[[1], [2]]], [[[1, 2]]]),
        (pa.list_(pa.list_(pa.int32())), [[[1]], [[2]]], [[[1], [2]], []]),
        (pa.list_(pa.list_(pa.int32())), [[[], [1]]], [[[1], []]]),
        (pa.string(), ["ab", "c"], ["a", "bc"]),
        (pa.string(), ["", None], [None, ""]),
        (pa.string(), ["a\0"], ["a"]),
        (pa.string(), ["\u00e9"], ["e\u0301"]),
        (pa.binary(), [b"ab", b""], [b"a", b"b"]),
        (pa.bool_(), [True, None], [True, False]),
        (pa.float64(), [None], [math.nan]),
        (pa.float64(), [0.0], [-0.0]),
        (pa.struct([("a", pa.int32())]), [None], [{"a": None}]),
        (pa.struct([("a", pa.string()), ("b", pa.string())]), [{"a": "x", "b": "y"}],
         [{"a": "y", "b": "x"}]),
        (pa.list_(pa.int32(), 2), [None], [[None, None]]),
        (pa.map_(pa.string(), pa.int32()), [[("x", 1)], [("y", 2)]], [[("x", 1), ("y", 2)], []]),
        (pa.map_(pa.string(), pa.int32()), [[("x", 1), ("y", 2)]], [[("y", 2), ("x", 1)]]),
        (pa.map_(pa.string(), pa.int32()), [[]], [None]),
        (pa.decimal128(9, 2), [Decimal("1.20")], [Decimal("1.21")]),
        (pa.float64(), [1.0], [1.0 + 2**-52]),
    ],
)  # fmt: skip
def test_values_that_look_alike_differ(kind: pa.DataType, one: list[Any], other: list[Any]) -> None:
    assert rows_hash(table_of(kind, one)) != rows_hash(table_of(kind, other))


def test_nan_is_the_same_nan() -> None:
    table = table_of(pa.float64(), [math.nan, 1.0])
    assert rows_hash(table) == rows_hash(table_of(pa.float64(), [float("nan"), 1.0]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.int32(), pa.int64()),
        (pa.int32(), pa.uint32()),
        (pa.string(), pa.large_string()),
        (pa.timestamp("us"), pa.timestamp("us", tz="UTC")),
        (pa.timestamp("us"), pa.timestamp("ms")),
        (pa.list_(pa.int32()), pa.list_(pa.int64())),
        (pa.list_(pa.int32()), pa.large_list(pa.int32())),
        (pa.struct([("a", pa.int32())]), pa.struct([("b", pa.int32())])),
        (pa.decimal128(9, 2), pa.decimal128(9, 3)),
    ],
    ids=str,
)
def test_types_count_even_where_values_are_alike(one: pa.DataType, other: pa.DataType) -> None:
    assert rows_hash(table_of(one, [None])) != rows_hash(table_of(other, [None]))


def test_names_and_the_order_of_columns_count() -> None:
    a, b = pa.array([1, 2]), pa.array([3, 4])
    tables = [
        pa.table({"a": a, "b": b}),
        pa.table({"b": b, "a": a}),
        pa.table({"a": b, "b": a}),
        pa.table({"a": a, "c": b}),
        pa.table({"a": a}),
        pa.table({"ab": a, "": b}),
    ]
    assert len({rows_hash(table) for table in tables}) == len(tables)


def test_a_dictionary_column_counts_as_its_values_whatever_its_codes() -> None:
    plain = table_of(pa.string(), ["a", "b", None, "a"])
    coded = pa.table({"x": pa.array(["a", "b", None, "a"]).dictionary_encode()})
    other = pa.table(
        {"x": pa.DictionaryArray.from_arrays(pa.array([2, 0, None, 2]), ["b", "unused", "a"])}
    )
    in_chunks = pa.table(
        {"x": pa.chunked_array([pa.array(["a", "b"]).dictionary_encode(),
                                pa.array([None, "a"]).dictionary_encode()])}
    )  # fmt: skip
    assert {rows_hash(t) for t in (plain, coded, other, in_chunks)} == {rows_hash(plain)}


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["a", None, "a long text that is not inline"], pa.string_view()),
        pa.array([b"a", None, b"a long text that is not inline"], pa.binary_view()),
        pa.array([[1], None, [2, 3]], pa.list_view(pa.int32())),
        pa.array([["a"], None], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"])),
        pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
        pa.array([Decimal("1.5"), None], pa.decimal32(5, 1)),
        pa.array([{}, None], pa.struct([])),
    ],
    ids=lambda array: str(array.type),
)
def test_every_type_that_arrow_has_is_hashed_or_refused_by_name(array: pa.Array) -> None:
    table = pa.table({"x": array})
    try:
        rows_hash(table)
    except TypeError as error:
        assert str(array.type) in str(error)
        return
    again = pa.table({"x": pa.concat_arrays([array.slice(1), array]).slice(len(array) - 1)})
    assert rows_hash(table) == rows_hash(again)
    assert rows_hash(table) != rows_hash(table.slice(1))


@pytest.mark.parametrize("kind", sorted(SCHEMAS))
def test_the_rows_of_every_kind_survive_ipc_and_slicing(kind: Any) -> None:
    values: dict[Any, list[Any]] = {
        pa.string(): ["é", None, ""],
        pa.float64(): [0.5, None, -1.0],
        pa.binary(): [b"\0", None, b""],
        pa.list_(pa.string()): [["a", ""], [], None],
        pa.list_(pa.int32()): [[1, 2], [], None],
        pa.int32(): [1, None, -2],
        pa.int64(): [1, None, -2],
        pa.list_(pa.int64()): [[1, 2], [], None],
        pa.list_(pa.binary()): [[b"\0", b""], [], None],
        SCHEMAS["tokens"].field("edits").type: [  # type: ignore[index]
            [{"position": 1, "before": 2, "after": 3}], [], None,
        ],
        SCHEMAS["recordings"].field("words").type: [  # type: ignore[index]
            [{"text": "é", "start": 0.5, "end": 1.0, "confidence": None}], [], None,
        ],
    }  # fmt: skip
    schema = SCHEMAS[kind]
    table = pa.table([pa.array(values[f.type], f.type) for f in schema], schema=schema)
    expected = rows_hash(table)
    for compression in (None, "lz4", "zstd"):
        assert rows_hash(through_ipc(table, compression)) == expected
    doubled = pa.concat_tables([table.slice(2), table, table])
    assert rows_hash(doubled.slice(1, 3)) == expected
    assert rows_hash(doubled.slice(1, 2)) != expected


def test_the_digest_of_content_depends_on_kind_schema_and_the_order_of_shards() -> None:
    base = content_digest("documents", [("id", "string")], ["a", "b"])
    assert base == content_digest("documents", [("id", "string")], ["a", "b"])
    others = [
        content_digest("bitext", [("id", "string")], ["a", "b"]),
        content_digest("documents", [("id", "large_string")], ["a", "b"]),
        content_digest("documents", [("id", "string")], ["b", "a"]),
        content_digest("documents", [("id", "string")], ["ab"]),
        content_digest("documents", [("id", "string")], ["a"]),
        content_digest("documents", [], ["a", "b"]),
    ]
    assert len({base, *others}) == 7
    assert len(base) <= 36  # of an MLflow dataset digest


# -- sums of ids -----------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=4), max_size=20), st.randoms())
def test_sums_of_ids_depend_on_the_ids_and_not_on_their_order_or_chunks(
    ids: list[str], dice: Any
) -> None:
    shuffled = dice.sample(ids, len(ids))
    middle = dice.randint(0, len(ids))
    chunked = pa.chunked_array([shuffled[:middle], shuffled[middle:]], pa.string())
    sums = id_sums(pa.table({"id": pa.array(ids, pa.string())}))
    assert sums == id_sums(pa.table({"id": chunked}))
    assert sums[0] == len(ids)


def test_a_lost_and_a_doubled_row_change_the_sum_though_the_count_is_equal() -> None:
    assert id_sums(pa.table({"id": ["a", "b", "c"]})) != id_sums(pa.table({"id": ["a", "b", "b"]}))
