"""A column that is asked for and missing is named, beside those that there are."""

import pyarrow as pa
import pytest

from stages.table_columns import check_columns

TABLE = pa.table({"id": ["1"], "text": ["a"]})


def test_columns_that_are_there_are_taken():
    check_columns(TABLE, ["text", "id"], "clips")


def test_the_first_missing_column_is_named_with_those_there_are():
    with pytest.raises(ValueError, match='the clips have no column "heard"; they have: id, text'):
        check_columns(TABLE, ["text", "heard", "said"], "clips")
