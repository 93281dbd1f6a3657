"""Wiring: which output of which cell each input of a stage is given, and the order this asks for.

*Spreading.* A stage that needs a matrix stage is run once for each of its cells; two inputs with
an axis in common are matched on it. `needs: {model: "model[arm=baseline]"}` selects cells.

*Gathering.* An input declared `many` takes all cells at once, with their axis values.
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pipelines.choices import MISSING, choose
from pipelines.draft import Draft
from pipelines.located import Unset, Where, nearest, spell, spells
from pipelines.plan import PlannedStage, Wire
from pipelines.references import REFERENCE, Cell, Reference, leaves
from pipelines.sections import describe
from pipelines.spec import Scalar, StageSpec
from stages.contract import Input, Stage

# A cell, inherited axis values included, and the wires of its inputs.
Wired = tuple[dict[str, Scalar], dict[str, tuple[Wire, ...]]]


def check_need_names(draft: Draft, stage: StageSpec) -> None:
    """Note inputs that a stage does not have, and those that it needs and is not given."""
    declared = draft.inputs(stage)
    if declared is None:
        return
    for name in stage.needs:
        if name not in declared:
            problem = f'{stage.uses} has no input "{name}"'
            cure = nearest(name, declared)
            draft.located.mistake((*stage.where, "needs", name), problem, cure)
    for name, needed in declared.items():
        if name not in stage.needs and not needed.optional:
            where: Where = (*stage.where, "needs") if stage.needs else stage.where
            problem = f'the input "{name}" ({needed.kind}: {needed.description}) is missing'
            draft.located.mistake(where, problem, f"add `{name}: STAGE` under needs")


def order_of(draft: Draft) -> list[str]:
    """The names of all stages, each after those it needs; circles are noted, and cut."""
    graph: dict[str, set[str]] = {}
    for stage in draft.spec.stages.values():
        graph[stage.name] = set()
        for text, where in _reference_texts(stage):
            reference = _parse(draft, text, where)
            if reference is not None:
                graph[stage.name].add(reference.stage)
    while True:
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            cycle: list[str] = list(reversed(error.args[1]))
            draft.located.mistake(
                ("stages", cycle[0], "needs"),
                "the stages need each other in a circle: " + " -> ".join(cycle),
                "take one of these needs away",
            )
            for name in cycle:  # and go on without them, to find what else is wrong
                graph[name] -= set(cycle)


def wired_cells(
    draft: Draft, stage: StageSpec, stage_class: type[Stage], own: list[dict[str, Scalar]]
) -> list[Wired]:
    """The cells of a stage with their wires, from its `own` ones: its matrix alone.

    There is none where an input is wrong; the mistake is noted.
    """
    wired: list[Wired] = [(cell, {}) for cell in own]
    # Inputs that are chosen by an axis come last: the axis may come with another input.
    names = [n for n in stage.needs if n in stage_class.inputs]
    for name in sorted(names, key=lambda n: isinstance(stage.needs[n], dict)):
        wired = [
            grown
            for cell, wires in wired
            for grown in _wire(draft, stage, name, stage_class.inputs[name], cell, wires)
        ]
    return wired


def _wire(
    draft: Draft,
    stage: StageSpec,
    name: str,
    declared: Input,
    cell: dict[str, Scalar],
    wires: dict[str, tuple[Wire, ...]],
) -> Iterator[Wired]:
    where: Where = (*stage.where, "needs", name)
    chosen, chosen_where = choose(draft, stage, stage.needs[name], where, cell)
    if chosen is MISSING:
        return
    texts = chosen if isinstance(chosen, list) else [chosen]
    if not texts:
        draft.once(where, f'the input "{name}" is given nothing', "name a stage")
        return
    if len(texts) > 1 and not declared.many:
        draft.once(where, f'the input "{name}" takes one artifact, and is given a list')
        return
    gathered: list[Wire] = []
    for index, text in enumerate(texts):
        here = (*chosen_where, index) if isinstance(chosen, list) else chosen_where
        reference = _parse(draft, text, here)
        if reference is None:
            return
        found = _upstream(draft, reference, declared, name)
        matching = [up for up in found if _agree(cell, up.cell)]
        if not found:
            return
        if not matching:
            draft.once(here, f'no cell of "{reference.stage}" fits {_label(cell)}')
        if not declared.many:
            for up in matching:
                wire = Wire(up.name, reference.output)
                yield {**cell, **up.cell}, {**wires, name: (wire,)}
            return
        gathered.extend(Wire(up.name, reference.output) for up in matching)
    yield cell, {**wires, name: tuple(gathered)}


def _reference_texts(stage: StageSpec) -> Iterator[tuple[Any, Where]]:
    for name, value in stage.needs.items():
        yield from leaves(value, (*stage.where, "needs", name))


def _parse(draft: Draft, text: Any, where: Where) -> Reference | None:
    """A reference, or None after noting what is wrong with it (once a place)."""
    if isinstance(text, Unset):
        return None  # its mistake is noted already
    match = REFERENCE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        problem = f"should name a stage, as STAGE or STAGE.OUTPUT, and is {describe(text)}"
        draft.once(where, problem)
        return None
    name, selection, output = match.groups()
    if name not in draft.spec.stages:
        if not draft.spec.is_named(name):
            draft.once(where, f'unknown stage "{name}"', nearest(name, draft.spec.stages))
        return None
    selector: dict[str, str] = {}
    for pair in (selection or "").split(",") if selection else ():
        axis, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            draft.once(where, f'"[{selection}]" is no selection', "write [axis=value]")
            return None
        selector[axis] = value
    found = draft.classes.get(name)
    if found is None:
        return None
    if output is not None and output not in found.outputs:
        cure = nearest(output, found.outputs)
        draft.once(where, f'the stage "{name}" has no output "{output}"', cure)
        return None
    if not found.outputs:
        draft.once(where, f'the stage "{name}" has no output')
        return None
    return Reference(name, selector, output or next(iter(found.outputs)), where)


def _upstream(draft: Draft, reference: Reference, declared: Input, name: str) -> list[PlannedStage]:
    kind = draft.classes[reference.stage].outputs[reference.output].kind
    if kind != declared.kind:
        fitting = [
            output if len(cls.outputs) == 1 else f"{stage}.{output}"
            for stage, cls in draft.classes.items()
            for output, made in cls.outputs.items()
            if made.kind == declared.kind
        ]
        same_stage = [f for f in fitting if f.startswith(f"{reference.stage}.")]
        cure = f"use {same_stage[0]}" if same_stage else "wire an output of the right kind"
        draft.once(
            reference.where,
            f'the input "{name}" takes {declared.kind}, and '
            f"{reference.stage}.{reference.output} is {kind}",
            cure,
        )
        return []
    cells = draft.cells.get(reference.stage, [])
    axes = {axis for cell in cells for axis in cell.cell}
    for axis, value in reference.selector.items():
        known = [c.cell[axis] for c in cells if axis in c.cell]
        values = {spell(v) for v in known}
        if axis not in axes and cells:
            problem = f'"{reference.stage}" has no axis "{axis}"'
            draft.once(reference.where, problem, nearest(axis, axes))
        elif cells and not any(spells(value, v) for v in known):
            problem = f'the axis "{axis}" of "{reference.stage}" has no value "{value}"'
            draft.once(reference.where, problem, nearest(value, values))
    return [c for c in cells if reference.selects(c.cell)]


def _agree(cell: Cell, other: Cell) -> bool:
    return all(cell[axis] == value for axis, value in other.items() if axis in cell)


def _label(cell: Cell) -> str:
    return "[" + ",".join(f"{axis}={value}" for axis, value in cell.items()) + "]"
