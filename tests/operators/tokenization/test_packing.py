"""Packing must keep every token, in order, and say where each came from."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.tokenization import pack_documents

SEPARATOR = 0
corpora = st.lists(st.lists(st.integers(1, 99), max_size=12), max_size=12)


def pack(documents, sequence_length, **options):
    ids = [f"d{i}" for i in range(len(documents))]
    return pack_documents(
        documents, ids, sequence_length=sequence_length, separator=SEPARATOR, **options
    )


def test_documents_are_laid_end_to_end_behind_separators_and_cut():
    packed = pack([[1, 2], [3, 4, 5, 6], [7]], 4)
    assert packed.table.to_pylist() == [
        {
            "id": "d0:0",
            "tokens": [0, 1, 2, 0],
            "documents": ["d0", "d1"],
            "starts": [0, 3],
            "edits": [],
        },
        {"id": "d1:1", "tokens": [3, 4, 5, 6], "documents": ["d1"], "starts": [0], "edits": []},
    ]
    assert packed.dropped_tokens == 2


def test_keep_tail_keeps_a_shorter_last_sequence():
    packed = pack([[1, 2], [3, 4, 5, 6], [7]], 4, keep_tail=True)
    assert packed.table.to_pylist()[-1] == {
        "id": "d2:0", "tokens": [0, 7], "documents": ["d2"], "starts": [0], "edits": []
    }  # fmt: skip
    assert packed.dropped_tokens == 0


@given(corpora, st.integers(1, 9), st.booleans())
def test_no_token_is_lost_moved_or_invented(documents, length, keep_tail):
    packed = pack(documents, length, keep_tail=keep_tail)
    stream = [token for document in documents for token in [SEPARATOR, *document]]
    sequences = packed.table["tokens"].to_pylist()
    kept = [token for sequence in sequences for token in sequence]
    assert kept == stream[: len(kept)]
    assert len(kept) + packed.dropped_tokens == len(stream)
    assert packed.dropped_tokens < length
    full = sequences[:-1] if keep_tail else sequences
    assert all(len(sequence) == length for sequence in full)
    if keep_tail:
        assert packed.dropped_tokens == 0
        assert all(1 <= len(sequence) <= length for sequence in sequences)


@given(corpora, st.integers(1, 9), st.booleans())
def test_documents_and_starts_rebuild_every_document(documents, length, keep_tail):
    packed = pack(documents, length, keep_tail=keep_tail)
    rebuilt: dict[str, list[int]] = {}
    for row in packed.table.to_pylist():
        assert row["starts"][0] == 0
        assert len(row["starts"]) == len(row["documents"]) == len(set(row["documents"]))
        ends = [*row["starts"][1:], len(row["tokens"])]
        for name, start, end in zip(row["documents"], row["starts"], ends, strict=True):
            assert start < end
            rebuilt.setdefault(name, []).extend(row["tokens"][start:end])
        first, offset = row["id"].rsplit(":", 1)
        assert first == row["documents"][0]
        assert int(offset) == len(rebuilt[first]) - (ends[0] - row["starts"][0])
    for name, tokens in rebuilt.items():
        document = documents[int(name[1:])]
        assert tokens == [SEPARATOR, *document][: len(tokens)]
    assert list(rebuilt) == [f"d{i}" for i in range(len(rebuilt))]


@given(corpora, st.integers(1, 9))
def test_sequence_ids_are_all_different(documents, length):
    ids = pack(documents, length, keep_tail=True).table["id"].to_pylist()
    assert len(set(ids)) == len(ids)


def test_a_sequence_id_must_not_change_when_documents_are_added_behind():
    few = pack([[1] * 5, [2] * 9], 4).table
    more = pack([[1] * 5, [2] * 9, [3] * 9], 4).table
    assert more.slice(0, few.num_rows).equals(few)


def test_arrays_and_lists_of_tokens_give_the_same_table():
    lists = [[1, 2, 3], [], [4]]
    arrays = [np.array(tokens, dtype=np.uint16) for tokens in lists]
    assert pack(lists, 2).table.equals(pack(arrays, 2).table)


@pytest.mark.parametrize(
    ("documents", "dropped"), [([], 0), ([[]], 1), ([[1, 2]], 3)], ids=["none", "empty", "short"]
)
def test_too_few_tokens_give_an_empty_table_of_the_same_schema(documents, dropped):
    packed = pack(documents, 4)
    assert packed.table.num_rows == 0
    assert packed.dropped_tokens == dropped
    assert packed.table.schema == pack([[1] * 9], 4).table.schema


def test_schema_is_the_one_of_the_tokens_kind():
    schema = pack([[1] * 9], 4).table.schema
    edit = pa.struct([("position", pa.int32()), ("before", pa.int32()), ("after", pa.int32())])
    assert {field.name: field.type for field in schema} == {
        "id": pa.string(),
        "tokens": pa.list_(pa.int32()),
        "documents": pa.list_(pa.string()),
        "starts": pa.list_(pa.int32()),
        "edits": pa.list_(edit),
    }


@pytest.mark.parametrize(
    ("documents", "ids", "options", "message"),
    [
        ([[1]], [], {}, "1 documents have 0 ids"),
        ([[1], [2]], ["a", "a"], {}, "repeat"),
        ([[1]], ["a"], {"sequence_length": 0}, "sequence_length"),
        ([[1]], ["a"], {"separator": -1}, "separator"),
        ([[-1]], ["a"], {}, "token ids"),
        ([[2**31]], ["a"], {}, "token ids"),
    ],
)
def test_wrong_input_is_named(documents, ids, options, message):
    with pytest.raises(ValueError, match=message):
        pack_documents(documents, ids, **{"sequence_length": 2, "separator": 0, **options})
