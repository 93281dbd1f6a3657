"""What a plan is: every stage of a DAG, expanded, wired and typed, in an order that runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.needs import Needs
from pipelines.claims import Claim
from pipelines.located import nearest, spell
from pipelines.nightly import Nightly
from pipelines.references import REFERENCE, Cell
from pipelines.spec import Retries, Verify
from stages.contract import Stage, StageConfig


@dataclass(frozen=True)
class Wire:
    """One input of a planned stage: the output `output` of the planned stage `stage`."""

    stage: str
    output: str


@dataclass(frozen=True)
class PlannedStage:
    """One cell of one stage, ready to be keyed and run.

    Attributes:
        name: unique in the plan: `clean`, or `model[arm=edited,seed=1]`.
        stage: the name in the DAG file.
        cell: the axis values that distinguish it, inherited ones included.
        word: the stage type, as keys and the record name it.
    """

    name: str
    stage: str
    cell: Cell
    word: str
    stage_class: type[Stage]
    config: StageConfig
    needs: Mapping[str, tuple[Wire, ...]]
    resources: Needs
    retries: Retries
    pinned: bool
    timeout: float | None = None  # seconds a task may run
    quarantine: float = 0.0  # share of the rows that may be set aside

    def upstream(self) -> set[str]:
        return {wire.stage for wires in self.needs.values() for wire in wires}


@dataclass(frozen=True)
class Plan:
    """An expanded DAG; `stages` are in an order in which each stands after all it needs."""

    pipeline: str
    description: str
    seed: int
    file: str
    stages: tuple[PlannedStage, ...]
    verify: Verify = "on-open"
    nightly: Nightly = field(default_factory=Nightly)
    claims: tuple[Claim, ...] = ()
    scale_up: str = ""

    def __getitem__(self, name: str) -> PlannedStage:
        return next(stage for stage in self.stages if stage.name == name)

    def matching(self, pattern: str) -> list[PlannedStage]:
        """Planned stages called `pattern`, by full name or by the name in the DAG file.

        Raises:
            LookupError: none is; it names the nearest.
        """
        found = [s for s in self.stages if pattern in (s.name, s.stage)]
        if not found:
            names = {s.stage for s in self.stages} | {s.name for s in self.stages}
            raise LookupError(f'there is no stage "{pattern}"; {nearest(pattern, names)}')
        return found

    def cells(self, reference: str) -> list[PlannedStage]:
        """The cells that `stage` or `stage[axis=value,…]` means; none where no stage is so."""
        match = REFERENCE.fullmatch(reference)
        if match is None:
            return []
        wanted = dict(
            part.split("=", 1) for part in (match.group(2) or "").split(",") if "=" in part
        )
        return [
            s
            for s in self.stages
            if s.stage == match.group(1)
            and all(spell(s.cell.get(axis, "")) == value for axis, value in wanted.items())
        ]

    def needed_for(self, names: set[str]) -> set[str]:
        """`names` and everything upstream of them."""
        needed = set(names)
        for stage in reversed(self.stages):
            if stage.name in needed:
                needed |= stage.upstream()
        return needed

    def downstream_of(self, names: set[str]) -> set[str]:
        """`names` and everything that needs them."""
        reached = set(names)
        for stage in self.stages:
            if stage.upstream() & reached:
                reached.add(stage.name)
        return reached
