"""The config of a cell: what `with` and matrix say, checked against the type of the stage."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from pipelines.choices import MISSING, resolve
from pipelines.draft import Draft
from pipelines.located import Where, nearest
from pipelines.references import Cell
from pipelines.sections import describe
from pipelines.spec import StageSpec
from stages.contract import Stage, StageConfig

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


def config_of(
    draft: Draft, stage: StageSpec, stage_class: type[Stage], cell: Cell, *, whole_cell: bool = True
) -> StageConfig | None:
    """The config of a stage for one cell; None after noting what is wrong with it.

    The `whole_cell` is as in `pipelines.choices.choose`.
    """
    fields = stage_class.Config.model_fields
    settings: dict[str, Any] = {}
    places: dict[str, Where] = {}
    failed = False
    for name, value in stage.settings.items():
        where: Where = (*stage.where, "with", name)
        if name in stage.matrix:
            problem = "is set here and by the matrix axis of the same name"
            draft.once(where, problem, "keep one of them")
        if name not in fields:
            # Said here, not by pydantic, so that it is said even where the choice below fails.
            problem = f'{stage.uses} has no field "{name}"'
            draft.once(where, problem, nearest(name, fields))
            failed = True
            continue
        chosen, places[name] = resolve(draft, stage, value, where, cell, whole_cell)
        if chosen is MISSING:
            failed = True
        else:
            settings[name] = chosen
    for axis in stage.matrix:
        if axis in fields:
            settings[axis] = cell[axis]
            places[axis] = (*stage.where, "matrix", axis)
    if "seed" in fields and "seed" not in stage.settings and "seed" not in stage.matrix:
        settings["seed"] = draft.spec.seed
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
            _config_mistake(draft, stage, stage_class, place, found, places)
        return None
    return None if failed else config


def _config_mistake(
    draft: Draft,
    stage: StageSpec,
    stage_class: type[Stage],
    place: tuple[str | int, ...],
    faults: Sequence[Any],
    places: Mapping[str, Where],
) -> None:
    fault = faults[0]
    if not fault["loc"]:  # of the settings together
        draft.once((*stage.where, "with"), _sentence(fault))
        return
    name, *inner = place or fault["loc"][:1]
    where: Where = (*places.get(str(name), (*stage.where, "with", name)), *inner)
    found = fault.get("input")
    kind = fault["type"]
    if kind == "missing" and len(fault["loc"]) == 1:
        description = stage_class.Config.model_fields[str(name)].description
        problem = f'the field "{name}" ({description}) is missing'
        draft.once((*stage.where, "with"), problem, f"add `{name}:` under with")
    elif kind == "extra_forbidden":
        draft.once(where, f'unknown field "{inner[-1] if inner else name}"')
    elif kind == "literal_error":
        words = re.findall(r"'([^']*)'", fault["ctx"]["expected"])
        draft.once(where, f"has no choice {describe(found)}", nearest(str(found), words))
    else:
        told = " or ".join(dict.fromkeys(_sentence(f) for f in faults))
        shown = "" if isinstance(found, dict) else f", and is {describe(found)}"
        draft.once(where, f"{told}{shown}")


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
