"""dag.yaml as typed data: the shape of the file, checked key by key, every mistake collected.

What needs the stages themselves (config fields, artifact kinds, wiring) is checked in `plan`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from pipelines.located import (
    InvalidDag,
    Located,
    Mistake,
    Unset,
    Where,
    load_located,
    nearest,
    read_value,
    spell,
)

TOP_KEYS = ("pipeline", "description", "seed", "verify", "stages")
STAGE_KEYS = (
    "uses", "needs", "with", "matrix", "resources", "retries", "timeout", "quarantine", "code",
)  # fmt: skip
RESOURCE_KEYS = ("cpus", "gpus", "memory")
RETRY_KEYS = ("task", "infrastructure")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_AXIS = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB|KB|MB|GB|TB)?")
_UNITS = {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
          "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}  # fmt: skip

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|min|h|d)?")
_SECONDS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86400}
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*(%)?")

# One row in a thousand may be set aside: a poison row does not stop a corpus, a broken method does.
QUARANTINE_SHARE = 0.001

Verify = Literal["on-open", "always"]
Scalar = str | int | float | bool


@dataclass(frozen=True)
class Resources:
    """What a stage's task asks of the machine. Never part of a key.

    Attributes:
        cpus: processors a task.
        gpus: GPUs a task; "auto" is one where the cluster has any, else none.
        memory: bytes a task, or None for no reservation.
    """

    cpus: float = 1.0
    gpus: float | Literal["auto"] = 0.0
    memory: int | None = None


@dataclass(frozen=True)
class Retries:
    """How often a task is tried again: after an exception of the method; after the machinery
    failed it (a lost worker or node, a task over its time limit, a store out of reach).
    """

    task: int = 0
    infrastructure: int = 3


@dataclass(frozen=True)
class StageSpec:
    """One entry under `stages:`, as written; values that depend on the matrix still unresolved."""

    name: str
    uses: str
    needs: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    matrix: Mapping[str, Sequence[Scalar]] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    retries: Retries = field(default_factory=Retries)
    timeout: float | None = None
    quarantine: float = QUARANTINE_SHARE
    code: Literal["auto", "pinned"] = "auto"

    @property
    def where(self) -> Where:
        return ("stages", self.name)


@dataclass(frozen=True)
class DagSpec:
    """A DAG file, well-formed. `located` knows the line of everything in it."""

    pipeline: str
    seed: int
    description: str
    stages: Mapping[str, StageSpec]
    located: Located
    verify: Verify = "on-open"

    def is_named(self, stage: str) -> bool:
        """Whether the file has an entry of this name, sound or not."""
        entries = self.located.data.get("stages")
        return isinstance(entries, dict) and stage in entries

    @property
    def folder(self) -> Path:
        return Path(self.located.file).resolve().parent


def read_dag(
    path: Path | str,
    *,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> DagSpec:
    """Read a DAG file; mistakes found so far are in `.located.mistakes`.

    Args:
        overrides: `stage.field=value` each, as `--set` takes them; the value is YAML.

    Raises:
        InvalidDag: the file cannot be read as a DAG at all.
    """
    located = load_located(path, environment)
    if not isinstance(located.data, dict):
        problem = "is empty" if located.data is None else "is not a mapping of keys"
        located.mistake((), f"the file {problem}", "a DAG has the keys: " + ", ".join(TOP_KEYS))
        raise InvalidDag(located.mistakes)
    _apply_overrides(located, overrides)
    return _Reader(located).read()


def _apply_overrides(located: Located, overrides: Sequence[str]) -> None:
    stages = located.data.get("stages")
    for text in overrides:
        target, equals, raw = text.partition("=")
        stage, dot, name = target.strip().partition(".")
        if not (equals and dot and stage and name):
            problem = f'"{text}" is not of the form stage.field=value'
            located.mistakes.append(Mistake("--set", 1, "", problem))
        elif not isinstance(stages, dict) or not isinstance(stages.get(stage), dict):
            known = stages if isinstance(stages, dict) else ()
            problem = f'unknown stage "{stage}"'
            located.mistakes.append(Mistake("--set", 1, text, problem, nearest(stage, known)))
        else:
            try:
                value = read_value(raw)
            except (yaml.YAMLError, ValueError):
                value = raw
            *parents, last = ["with", *name.split(".")]
            settings = stages[stage]
            for depth, parent in enumerate(parents):
                settings = settings.setdefault(parent, {})
                if settings is None and depth == 0:
                    settings = stages[stage]["with"] = {}
                if not isinstance(settings, dict):
                    if depth == 0:
                        break  # said where the file is read
                    problem = f'"{parent}" of stage "{stage}" is {describe(settings)}'
                    cure = "it holds no fields that could be set"
                    located.mistakes.append(Mistake("--set", 1, text, problem, cure))
                    break
            else:
                settings[last] = value


class _Reader:
    def __init__(self, located: Located) -> None:
        self.located = located

    def read(self) -> DagSpec:
        data = self.located.data
        self._only_known(data, (), TOP_KEYS)
        pipeline = data.get("pipeline")
        if pipeline is None:
            self.located.mistake((), 'the key "pipeline" is missing', "give the pipeline a name")
        elif not isinstance(pipeline, str) or not _NAME.fullmatch(pipeline):
            self._wrong(("pipeline",), "a name of letters, digits, - and _", pipeline)
        stages = data.get("stages")
        specs: dict[str, StageSpec] = {}
        if not isinstance(stages, dict) or not stages:
            problem = 'the key "stages" is missing' if stages is None else "no stages are given"
            where: Where = ("stages",) if "stages" in data else ()
            self.located.mistake(where, problem, "name at least one stage under it")
        else:
            for name, body in stages.items():
                spec = self._stage(name, body)
                if spec is not None:
                    specs[name] = spec
        return DagSpec(
            pipeline=pipeline if isinstance(pipeline, str) else "unnamed",
            seed=self._integer(data, (), "seed", 0),
            description=str(data.get("description") or ""),
            stages=specs,
            located=self.located,
            verify=self._verify(data),
        )

    def _verify(self, data: Mapping[str, Any]) -> Verify:
        given = data.get("verify", "on-open")
        if given not in ("on-open", "always"):
            self._wrong(("verify",), '"on-open" or "always"', given)
        return "always" if given == "always" else "on-open"

    def _stage(self, name: str, body: Any) -> StageSpec | None:
        where: Where = ("stages", name)
        if not _NAME.fullmatch(name):
            self.located.mistake(where, f'"{name}" is no name', "use letters, digits, - and _")
        if not isinstance(body, dict):
            self._wrong(where, f"a mapping with the keys {', '.join(STAGE_KEYS)}", body)
            return None
        self._only_known(body, where, STAGE_KEYS)
        uses = body.get("uses")
        known = isinstance(uses, str)
        if not known:
            if "uses" in body:
                self._wrong((*where, "uses"), "the name of a stage type", uses)
            else:
                cure = "say which stage type it is (`tokenmill stages` lists them)"
                self.located.mistake(where, 'the key "uses" is missing', cure)
        spec = StageSpec(
            name=name,
            uses=str(uses),
            needs=self._mapping(body, where, "needs"),
            settings=self._mapping(body, where, "with"),
            matrix=self._matrix(body, where),
            resources=self._resources(body, where),
            retries=self._retries(body, where),
            timeout=self._timeout(body, where),
            quarantine=self._quarantine(body, where),
            code=self._code(body, where),
        )
        # Without a type it takes no part in the plan, but what else it says was looked at.
        return spec if known else None

    def _matrix(self, body: Mapping[str, Any], where: Where) -> dict[str, list[Scalar]]:
        axes: dict[str, list[Scalar]] = {}
        for axis, values in self._mapping(body, where, "matrix").items():
            here = (*where, "matrix", axis)
            if not _AXIS.fullmatch(axis) or axis in ("by", "else"):
                self.located.mistake(here, f'"{axis}" is no name for an axis', "use a plain word")
            if not isinstance(values, list) or not values:
                self._wrong(here, "a list of values", values)
                continue
            bad = [v for v in values if not isinstance(v, str | int | float | bool)]
            if bad:
                self._wrong(here, "a list of plain values", bad[0])
                continue
            texts = [spell(value) for value in values]
            for index, text in enumerate(texts):
                if text in texts[:index]:
                    self.located.mistake((*here, index), f'"{text}" stands twice', "keep one")
                elif re.search(r"[\[\],=]", text):
                    cure = "leave out the characters [ ] , ="
                    self.located.mistake((*here, index), f'"{text}" is no matrix value', cure)
            axes[axis] = values
        return axes

    def _resources(self, body: Mapping[str, Any], where: Where) -> Resources:
        given = self._mapping(body, where, "resources")
        here = (*where, "resources")
        self._only_known(given, here, RESOURCE_KEYS)
        cpus = self._amount(given, here, "cpus", 1.0)
        gpus: float | Literal["auto"] = (
            "auto" if given.get("gpus") == "auto" else self._amount(given, here, "gpus", 0.0)
        )
        memory: int | None = None
        if "memory" in given:
            match = _SIZE.fullmatch(str(given["memory"]))
            if match is None:
                self._wrong((*here, "memory"), "a size such as 2GiB", given["memory"])
            else:
                memory = int(float(match.group(1)) * _UNITS[match.group(2) or "B"])
        return Resources(cpus, gpus, memory)

    def _retries(self, body: Mapping[str, Any], where: Where) -> Retries:
        given = body.get("retries")
        here = (*where, "retries")
        if given is None:
            return Retries()
        if isinstance(given, int) and not isinstance(given, bool):
            return Retries(task=self._integer(body, where, "retries", 0))
        if not isinstance(given, dict):
            self._wrong(here, "a number, or a mapping of " + " and ".join(RETRY_KEYS), given)
            return Retries()
        self._only_known(given, here, RETRY_KEYS)
        return Retries(
            self._integer(given, here, "task", 0), self._integer(given, here, "infrastructure", 3)
        )

    def _timeout(self, body: Mapping[str, Any], where: Where) -> float | None:
        given = body.get("timeout")
        if given is None:
            return None
        match = None if isinstance(given, bool) else _DURATION.fullmatch(str(given))
        seconds = float(match.group(1)) * _SECONDS[match.group(2) or "s"] if match else 0.0
        if not seconds > 0:
            self._wrong((*where, "timeout"), "a time such as 90s, 20min or 2h", given)
            return None
        return seconds

    def _quarantine(self, body: Mapping[str, Any], where: Where) -> float:
        given = body.get("quarantine", QUARANTINE_SHARE)
        match = None if isinstance(given, bool) else _SHARE.fullmatch(str(given))
        share = float(match.group(1)) / (100 if match.group(2) else 1) if match else -1.0
        if not 0 <= share <= 1:
            self._wrong((*where, "quarantine"), "a share from 0 to 1, or such as 0.1%", given)
            return QUARANTINE_SHARE
        return share

    def _code(self, body: Mapping[str, Any], where: Where) -> Literal["auto", "pinned"]:
        given = body.get("code", "auto")
        if given not in ("auto", "pinned"):
            self._wrong((*where, "code"), '"auto" or "pinned"', given)
        return "pinned" if given == "pinned" else "auto"

    def _mapping(self, body: Mapping[str, Any], where: Where, key: str) -> dict[str, Any]:
        value = body.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._wrong((*where, key), "a mapping", value)
            return {}
        return value

    def _integer(self, body: Mapping[str, Any], where: Where, key: str, default: int) -> int:
        value = body.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self._wrong((*where, key), "a whole number of 0 or more", value)
            return default
        return value

    def _amount(self, body: Mapping[str, Any], where: Where, key: str, default: float) -> float:
        value = body.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
            self._wrong((*where, key), "a number of 0 or more", value)
            return default
        return float(value)

    def _only_known(self, body: Mapping[str, Any], where: Where, known: Sequence[str]) -> None:
        for key in body:
            if key not in known:
                problem = f'unknown key "{key}"'
                self.located.mistake((*where, key), problem, nearest(key, known))

    def _wrong(self, where: Where, wanted: str, found: Any) -> None:
        if isinstance(found, Unset):
            return  # said already
        problem = f"should be {wanted}, and is {describe(found)}"
        self.located.mistake(where, problem, value=True)


def describe(value: Any) -> str:
    """A value as an error shows it: the value, shortened, and what it is."""
    if value is None:
        return "empty"
    kind = {dict: "a mapping", list: "a list", str: "text", bool: "true or false"}.get(type(value))
    shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
    return f"{shown} ({kind})" if kind else shown
