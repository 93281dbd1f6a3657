"""The code of Python source files, as text for a language model, without what is said in it."""

from __future__ import annotations

import ast
import warnings

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def python_code(source: str) -> str:
    """A Python file without its docstrings and comments, laid out by `ast.unparse`.

    What `operators.corpus.python_prose.python_prose` takes is what is left out here: the two share
    no text. A body that was its docstring alone is `pass`. Blank lines and the author's line breaks
    are lost.

    Returns "" for source that does not parse. Lone surrogates, which a string can spell but UTF-8
    cannot, become "?".
    """
    source = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    try:
        with warnings.catch_warnings():
            # Old files hold invalid escapes such as "\d"; they are no concern of the reader here.
            warnings.simplefilter("ignore")
            module = ast.parse(source)
        for node in ast.walk(module):
            if isinstance(node, _Documented) and ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or ([] if node is module else [ast.Pass()])
        code = ast.unparse(module)
    # Null bytes are a ValueError; nesting too deep for the parser is one of the last two.
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    return code.encode("utf-8", "replace").decode("utf-8")
