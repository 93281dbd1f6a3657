"""The documentation inside Python source files, as text for a language model."""

from __future__ import annotations

import ast
import inspect
import io
import re
import textwrap
import tokenize
import warnings
from collections.abc import Iterator

# PEP 263: a declaration of the encoding may stand on line 1 or 2.
_CODING = re.compile(r"#.*?coding[:=][ \t]*[-\w.]+")
# Comments addressed to tools.
_DIRECTIVE = re.compile(
    r"#\s*(type:|noqa\b|pragma\b|pylint:|pyright:|mypy:|ruff:|flake8:|isort:|fmt:|yapf:|nosec\b"
    r"|vim?:|-\*-)",
    re.IGNORECASE,
)
# "#", "##", and Sphinx' "#:" for the documentation of a variable; then one space.
_MARKER = re.compile(r"#+:? ?")
_WORDS = re.compile(r"[\w\s]+")
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def python_prose(source: str) -> str:
    """Docstrings and comments of a Python file in order of appearance, a blank line between.

    - Docstrings of the module, classes and functions, cleaned by `inspect.cleandoc`; doctests
      inside them stay.
    - Comments that stand on lines of their own: those on consecutive lines at one indentation
      are one block, without "#" and one space. A line without letters or digits (a ruler, an
      empty comment) becomes a blank line. Comments behind code are left out: they are notes on
      that code.

    Left out: the line of the interpreter ("#!"), declarations of the encoding, comments for
    tools ("# type:", "# noqa", "# pragma", "# fmt:", ...), and commented-out code: blocks that
    parse as Python, unless as one expression of words alone ("# Constants", "# not used").

    Returns "" for source that does not parse. The result never holds lone surrogates, which a
    docstring can spell but UTF-8 cannot: they become "?".
    """
    source = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    try:
        module = _parse(source)
        pieces = [*_docstrings(module), *_comments(source)]
    # Null bytes are a ValueError; nesting too deep for the parser is one of the last two.
    except (SyntaxError, ValueError, tokenize.TokenError, RecursionError, MemoryError):
        return ""
    paragraphs = (text for _, text in sorted(pieces, key=lambda piece: piece[0]))
    return "\n\n".join(paragraphs).encode("utf-8", "replace").decode("utf-8")


def _parse(source: str) -> ast.Module:
    with warnings.catch_warnings():
        # Old files hold invalid escapes such as "\d"; they are no concern of the reader here.
        warnings.simplefilter("ignore")
        return ast.parse(source)


def _docstrings(module: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module):
        if isinstance(node, _Documented):
            text = ast.get_docstring(node, clean=False)
            if text and (cleaned := inspect.cleandoc(text).strip()):
                yield node.body[0].lineno, cleaned


def _comments(source: str) -> Iterator[tuple[int, str]]:
    if "#" not in source:
        return
    lines = source.split("\n")
    block: list[str] = []
    start, column, last = 0, 0, -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line, indent = token.start
        if token.type != tokenize.COMMENT or lines[line - 1][:indent].strip():
            continue
        if line != last + 1 or indent != column:
            yield from _block_text(start, block)
            block, start, column = [], line, indent
        last = line
        if not (
            _DIRECTIVE.match(token.string)
            or (line == 1 and token.string.startswith("#!"))
            or (line <= 2 and _CODING.match(token.string))
        ):
            block.append(token.string)
    yield from _block_text(start, block)


def _block_text(start: int, comments: list[str]) -> Iterator[tuple[int, str]]:
    lines = (_MARKER.sub("", comment, count=1).rstrip() for comment in comments)
    text = "\n".join(line if any(map(str.isalnum, line)) else "" for line in lines)
    text = textwrap.dedent(text.strip("\n"))
    if text and not _is_code(text):
        yield start, text


def _is_code(text: str) -> bool:
    try:
        statements = _parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if not statements:  # a comment inside the comment
        return False
    # "Constants", "not used" and "yes or no" are expressions, too.
    expression = len(statements) == 1 and isinstance(statements[0], ast.Expr)
    return not (expression and _WORDS.fullmatch(text) and not text.isdigit())
