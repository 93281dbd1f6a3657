"""Choice by axis: of `{by: AXIS, VALUE: ..., else: ...}` the cell's value on the axis chooses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.draft import Draft
from pipelines.located import Unset, Where, nearest, spell, spells
from pipelines.references import Cell
from pipelines.spec import Scalar, StageSpec


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING: Any = _Missing()  # where no choice could be made


def choose(
    draft: Draft, stage: StageSpec, value: Any, where: Where, cell: Cell, *, whole_cell: bool = True
) -> tuple[Any, Where]:
    """Resolve `{by: axis, ...}` at the top of `value` for one cell.

    Without the `whole_cell` an unknown axis may be one that would have been inherited.
    """
    while isinstance(value, dict) and "by" in value:
        axis = value["by"]
        if not isinstance(axis, str) or axis not in cell:
            if not whole_cell or isinstance(axis, Unset):
                return MISSING, where
            problem = f'"{axis}" is no axis here'
            draft.once((*where, "by"), problem, nearest(str(axis), cell))
            return MISSING, where
        values = _values(draft, stage, axis, cell)
        choices = [key for key in value if key not in ("by", "else")]
        for key in choices:
            if not any(spells(key, v) for v in values):
                problem = f'the axis "{axis}" has no value "{key}"'
                draft.once((*where, key), problem, nearest(key, map(spell, values)))
        key = next((key for key in choices if spells(key, cell[axis])), "else")
        if key not in value:
            problem = f"says nothing for {axis}={spell(cell[axis])}"
            draft.once(where, problem, f"add `{spell(cell[axis])}:` or `else:`")
            return MISSING, where
        value, where = value[key], (*where, key)
    return value, where


def resolve(
    draft: Draft, stage: StageSpec, value: Any, where: Where, cell: Cell, whole_cell: bool
) -> tuple[Any, Where]:
    """`value` with every choice by axis in it made, at any depth."""
    value, where = choose(draft, stage, value, where, cell, whole_cell=whole_cell)
    if isinstance(value, Unset):
        return MISSING, where
    inner: list[Any] = []
    resolved: Any = value
    if isinstance(value, dict):
        inner = [
            resolve(draft, stage, v, (*where, k), cell, whole_cell)[0] for k, v in value.items()
        ]
        resolved = dict(zip(value, inner, strict=True))
    elif isinstance(value, list):
        inner = [
            resolve(draft, stage, v, (*where, i), cell, whole_cell)[0] for i, v in enumerate(value)
        ]
        resolved = inner
    return (MISSING if any(i is MISSING for i in inner) else resolved), where


def axes_chosen_by(value: Any) -> Iterator[str]:
    """The axes by which anything in a value is chosen, at any depth."""
    if isinstance(value, dict):
        if "by" in value:
            yield str(value["by"])
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from axes_chosen_by(item)


def _values(draft: Draft, stage: StageSpec, axis: str, cell: Cell) -> Sequence[Scalar]:
    if axis in stage.matrix:
        return stage.matrix[axis]
    inherited = [c.cell[axis] for cells in draft.cells.values() for c in cells if axis in c.cell]
    return inherited or [cell[axis]]
