"""A DAG on its way to a plan: what is known of its stages so far, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.located import Located, Where
from pipelines.plan import PlannedStage
from pipelines.spec import DagSpec, StageSpec
from stages.contract import Input, Stage


class Draft:
    """A plan in the making.

    Attributes:
        located: the lines of the file, and the mistakes found in it.
        classes: name in the DAG file -> class, of the stages whose type is known.
        cells: name in the DAG file -> its cells, of the stages that are expanded.
    """

    def __init__(self, spec: DagSpec) -> None:
        self.spec = spec
        self.located: Located = spec.located
        self.classes: dict[str, type[Stage]] = {}
        self.cells: dict[str, list[PlannedStage]] = {}

    def inputs(self, stage: StageSpec) -> Mapping[str, Input] | None:
        """The inputs that a stage's type declares; None where the type is not known."""
        found = self.classes.get(stage.name)
        return None if found is None else found.inputs

    def once(self, where: Where, problem: str, cure: str = "") -> None:
        """Note a mistake, but for one that was noted before, for another cell."""
        before = len(self.located.mistakes)
        self.located.mistake(where, problem, cure)
        if self.located.mistakes[-1] in self.located.mistakes[:before]:
            self.located.mistakes.pop()
