"""The language of documents, and their sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pyarrow as pa

from stages.contract import Context, Field, Input, Kind, Output, RowStage, StageConfig
from stages.kinds import DOCUMENTS


class Language(RowStage):
    """Write into each document which language and script it is in, by a model in a package.

    The model is py3langid's (140 languages). Nothing is dropped: `corpus.select` can, by
    `languages` and by the signal `language_score`.
    """

    word = "corpus.language"
    conserves = ("documents", ("documents",))
    libraries = ("py3langid",)

    class Config(StageConfig):
        replace: Literal["all", "unknown"] = Field(
            "all", description="unknown: a language that the source gave (not und) stays"
        )
        min_score: float = Field(
            0.0, ge=0, le=1, description="a lower (<) score gives the language und"
        )
        max_characters: int = Field(
            1000,
            ge=20,
            description="characters looked at: half from the beginning, half from the middle",
        )

    inputs = {"documents": Input(Kind.DOCUMENTS, "documents")}
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "the same rows, with their language"),
        "scores": Output(Kind.SIGNALS, "language_score and the language found, a row a document"),
    }

    def apply(self, rows: pa.Table, context: Context) -> Mapping[str, pa.Table]:
        from operators.corpus.language_identification import UNKNOWN, identify_languages

        config = self.config
        found = identify_languages(
            rows.column("text").to_pylist(), max_characters=config.max_characters
        )
        languages = []
        for before, identified in zip(rows.column("language").to_pylist(), found, strict=True):
            code, _, script = identified.language.partition("_")
            if config.replace == "unknown" and before and before.partition("_")[0] != UNKNOWN:
                languages.append(before)
            elif identified.score < config.min_score:
                languages.append(f"{UNKNOWN}_{script}")
            else:
                languages.append(f"{code}_{script}")
        at = rows.schema.get_field_index("language")
        new = rows.set_column(at, rows.schema.field(at), pa.array(languages, pa.string()))
        scores = pa.table(
            {
                "id": rows.column("id"),
                "language_score": pa.array([each.score for each in found], pa.float64()),
                "language": pa.array([each.language for each in found], pa.string()),
            }
        )
        return {"documents": new, "scores": scores}


class Sentences(RowStage):
    """Cut documents into sentences: one row a sentence, with an id that says where it came from.

    Sentence 12 of the document `novel.txt` is the row `novel.txt#s12`, counted from 1. Its `group`
    is the document's id, and its `source` the document's.
    """

    word = "corpus.sentences"
    expands = True

    class Config(StageConfig):
        min_chars: int = Field(1, ge=1, description="shorter (<) sentences are left out, counted")
        max_chars: int | None = Field(
            None, ge=1, description="longer (>) sentences are left out, counted; default none"
        )

    inputs = {"documents": Input(Kind.DOCUMENTS, "documents; their language chooses the rules")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "one row a sentence, in reading order")}

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.alignment import split_sentences

        config = self.config
        made: list[dict[str, Any]] = []
        for row in rows.to_pylist():
            for number, sentence in enumerate(
                split_sentences(row["text"], row["language"] or "und"), start=1
            ):
                if len(sentence) < config.min_chars:
                    context.count("left_out_short", 1)
                elif config.max_chars is not None and len(sentence) > config.max_chars:
                    context.count("left_out_long", 1)
                else:
                    made.append(
                        {
                            "id": f"{row['id']}#s{number}",
                            "text": sentence,
                            "language": row["language"],
                            "source": row["source"],
                            "group": row["id"],
                            "edits": row["edits"],
                        }
                    )
        context.count("sentences", len(made))
        return pa.Table.from_pylist(made, DOCUMENTS)
