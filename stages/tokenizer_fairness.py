"""Whether other vocabularies made languages more equal: a test of variances, and a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import METRICS, REPORT
from stages.tokenizer import SMALLEST, Algorithm
from stages.tokenizer_premiums import REFERENCE, counts_of

if TYPE_CHECKING:
    from operators.tokenization.fair_sizes import VarianceTest
    from operators.tokenization.paired_variances import PairedVarianceTest


class Fairness(Stage):
    """Whether sizes fitted per language made languages more equal than one size for all.

    With `fitted_algorithm` and `fitted_at_size`: whether another algorithm did. The variance of CTC
    across languages before over that after, with a two-sided F test as Arnett et al. 2025 report
    it, and the interval of its logarithm. The same languages are in both, which the F test does not
    use: `paired_log_f` has the interval of the test for pairs (Pitman and Morgan 1939). Only a
    p-value below `alpha` is called a fall.
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
        before = _by_language(uniform, "uniform", "at_size")
        fitted = counts_of(
            inputs["fitted"], config.fitted_algorithm or config.algorithm, config.pretokenizer
        )
        after = _by_language(
            [row for row in fitted if config.fitted_at_size in (None, row["asked"])],
            "fitted",
            "fitted_at_size",
        )
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
        paired = self._paired(languages, before, after)
        if paired is not None:
            values |= {
                "paired_log_f": paired.log_ratio,
                "paired_log_f_low": paired.low,
                "paired_log_f_high": paired.high,
                "paired_p_value": paired.p_value,
            }
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
        told = self._told(test, paired, languages, before, after, clamped, values)
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

    def _paired(
        self,
        languages: Sequence[str],
        before: Mapping[str, Mapping[str, Any]],
        after: Mapping[str, Mapping[str, Any]],
    ) -> PairedVarianceTest | None:
        """The test that takes the languages as pairs; None where there is nothing to test."""
        from operators.tokenization.paired_variances import paired_variance_test

        counts = [[rows[name]["value"] for name in languages] for rows in (before, after)]
        if len(languages) < 3 or any(len(set(sample)) == 1 for sample in counts):
            return None
        return paired_variance_test(counts[0], counts[1], 1 - self.config.alpha)

    def _after(self) -> str:
        """What `fitted` is, in words."""
        config = self.config
        said = [config.fitted_algorithm] if config.fitted_algorithm else []
        size = f"{config.fitted_at_size:,} ids each" if config.fitted_at_size else "fitted sizes"
        return ", ".join([*said, size])

    def _told(
        self,
        test: VarianceTest,
        paired: PairedVarianceTest | None,
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
        if paired is not None:
            lines += [
                "The F test takes the two for independent. As pairs, since the same languages are "
                f"in both (correlation {paired.correlation:.2f}; Pitman and Morgan), **"
                f"{_paired_verdict(paired, config.alpha)}**: ln of the ratio of variances "
                f"{paired.log_ratio:.3g}, {1 - config.alpha:.0%} interval {paired.low:.3g} to "
                f"{paired.high:.3g}, p = {paired.p_value:.3g}.",
                "",
            ]
        if clamped:
            lines += [
                f"{len(clamped)} of {len(languages)} sizes were clamped, to what the text supports "
                f"or the bounds allow, and miss the target: {', '.join(sorted(clamped))}.",
                "",
            ]
        lines += [
            f"| language | {config.at_size:,} ids each: tokens | ids "
            f"| {self._after()}: tokens | ids |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {name}{' (clamped)' if name in clamped else ''} | {before[name]['value']:,.0f} | "
            f"{before[name]['vocab_size']:,} | {after[name]['value']:,.0f} | "
            f"{after[name]['vocab_size']:,} |"
            for name in languages
        ]
        return "\n".join(lines) + "\n"


def _by_language(
    rows: Sequence[Mapping[str, Any]], where: str, setting: str
) -> dict[str, Mapping[str, Any]]:
    """The one count of each language.

    Raises:
        ValueError: a language has several.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if row["id"] in found:
            sizes = sorted({other["asked"] for other in rows if other["id"] == row["id"]})
            raise ValueError(
                f"{where} has several tokenizers of {row['id']}, of the sizes {sizes}: say with "
                f"{setting} which one"
            )
        found[row["id"]] = row
    return found


def _paired_verdict(paired: PairedVarianceTest, alpha: float) -> str:
    if paired.p_value >= alpha:
        return "it is not shown that variances differ"
    return "variance fell" if paired.log_ratio > 0 else "variance rose"
