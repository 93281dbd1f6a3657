"""Prose of Python files: what is documentation, what is code, what is for tools."""

import ast
import warnings
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.corpus import python_prose

SOURCE = dedent(
    '''\
    #!/usr/bin/env python
    # -*- coding: utf-8 -*-
    """A module.

        >>> 1 + 1
        2

    Its last line.
    """
    # A comment over
    # two lines.

    import os  # noqa: F401

    # ---------
    # Constants
    # ---------
    LIMIT = 3  # how many

    class Mill:
        """Grinds tokens.

        Slowly.
        """

        async def grind(self):
            """Grind once."""
            # First paragraph of a comment.
            #
            #   * an indented item
            return 1

        # def old(self):
        #     return 2

    #: The documented variable.
    MILL = Mill()
    text = """
    # not a comment
    """
    '''
)
PROSE = dedent(
    """\
    A module.

        >>> 1 + 1
        2

    Its last line.

    A comment over
    two lines.

    Constants

    Grinds tokens.

    Slowly.

    Grind once.

    First paragraph of a comment.

      * an indented item

    The documented variable."""
)


def test_docstrings_and_comments_come_in_order_of_appearance() -> None:
    assert python_prose(SOURCE) == PROSE


def test_line_ends_and_a_byte_order_mark_do_not_matter() -> None:
    assert python_prose("\ufeff" + SOURCE.replace("\n", "\r\n")) == PROSE


@pytest.mark.parametrize(
    "comment",
    [
        pytest.param("# x = compute(1)", id="assignment"),
        pytest.param("# import os", id="statement_of_words"),
        pytest.param("# foo(bar)", id="call"),
        pytest.param("# if x:\n#     return y", id="block"),
        pytest.param("# 42", id="number"),
        pytest.param("# type: ignore", id="type"),
        pytest.param("# noqa", id="noqa"),
        pytest.param("# NOQA: E501", id="noqa_in_capitals"),
        pytest.param("#pragma: no cover", id="pragma"),
        pytest.param("# fmt: off", id="formatter"),
        pytest.param("#", id="empty"),
        pytest.param("########", id="ruler"),
        pytest.param("# vim: set ts=4", id="editor"),
    ],
)
def test_commented_out_code_and_directives_are_left_out(comment: str) -> None:
    assert python_prose(f"\n\n{comment}\nvalue = 1\n") == ""


@pytest.mark.parametrize(
    ("comment", "prose"),
    [
        pytest.param("# Constants", "Constants", id="a_lone_word"),
        pytest.param("# not used", "not used", id="words_that_are_an_expression"),
        pytest.param("# This is prose.", "This is prose.", id="prose"),
        pytest.param("## Heading one", "Heading one", id="two_hashes"),
        pytest.param("#no space", "no space", id="no_space_after_the_hash"),
        pytest.param("# one\n# noqa\n# two three", "one\ntwo three", id="directive_inside_a_block"),
        pytest.param("# one\nx = 1\n# two", "one\n\ntwo", id="code_separates_blocks"),
        pytest.param("# one\n\n# two", "one\n\ntwo", id="a_blank_line_separates_blocks"),
    ],
)
def test_prose_comments_are_kept(comment: str, prose: str) -> None:
    assert python_prose(f"\n\n{comment}\nvalue = 1\n") == prose


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("", id="empty"),
        pytest.param("# comment\ndef broken(:\n", id="syntax_error"),
        pytest.param('"""doc"""\0', id="null_byte"),
        pytest.param("print 'python 2'", id="python_2"),
        pytest.param("x = " + "(" * 5000 + ")" * 5000, id="too_deep"),
        pytest.param("x = " + "-" * 100_000 + "1", id="too_deep_for_the_parser"),
    ],
)
def test_source_that_does_not_parse_has_no_prose(source: str) -> None:
    assert python_prose(source) == ""


def test_strings_that_are_no_docstrings_are_left_out() -> None:
    source = 'x = 1\n"""after code"""\ndef f():\n    f"""formatted {x}"""\n    return """value"""\n'
    assert python_prose(source) == ""


def test_the_result_can_be_encoded_even_if_a_docstring_spells_a_surrogate() -> None:
    assert python_prose(r'"""a \ud800 b"""') == "a ? b"


def test_invalid_escapes_warn_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert python_prose('"""A \\d digit."""') == "A \\d digit."


@given(st.text())
def test_any_text_is_survived(source: str) -> None:
    python_prose(source).encode("utf-8")


@given(
    st.lists(st.sampled_from(["# a b c d", "    # e f g", "x = 1", "", '"""d"""', "#", "# noqa"]))
)
def test_any_mixture_of_lines_is_survived(lines: list[str]) -> None:
    python_prose("\n".join(lines))


@pytest.mark.parametrize("module", ["argparse.py", "heapq.py", "textwrap.py"])
def test_every_docstring_line_of_real_modules_is_found(module: str) -> None:
    source = (Path(ast.__file__).parent / module).read_text(encoding="utf-8")
    prose = python_prose(source)
    docstrings = [
        ast.get_docstring(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    ]
    for docstring in filter(None, docstrings):
        assert docstring.strip() in prose
    assert "\nimport " not in prose
