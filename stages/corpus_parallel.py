"""Sentences that say the same in many languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationInfo, field_validator

from stages.contract import Context, Field, Kind, Output, Sink, Stage, StageConfig
from stages.corpus import SHARD_ROWS
from stages.kinds import DOCUMENTS, DROPPED
from stages.quarantine import Written
from stages.reading.cldr import SCHEME, CldrSource
from stages.reading.parallel import ParallelSource
from stages.reading.records import Columns


class Parallel(Stage):
    """Read row-aligned translations, such as FLORES: one row a language and sentence.

    Sentence 12 in German is the row `deu_Latn#12`, counted from 1; `group` is its number, the same
    in every language. A sentence that one language lacks is in `dropped`, in all of them.
    """

    word = "corpus.parallel"

    class Config(StageConfig):
        source: str = Field(
            description="a table with a column a language (parquet, arrow, csv, tsv, jsonl), or a "
            "folder or glob of texts, one sentence a line, named by language (eng_Latn.dev); or "
            "cldr://names, what countries, languages, currencies and units are called"
        )
        languages: list[str] | None = Field(
            None, min_length=1, description="columns or files to take; default all like eng_Latn"
        )
        first: int = Field(1, ge=1, description="first row that is taken")
        last: int | None = Field(
            None, ge=1, validate_default=True, description="last row that is taken; default all"
        )
        shard_rows: int = SHARD_ROWS

        @field_validator("last")
        @classmethod
        def _leaves_some(cls, last: int | None, info: ValidationInfo) -> int | None:
            first = info.data.get("first")
            if last is not None and first is not None and last < first:
                raise ValueError(f"must not be below first {first}")
            return last

    outputs = {
        "documents": Output(Kind.DOCUMENTS, "one row a language and sentence"),
        "dropped": Output(Kind.DROPPED, "sentences that are not in every language"),
    }

    def _source(self) -> ParallelSource | CldrSource:
        if self.config.source.startswith(SCHEME):
            return CldrSource(self.config.source)
        return ParallelSource(self.config.source, Columns())

    def sources(self) -> Mapping[str, str]:
        return self._source().hashes()

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        config = self.config
        columns = self._source().columns_by_language(config.languages)
        rows = len(next(iter(columns.values())))
        taken = range(config.first - 1, min(rows, config.last or rows))
        if not taken:
            raise ValueError(f'"{config.source}" has {rows} rows: none from {config.first} on')
        lacking = {
            row: [name for name, texts in columns.items() if not texts[row].strip()]
            for row in taken
        }
        kept = Written(outputs["documents"], DOCUMENTS, config.shard_rows)
        dropped = Written(outputs["dropped"], DROPPED, config.shard_rows)
        for done, (name, texts) in enumerate(columns.items(), start=1):
            for row in taken:
                where = {"id": f"{name}#{row + 1}", "text": texts[row], "source": config.source}
                if lacking[row]:
                    reason = {"reason": "missing_translation", "value": float(len(lacking[row]))}
                    dropped.add(where | reason, len(texts[row]))
                else:
                    kept.add(
                        where | {"language": name, "group": str(row + 1), "edits": []},
                        len(texts[row]),
                    )
            context.progress(done, len(columns), "languages")
        kept.end()
        dropped.end()
        context.metric("languages", len(columns))
        context.metric("sentences", sum(not lacking[row] for row in taken))
