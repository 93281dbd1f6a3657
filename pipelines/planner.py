"""From the shape of a DAG to its plan: stage types found, stages put in order and expanded.

A stage is expanded over its matrix and over the cells of what it needs (`pipelines.wiring`). Any
value under `with` or `needs` may be chosen by an axis (`pipelines.choices`); an axis with the name
of a config field sets that field itself (`pipelines.settings`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from pipelines.choices import axes_chosen_by
from pipelines.draft import Draft
from pipelines.identity import canonical_json, identity_config
from pipelines.located import InvalidDag, Where, nearest, spell
from pipelines.plan import Plan, PlannedStage
from pipelines.registry import UnknownStage, find_stage, type_of
from pipelines.settings import config_of
from pipelines.spec import DagSpec, Scalar, StageSpec
from pipelines.wiring import check_need_names, order_of, wired_cells
from stages.contract import Kind


def make_plan(spec: DagSpec) -> Plan:
    """Expand and check a DAG.

    Raises:
        InvalidDag: with every mistake in the file, those found while reading it included.
    """
    planned = _planned(Draft(spec))
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


def _planned(draft: Draft) -> list[PlannedStage]:
    for stage in draft.spec.stages.values():
        _find_class(draft, stage)
    for stage in draft.spec.stages.values():
        check_need_names(draft, stage)
    _check_claims(draft)
    planned: list[PlannedStage] = []
    for name in order_of(draft):
        cells = _expand(draft, draft.spec.stages[name])
        draft.cells[name] = cells
        planned.extend(cells)
    return planned


def _find_class(draft: Draft, stage: StageSpec) -> None:
    try:
        draft.classes[stage.name] = find_stage(stage.uses, draft.spec.folder)
    except UnknownStage as error:
        draft.located.mistake((*stage.where, "uses"), error.problem, error.cure)


def _check_claims(draft: Draft) -> None:
    for number, claim in enumerate(draft.spec.claims):
        found = draft.classes.get(claim.stage)
        if found is None:
            continue  # said already
        where: Where = ("claims", number, "artifact")
        measured = {name for name, o in found.outputs.items() if o.kind is Kind.METRICS}
        if claim.output not in measured:
            problem = f'{claim.stage} has no metrics "{claim.output}"'
            draft.located.mistake(where, problem, nearest(claim.output, measured))
        elif draft.spec.stages[claim.stage].matrix:
            problem = f"{claim.stage} is a matrix, and a claim speaks of one table"
            draft.located.mistake(where, problem, "name a stage that gathers the cells")


def _expand(draft: Draft, stage: StageSpec) -> list[PlannedStage]:
    stage_class = draft.classes.get(stage.name)
    if stage_class is None:
        return []
    before = len(draft.located.mistakes)
    own = [
        dict(zip(stage.matrix, values, strict=True))
        for values in itertools.product(*stage.matrix.values())
    ]
    wired = wired_cells(draft, stage, stage_class, own)
    planned = []
    if not wired:  # an input is wrong; what the settings say is looked at all the same
        for cell in own:
            config_of(draft, stage, stage_class, cell, whole_cell=False)
    for cell, wires in wired:
        config = config_of(draft, stage, stage_class, cell)
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
    sound = len(draft.located.mistakes) == before
    _check_every_value_matters(draft, stage, planned if sound else None)
    return planned


def _check_every_value_matters(
    draft: Draft, stage: StageSpec, planned: Sequence[PlannedStage] | None
) -> None:
    """A value of an axis must lead to a stage that no other value of it leads to.

    Without planned stages (something else is wrong) only the names are looked at.
    """
    fields = draft.classes[stage.name].Config.model_fields
    chosen_by = set(axes_chosen_by([stage.needs, stage.settings]))
    for axis, values in stage.matrix.items():
        if axis not in fields and axis not in chosen_by:
            draft.once(
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
                draft.once(
                    (*stage.where, "matrix", axis, index),
                    f'nobody uses "{value}": it makes the same stage as "{unused[value]}"',
                    f"choose something by it ({{by: {axis}, {value}: ...}}) or take it away",
                )
