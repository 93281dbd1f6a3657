"""How `needs` names a stage, some of its cells and one of its outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.located import Where, spells
from pipelines.spec import Scalar

Cell = Mapping[str, Scalar]

REFERENCE = re.compile(r"([A-Za-z][\w-]*)(?:\[([^\]]*)\])?(?:\.([A-Za-z]\w*))?")


@dataclass(frozen=True)
class Reference:
    """`stage[axis=value].output` as written in `needs`."""

    stage: str
    selector: Mapping[str, str]
    output: str
    where: Where

    def selects(self, cell: Cell) -> bool:
        return all(
            axis in cell and spells(value, cell[axis]) for axis, value in self.selector.items()
        )


def leaves(value: Any, where: Where) -> Iterator[tuple[Any, Where]]:
    """The references in a value under `needs`, whatever chooses between them."""
    if isinstance(value, dict) and "by" in value:
        for key, choice in value.items():
            if key != "by":
                yield from leaves(choice, (*where, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*where, index))
    else:
        yield value, where
