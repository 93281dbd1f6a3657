"""Sections of a DAG file, read value by value; what is wrong is noted with its line and a cure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.located import Located, Unset, Where, nearest

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|min|h|d)?")
_SECONDS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86400}
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*(%)?")


class Sections:
    """Reads values of the mappings in a file."""

    def __init__(self, located: Located) -> None:
        self.located = located

    def duration(self, body: Mapping[str, Any], where: Where, key: str) -> float | None:
        """Seconds; None where nothing is given."""
        given = body.get(key)
        if given is None:
            return None
        match = None if isinstance(given, bool) else _DURATION.fullmatch(str(given))
        seconds = float(match.group(1)) * _SECONDS[match.group(2) or "s"] if match else 0.0
        if not seconds > 0:
            self.wrong((*where, key), "a time such as 90s, 20min or 2h", given)
            return None
        return seconds

    def share(self, body: Mapping[str, Any], where: Where, key: str, default: float) -> float:
        """A share from 0 to 1."""
        given = body.get(key, default)
        match = None if isinstance(given, bool) else _SHARE.fullmatch(str(given))
        share = float(match.group(1)) / (100 if match.group(2) else 1) if match else -1.0
        if not 0 <= share <= 1:
            self.wrong((*where, key), "a share from 0 to 1, or such as 0.1%", given)
            return default
        return share

    def choice(self, body: Mapping[str, Any], where: Where, key: str, known: Sequence[str]) -> str:
        """One of some words, the first by default."""
        given = body.get(key, known[0])
        if given not in known:
            self.wrong((*where, key), " or ".join(f'"{word}"' for word in known), given)
            return known[0]
        return str(given)

    def mapping(self, body: Mapping[str, Any], where: Where, key: str) -> dict[str, Any]:
        value = body.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.wrong((*where, key), "a mapping", value)
            return {}
        return value

    def integer(self, body: Mapping[str, Any], where: Where, key: str, default: int) -> int:
        value = body.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self.wrong((*where, key), "a whole number of 0 or more", value)
            return default
        return value

    def amount(self, body: Mapping[str, Any], where: Where, key: str, default: float) -> float:
        value = body.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
            self.wrong((*where, key), "a number of 0 or more", value)
            return default
        return float(value)

    def only_known(self, body: Mapping[str, Any], where: Where, known: Sequence[str]) -> None:
        for key in body:
            if key not in known:
                problem = f'unknown key "{key}"'
                self.located.mistake((*where, key), problem, nearest(key, known))

    def wrong(self, where: Where, wanted: str, found: Any) -> None:
        if isinstance(found, Unset):
            return  # said already
        problem = f"should be {wanted}, and is {describe(found)}"
        self.located.mistake(where, problem, value=True)


def describe(value: Any) -> str:
    """A value as an error shows it: the value, shortened, and what it is."""
    if value is None:
        return "empty"
    kind = {dict: "a mapping", list: "a list", str: "text", bool: "true or false"}.get(type(value))
    shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
    return f"{shown} ({kind})" if kind else shown
