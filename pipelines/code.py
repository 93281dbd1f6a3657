"""The code part of a key: what a stage can reach in this repository, and nothing else.

Starting at the stage's class, names are followed through definitions and imports, statically: no
module is imported, so a stage that needs torch can be keyed without loading torch. Each function,
class and module-level value that is reached counts by its syntax tree without comments,
docstrings, layout, parameter annotations and the descriptions of config fields. A template, a file
in the folder `templates` beside a module whose code names it, counts with every byte. What is
reached only through `getattr`, string names or registries filled at import time cannot be seen;
such a stage must name the code it uses.

The versions of third-party libraries are no part of a key (they are in the record): a patch
release of a plotting library must not recompute a corpus.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pipelines.code_syntax import NoiseStripper, changes, defines, dotted, texts_in, top_level

PACKAGES = ("operators", "stages")

# The interface between stages and engine: it says how a stage is called, not what it computes.
INTERFACE = frozenset({"stages.contract"})
# Where machine code is kept: it says how fast a function is ready, not what it computes.
KEEPING = frozenset({"operators.compiled"})
TEMPLATES = "templates/"
# The names of the kinds: a new kind changes no stage that does not use it.
INTERFACE_NAMES = frozenset({("stages.kinds", "Kind")})


@dataclass(frozen=True)
class _Target:
    """Something a name can stand for: a definition in a module or, without a name, the module.

    A template is a target, too: templates/NAME of the module that it lies beside.
    """

    module: str
    name: str | None

    @property
    def is_template(self) -> bool:
        return self.name is not None and self.name.startswith(TEMPLATES)


@dataclass
class _Module:
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, _Target] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)  # modules imported with *
    stripped: set[int] = field(default_factory=set)  # ids of the statements already stripped


class CodeIndex:
    """Parsed modules of the packages of this repository and of a folder with a user's own stages.

    Args:
        folders: folders in which top-level modules and packages are ours.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._folders = [Path(folder) for folder in folders]
        self._modules: dict[str, _Module | None] = {}
        self._hashes: dict[_Target, str] = {}
        self._read: dict[str, str] = {}
        self._templates: dict[str, frozenset[str]] = {}

    def reach(self, module: str, name: str) -> dict[str, str]:
        """All that `module:name` reaches, itself included: "module:name" -> hash, sorted.

        Raises:
            LookupError: there is no such definition in the sources.
        """
        start = self._resolve(module, name)
        if start is None:
            raise LookupError(f'there is no "{name}" in the source of module "{module}"')
        seen: set[_Target] = set()
        waiting = [start]
        while waiting:
            target = waiting.pop()
            apart = target.module in INTERFACE | KEEPING or (
                (target.module, target.name) in INTERFACE_NAMES
            )
            if target in seen or apart:
                continue
            seen.add(target)
            waiting.extend(self._reached_from(target))
        units = sorted((t for t in seen if t.name is not None), key=lambda t: (t.module, t.name))
        return {f"{t.module}:{t.name}": self._hash(t) for t in units}

    def sources(self, module: str, name: str) -> dict[str, str]:
        """The modules and templates that `module:name` reaches, each with its hash when read."""
        files = set()
        for unit in self.reach(module, name):
            target = _Target(*unit.split(":", 1))
            files.add(unit if target.is_template else target.module)
        return {found: self._read[found] for found in sorted(files)}

    def sources_now(self, files: Iterable[str]) -> dict[str, str]:
        """The same files, each with the hash of what it is now; "" where it is gone."""
        found = {}
        for name in files:
            module, _, template = name.partition(":")
            path = self._template(module, template) if template else self._path(module)
            found[name] = "" if path is None else _hash_of(path.read_bytes())
        return found

    def texts(self, module: str, name: str) -> dict[str, str]:
        """The normalised source of all that `module:name` reaches, by the names of `reach`."""
        return {unit: self._text(_Target(*unit.split(":", 1))) for unit in self.reach(module, name)}

    def _reached_from(self, target: _Target) -> Iterator[_Target]:
        module = self._module(target.module)
        assert module is not None
        if target.name is None:  # a module used as a value: all of it counts
            for name in module.definitions:
                yield _Target(target.module, name)
            return
        if target.is_template:
            return
        for node in self._stripped(target):
            templates = self._templates_beside(target.module)
            for name in templates & {TEMPLATES + text for text in texts_in(node)}:
                yield _Target(target.module, name)
            local = dict(module.imports)
            for inner in ast.walk(node):
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    local.update(_bindings(inner, target.module, self._is_package(target.module)))
            yield from self._names(node, target.module, local)

    def _names(self, node: ast.AST, module: str, imports: dict[str, _Target]) -> Iterator[_Target]:
        inside_chain: set[int] = set()
        for inner in ast.walk(node):
            if id(inner) in inside_chain:
                continue
            chain = dotted(inner)
            if not chain:
                continue
            part: ast.AST = inner
            while isinstance(part, ast.Attribute):
                part = part.value
                inside_chain.add(id(part))
            found = self._lookup(chain, module, imports)
            if found is not None:
                yield found
            owner = self._module(module)
            if chain[0] in imports and owner is not None and chain[0] in owner.definitions:
                yield _Target(module, chain[0])  # what stands in where the import fails

    def _lookup(self, chain: list[str], module: str, imports: dict[str, _Target]) -> _Target | None:
        root, *rest = chain
        target: _Target | None
        if root in imports:
            imported = imports[root]
            target = (
                _Target(imported.module, None)
                if imported.name is None
                else self._resolve(imported.module, imported.name)
            )
            if target is not None and self._module(target.module) is None:
                return None
        else:
            owner = self._module(module)
            assert owner is not None
            here = root in owner.definitions
            target = _Target(module, root) if here else self._starred(owner, root)
        for attribute in rest:
            if target is None or target.name is not None:
                break
            target = self._resolve(target.module, attribute)
        return target

    def _resolve(self, module: str, name: str) -> _Target | None:
        """What `name` of `module` is, through re-exports; None when it is not ours."""
        for _ in range(20):
            parsed = self._module(module)
            if parsed is None:
                return None
            if name in parsed.definitions:
                return _Target(module, name)
            if name not in parsed.imports:
                inner = f"{module}.{name}"
                if self._module(inner) is not None:
                    return _Target(inner, None)
                return self._starred(parsed, name)
            target = parsed.imports[name]
            if target.name is None:
                return target if self._module(target.module) is not None else None
            module, name = target.module, target.name
        return None

    def _starred(self, module: _Module, name: str) -> _Target | None:
        """What `name` is where it came with `from … import *`."""
        found = (self._resolve(star, name) for star in module.stars)
        return next((target for target in found if target is not None), None)

    def _hash(self, target: _Target) -> str:
        if target not in self._hashes:
            text = self._text(target)
            self._hashes[target] = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        return self._hashes[target]

    def _text(self, target: _Target) -> str:
        if target.is_template:
            assert target.name is not None
            path = self._template(target.module, target.name)
            content = b"" if path is None else path.read_bytes()
            self._read[f"{target.module}:{target.name}"] = _hash_of(content)
            return content.decode("utf-8", "backslashreplace")
        return "\n".join(map(ast.unparse, self._stripped(target)))

    def _stripped(self, target: _Target) -> list[ast.stmt]:
        """The definitions of a target without what does not count; stripped once, in place."""
        module = self._module(target.module)
        assert module is not None
        assert target.name is not None
        nodes = module.definitions[target.name]
        for index, node in enumerate(nodes):
            if id(node) not in module.stripped:
                nodes[index] = NoiseStripper().visit(node)
                module.stripped.add(id(nodes[index]))
        return nodes

    def _module(self, name: str) -> _Module | None:
        if name not in self._modules:
            path = self._path(name)
            if path is not None:
                self._modules[name] = self._parse(name, path)
            else:  # a folder without __init__.py is a package, too
                parts = name.split(".")
                namespace = any(folder.joinpath(*parts).is_dir() for folder in self._folders)
                self._modules[name] = _Module() if namespace else None
        return self._modules[name]

    def _parse(self, name: str, path: Path) -> _Module:
        module = _Module()
        package = path.name == "__init__.py"
        loose: list[ast.stmt] = []
        content = path.read_bytes()
        self._read[name] = _hash_of(content)
        tree = ast.parse(content)
        for statement in top_level(tree):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                bound = _bindings(statement, name, package)
                star = bound.pop("*", None)
                if star is not None:
                    module.stars.append(star.module)
                module.imports.update(bound)
            defined = defines(statement)
            for name_defined in defined:
                module.definitions.setdefault(name_defined, []).append(statement)
            if not defined and not isinstance(statement, ast.Import | ast.ImportFrom):
                loose.append(statement)
        # What fills a value after it was named (TABLE["k"] = 5, a loop, a condition) is part of it.
        loose += [s for s in tree.body if isinstance(s, ast.If)]
        for statement in loose:
            for changed in changes(statement):
                nodes = module.definitions.get(changed)
                if nodes and isinstance(nodes[0], ast.Assign | ast.AnnAssign | ast.AugAssign):
                    nodes.append(statement)
        return module

    def _is_package(self, name: str) -> bool:
        path = self._path(name)
        return path is not None and path.name == "__init__.py"

    def _template(self, module: str, name: str) -> Path | None:
        """The file of a template beside a module; None where it is gone."""
        if name not in self._templates_beside(module):
            return None
        path = self._path(module)
        beside = None if path is None else path.parent / name
        return beside if beside is not None and beside.is_file() else None

    def _templates_beside(self, module: str) -> frozenset[str]:
        """The names of the templates beside a module, as targets have them."""
        if module not in self._templates:
            path = self._path(module)
            found = () if path is None else path.parent.glob(f"{TEMPLATES}*")
            self._templates[module] = frozenset(TEMPLATES + template.name for template in found)
        return self._templates[module]

    def _path(self, name: str) -> Path | None:
        top, *rest = name.split(".")
        bases = [folder / top for folder in self._folders]
        if top in PACKAGES:
            # Our own packages are wherever they are installed, and come first.
            bases = [Path(_package_folder(top)), *bases]
        for base in bases:
            path = base.joinpath(*rest)
            if (path / "__init__.py").is_file():
                return path / "__init__.py"
            if path.with_name(path.name + ".py").is_file():
                return path.with_name(path.name + ".py")
        return None


def _hash_of(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@cache
def _package_folder(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LookupError(f"the package {package} is not installed")
    return next(iter(spec.submodule_search_locations))


def _bindings(
    statement: ast.Import | ast.ImportFrom, module: str, package: bool
) -> dict[str, _Target]:
    """The local names that an import binds."""
    if isinstance(statement, ast.Import):
        return {
            alias.asname or alias.name.split(".")[0]: _Target(
                alias.name if alias.asname else alias.name.split(".")[0], None
            )
            for alias in statement.names
        }
    source = statement.module or ""
    if statement.level:
        parts = module.split(".")
        parts = parts[: len(parts) - statement.level + (1 if package else 0)]
        source = ".".join([*parts, *([source] if source else [])])
    return {alias.asname or alias.name: _Target(source, alias.name) for alias in statement.names}
