"""What each language pays in tokens, and vocabularies at which all pay the same.

After Arnett et al. 2025: token counts of a language fall with its vocabulary as a power of the
size; fitted per language, the law says which size gives a common count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
from pydantic import ValidationInfo, field_validator

from stages.contract import Artifact, Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import METRICS, REPORT
from stages.tokenizer import SMALLEST, Algorithm
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


class FairSizes(Stage):
    """The vocabulary size of each language at which all need the same number of tokens.

    Fits log CTC = log a + b log V for each language and solves for the target. Sizes that a text
    was too small for count with what they reached; a size beyond the largest that was tried is an
    extrapolation, and `extrapolated` says so.
    """

    word = "tokenizer.fair_sizes"

    class Config(StageConfig):
        algorithm: Algorithm = Field("bpe", description="of the tokenizers looked at")
        pretokenizer: str = Field("gpt2", description="of the tokenizers looked at")
        target: Literal["median", "reference"] | float = Field(
            "median",
            description="the common count: that of the median language, or of the reference, at "
            "`at_size`; or a number of tokens",
        )
        at_size: int | None = Field(
            None, ge=SMALLEST, description="size asked for that the target is read at; default the "
            "middle one of those tried"
        )  # fmt: skip
        reference: str = REFERENCE
        smallest: int = Field(SMALLEST, ge=SMALLEST, description="no size is below it")
        largest: int = Field(262_144, ge=SMALLEST, description="no size is above it")
        multiple_of: int = Field(1, ge=1, description="sizes are rounded to a multiple")

        @field_validator("target")
        @classmethod
        def _can_be_reached(cls, target: str | float) -> str | float:
            if isinstance(target, float) and target <= 0:
                raise ValueError("must be > 0 tokens")
            return target

        @field_validator("largest")
        @classmethod
        def _leaves_some(cls, largest: int, info: ValidationInfo) -> int:
            smallest = info.data.get("smallest")
            if smallest is not None and largest < smallest:
                raise ValueError(f"must not be below smallest {smallest}")
            return largest

    inputs = {"measures": Input(Kind.METRICS, "of tokenizer.premiums, at two sizes at least")}
    outputs = {"sizes": Output(Kind.METRICS, "vocab_size and the fit, a row a language and value")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.plotting import size_laws
        from operators.tokenization.fair_sizes import choose_target, fair_sizes

        config = self.config
        rows = counts_of(inputs["measures"], config.algorithm, config.pretokenizer)
        asked = sorted({row["asked"] for row in rows})
        at_size = config.at_size or asked[(len(asked) - 1) // 2]
        if at_size not in asked:
            raise ValueError(f"at_size is {at_size}, but the sizes that were tried are {asked}")
        tokens: dict[str, dict[int, float]] = {}
        for row in rows:
            tokens.setdefault(row["id"], {})[row["vocab_size"]] = row["value"]
        # A language that did not reach the largest size asked for has no text for a larger one.
        supported = {
            language: max(of) if max(of) < asked[-1] else config.largest
            for language, of in tokens.items()
        }
        target = choose_target(
            {row["id"]: row["value"] for row in rows if row["asked"] == at_size},
            config.target,
            config.reference,
        )
        chosen = fair_sizes(
            tokens,
            target,
            smallest=config.smallest,
            largest={name: min(size, config.largest) for name, size in supported.items()},
            multiple_of=config.multiple_of,
        )
        made = []
        for language, size in chosen.items():
            values = {
                "vocab_size": float(size.vocab_size),
                "wanted": size.wanted,
                "expected_tokens": size.expected_tokens,
                "clamped": float(size.clamped),
                "extrapolated": float(size.extrapolated),
                "a": size.law.a,
                "b": size.law.b,
                "r_squared": size.law.r_squared,
            }
            made += [
                {"id": language, "metric": name, "value": value, "weight": 1.0,
                 "group": f"{config.algorithm} {config.pretokenizer}"}
                for name, value in values.items()
            ]  # fmt: skip
        outputs["sizes"].write(pa.Table.from_pylist(made, METRICS))
        context.metric("target_tokens", target)
        context.metric("clamped", sum(size.clamped for size in chosen.values()))
        context.metric("extrapolated", sum(size.extrapolated for size in chosen.values()))
        context.metric("smallest_r_squared", min(size.law.r_squared for size in chosen.values()))
        context.figure(
            "size_laws",
            size_laws(
                tokens,
                {name: (size.vocab_size, size.expected_tokens) for name, size in chosen.items()},
                target=target,
                title=f"Tokens by vocabulary size, {config.algorithm}, {config.pretokenizer}",
            ),
        )


class Fairness(Stage):
    """Whether sizes fitted per language made languages more equal than one size for all.

    With `fitted_algorithm` and `fitted_at_size`: whether another algorithm did. The variance of CTC
    across languages before over that after, with a two-sided F test as Arnett et al. 2025 report
    it, and the interval of its logarithm. Only a p-value below `alpha` is called a fall.
    """

    word = "tokenizer.fairness"

    class Config(StageConfig):
        algorithm: Algorithm = Field("bpe", description="of the tokenizers compared")
        pretokenizer: str = Field("gpt2", description="of the tokenizers compared")
        at_size: int = Field(ge=SMALLEST, description="the one size for all, as asked for")
        fitted_algorithm: Algorithm | None = Field(
            None, description="of the tokenizers in `fitted`; default the same"
        )
        fitted_at_size: int | None = Field(
            None, ge=SMALLEST, description="one size for all in `fitted` too, as asked for"
        )
        alpha: float = Field(0.05, gt=0, lt=1, description="level of the test")
        reference: str = REFERENCE
        title: str = Field("Fair vocabularies", description="heading of the report")

    inputs = {
        "uniform": Input(Kind.METRICS, "tokenizer.premiums at one size for all languages"),
        "fitted": Input(Kind.METRICS, "tokenizer.premiums at the fitted sizes"),
        "sizes": Input(Kind.METRICS, "of tokenizer.fair_sizes: which were clamped", optional=True),
    }
    outputs = {
        "report": Output(Kind.REPORT, "report.md and the figure"),
        "measures": Output(Kind.METRICS, "variances and the test; counts a language"),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.plotting import before_and_after
        from operators.tokenization.fair_sizes import variance_test

        config = self.config
        uniform = [
            row
            for row in counts_of(inputs["uniform"], config.algorithm, config.pretokenizer)
            if row["asked"] == config.at_size
        ]
        if not uniform:
            raise ValueError(f"uniform has no tokenizers of the size at_size {config.at_size}")
        before = {row["id"]: row for row in uniform}
        after = {
            row["id"]: row
            for row in counts_of(
                inputs["fitted"],
                config.fitted_algorithm or config.algorithm,
                config.pretokenizer,
            )
            if config.fitted_at_size in (None, row["asked"])
        }
        if set(before) != set(after):
            other = sorted(set(before) ^ set(after))
            raise ValueError(f"{', '.join(other)} are measured at one of uniform and fitted only")
        if config.reference not in before:
            raise ValueError(f"the reference {config.reference} is not among {sorted(before)}")
        clamped = {
            row["id"]
            for row in (inputs["sizes"].table().to_pylist() if "sizes" in inputs else [])
            if row["metric"] == "clamped" and row["value"]
        }
        languages = sorted(before, key=lambda name: before[name]["value"])
        test = variance_test(
            [before[name]["value"] for name in languages],
            [after[name]["value"] for name in languages],
        )
        values = {
            "variance_before": test.variance_before,
            "variance_after": test.variance_after,
            "f": test.f,
            "p_value": test.p_value,
        }
        if 0 < test.f < math.inf:
            values["log_f"] = math.log(test.f)
            values["log_f_low"], values["log_f_high"] = test.log_interval(1 - config.alpha)
        for when, rows in (("before", before), ("after", after)):
            base = rows[config.reference]["value"]
            values[f"largest_premium_{when}"] = max(row["value"] for row in rows.values()) / base
        for name, value in values.items():
            context.metric(name, value)
        context.metric("clamped", len(clamped))
        figure = before_and_after(
            {name: before[name]["value"] for name in languages},
            {name: after[name]["value"] for name in languages},
            labels=(f"{config.at_size:,} ids each", self._after()),
            title="Tokens of the same text, a dot a language",
            ylabel="tokens",
        )
        context.figure("fairness", figure)
        told = self._told(test, languages, before, after, clamped, values)
        files = [
            {"id": "report.md", "media_type": "text/markdown", "content": told.encode()},
            {"id": "fairness.png", "media_type": "image/png", "content": figure},
        ]
        outputs["report"].write(pa.Table.from_pylist(files, REPORT))
        measures = [
            {"id": "all", "metric": name, "value": value, "weight": float(len(languages)),
             "group": "test"}
            for name, value in values.items()
        ]  # fmt: skip
        for when, rows in (("tokens_before", before), ("tokens_after", after)):
            measures += [
                {"id": name, "metric": when, "value": rows[name]["value"], "weight": 1.0,
                 "group": "language"}
                for name in languages
            ]  # fmt: skip
        outputs["measures"].write(pa.Table.from_pylist(measures, METRICS))

    def _after(self) -> str:
        """What `fitted` is, in words."""
        config = self.config
        said = [config.fitted_algorithm] if config.fitted_algorithm else []
        size = f"{config.fitted_at_size:,} ids each" if config.fitted_at_size else "fitted sizes"
        return ", ".join([*said, size])

    def _told(
        self,
        test: Any,
        languages: Sequence[str],
        before: Mapping[str, Mapping[str, Any]],
        after: Mapping[str, Mapping[str, Any]],
        clamped: set[str],
        values: Mapping[str, float],
    ) -> str:
        config = self.config
        if test.p_value >= config.alpha:
            verdict = "the test does not show that variances differ"
        else:
            verdict = "variance fell" if test.f > 1 else "variance rose"
        freedom = ", ".join(map(str, test.degrees_of_freedom))
        lines = [
            f"# {config.title}",
            "",
            f"{len(languages)} languages, {config.algorithm}, {config.pretokenizer}: "
            f"with {self._after()} **{verdict}** (F({freedom}) = {test.f:.3g}, "
            f"p = {test.p_value:.3g}, two-sided; variance of token counts "
            f"{test.variance_before:,.0f} at {config.at_size:,} ids each, "
            f"{test.variance_after:,.0f} with {self._after()}). Largest premium over "
            f"{config.reference}: {values['largest_premium_before']:.2f}, then "
            f"{values['largest_premium_after']:.2f}.",
            "",
        ]
        if clamped:
            lines += [
                f"{len(clamped)} of {len(languages)} sizes were clamped, to what the text supports "
                f"or the bounds allow, and miss the target: {', '.join(sorted(clamped))}.",
                "",
            ]
        lines += [
            "| language | tokens at one size | ids | tokens at the fitted size | ids |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {name}{' (clamped)' if name in clamped else ''} | {before[name]['value']:,.0f} | "
            f"{before[name]['vocab_size']:,} | {after[name]['value']:,.0f} | "
            f"{after[name]['vocab_size']:,} |"
            for name in languages
        ]
        return "\n".join(lines) + "\n"


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
