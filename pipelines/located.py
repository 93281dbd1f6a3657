"""YAML as data that remembers where each piece stands, so that an error can point at it.

Loaded safely (no tags, no objects), with three additions: duplicate keys are mistakes, `${NAME}`
and `${NAME:-default}` in values read environment variables, and every key and value has a line.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Where = tuple[str | int, ...]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True)
class Mistake:
    """One thing wrong with a DAG file: where, what, and what would be right."""

    file: str
    line: int
    where: str
    problem: str
    cure: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}"
        subject = f" {self.where}:" if self.where else ""
        cure = f" {self.cure}" if self.cure else ""
        return f"{place}:{subject} {self.problem}{';' if cure else ''}{cure}"


class InvalidDag(ValueError):
    """A DAG file has mistakes; all of them are in `mistakes`, in the order of their lines."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(set(mistakes), key=lambda m: (m.file, m.line, m.where, m.problem))
        super().__init__("\n".join(map(str, self.mistakes)))


def nearest(word: str, words: Iterable[str]) -> str:
    """A cure naming the nearest right word, or all the words when none is near."""
    known = sorted(set(words))
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.55)
    if close:
        return f'did you mean "{close[0]}"?'
    if not known:
        return ""
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return f"it can be one of: {shown}"


@dataclass
class Located:
    """The content of a YAML file and the line of every path in it."""

    file: str
    data: Any
    mistakes: list[Mistake] = field(default_factory=list)
    _key_lines: dict[Where, int] = field(default_factory=dict)
    _value_lines: dict[Where, int] = field(default_factory=dict)

    def line(self, where: Where, *, value: bool = False) -> int:
        """Line (1-based) of the key at `where` or, with `value`, of its value.

        A path that the file does not have takes the line of its nearest ancestor.
        """
        lines = self._value_lines if value else self._key_lines
        while where and where not in lines:
            where = where[:-1]
        return lines.get(where, 1)

    def mistake(self, where: Where, problem: str, cure: str = "", *, value: bool = False) -> None:
        """Note a mistake at `where`."""
        dotted = ".".join(str(part) for part in where)
        line = self.line(where, value=value)
        self.mistakes.append(Mistake(self.file, line, dotted, problem, cure))


class _Loader(yaml.SafeLoader):
    """Safe YAML in which dates stay text: a config has no dates, and text can be checked."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Builder:
    def __init__(self, located: Located, loader: _Loader, environment: Mapping[str, str]) -> None:
        self.located = located
        self.loader = loader
        self.environment = environment

    def build(self, node: yaml.Node, where: Where) -> Any:
        self.located._value_lines[where] = node.start_mark.line + 1
        self.located._key_lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*where, i)) for i, child in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, where)

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(line, where, "a key must be a plain word")
                continue
            # Matrix values are keys too, so `1:` and `"1":` must mean the same.
            key = str(key_node.value)
            if key == "<<":
                self._problem(line, where, "merge keys (<<) are not part of the DAG language")
                continue
            here = (*where, key)
            if key in result:
                first = self.located._key_lines[here]
                problem = f'duplicate key "{key}"'
                self._problem(line, where, problem, f"line {first} has it already; keep one")
                continue
            self.located._key_lines[here] = line
            result[key] = self.build(value_node, here)
        return result

    def _scalar(self, node: yaml.ScalarNode, where: Where) -> Any:
        text = str(node.value)
        if "${" not in text:
            return self.loader.construct_object(node)
        replaced = _VARIABLE.sub(lambda match: self._variable(match, node, where), text)
        if node.style in ("'", '"'):
            return replaced
        # A plain scalar takes the type its new text has: ${STEPS:-200} is a number.
        tag = self.loader.resolve(  # type: ignore[no-untyped-call]
            yaml.ScalarNode, replaced, (True, False)
        )
        fresh = yaml.ScalarNode(tag, replaced, node.start_mark, node.end_mark)
        return self.loader.construct_object(fresh)

    def _variable(self, match: re.Match[str], node: yaml.ScalarNode, where: Where) -> str:
        name, default = match.group(1), match.group(2)
        if name in self.environment:
            return self.environment[name]
        if default is not None:
            return default
        self._problem(
            node.start_mark.line + 1,
            where,
            f"the environment variable {name} is not set",
            f"set it, or give a default: ${{{name}:-value}}",
        )
        return ""

    def _problem(self, line: int, where: Where, problem: str, cure: str = "") -> None:
        dotted = ".".join(str(part) for part in where)
        self.located.mistakes.append(Mistake(self.located.file, line, dotted, problem, cure))


def load_located(path: Path | str, environment: Mapping[str, str] | None = None) -> Located:
    """Read a YAML file.

    Raises:
        InvalidDag: the file cannot be read or is no YAML at all; lesser mistakes (duplicate keys,
            unset variables) are collected in the result, to be reported with all others.
    """
    name = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise InvalidDag([Mistake(name, 1, "", f"cannot be read: {reason}")]) from error
    located = Located(name, None)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is not None:
            chosen = os.environ if environment is None else environment
            located.data = _Builder(located, loader, chosen).build(node, ())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or str(error)
        raise InvalidDag([Mistake(name, line, "", f"is not valid YAML: {problem}")]) from error
    finally:
        loader.dispose()
    return located
