"""What of Python's syntax tree counts for the code part of a key, and what a statement names."""

from __future__ import annotations

import ast
from collections.abc import Iterator

# Keyword arguments that only document; and, for Input and Output, the second positional one.
_DOCUMENTING = {
    "Field": {"description", "title", "examples"},
    "Input": {"description"},
    "Output": {"description"},
}


def top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements at the top of a module, those under `if` and `try` included."""
    waiting = list(tree.body)
    while waiting:
        statement = waiting.pop(0)
        if isinstance(statement, ast.If):
            waiting = [*statement.body, *statement.orelse, *waiting]
        elif isinstance(statement, ast.Try):
            handlers = [s for handler in statement.handlers for s in handler.body]
            waiting = [
                *statement.body, *handlers, *statement.orelse, *statement.finalbody, *waiting
            ]  # fmt: skip
        else:
            yield statement


def defines(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        # TABLE["k"] = 5 and thing.name = 5 define nothing; they change what is there.
        targets = [t for t in statement.targets if not isinstance(t, ast.Subscript | ast.Attribute)]
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    else:
        return []
    return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]


def changes(statement: ast.stmt) -> set[str]:
    """Names that a statement assigns, or whose value it may change: x = …, x[k] = …, x.add(…)."""
    changed = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            changed.add(node.id)
        target: ast.AST | None = None
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(
            node.ctx, ast.Store | ast.Del
        ):
            target = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            target = node.func.value
        while isinstance(target, ast.Subscript | ast.Attribute):
            target = target.value
        if isinstance(target, ast.Name):
            changed.add(target.id)
    return changed


def dotted(node: ast.AST) -> list[str]:
    """["a", "b", "c"] for the expression a.b.c; [] for anything that is no chain of names."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return []
    return [node.id, *reversed(parts)]


class NoiseStripper(ast.NodeTransformer):
    """Leaves out docstrings, annotations of parameters, and what only documents or executes."""

    def _body(self, node: ast.AST) -> None:
        body: list[ast.stmt] = node.body  # type: ignore[attr-defined]
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body = body[1:] if isinstance(body[0].value.value, str) else body
        node.body = body or [ast.Pass()]  # type: ignore[attr-defined]

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        self.generic_visit(node)
        self._body(node)
        node.returns = None
        arguments = node.args
        for argument in [
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            *([arguments.vararg] if arguments.vararg else []),
            *([arguments.kwarg] if arguments.kwarg else []),
        ]:
            argument.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        # A field that cannot change the result is no part of the code that makes it.
        node.body = [s for s in node.body if not _is_execution_field(s)]
        self._body(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in _DOCUMENTING:
            node.keywords = [k for k in node.keywords if k.arg not in _DOCUMENTING[name]]
            if name in ("Input", "Output"):
                node.args = node.args[:1]
        return node


def _is_execution_field(statement: ast.stmt) -> bool:
    value = statement.value if isinstance(statement, ast.AnnAssign) else None
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id == "execution_field"
    )


def texts_in(node: ast.AST) -> Iterator[str]:
    """The string literals in it."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value
