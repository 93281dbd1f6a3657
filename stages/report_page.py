"""A page of a report, from its template, as text or as one HTML file."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol


class Draw(Protocol):
    """Draws a figure, as PNG, in one shape or the other."""

    def __call__(self, *, narrow: bool) -> bytes: ...


@dataclass(frozen=True)
class Figure:
    """One figure in two shapes, as PNG: `wide` for a screen and for print, `narrow` for a phone."""

    wide: bytes
    narrow: bytes

    @classmethod
    def drawn(cls, draw: Draw) -> Figure:
        return cls(draw(narrow=False), draw(narrow=True))


def slug(name: str) -> str:
    """A metric name that MLflow takes."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in name)


def render(template: str, page: Mapping[str, Any]) -> str:
    """A template of this package, filled in; HTML is escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    source = (resources.files("stages") / "templates" / template).read_text(encoding="utf-8")
    return environment.from_string(source).render(page)


def report_files(page: Mapping[str, Any], figures: Mapping[str, Figure]) -> list[dict[str, Any]]:
    """`report.md`, `report.html` and the wide figures, as rows of a report.

    The HTML file holds both shapes of a figure, and shows the one that fits.
    """
    inlined = {
        name: {
            "wide": base64.b64encode(figure.wide).decode(),
            "narrow": base64.b64encode(figure.narrow).decode(),
        }
        for name, figure in figures.items()
    }
    files = [
        ("report.md", "text/markdown", render("report.md.j2", page).encode()),
        ("report.html", "text/html",
         render("report.html.j2", {**page, "figures": inlined}).encode()),
        *((f"{name}.png", "image/png", figure.wide) for name, figure in figures.items()),
    ]  # fmt: skip
    return [{"id": n, "media_type": t, "content": c} for n, t, c in files]
