"""Columns that a setting names, and a table may lack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def check_columns(table: pa.Table, names: Sequence[str], of: str) -> None:
    """Refuse a table without one of these columns; `of` says what its rows are.

    Raises:
        ValueError: naming the first that is missing, and those that there are.
    """
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise ValueError(
            f'the {of} have no column "{missing[0]}"; they have: {", ".join(table.column_names)}'
        )
