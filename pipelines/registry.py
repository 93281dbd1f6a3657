"""The vocabulary: which stage a word in a DAG stands for."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import stages
from pipelines.located import nearest
from stages.contract import Stage


class UnknownStage(LookupError):
    """No stage has this word. `problem` says what was looked for, `cure` what there is."""

    def __init__(self, problem: str, cure: str = "") -> None:
        self.problem, self.cure = problem, cure
        super().__init__(f"{problem}; {cure}" if cure else problem)


@cache
def vocabulary() -> dict[str, type[Stage]]:
    """Every stage of the project by its word, in alphabetical order."""
    found: dict[str, type[Stage]] = {}
    for module_info in pkgutil.iter_modules(stages.__path__, "stages."):
        module = importlib.import_module(module_info.name)
        for stage in _stages_of(module.__name__):
            if stage.word:
                found[stage.word] = stage
    return dict(sorted(found.items()))


def find_stage(uses: str, folder: Path | None = None) -> type[Stage]:
    """The stage class for `uses`: a word, or `module:Class` from a file of the user's own.

    Args:
        folder: where the user's own modules are looked for: the folder of the DAG file.

    Raises:
        UnknownStage: there is none; it names the nearest.
    """
    module_name, colon, class_name = uses.partition(":")
    if not colon:
        found = vocabulary().get(uses)
        if found is None:
            raise UnknownStage(f'unknown stage type "{uses}"', nearest(uses, vocabulary()))
        return found
    make_importable(folder)
    try:
        importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise UnknownStage(f'"{module_name}" cannot be imported: {error}') from error
        place = f"{module_name.replace('.', '/')}.py in {folder}" if folder else "on the path"
        raise UnknownStage(f'there is no module "{module_name}"', f"looked for {place}") from error
    except (Exception, SystemExit) as error:
        raise UnknownStage(
            f'"{module_name}" cannot be imported: {type(error).__name__}: {error}'
        ) from error
    own = {stage.__name__: stage for stage in _stages_of(module_name)}
    if class_name not in own:
        raise UnknownStage(
            f'the module "{module_name}" has no stage "{class_name}"', nearest(class_name, own)
        )
    return own[class_name]


def make_importable(folder: Path | None) -> None:
    """Let modules beside the DAG file be imported, after everything that is installed."""
    if folder is not None and str(folder) not in sys.path:
        sys.path.append(str(folder))


def type_of(stage: type[Stage]) -> str:
    """How a key and the record name a stage's type, however the DAG spelled it."""
    return stage.word or f"{stage.__module__}:{stage.__qualname__}"


def _stages_of(module_name: str) -> Iterator[type[Stage]]:
    for _, value in inspect.getmembers(sys.modules[module_name], inspect.isclass):
        if value.__module__ != module_name or inspect.isabstract(value):
            continue
        if issubclass(value, Stage):
            yield value
