"""A page of a report, from its template, as text or as one HTML file."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib import resources
from typing import Any


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


def report_files(page: Mapping[str, Any], figures: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """`report.md`, `report.html` and the figures, as rows of a report."""
    inlined = {name: base64.b64encode(png).decode() for name, png in figures.items()}
    files = [
        ("report.md", "text/markdown", render("report.md.j2", page).encode()),
        ("report.html", "text/html",
         render("report.html.j2", {**page, "figures": inlined}).encode()),
        *((f"{name}.png", "image/png", png) for name, png in figures.items()),
    ]  # fmt: skip
    return [{"id": n, "media_type": t, "content": c} for n, t, c in files]
