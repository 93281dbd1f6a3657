"""A plan: every stage of a DAG, expanded over its matrix, wired, typed, in an order that runs.

Three rules of the DAG language live here.

*Choice by axis.* Any value under `with` or `needs` may be `{by: AXIS, VALUE: ..., else: ...}`: the
cell's value on that axis chooses. An axis with the name of a config field sets that field itself.

*Spreading.* A stage that needs a matrix stage is run once for each of its cells; two inputs with
an axis in common are matched on it. `needs: {model: "model[arm=baseline]"}` selects cells.

*Gathering.* An input declared `many` takes all cells at once, with their axis values.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic import ValidationError

from cluster.needs import Needs
from pipelines.claims import Claim
from pipelines.identity import canonical_json, identity_config
from pipelines.located import InvalidDag, Located, Unset, Where, nearest, spell, spells
from pipelines.nightly import Nightly
from pipelines.registry import UnknownStage, find_stage, type_of
from pipelines.sections import describe
from pipelines.spec import DagSpec, Retries, Scalar, StageSpec, Verify
from stages.contract import Input, Kind, Stage, StageConfig

Cell = Mapping[str, Scalar]

_REFERENCE = re.compile(r"([A-Za-z][\w-]*)(?:\[([^\]]*)\])?(?:\.([A-Za-z]\w*))?")


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
        match = _REFERENCE.fullmatch(reference)
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


def make_plan(spec: DagSpec) -> Plan:
    """Expand and check a DAG.

    Raises:
        InvalidDag: with every mistake in the file, those found while reading it included.
    """
    planner = _Planner(spec)
    planned = planner.plan()
    if spec.located.mistakes:
        raise InvalidDag(spec.located.mistakes)
    file = spec.located.file
    return Plan(
        spec.pipeline,
        spec.description,
        spec.seed,
        file,
        tuple(planned),
        spec.verify,
        spec.nightly,
        spec.claims,
        spec.scale_up,
    )


@dataclass(frozen=True)
class _Reference:
    """`stage[axis=value].output` as written in `needs`."""

    stage: str
    selector: Mapping[str, str]
    output: str
    where: Where

    def selects(self, cell: Cell) -> bool:
        return all(
            axis in cell and spells(value, cell[axis]) for axis, value in self.selector.items()
        )


class _Planner:
    def __init__(self, spec: DagSpec) -> None:
        self.spec = spec
        self.located: Located = spec.located
        self.classes: dict[str, type[Stage]] = {}
        self.cells: dict[str, list[PlannedStage]] = {}

    def plan(self) -> list[PlannedStage]:
        for stage in self.spec.stages.values():
            self._find_class(stage)
        for stage in self.spec.stages.values():
            self._check_need_names(stage)
        self._check_claims()
        planned: list[PlannedStage] = []
        for name in self._order():
            cells = self._expand(self.spec.stages[name])
            self.cells[name] = cells
            planned.extend(cells)
        return planned

    # -- stage types and the graph --------------------------------------------------------------

    def _find_class(self, stage: StageSpec) -> None:
        try:
            self.classes[stage.name] = find_stage(stage.uses, self.spec.folder)
        except UnknownStage as error:
            self.located.mistake((*stage.where, "uses"), error.problem, error.cure)

    def _check_need_names(self, stage: StageSpec) -> None:
        declared = self._inputs(stage)
        if declared is None:
            return
        for name in stage.needs:
            if name not in declared:
                problem = f'{stage.uses} has no input "{name}"'
                cure = nearest(name, declared)
                self.located.mistake((*stage.where, "needs", name), problem, cure)
        for name, needed in declared.items():
            if name not in stage.needs and not needed.optional:
                where: Where = (*stage.where, "needs") if stage.needs else stage.where
                problem = f'the input "{name}" ({needed.kind}: {needed.description}) is missing'
                self.located.mistake(where, problem, f"add `{name}: STAGE` under needs")

    def _check_claims(self) -> None:
        for number, claim in enumerate(self.spec.claims):
            found = self.classes.get(claim.stage)
            if found is None:
                continue  # said already
            where: Where = ("claims", number, "artifact")
            measured = {name for name, o in found.outputs.items() if o.kind is Kind.METRICS}
            if claim.output not in measured:
                problem = f'{claim.stage} has no metrics "{claim.output}"'
                self.located.mistake(where, problem, nearest(claim.output, measured))
            elif self.spec.stages[claim.stage].matrix:
                problem = f"{claim.stage} is a matrix, and a claim speaks of one table"
                self.located.mistake(where, problem, "name a stage that gathers the cells")

    def _inputs(self, stage: StageSpec) -> Mapping[str, Input] | None:
        found = self.classes.get(stage.name)
        return None if found is None else found.inputs

    def _order(self) -> list[str]:
        graph: dict[str, set[str]] = {}
        for stage in self.spec.stages.values():
            graph[stage.name] = set()
            for text, where in self._reference_texts(stage):
                reference = self._parse(text, where)
                if reference is not None:
                    graph[stage.name].add(reference.stage)
        while True:
            try:
                return list(TopologicalSorter(graph).static_order())
            except CycleError as error:
                cycle: list[str] = list(reversed(error.args[1]))
                self.located.mistake(
                    ("stages", cycle[0], "needs"),
                    "the stages need each other in a circle: " + " -> ".join(cycle),
                    "take one of these needs away",
                )
                for name in cycle:  # and go on without them, to find what else is wrong
                    graph[name] -= set(cycle)

    def _reference_texts(self, stage: StageSpec) -> Iterator[tuple[Any, Where]]:
        for name, value in stage.needs.items():
            yield from _leaves(value, (*stage.where, "needs", name))

    def _parse(self, text: Any, where: Where) -> _Reference | None:
        """A reference, or None after noting what is wrong with it (once a place)."""
        if isinstance(text, Unset):
            return None  # its mistake is noted already
        match = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            problem = f"should name a stage, as STAGE or STAGE.OUTPUT, and is {describe(text)}"
            self._once(where, problem)
            return None
        name, selection, output = match.groups()
        if name not in self.spec.stages:
            if not self.spec.is_named(name):
                self._once(where, f'unknown stage "{name}"', nearest(name, self.spec.stages))
            return None
        selector: dict[str, str] = {}
        for pair in (selection or "").split(",") if selection else ():
            axis, equals, value = (part.strip() for part in pair.partition("="))
            if not equals:
                self._once(where, f'"[{selection}]" is no selection', "write [axis=value]")
                return None
            selector[axis] = value
        found = self.classes.get(name)
        if found is None:
            return None
        if output is not None and output not in found.outputs:
            cure = nearest(output, found.outputs)
            self._once(where, f'the stage "{name}" has no output "{output}"', cure)
            return None
        if not found.outputs:
            self._once(where, f'the stage "{name}" has no output')
            return None
        return _Reference(name, selector, output or next(iter(found.outputs)), where)

    def _once(self, where: Where, problem: str, cure: str = "") -> None:
        before = len(self.located.mistakes)
        self.located.mistake(where, problem, cure)
        if self.located.mistakes[-1] in self.located.mistakes[:before]:
            self.located.mistakes.pop()

    # -- expansion --------------------------------------------------------------------------------

    def _expand(self, stage: StageSpec) -> list[PlannedStage]:
        stage_class = self.classes.get(stage.name)
        if stage_class is None:
            return []
        before = len(self.located.mistakes)
        own = [
            dict(zip(stage.matrix, values, strict=True))
            for values in itertools.product(*stage.matrix.values())
        ]
        wired: list[tuple[dict[str, Scalar], dict[str, tuple[Wire, ...]]]] = [
            (cell, {}) for cell in own
        ]
        # Inputs that are chosen by an axis come last: the axis may come with another input.
        names = [n for n in stage.needs if n in stage_class.inputs]
        for name in sorted(names, key=lambda n: isinstance(stage.needs[n], dict)):
            wired = [
                grown
                for cell, wires in wired
                for grown in self._wire(stage, name, stage_class.inputs[name], cell, wires)
            ]
        planned = []
        if not wired:  # an input is wrong; what the settings say is looked at all the same
            for cell in own:
                self._config(stage, stage_class, cell, whole_cell=False)
        for cell, wires in wired:
            config = self._config(stage, stage_class, cell)
            if config is None:
                continue
            label = ",".join(f"{axis}={spell(value)}" for axis, value in cell.items())
            planned.append(
                PlannedStage(
                    name=f"{stage.name}[{label}]" if label else stage.name,
                    stage=stage.name,
                    cell=cell,
                    word=type_of(stage_class),
                    stage_class=stage_class,
                    config=config,
                    needs=wires,
                    resources=replace(stage.resources, workers=stage_class(config).workers()),
                    retries=stage.retries,
                    pinned=stage.code == "pinned",
                    timeout=stage.timeout,
                    quarantine=stage.quarantine,
                )
            )
        sound = len(self.located.mistakes) == before
        self._check_every_value_matters(stage, planned if sound else None)
        return planned

    def _wire(
        self,
        stage: StageSpec,
        name: str,
        declared: Input,
        cell: dict[str, Scalar],
        wires: dict[str, tuple[Wire, ...]],
    ) -> Iterator[tuple[dict[str, Scalar], dict[str, tuple[Wire, ...]]]]:
        where: Where = (*stage.where, "needs", name)
        chosen, chosen_where = self._choose(stage, stage.needs[name], where, cell)
        if chosen is _MISSING:
            return
        texts = chosen if isinstance(chosen, list) else [chosen]
        if not texts:
            self._once(where, f'the input "{name}" is given nothing', "name a stage")
            return
        if len(texts) > 1 and not declared.many:
            self._once(where, f'the input "{name}" takes one artifact, and is given a list')
            return
        gathered: list[Wire] = []
        for index, text in enumerate(texts):
            here = (*chosen_where, index) if isinstance(chosen, list) else chosen_where
            reference = self._parse(text, here)
            if reference is None:
                return
            found = self._upstream(reference, declared, name)
            matching = [up for up in found if _agree(cell, up.cell)]
            if not found:
                return
            if not matching:
                self._once(here, f'no cell of "{reference.stage}" fits {_label(cell)}')
            if not declared.many:
                for up in matching:
                    wire = Wire(up.name, reference.output)
                    yield {**cell, **up.cell}, {**wires, name: (wire,)}
                return
            gathered.extend(Wire(up.name, reference.output) for up in matching)
        yield cell, {**wires, name: tuple(gathered)}

    def _upstream(self, reference: _Reference, declared: Input, name: str) -> list[PlannedStage]:
        kind = self.classes[reference.stage].outputs[reference.output].kind
        if kind != declared.kind:
            fitting = [
                output if len(cls.outputs) == 1 else f"{stage}.{output}"
                for stage, cls in self.classes.items()
                for output, made in cls.outputs.items()
                if made.kind == declared.kind
            ]
            same_stage = [f for f in fitting if f.startswith(f"{reference.stage}.")]
            cure = f"use {same_stage[0]}" if same_stage else "wire an output of the right kind"
            self._once(
                reference.where,
                f'the input "{name}" takes {declared.kind}, and '
                f"{reference.stage}.{reference.output} is {kind}",
                cure,
            )
            return []
        cells = self.cells.get(reference.stage, [])
        axes = {axis for cell in cells for axis in cell.cell}
        for axis, value in reference.selector.items():
            known = [c.cell[axis] for c in cells if axis in c.cell]
            values = {spell(v) for v in known}
            if axis not in axes and cells:
                problem = f'"{reference.stage}" has no axis "{axis}"'
                self._once(reference.where, problem, nearest(axis, axes))
            elif cells and not any(spells(value, v) for v in known):
                problem = f'the axis "{axis}" of "{reference.stage}" has no value "{value}"'
                self._once(reference.where, problem, nearest(value, values))
        return [c for c in cells if reference.selects(c.cell)]

    def _choose(
        self, stage: StageSpec, value: Any, where: Where, cell: Cell, *, whole_cell: bool = True
    ) -> tuple[Any, Where]:
        """Resolve `{by: axis, ...}` at the top of `value` for one cell.

        Without the `whole_cell` an unknown axis may be one that would have been inherited.
        """
        while isinstance(value, dict) and "by" in value:
            axis = value["by"]
            if not isinstance(axis, str) or axis not in cell:
                if not whole_cell or isinstance(axis, Unset):
                    return _MISSING, where
                problem = f'"{axis}" is no axis here'
                self._once((*where, "by"), problem, nearest(str(axis), cell))
                return _MISSING, where
            values = self._values(stage, axis, cell)
            choices = [key for key in value if key not in ("by", "else")]
            for key in choices:
                if not any(spells(key, v) for v in values):
                    problem = f'the axis "{axis}" has no value "{key}"'
                    self._once((*where, key), problem, nearest(key, map(spell, values)))
            key = next((key for key in choices if spells(key, cell[axis])), "else")
            if key not in value:
                problem = f"says nothing for {axis}={spell(cell[axis])}"
                self._once(where, problem, f"add `{spell(cell[axis])}:` or `else:`")
                return _MISSING, where
            value, where = value[key], (*where, key)
        return value, where

    def _values(self, stage: StageSpec, axis: str, cell: Cell) -> Sequence[Scalar]:
        if axis in stage.matrix:
            return stage.matrix[axis]
        inherited = [c.cell[axis] for cells in self.cells.values() for c in cells if axis in c.cell]
        return inherited or [cell[axis]]

    # -- config -----------------------------------------------------------------------------------

    def _config(
        self, stage: StageSpec, stage_class: type[Stage], cell: Cell, *, whole_cell: bool = True
    ) -> StageConfig | None:
        fields = stage_class.Config.model_fields
        settings: dict[str, Any] = {}
        places: dict[str, Where] = {}
        failed = False
        for name, value in stage.settings.items():
            where: Where = (*stage.where, "with", name)
            if name in stage.matrix:
                problem = "is set here and by the matrix axis of the same name"
                self._once(where, problem, "keep one of them")
            if name not in fields:
                # Said here, not by pydantic, so that it is said even where the choice below fails.
                problem = f'{stage.uses} has no field "{name}"'
                self._once(where, problem, nearest(name, fields))
                failed = True
                continue
            chosen, places[name] = self._resolve(stage, value, where, cell, whole_cell)
            if chosen is _MISSING:
                failed = True
            else:
                settings[name] = chosen
        for axis in stage.matrix:
            if axis in fields:
                settings[axis] = cell[axis]
                places[axis] = (*stage.where, "matrix", axis)
        if "seed" in fields and "seed" not in stage.settings and "seed" not in stage.matrix:
            settings["seed"] = self.spec.seed
        try:
            config = stage_class.Config.model_validate_json(json.dumps(settings), strict=True)
        except ValidationError as error:
            unsettled = {name for name in stage.settings if name not in settings}
            faults: dict[tuple[str | int, ...], list[Any]] = {}
            for fault in error.errors():
                if fault["loc"][:1] and fault["loc"][0] in unsettled:
                    continue  # its mistake is noted already
                # A value that fits none of several types has a fault for each of them.
                faults.setdefault(_existing(settings, fault["loc"]), []).append(fault)
            for place, found in faults.items():
                self._config_mistake(stage, stage_class, place, found, places)
            return None
        return None if failed else config

    def _config_mistake(
        self,
        stage: StageSpec,
        stage_class: type[Stage],
        place: tuple[str | int, ...],
        faults: Sequence[Any],
        places: Mapping[str, Where],
    ) -> None:
        fault = faults[0]
        if not fault["loc"]:  # of the settings together
            self._once((*stage.where, "with"), _sentence(fault))
            return
        name, *inner = place or fault["loc"][:1]
        where: Where = (*places.get(str(name), (*stage.where, "with", name)), *inner)
        found = fault.get("input")
        kind = fault["type"]
        if kind == "missing" and len(fault["loc"]) == 1:
            description = stage_class.Config.model_fields[str(name)].description
            problem = f'the field "{name}" ({description}) is missing'
            self._once((*stage.where, "with"), problem, f"add `{name}:` under with")
        elif kind == "extra_forbidden":
            self._once(where, f'unknown field "{inner[-1] if inner else name}"')
        elif kind == "literal_error":
            words = re.findall(r"'([^']*)'", fault["ctx"]["expected"])
            self._once(where, f"has no choice {describe(found)}", nearest(str(found), words))
        else:
            told = " or ".join(dict.fromkeys(_sentence(f) for f in faults))
            shown = "" if isinstance(found, dict) else f", and is {describe(found)}"
            self._once(where, f"{told}{shown}")

    def _resolve(
        self, stage: StageSpec, value: Any, where: Where, cell: Cell, whole_cell: bool
    ) -> tuple[Any, Where]:
        """`value` with every choice by axis in it made, at any depth."""
        value, where = self._choose(stage, value, where, cell, whole_cell=whole_cell)
        if isinstance(value, Unset):
            return _MISSING, where
        inner: list[Any] = []
        resolved: Any = value
        if isinstance(value, dict):
            inner = [
                self._resolve(stage, v, (*where, k), cell, whole_cell)[0] for k, v in value.items()
            ]
            resolved = dict(zip(value, inner, strict=True))
        elif isinstance(value, list):
            inner = [
                self._resolve(stage, v, (*where, i), cell, whole_cell)[0]
                for i, v in enumerate(value)
            ]
            resolved = inner
        return (_MISSING if any(i is _MISSING for i in inner) else resolved), where

    def _check_every_value_matters(
        self, stage: StageSpec, planned: Sequence[PlannedStage] | None
    ) -> None:
        """A value of an axis must lead to a stage that no other value of it leads to.

        Without planned stages (something else is wrong) only the names are looked at.
        """
        fields = self.classes[stage.name].Config.model_fields
        chosen_by = set(_axes_chosen_by([stage.needs, stage.settings]))
        for axis, values in stage.matrix.items():
            if axis not in fields and axis not in chosen_by:
                self._once(
                    (*stage.where, "matrix", axis),
                    f'nobody uses the axis "{axis}" or its values',
                    f"choose something by it ({{by: {axis}, ...}}) or take it away",
                )
                continue
            if planned is None:
                continue
            first: dict[bytes, Scalar] = {}
            unused: dict[Scalar, Scalar] = {}
            used: set[Scalar] = set()
            for cell in planned:
                rest = {a: v for a, v in cell.cell.items() if a != axis}
                needs = {n: [(w.stage, w.output) for w in ws] for n, ws in cell.needs.items()}
                making = canonical_json([rest, identity_config(cell.config), needs])
                value = cell.cell[axis]
                if first.setdefault(making, value) == value:
                    used.add(value)
                else:
                    unused[value] = first[making]
            for index, value in enumerate(values):
                if value in unused and value not in used:
                    self._once(
                        (*stage.where, "matrix", axis, index),
                        f'nobody uses "{value}": it makes the same stage as "{unused[value]}"',
                        f"choose something by it ({{by: {axis}, {value}: ...}}) or take it away",
                    )


# What pydantic calls things, and what they are called in a DAG file.
_PLAINER = {
    "a valid array": "a list",
    "a valid list": "a list",
    "a valid dictionary": "a mapping",
    "an object": "a mapping",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "text",
    "a valid boolean": "true or false",
}


class _Missing:
    def __repr__(self) -> str:
        return "missing"


_MISSING: Any = _Missing()


def _axes_chosen_by(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "by" in value:
            yield str(value["by"])
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _axes_chosen_by(item)


def _leaves(value: Any, where: Where) -> Iterator[tuple[Any, Where]]:
    """The references in a value under `needs`, whatever chooses between them."""
    if isinstance(value, dict) and "by" in value:
        for key, choice in value.items():
            if key != "by":
                yield from _leaves(choice, (*where, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*where, index))
    else:
        yield value, where


def _existing(settings: Any, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The part of pydantic's path to a fault that is in the settings, not in its own types."""
    found: list[str | int] = []
    for part in path:
        if not isinstance(settings, dict | list):
            break
        try:
            settings = settings[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            break
        found.append(part)
    return tuple(found) or path[:1]


def _sentence(fault: Any) -> str:
    message = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    for theirs, ours in _PLAINER.items():
        message = message.replace(theirs, ours)
    return message[0].lower() + message[1:]


def _agree(cell: Cell, other: Cell) -> bool:
    return all(cell[axis] == value for axis, value in other.items() if axis in cell)


def _label(cell: Cell) -> str:
    return "[" + ",".join(f"{axis}={value}" for axis, value in cell.items()) + "]"
