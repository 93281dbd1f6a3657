"""Ready-made bitext from the files that translators use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import field_validator

from stages.contract import Context, Field, Kind, Output, Sink, Stage
from stages.corpus import Reading
from stages.kinds import BITEXT
from stages.quarantine import Quarantine, Written
from stages.reading.bitext_files import BitextSource, Wanted
from stages.reading.records import Bad, Columns


class Bitext(Stage):
    """Read bitext from gettext PO and MO, TMX and XLIFF files: one row a translated unit.

    Languages are matched by what they mean: en, en-US and eng_Latn are one. A unit without both
    languages, or not translated, is in `dropped` with its reason.
    """

    word = "corpus.bitext"
    libraries = ("polib",)

    class Config(Reading):
        sources: list[str] = Field(
            min_length=1,
            description="files and globs on any filesystem: po, mo, tmx, xlf, xliff, also with gz, "
            "bz2, xz, zst behind",
        )
        source_language: str = Field(
            "eng_Latn", description="language of the source side; of gettext files: of the msgids"
        )
        target_language: str = Field(description="language of the target side, such as deu_Latn")
        fuzzy: bool = Field(
            False, description="whether gettext entries that await a translator's look are taken"
        )
        max_bad_fraction: float = Field(
            1.0, ge=0, le=1, description="of what was found; a larger (>) bad share fails the stage"
        )

        @field_validator("source_language", "target_language")
        @classmethod
        def _names_a_language(cls, name: str) -> str:
            from operators.corpus.language_codes import read_language

            read_language(name)
            return name

    outputs = {
        "bitext": Output(Kind.BITEXT, "one row a unit; its group is the file, its score null"),
        "dropped": Output(Kind.DROPPED, "units and files that gave no pair, with the reason"),
    }

    def sources(self) -> Mapping[str, str]:
        hashes: dict[str, str] = {}
        for url in self.config.sources:
            hashes.update(self._source(url).hashes())
        return hashes

    def _source(self, url: str) -> BitextSource:
        return BitextSource(url, Columns(), self.config.max_files, self.config.limits())

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.corpus.language_codes import read_language

        config = self.config
        wanted = Wanted(
            read_language(config.source_language), read_language(config.target_language),
            config.fuzzy,
        )  # fmt: skip
        written = Written(outputs["bitext"], BITEXT, config.shard_rows)
        quarantine = Quarantine(outputs["dropped"], config)
        for url in config.sources:
            for found in self._source(url).pairs(wanted):
                if isinstance(found, Bad):
                    quarantine.add(found)
                    continue
                written.add(
                    {
                        "id": found.id,
                        "group": found.source,
                        "source_language": config.source_language,
                        "target_language": config.target_language,
                        "source_text": found.source_text,
                        "target_text": found.target_text,
                        "source_sentences": [],
                        "target_sentences": [],
                        "score": None,
                        "edits": [],
                    },
                    len(found.source_text) + len(found.target_text),
                )
                if written.rows % config.shard_rows == 0:
                    context.progress(written.rows, unit="pairs")
        quarantine.end(written.rows, context)
        written.end()
        context.metric("pairs", written.rows)
