"""Texts that hold what models are to be evaluated on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from stages.contract import (
    Context,
    Field,
    Input,
    Kind,
    Output,
    RowStage,
    StageConfig,
)


class Decontaminate(RowStage):
    """Drop documents that repeat texts of an evaluation set, by n-grams of words.

    After the rule of GPT-3 (Brown et al. 2020, appendix C). Words are compared in lower case and
    without punctuation. Every document that is dropped has the share of its words that stand in
    the evaluation texts, too, and the id of one of these in `found_in`.
    """

    word = "corpus.decontaminate"

    class Config(StageConfig):
        ngram: int = Field(13, ge=1, description="words in an n-gram")
        shortest: int = Field(
            8,
            ge=1,
            description="an evaluation text of fewer words than `ngram`, and at least these, is an "
            "n-gram itself; shorter ones are not looked for",
        )
        max_share: float = Field(
            0.0,
            ge=0,
            lt=1,
            description="share of the words in n-grams of the evaluation set; more (>): dropped",
        )

    inputs = {
        "documents": Input(Kind.DOCUMENTS, "documents to train on"),
        "heldout": Input(Kind.DOCUMENTS, "texts of the evaluation set"),
    }
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "the rows that are kept, as they were"),
        "dropped": Output(Kind.DROPPED, "the rows that are not: contaminated"),
    }

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        from operators.corpus import ngram_index

        held = inputs["heldout"].table().select(["id", "text"]).sort_by("id")
        self._ids = held["id"]
        self._index = ngram_index(
            held["text"], ngram=self.config.ngram, shortest=self.config.shortest
        )
        if held.num_rows and self._index.too_short == held.num_rows:
            raise ValueError(
                f"none of the {held.num_rows} evaluation texts has "
                f"{min(self.config.shortest, self.config.ngram)} words; lower `shortest`"
            )

    def apply(self, rows: pa.Table, context: Context) -> Mapping[str, pa.Table]:
        from operators.corpus import ngram_overlap

        shares, owners = ngram_overlap(rows["text"], self._index)
        found = shares > self.config.max_share
        gone = rows.filter(pa.array(found))
        return {
            "documents": rows.filter(pa.array(~found)),
            "dropped": pa.table(
                {
                    "id": gone["id"],
                    "source": gone["source"],
                    "reason": pa.array(["contaminated"] * gone.num_rows, pa.string()),
                    "value": shares[found],
                    "text": gone["text"],
                    "found_in": self._ids.take(pa.array(owners[found])),
                }
            ),
        }
