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

from cluster.needs import SELECTOR, Needs
from pipelines.claims import Claim, ClaimReader
from pipelines.located import (
    InvalidDag,
    Located,
    Mistake,
    Where,
    load_located,
    nearest,
    read_value,
    spell,
)
from pipelines.nightly import Nightly, NightReader
from pipelines.sections import Sections, describe

TOP_KEYS = (
    "pipeline", "description", "seed", "verify", "stages", "schedule", "gates", "notify", "claims",
    "scale_up",
)  # fmt: skip
STAGE_KEYS = (
    "uses", "needs", "with", "matrix", "resources", "retries", "timeout", "quarantine", "code",
)  # fmt: skip
RESOURCE_KEYS = ("cpus", "gpus", "memory", "custom", "labels")
RETRY_KEYS = ("task", "infrastructure")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_AXIS = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB|KB|MB|GB|TB)?")
_UNITS = {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
          "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}  # fmt: skip

# One row in a thousand may be set aside: a poison row does not stop a corpus, a broken method does.
QUARANTINE_SHARE = 0.001

Verify = Literal["on-open", "always"]
Scalar = str | int | float | bool


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
    resources: Needs = field(default_factory=Needs)
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
    nightly: Nightly = field(default_factory=Nightly)
    claims: tuple[Claim, ...] = ()
    scale_up: str = ""

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


class _Reader(Sections):
    def read(self) -> DagSpec:
        data = self.located.data
        self.only_known(data, (), TOP_KEYS)
        pipeline = data.get("pipeline")
        if pipeline is None:
            self.located.mistake((), 'the key "pipeline" is missing', "give the pipeline a name")
        elif not isinstance(pipeline, str) or not _NAME.fullmatch(pipeline):
            self.wrong(("pipeline",), "a name of letters, digits, - and _", pipeline)
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
            seed=self.integer(data, (), "seed", 0),
            description=str(data.get("description") or ""),
            stages=specs,
            located=self.located,
            verify=self._verify(data),
            nightly=NightReader(self.located).read(data, list(stages or ())),
            claims=ClaimReader(self.located).read(data, list(stages or ())),
            scale_up=str(data.get("scale_up") or ""),
        )

    def _verify(self, data: Mapping[str, Any]) -> Verify:
        given = data.get("verify", "on-open")
        if given not in ("on-open", "always"):
            self.wrong(("verify",), '"on-open" or "always"', given)
        return "always" if given == "always" else "on-open"

    def _stage(self, name: str, body: Any) -> StageSpec | None:
        where: Where = ("stages", name)
        if not _NAME.fullmatch(name):
            self.located.mistake(where, f'"{name}" is no name', "use letters, digits, - and _")
        if not isinstance(body, dict):
            self.wrong(where, f"a mapping with the keys {', '.join(STAGE_KEYS)}", body)
            return None
        self.only_known(body, where, STAGE_KEYS)
        uses = body.get("uses")
        known = isinstance(uses, str)
        if not known:
            if "uses" in body:
                self.wrong((*where, "uses"), "the name of a stage type", uses)
            else:
                cure = "say which stage type it is (`tokenmill stages` lists them)"
                self.located.mistake(where, 'the key "uses" is missing', cure)
        spec = StageSpec(
            name=name,
            uses=str(uses),
            needs=self.mapping(body, where, "needs"),
            settings=self.mapping(body, where, "with"),
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
        for axis, values in self.mapping(body, where, "matrix").items():
            here = (*where, "matrix", axis)
            if not _AXIS.fullmatch(axis) or axis in ("by", "else"):
                self.located.mistake(here, f'"{axis}" is no name for an axis', "use a plain word")
            if not isinstance(values, list) or not values:
                self.wrong(here, "a list of values", values)
                continue
            bad = [v for v in values if not isinstance(v, str | int | float | bool)]
            if bad:
                self.wrong(here, "a list of plain values", bad[0])
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

    def _resources(self, body: Mapping[str, Any], where: Where) -> Needs:
        given = self.mapping(body, where, "resources")
        here = (*where, "resources")
        self.only_known(given, here, RESOURCE_KEYS)
        cpus = self.amount(given, here, "cpus", 1.0)
        gpus: float | Literal["auto"] = (
            "auto" if given.get("gpus") == "auto" else self.amount(given, here, "gpus", 0.0)
        )
        memory: int | None = None
        if "memory" in given:
            match = _SIZE.fullmatch(str(given["memory"]))
            if match is None:
                self.wrong((*here, "memory"), "a size such as 2GiB", given["memory"])
            else:
                memory = int(float(match.group(1)) * _UNITS[match.group(2) or "B"])
        inside = self.mapping(given, here, "custom")
        custom = {name: self.amount(inside, (*here, "custom"), name, 1.0) for name in inside}
        labels = {}
        for name, value in self.mapping(given, here, "labels").items():
            labels[name] = spell(value)
            if SELECTOR.fullmatch(labels[name]) is None:
                wanted = "a label's value, or !value, in(a, b), !in(a, b)"
                self.wrong((*here, "labels", name), wanted, value)
        return Needs(cpus, gpus, memory, custom, labels)

    def _retries(self, body: Mapping[str, Any], where: Where) -> Retries:
        given = body.get("retries")
        here = (*where, "retries")
        if given is None:
            return Retries()
        if isinstance(given, int) and not isinstance(given, bool):
            return Retries(task=self.integer(body, where, "retries", 0))
        if not isinstance(given, dict):
            self.wrong(here, "a number, or a mapping of " + " and ".join(RETRY_KEYS), given)
            return Retries()
        self.only_known(given, here, RETRY_KEYS)
        return Retries(
            self.integer(given, here, "task", 0), self.integer(given, here, "infrastructure", 3)
        )

    def _timeout(self, body: Mapping[str, Any], where: Where) -> float | None:
        return self.duration(body, where, "timeout")

    def _quarantine(self, body: Mapping[str, Any], where: Where) -> float:
        return self.share(body, where, "quarantine", QUARANTINE_SHARE)

    def _code(self, body: Mapping[str, Any], where: Where) -> Literal["auto", "pinned"]:
        given = body.get("code", "auto")
        if given not in ("auto", "pinned"):
            self.wrong((*where, "code"), '"auto" or "pinned"', given)
        return "pinned" if given == "pinned" else "auto"
