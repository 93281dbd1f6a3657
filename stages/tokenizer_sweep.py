"""Many tokenizers at once: words counted once, and all that can be shared is shared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import field_validator, model_validator

from stages.contract import Artifact, Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import PRETOKENS, TOKENIZERS
from stages.tokenizer import SMALLEST, Algorithm, Learning, is_pretokenizer

_COUNTED = pa.schema(
    [
        ("language", pa.string()),
        ("pretokenizer", pa.string()),
        ("pretoken", pa.binary()),
        ("count", pa.int64()),
        ("place", pa.int64()),
    ]
)


class Count(Stage):
    """Count the pretokens of each language, by one or several pre-tokenizers.

    Shards are counted apart, on the workers, and added by language. What learns from these counts
    (`tokenizer.sweep`) does not read the text again.
    """

    word = "tokenizer.count"
    libraries = ("regex",)

    class Config(StageConfig):
        pretokenizers: list[str] = Field(
            ["gpt2"],
            min_length=1,
            description="names or regexes, see tokenizer.train; superbpe wants superbpe-stage2 too",
        )

        @field_validator("pretokenizers")
        @classmethod
        def _are_regexes(cls, names: list[str]) -> list[str]:
            for name in names:
                is_pretokenizer(name)
            if len(set(names)) < len(names):
                raise ValueError("names one pre-tokenizer twice")
            return names

    inputs = {"documents": Input(Kind.DOCUMENTS, "text; its language says which counts are one")}
    outputs = {"counts": Output(Kind.PRETOKENS, "a row a language and pre-tokenizer")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        documents: Artifact = inputs["documents"]
        names = languages_of(documents)
        context.shuffle(
            documents,
            self.counted,
            "place",
            self.added,
            partitions=max(1, len(names)),
            outputs=outputs,
        )
        context.metric("languages", len(names))

    def counted(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        """The pretokens of one shard."""
        from operators.tokenization.pretokenization import count_with_each

        places = {name: place for place, name in enumerate(languages_of(inputs["documents"]))}
        tables = [_COUNTED.empty_table()]
        for language in pc.unique(rows.column("language")).to_pylist():
            texts = rows.filter(pc.equal(rows.column("language"), language)).column("text")
            for counts in count_with_each(texts.to_pylist(), self.config.pretokenizers):
                size = len(counts)
                tables.append(
                    pa.table(
                        [
                            pa.array([language] * size, pa.string()),
                            pa.array([counts.pretokenizer] * size, pa.string()),
                            pa.array(counts.pretokens, pa.binary()),
                            pa.array(counts.counts, pa.int64()),
                            pa.array(np.full(size, places[language], np.int64)),
                        ],
                        schema=_COUNTED,
                    )
                )
        return pa.concat_tables(tables)

    def added(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> Mapping[str, pa.Table]:
        """The counts of one language over all shards."""
        import polars as pl

        sums = (
            pl.DataFrame(rows)
            .group_by("language", "pretokenizer", "pretoken")
            .agg(pl.col("count").sum())
            .sort("language", "pretokenizer", "pretoken")
            .group_by("language", "pretokenizer", maintain_order=True)
            .agg(pretokens=pl.col("pretoken"), counts=pl.col("count"))
            .with_columns(id=pl.concat_str("language", "pretokenizer", separator=" "))
        )
        table = sums.select(PRETOKENS.names).to_arrow().cast(PRETOKENS)
        context.count("pretokens", sum(map(len, sums["pretokens"])))
        return {"counts": table}


class Sweep(Stage):
    """Train every combination of algorithm, size and pre-tokenizer, for each language.

    Each tokenizer is the one that training it alone gives. Of one language and pre-tokenizer, one
    BPE training holds every smaller size (Arnett et al. 2025 trained some 7,000 one by one).
    Languages are spread over the workers.
    """

    word = "tokenizer.sweep"

    class Config(Learning):
        algorithms: list[Algorithm] = Field(
            ["bpe"], min_length=1, description="see tokenizer.train"
        )
        pretokenizers: list[str] = Field(
            ["gpt2"], min_length=1, description="see tokenizer.train; each must have been counted"
        )
        vocab_sizes: list[int] | None = Field(
            None,
            min_length=1,
            description="sizes of every language's tokenizers; not with the input `sizes`",
        )

        @model_validator(mode="after")
        def _says_each_once(self) -> Sweep.Config:
            for name in ("algorithms", "pretokenizers", "vocab_sizes"):
                values = getattr(self, name) or []
                if len(set(values)) < len(values):
                    raise ValueError(f"{name} names one twice: {values}")
            small = [size for size in self.vocab_sizes or [] if size < SMALLEST]
            if small:
                raise ValueError(
                    f"vocab_sizes has {small[0]}, but must be >= {SMALLEST}: 256 bytes and the "
                    "end of text"
                )
            return self

    inputs = {
        "counts": Input(Kind.PRETOKENS, "of tokenizer.count"),
        "sizes": Input(
            Kind.METRICS, "a vocab_size for each language: tokenizer.fair_sizes", optional=True
        ),
    }
    outputs = {"tokenizers": Output(Kind.TOKENIZERS, "a row a tokenizer")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        if (self.config.vocab_sizes is None) == ("sizes" not in inputs):
            raise ValueError("give either vocab_sizes or the input sizes, not both")
        if "sizes" in inputs:
            self._sizes(inputs)
        counts: Artifact = inputs["counts"]
        languages = languages_of(counts)
        made = context.shuffle(
            counts,
            self.placed,
            "place",
            self.trained,
            partitions=max(1, len(languages)),
            outputs=outputs,
        )
        context.metric("languages", len(languages))
        for name, count in sorted(made.counts.items()):
            context.metric(name, count)

    def placed(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        """The counts with the number of their language."""
        return with_places(rows, languages_of(inputs["counts"]))

    def trained(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> Mapping[str, pa.Table]:
        """All tokenizers of one language."""
        from operators.tokenization import PretokenCounts
        from operators.tokenization.laboratory import train_models

        if not rows.num_rows:
            return {"tokenizers": TOKENIZERS.empty_table()}
        config = self.config
        language = rows.column("language")[0].as_py()
        counts = [
            PretokenCounts(row["pretokenizer"], row["pretokens"], np.array(row["counts"], np.int64))
            for row in rows.to_pylist()
        ]
        sizes = config.vocab_sizes or [self._sizes(inputs)[language]]
        asked = [
            config.tokenizer_config(algorithm, size, pretokenizer)
            for pretokenizer in config.pretokenizers
            for algorithm in config.algorithms
            for size in sizes
        ]
        self._check_counted(language, asked, [each.pretokenizer for each in counts])
        made = [
            {
                "id": f"{language} {each.algorithm} {each.pretokenizer} {each.vocab_size}",
                "language": language,
                "algorithm": each.algorithm,
                "pretokenizer": each.pretokenizer,
                "asked": each.vocab_size,
                "vocab_size": model.vocab_size,
                "model": model.to_json(),
            }
            for each, model in zip(asked, train_models(counts, asked), strict=True)
        ]
        context.count("tokenizers", len(made))
        context.count("below_the_size_asked", sum(row["vocab_size"] < row["asked"] for row in made))
        return {"tokenizers": pa.Table.from_pylist(made, TOKENIZERS)}

    @staticmethod
    def _check_counted(language: str, asked: list[Any], counted: list[str]) -> None:
        wanted = {name for config in asked for name in config.counted}
        missing = sorted(wanted - set(counted))
        if missing:
            raise ValueError(
                f"{language}: pretokens of {', '.join(map(repr, missing))} were not counted, only "
                f"{', '.join(map(repr, counted))}: add to pretokenizers of tokenizer.count"
            )

    @staticmethod
    def _sizes(inputs: Mapping[str, Any]) -> Mapping[str, int]:
        """Language -> vocabulary size, from the input of that name."""
        sizes = {
            row["id"]: int(row["value"])
            for row in inputs["sizes"].table().to_pylist()
            if row["metric"] == "vocab_size"
        }
        missing = sorted(set(languages_of(inputs["counts"])) - set(sizes))
        if missing:
            raise ValueError(f"the input sizes has no vocab_size for {', '.join(missing)}")
        return sizes


def with_places(rows: pa.Table, languages: list[str]) -> pa.Table:
    """Rows with the number of their language in the column `place`."""
    places = pc.index_in(rows.column("language"), pa.array(languages, pa.string()))
    return rows.append_column("place", places.cast(pa.int64()))


def languages_of(rows: Artifact) -> list[str]:
    """The languages that occur, sorted."""
    return sorted({name or "und" for batch in rows.batches()
                   for name in pc.unique(batch.column("language")).to_pylist()})  # fmt: skip
