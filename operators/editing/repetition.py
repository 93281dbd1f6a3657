"""Just Read Twice: a prompt that says its context and its question again.

Source: Arora et al., "Just read twice: closing the recall gap for recurrent language models" (2024,
arXiv 2407.05483). A model of fixed memory must choose what to remember before it knows what it
will be asked; on the second reading it does. Prompts are compared at an equal length of one
copy of the context, and tokens are counted for all: `cut_around` brings contexts to a length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate

_WORD = re.compile(r"\S+\s*")


def repeat_context(context: str, question: str, *, times: int = 2, separator: str = "\n") -> str:
    """The context so often, with the question between: what a prompt says before it asks.

    With the question behind it this is context, question, context, question; with the question
    before it (an instruction) question, context, question, context. Once is the context itself.

    Raises:
        ValueError: less than once.
    """
    if times < 1:
        raise ValueError(f"times is {times}, but a context must be read once at least")
    return separator.join([context, *[question, context] * (times - 1)])


def repeat_prompt(context: str, question: str, *, times: int = 2, separator: str = "\n") -> str:
    """Context and question, so often: "C Q C Q" for 2.

    Raises:
        ValueError: less than once.
    """
    repeated = repeat_context(context, question, times=times, separator=separator)
    return f"{repeated}{separator}{question}"


def cut_around(
    context: str, answer: str, longest: int, pieces: Sequence[str] | None = None
) -> tuple[str, bool]:
    """At most so many pieces of a context, whole ones, with the answer in their middle.

    Where the answer stands near an end of the context, more is kept on its other side. Its first
    occurrence counts; without one, or without an answer, the beginning is kept. Of an answer
    that is longer than `longest` its beginning is kept.

    Args:
        context: the whole document.
        answer: what is asked for, as it stands in the context.
        longest: pieces to keep.
        pieces: the context in pieces, such as the texts of its tokens; by default its words, each
            with the white space behind it.

    Returns:
        The context as it was where it is no longer; and whether the answer was found.

    Raises:
        ValueError: `longest` below 1, or pieces that do not make up the context.
    """
    if longest < 1:
        raise ValueError(f"longest is {longest}, but must be >= 1")
    if pieces is None:
        indent = context[: len(context) - len(context.lstrip())]
        words = _WORD.findall(context)
        pieces = [indent + words[0], *words[1:]] if words else [context]
    ends = list(accumulate(map(len, pieces)))
    if "".join(pieces) != context:
        raise ValueError("the pieces, put together, are not the context that is to be cut")
    place = context.find(answer) if answer else -1
    if len(pieces) <= longest:
        return context, place >= 0
    if place < 0:
        return "".join(pieces[:longest]), False
    first = next(number for number, end in enumerate(ends) if end > place)
    last = next(number for number, end in enumerate(ends) if end >= place + len(answer))
    around = max(longest - (last + 1 - first), 0)
    begin = min(max(first - around // 2, 0), len(pieces) - longest)
    return "".join(pieces[begin : begin + longest]), True
