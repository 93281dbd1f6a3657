"""Names in many languages: those of the Common Locale Data Repository, as the package babel has it.

Countries, languages, scripts, currencies, units, months and days: short, but the same in each
language, translated by people, and on every machine. The licence is Unicode's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

from operators.corpus.language_codes import read_language

SCHEME = "cldr://"
KINDS = ("territories", "languages", "scripts", "variants", "currencies")
# Of the English names, so many a language must have to be taken without being asked for.
LEAST_SHARE = 0.85


class CldrSource:
    """`cldr://names`: a row a name, a column a language."""

    def __init__(self, url: str) -> None:
        if url.removeprefix(SCHEME).strip("/") not in ("", "names"):
            raise ValueError(f'"{url}" is not known; write cldr://names')
        self.url = url

    def hashes(self) -> Mapping[str, str]:
        """The version of the data; they come with the package."""
        return {self.url: f"babel {metadata.version('babel')}"}

    def columns_by_language(self, languages: Sequence[str] | None) -> Mapping[str, list[str]]:
        """Language -> its names, with "" where it has none.

        Args:
            languages: those to take; None is every language that has 85 % (>=) of the names that
                English has.

        Raises:
            ValueError: if a language that is asked for is not there.
        """
        from babel import Locale
        from babel.localedata import locale_identifiers

        english = dict(_names(Locale("en")))
        found: dict[str, list[str]] = {}
        for identifier in sorted(locale_identifiers()):
            if "_" in identifier:
                continue
            name = _language(identifier)
            if name in found or (languages is not None and name not in languages):
                continue
            names = dict(_names(Locale.parse(identifier)))
            rows = [names.get(key, "") for key in english]
            if languages is not None or sum(map(bool, rows)) >= LEAST_SHARE * len(rows):
                found[name] = rows
        missing = [name for name in languages or () if name not in found]
        if missing:
            raise ValueError(
                f'the source "{self.url}" has no {", ".join(missing)}; it has the languages of '
                "the Common Locale Data Repository, written like eng_Latn"
            )
        return found


def _names(locale: Any) -> Iterator[tuple[tuple[str, str], str]]:
    for kind in KINDS:
        for code, name in getattr(locale, kind).items():
            yield (kind, str(code)), str(name)
    for kind in ("months", "days"):
        for number, name in getattr(locale, kind)["format"]["wide"].items():
            yield (kind, str(number)), str(name)
    for unit, name in locale.unit_display_names.items():
        long = name.get("long") if isinstance(name, Mapping) else name
        if long:
            yield ("units", str(unit)), str(long)


def _language(identifier: str) -> str:
    """ISO 639-3 and the script that the language is mostly written in, as FLORES has it."""
    from babel.core import get_global

    read = read_language(identifier)
    likely = get_global("likely_subtags").get(identifier, "").split("_")
    script = next((part for part in likely if len(part) == 4), "Zyyy")
    return f"{read.code}_{script}"
