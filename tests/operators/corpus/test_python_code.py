"""The code of a Python file is what its documentation is not."""

import ast

from operators.corpus import python_prose
from operators.corpus.python_code import python_code

SOURCE = '''#!/usr/bin/python
"""Says what the module is."""
# A comment on a line of its own.
import os  # and one behind code


class Mill:
    """Only a docstring."""


async def grind(corn, *, fine=False):
    """Grinds."""
    text = "not a docstring"
    return corn if fine else text
'''


def test_docstrings_and_comments_are_left_out_and_the_code_stays():
    assert python_code(SOURCE) == (
        "import os\n\nclass Mill:\n    pass\n\nasync def grind(corn, *, fine=False):\n"
        "    text = 'not a docstring'\n    return corn if fine else text"
    )


def test_no_paragraph_of_the_prose_is_in_the_code():
    code = python_code(SOURCE)
    assert all(part not in code for part in python_prose(SOURCE).split("\n\n"))


def test_it_is_still_python_and_has_no_prose_left():
    code = python_code(SOURCE)
    ast.parse(code)
    assert python_prose(code) == ""


def test_documentation_alone_leaves_nothing():
    assert python_code('"""Only words."""\n# and more') == ""
    assert python_code("") == ""


def test_source_that_does_not_parse_is_empty():
    assert python_code("def (") == ""
    assert python_code("x = '\0'") == ""


def test_byte_order_marks_and_other_line_ends_do_no_harm():
    assert python_code("\ufeffa = 1\r\nb = 2\r") == "a = 1\nb = 2"


def test_lone_surrogates_become_question_marks():
    python_code("x = '\\ud800'").encode("utf-8")
