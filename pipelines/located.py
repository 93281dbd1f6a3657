"""YAML as data that remembers where each piece stands, so that an error can point at it.

Loaded safely (no tags, no objects), with three additions: duplicate keys are mistakes, `${NAME}`
and `${NAME:-default}` in values read environment variables, and every key and value has a line.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Where = tuple[str | int, ...]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

# Braces mean something to YAML, so a variable is read as one of these marks (Unicode's private
# use area) around its number in the text, and looked up when the scalar it stands in is known.
_MARK = re.compile("\ue000(\\d+)\ue001")


class Unset(str):
    """Stands for a value with an unset variable in it: the mistake is noted, ask no more of it."""


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
# YAML 1.1 reads 3e-3 and 1e6 as text, and no one who writes a learning rate expects that.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def read_value(text: str) -> Any:
    """A value as it would be read in a DAG file.

    Raises:
        yaml.YAMLError, ValueError: the text is no YAML value.
    """
    return yaml.load(text, _Loader)


def spell(value: Any) -> str:
    """A plain value as a DAG file spells it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def spells(text: str, value: Any) -> bool:
    """Whether `text` is a way to write the plain value `value`: 0.10 is 0.1, yes is true."""
    if text == spell(value):
        return True
    try:
        read = read_value(text)
    except (yaml.YAMLError, ValueError):
        return False
    return type(read) is type(value) and bool(read == value)


class _Builder:
    def __init__(
        self,
        located: Located,
        loader: _Loader,
        environment: Mapping[str, str],
        variables: list[re.Match[str]],
    ) -> None:
        self.located = located
        self.loader = loader
        self.environment = environment
        self.variables = variables
        self.above: set[int] = set()

    def build(self, node: yaml.Node, where: Where) -> Any:
        if id(node) in self.above:
            line = node.start_mark.line + 1
            raise InvalidDag(
                [Mistake(self.located.file, line, "", "is not valid YAML: a value holds itself")]
            )
        self.above.add(id(node))
        try:
            return self._build(node, where)
        finally:
            self.above.discard(id(node))

    def _build(self, node: yaml.Node, where: Where) -> Any:
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
            key = _MARK.sub(
                lambda mark: self.variables[int(mark.group(1))].group(0), str(key_node.value)
            )
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
        if _MARK.search(text):
            unset = len(self.located.mistakes)
            replaced = _MARK.sub(lambda mark: self._variable(mark, node, where), text)
            if len(self.located.mistakes) > unset:
                return Unset(replaced)
            if node.style in ("'", '"'):
                return replaced
            # A plain scalar takes the type its new text has: ${STEPS:-200} is a number.
            tag = self.loader.resolve(  # type: ignore[no-untyped-call]
                yaml.ScalarNode, replaced, (True, False)
            )
            node = yaml.ScalarNode(tag, replaced, node.start_mark, node.end_mark)
        try:
            return self.loader.construct_object(node)
        except (ValueError, yaml.YAMLError) as error:
            line = node.start_mark.line + 1
            self._problem(line, where, f"{node.value!r} cannot be read: {_first_line(error)}")
            return Unset(node.value)

    def _variable(self, mark: re.Match[str], node: yaml.ScalarNode, where: Where) -> str:
        name, default = self.variables[int(mark.group(1))].groups()
        if name in self.environment:
            return self.environment[name]
        if default is not None:
            return str(default)
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
    variables = list(_VARIABLE.finditer(text))
    numbers = itertools.count()
    marked = _VARIABLE.sub(lambda _: f"\ue000{next(numbers)}\ue001", text)
    loader: _Loader | None = None
    try:
        loader = _Loader(marked)
        node = loader.get_single_node()
        if node is not None:
            chosen = os.environ if environment is None else environment
            located.data = _Builder(located, loader, chosen, variables).build(node, ())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or _first_line(error)
        raise InvalidDag([Mistake(name, line, "", f"is not valid YAML: {problem}")]) from error
    finally:
        if loader is not None:
            loader.dispose()
    return located


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
