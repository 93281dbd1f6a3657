"""What each language pays in tokens for the same content, under its own tokenizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from stages.contract import Artifact, Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import METRICS
from stages.tokenizer_sweep import languages_of, with_places

# Of a measure: what was measured, beside the columns that every metric has.
MEASURED = pa.schema(
    [
        *METRICS,
        ("algorithm", pa.string()),
        ("pretokenizer", pa.string()),
        ("asked", pa.int64()),
        ("vocab_size", pa.int64()),
    ]
)
# Premiums are drawn of so many groups of tokenizers, the last ones.
MOST_FIGURES = 6
REFERENCE = Field("eng_Latn", description="the language that others are compared with")


class Premiums(Stage):
    """Corpus token counts (CTC) of each language under its own tokenizers, and premiums.

    The sentences of a language are joined with single spaces and encoded as one text (Petrov et al.
    2023). The token premium is the count over that of the reference under the reference's tokenizer
    of the same algorithm, pre-tokenizer and size asked for, or, where each language has one size of
    its own, at these sizes. Premiums mean nothing where sentences do not translate each other, so
    every language must have the same ones.
    """

    word = "tokenizer.premiums"

    class Config(StageConfig):
        reference: str = REFERENCE

    inputs = {
        "tokenizers": Input(Kind.TOKENIZERS, "of tokenizer.sweep"),
        "parallel": Input(Kind.DOCUMENTS, "sentences; those that translate each other share group"),
    }
    outputs = {"measures": Output(Kind.METRICS, "a row a tokenizer and measure; id: the language")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        tokenizers: Artifact = inputs["tokenizers"]
        languages = languages_of(tokenizers)
        self._check_parallel(inputs["parallel"], languages)
        made = context.shuffle(
            tokenizers, self.placed, "place", self.measured, partitions=max(1, len(languages))
        )
        counts = pa.concat_tables(made.tables()).to_pylist()
        groups = _groups(counts)
        base = {
            group: row
            for row, group in zip(counts, groups, strict=True)
            if row["id"] == self.config.reference
        }
        rows = []
        for row, group in zip(counts, groups, strict=True):
            there = base.get(group)
            values = {
                "tokens": float(row["tokens"]),
                "bytes_per_token": row["bytes"] / row["tokens"],
                "token_premium": row["tokens"] / there["tokens"] if there else None,
                "byte_premium": row["bytes"] / there["bytes"] if there else None,
            }
            where = {name: row[name] for name in ("id", "algorithm", "pretokenizer", "asked",
                                                  "vocab_size")}  # fmt: skip
            where |= {"weight": float(row["tokens"]), "group": group}
            rows += [
                where | {"metric": name, "value": value}
                for name, value in values.items()
                if value is not None
            ]
        outputs["measures"].write(pa.Table.from_pylist(rows, MEASURED))
        context.metric("languages", len(languages))
        context.metric("tokenizers", len(counts))
        self._draw(rows, context)

    def placed(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        """The tokenizers with the number of their language."""
        return with_places(rows, languages_of(inputs["tokenizers"]))

    def measured(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        """Tokens of one language's sentences under each of its tokenizers."""
        from operators.tokenization import TokenizerModel
        from operators.tokenization.tokenizer import Tokenizer

        languages = rows.column("language").unique().to_pylist()
        texts = {name: _joined(inputs["parallel"], name) for name in languages}
        made = []
        for row in rows.to_pylist():
            text = texts[row["language"]]
            tokenizer = Tokenizer(TokenizerModel.from_json(row["model"]))
            made.append(
                {
                    "id": row["language"],
                    "algorithm": row["algorithm"],
                    "pretokenizer": row["pretokenizer"],
                    "asked": row["asked"],
                    "vocab_size": row["vocab_size"],
                    "tokens": len(tokenizer.encode_arrays([text], threads=1).ids),
                    "bytes": len(text.encode()),
                }
            )
        return pa.Table.from_pylist(
            made,
            pa.schema(
                [
                    *(f for f in MEASURED if f.name not in ("metric", "value", "weight", "group")),
                    ("tokens", pa.int64()),
                    ("bytes", pa.int64()),
                ]
            ),
        )

    def _check_parallel(self, parallel: Artifact, languages: Sequence[str]) -> None:
        groups: dict[str, set[str]] = {}
        for batch in parallel.batches():
            columns = batch.select(["language", "group"]).to_pydict()
            for language, group in zip(columns["language"], columns["group"], strict=True):
                groups.setdefault(language, set()).add(group)
        missing = sorted(set(languages) - set(groups))
        if missing:
            raise ValueError(f"there are no sentences to measure {', '.join(missing)} on")
        if self.config.reference not in languages:
            raise ValueError(
                f"the reference {self.config.reference} has no tokenizer; there are those of "
                f"{', '.join(languages)}"
            )
        wanted = groups[self.config.reference]
        for language in languages:
            other = groups[language] ^ wanted
            if other:
                raise ValueError(
                    f"the sentences of {language} do not translate those of "
                    f"{self.config.reference}: {len(other)} groups are in one of them only, such "
                    f'as "{min(map(str, other))}"'
                )

    def _draw(self, rows: Sequence[Mapping[str, Any]], context: Context) -> None:
        from operators.plotting import bars_by_language

        shown: dict[str, dict[str, float]] = {}
        for row in rows:
            if row["metric"] == "token_premium":
                shown.setdefault(row["group"], {})[row["id"]] = row["value"]
        for group in list(shown)[-MOST_FIGURES:]:
            context.figure(
                "premiums " + "".join(c if c.isalnum() or c in "-_" else " " for c in group),
                bars_by_language(
                    dict(sorted(shown[group].items(), key=lambda item: item[1])),
                    title=f"Token premium: {group}",
                    ylabel="tokens for the same content, relative",
                    reference_line=1.0,
                ),
            )


def counts_of(measures: Artifact, algorithm: str, pretokenizer: str) -> list[dict[str, Any]]:
    """The token counts of `tokenizer.premiums` for one algorithm and pre-tokenizer.

    Raises:
        ValueError: if there are none, naming what there is.
    """
    table = measures.table()
    if "asked" not in table.column_names:
        raise ValueError("these are no measures of tokenizer.premiums: they name no vocabulary")
    rows = [row for row in table.to_pylist() if row["metric"] == "tokens"]
    wanted = [
        row for row in rows if (row["algorithm"], row["pretokenizer"]) == (algorithm, pretokenizer)
    ]
    if not wanted:
        there = sorted({f"{row['algorithm']} {row['pretokenizer']}" for row in rows})
        raise ValueError(
            f"there are no measures of {algorithm} {pretokenizer}, only of {', '.join(there)}"
        )
    return wanted


def _groups(counts: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each count, in words, the tokenizers of other languages that it is compared with."""
    sizes: dict[str, dict[str, set[int]]] = {}
    for row in counts:
        kind = f"{row['algorithm']} {row['pretokenizer']}"
        sizes.setdefault(kind, {}).setdefault(row["id"], set()).add(row["asked"])
    found = []
    for row in counts:
        kind = f"{row['algorithm']} {row['pretokenizer']}"
        one_each = all(len(asked) == 1 for asked in sizes[kind].values())
        different = len(set.union(*sizes[kind].values())) > 1
        size = "sizes of their own" if one_each and different else f"{row['asked']} ids"
        found.append(f"{kind} {size}")
    return found


def _joined(parallel: Artifact, language: str) -> str:
    """The sentences of a language in the order of their rows, with single spaces between."""
    import pyarrow.compute as pc

    texts: list[str] = []
    for batch in parallel.batches():
        mine = pc.equal(batch.column("language"), language)
        texts += batch.column("text").filter(mine).to_pylist()
    return " ".join(text.rstrip("\r\n") for text in texts)
