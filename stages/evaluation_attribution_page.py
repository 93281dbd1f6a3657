"""What `evaluation.attribution` found, as a page of tokens coloured by their importance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stages.report_page import render

if TYPE_CHECKING:
    from operators.evaluation.reagent import Importance
    from operators.tokenization.byte_tokenizer import ByteTokenizer

# How an importance is made that is measured: found, as the authors draw it, the same one displaced.
METHODS = ("reagent", "random", "shuffled")


@dataclass(frozen=True)
class Example:
    """A place whose next token is explained.

    Attributes:
        id: of the row, and of the place in it.
        group: language or task.
        context: ids before the place, without the begin of text.
        target: the id that is explained.
    """

    id: str
    group: str
    context: list[int]
    target: int


@dataclass(frozen=True)
class Explained:
    """An example with its importance, and the faithfulness of each of `METHODS` by measure."""

    example: Example
    result: Importance
    faithfulness: Mapping[str, Mapping[str, float]]


def metric_of(measure: str, method: str) -> str:
    """The name of a measure of a method: that of ReAGent has no ending."""
    return measure if method == METHODS[0] else f"{measure}_{method}"


def token_text(tokenizer: ByteTokenizer, token: int) -> str:
    """A token as text; parts of characters are question marks."""
    return tokenizer.tokens[token].decode(errors="replace")


def files(
    title: str,
    explained: Sequence[Explained],
    means: Mapping[str, float],
    correlation: float,
    tokenizer: ByteTokenizer,
    *,
    shown: int,
) -> dict[str, tuple[str, bytes]]:
    """Media type and content by name: attribution.html, and a figure of its table.

    Args:
        title: heading.
        explained: in the order in which they are shown, `shown` at most.
        means: of each metric over the examples.
        correlation: of importance with position.
        tokenizer: of the model.
    """
    from operators.evaluation.faithfulness import MEASURES
    from operators.plotting import bar_panels

    table = {
        measure: [means.get(metric_of(measure, method), math.nan) for method in METHODS]
        for measure in MEASURES
    }
    figure = bar_panels(METHODS, table, title="Faithfulness (higher is better)")
    page = {
        "title": title,
        "methods": METHODS,
        "table": {measure: [_written(value) for value in row] for measure, row in table.items()},
        "correlation": _written(correlation),
        "examples": [_shown(each, tokenizer) for each in explained[:shown]],
        "left_out": max(0, len(explained) - shown),
    }
    return {
        "attribution.html": ("text/html", render("attribution.html.j2", page).encode()),
        "faithfulness.png": ("image/png", figure),
    }


def _written(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.3f}"


def _shown(explained: Explained, tokenizer: ByteTokenizer) -> dict[str, Any]:
    example, result = explained.example, explained.result
    highest = float(result.importance.max())
    return {
        "id": example.id,
        "group": example.group,
        "probability": f"{result.probability:.3f}",
        "updates": round(float(result.updates.mean())),
        "stopped": f"{int(result.stopped.sum())} of {len(result.stopped)}",
        "target": token_text(tokenizer, example.target),
        "tokens": [
            (token_text(tokenizer, token), f"{value:.3f}", f"{value / highest:.3f}")
            for token, value in zip(example.context, result.importance, strict=True)
        ],
    }
