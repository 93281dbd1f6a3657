"""Kinds of artifact: a schema that fits has no faults, and a fault says what is wrong."""

import pyarrow as pa
import pytest

from operators.tokenization.packing import SEQUENCE_SCHEMA
from stages.kinds import FILE_KINDS, SCHEMAS, Kind, schema_faults


@pytest.mark.parametrize("kind", list(SCHEMAS))
def test_the_schema_of_a_kind_has_no_faults(kind):
    assert schema_faults(kind, SCHEMAS[kind]) == []


@pytest.mark.parametrize("kind", list(SCHEMAS))
def test_further_columns_and_another_order_are_no_faults(kind):
    fields = [pa.field("mine", pa.int8()), *reversed(list(SCHEMAS[kind]))]
    assert schema_faults(kind, pa.schema(fields)) == []


def test_a_missing_column_is_named_with_its_type():
    schema = pa.schema([field for field in SCHEMAS[Kind.DOCUMENTS] if field.name != "source"])
    assert schema_faults(Kind.DOCUMENTS, schema) == ['column "source" (string) is missing']


def test_a_column_of_another_type_is_named_with_both_types():
    schema = SCHEMAS[Kind.METRICS]
    wrong = schema.set(schema.get_field_index("value"), pa.field("value", pa.float32()))
    assert schema_faults(Kind.METRICS, wrong) == ['column "value" is float, and should be double']


def test_every_fault_is_told_not_only_the_first():
    assert len(schema_faults(Kind.DROPPED, pa.schema([("id", pa.int64())]))) == 5


def test_every_kind_is_rows_or_files_and_none_is_both():
    assert set(SCHEMAS) | FILE_KINDS == set(Kind)
    assert not set(SCHEMAS) & FILE_KINDS


@pytest.mark.parametrize("kind", list(SCHEMAS))
def test_rows_of_every_kind_have_a_stable_id(kind):
    assert SCHEMAS[kind].field("id").type == pa.string()


def test_packing_makes_rows_of_tokens():
    assert schema_faults(Kind.TOKENS, SEQUENCE_SCHEMA) == []
