"""The shape of a figure for a phone: a column, with its names above or below and not beside.

A wide figure that is made small to fit a phone has letters that nobody can read.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

# As wide as 150 dots an inch fill a phone sharply, and letters are as large as those of the text.
NARROW_INCHES = 3.5
_LETTERS_OF_A_TITLE = 38
_LETTERS_OF_A_NAME = 46
_LETTERS_OF_A_MARKED_NAME = 38


def narrow_title(text: str) -> str:
    """A title in lines that fit."""
    return textwrap.fill(text, _LETTERS_OF_A_TITLE)


def narrow_name(text: str) -> str:
    """A name or what is on an axis, in lines that fit."""
    return textwrap.fill(text, _LETTERS_OF_A_NAME)


def names_below(axes: Axes, marks: Mapping[str, Artist]) -> None:
    """A legend below all axes of the figure that `axes` are in: name -> what it is drawn with."""
    names = [textwrap.fill(name, _LETTERS_OF_A_MARKED_NAME) for name in marks]
    axes.figure.legend(list(marks.values()), names, loc="outside lower left")
