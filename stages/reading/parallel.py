"""Row-aligned translations: one table with a column a language, or one text file a language."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from stages.reading.files import FileSource
from stages.reading.streams import COMPRESSIONS, opened, plain_name

TABLES = (".parquet", ".arrow", ".feather", ".csv", ".tsv", ".jsonl", ".ndjson")
LINES = (".txt", ".dev", ".devtest", ".test", ".train")
_LANGUAGE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")


class ParallelSource(FileSource):
    """Files of translations: tables, and texts named by their language (`eng_Latn.dev`)."""

    endings = (*TABLES, *LINES, *(name + ending for name in LINES for ending in COMPRESSIONS))

    def columns_by_language(self, languages: Sequence[str] | None) -> Mapping[str, list[str]]:
        """Language -> its rows, with "" where a row is missing.

        Args:
            languages: those to take; None is every column or file whose name is a language with
                its script, such as eng_Latn.

        Raises:
            ValueError: if files hold different numbers of rows, two hold one language, there is
                none, or one that is asked for is missing.
        """
        found: dict[str, list[str]] = {}
        places: dict[str, str] = {}
        for path in self._infos():
            address = self._address(path)
            with opened(self._filesystem, path) as stream:
                for name, rows in _read(address, stream).items():
                    if not (name in languages if languages else _LANGUAGE.fullmatch(name)):
                        continue
                    if name in found:
                        raise ValueError(f"{name} is in both {places[name]} and {address}")
                    found[name], places[name] = rows, address
        missing = [name for name in languages or () if name not in found]
        if missing or not found:
            wanted = ", ".join(missing) or "a name such as eng_Latn"
            raise ValueError(
                f'the source "{self.url}" has no column or file for {wanted}; found: '
                f"{', '.join(sorted(found)) or 'none'}; name others with `languages`"
            )
        first = next(iter(found))
        for name, rows in found.items():
            if len(rows) != len(found[first]):
                raise ValueError(
                    f"{name} ({places[name]}) has {len(rows)} rows, but {first} "
                    f"({places[first]}) has {len(found[first])}: rows must translate each other"
                )
        return found


def _read(address: str, stream: Any) -> Mapping[str, list[str]]:
    import polars as pl

    name = plain_name(address)
    if name.endswith(LINES):
        # By line feeds only: other line ends of Unicode can be inside of a sentence.
        text = stream.read().decode("utf-8")
        lines = text.removesuffix("\n").split("\n")
        language = PurePosixPath(name).name.partition(".")[0]
        return {language: [line.rstrip("\r") for line in lines] if text else []}
    if name.endswith(".parquet"):
        table = pl.read_parquet(stream.read())
    elif name.endswith((".arrow", ".feather")):
        table = pl.read_ipc(stream.read())
    elif name.endswith((".jsonl", ".ndjson")):
        table = pl.read_ndjson(stream.read())
    else:
        separator = "\t" if name.endswith(".tsv") else ","
        table = pl.read_csv(stream.read(), separator=separator, infer_schema=False)
    return {
        column: table[column].fill_null("").to_list()
        for column in table.columns
        if table[column].dtype == pl.String
    }
