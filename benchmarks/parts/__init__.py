"""Measurements by part of the project: each module has `measure() -> str`, a Markdown section."""
