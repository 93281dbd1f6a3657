"""Semantic change: how far the usages of words in two corpora differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from stages.contract import (
    Context,
    Field,
    Input,
    Kind,
    Output,
    Sink,
    Stage,
    StageConfig,
)
from stages.kinds import METRICS, REPORT
from stages.semantics_usages import MODERN, OLD, USAGES

SENSES = USAGES.append(pa.field("sense", pa.int32())).append(
    pa.field("rank", pa.int32())  # 0 is nearest to the centre of its sense, in its period
)
SHIFTS = (
    METRICS.append(pa.field("low", pa.float64()))
    .append(pa.field("high", pa.float64()))
    .append(pa.field("expected", pa.float64()))  # where usages change their corpus by chance
    .append(pa.field("p_value", pa.float64()))
    .append(pa.field("q_value", pa.float64()))  # of all words (Benjamini and Hochberg 1995)
)


class Shift(Stage):
    """How far each word moved: PRT, APD, senses and their JSD, with intervals and a chance level.

    PRT is the cosine distance of the centroids, APD the mean cosine distance of an old and a modern
    usage. Senses are clusters of all usages; JSD (bits) compares their shares. A permutation test
    says what of it chance would give (Liu et al. 2021).
    """

    word = "semantics.shift"
    libraries = ("scikit-learn", "numpy")

    class Config(StageConfig):
        center: Literal["period", "all", "none"] = Field(
            "period", description="what is taken off each vector: the mean of all usages of its "
            "corpus, so that what sets the corpora apart as a whole is no change of a word; the "
            "mean of all usages; nothing",
        )  # fmt: skip
        standardize: bool = Field(
            False, description="bring each dimension to the same spread: a few of a language "
            "model's rule all cosines (Timkey and van Schijndel 2021)",
        )  # fmt: skip
        max_senses: int = Field(6, ge=1, description="senses of a word at most")
        least_silhouette: float = Field(
            0.05, ge=-1, le=1, description="a worse (<) division into senses is none"
        )
        unit: Literal["usage", "document"] = Field(
            "document", description="what changes its corpus in the test; document needs several "
            "of them in each corpus",
        )  # fmt: skip
        resamples: int = Field(1000, ge=100, description="of the bootstrap, and of the test")
        confidence: float = Field(0.95, gt=0, lt=1, description="of the intervals")
        examples: int = Field(3, ge=1, description="usages of a sense and corpus in the report")
        seed: int = Field(0, ge=0, description="of clusters, bootstrap and test")
        title: str = Field("Semantic change", description="heading of the report")

    inputs = {"usages": Input(Kind.DOCUMENTS, "usages with vectors, of semantics.vectors")}
    outputs = {
        "shift": Output(
            Kind.METRICS,
            "prt, prt_excess, apd, jsd by word (weight: usages); sense_gain by word and sense",
        ),
        "senses": Output(Kind.DOCUMENTS, "usages with their sense, the most typical first"),
        "report": Output(Kind.REPORT, "report.md and the figures"),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from stages.semantics_report import figures, report

        table = inputs["usages"].table()
        if "vector" not in table.column_names:
            raise ValueError('usages have no column "vector"; they come from semantics.vectors')
        if not table.num_rows:
            raise ValueError("there are no usages; lower min_usages of semantics.usages")
        words = list(dict.fromkeys(table.column("word").to_pylist()))
        # By id: what becomes of a word does not depend on the order of its rows.
        table = table.sort_by("id")
        vectors = np.array(table.column("vector").to_pylist(), dtype=np.float64)
        usages = table.select(USAGES.names).to_pylist()
        vectors = self._centred(vectors, [usage["period"] for usage in usages])
        rows: list[dict[str, Any]] = []
        senses: list[dict[str, Any]] = []
        for done, word in enumerate(words, start=1):
            members = [k for k, usage in enumerate(usages) if usage["word"] == word]
            found = self._word(word, [usages[k] for k in members], vectors[members])
            rows += found[0]
            senses += found[1]
            context.progress(done, len(words), "words")
        _correct(rows)
        by_word = {row["id"]: row for row in rows if row["metric"] == "prt"}
        rows += self._frequency(by_word)
        for row in rows:
            for name in ("value", "low", "high", "expected"):
                # Sums of floats may differ in their last bits between BLAS builds.
                row[name] = None if row[name] is None else round(row[name], 9)
        outputs["shift"].write(pa.Table.from_pylist(rows, SHIFTS))
        outputs["senses"].write(pa.Table.from_pylist(senses, SENSES))
        order = {usage["id"]: k for k, usage in enumerate(usages)}
        pictures = figures(rows, senses, {id_: vectors[k] for id_, k in order.items()})
        for name, png in pictures.items():
            context.figure(name, png)
        page = report(self.config.title, rows, senses, self.config.examples, self.config.confidence)
        files = [("report.md", "text/markdown", page.encode())]
        files += [(f"{name}.png", "image/png", png) for name, png in pictures.items()]
        content = [{"id": n, "media_type": t, "content": c} for n, t, c in files]
        outputs["report"].write(pa.Table.from_pylist(content, REPORT))
        context.metric("words", len(words))
        context.metric("words_changed", sum(row["q_value"] <= 0.05 for row in by_word.values()))

    def _centred(self, vectors: Any, periods: Sequence[str]) -> Any:
        parts = [np.ones(len(periods), bool)]
        if self.config.center == "period":
            parts = [np.array([p == period for p in periods]) for period in (OLD, MODERN)]
        if self.config.center != "none":
            vectors = vectors.copy()
            for part in parts:
                vectors[part] -= vectors[part].mean(axis=0)
        if self.config.standardize:
            spread = vectors.std(axis=0)
            vectors = vectors / np.where(spread > 0, spread, 1.0)
        return vectors

    def _word(
        self, word: str, usages: Sequence[Mapping[str, Any]], vectors: Any
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        from operators.semantics import find_senses, measure_shift, sense_distribution

        config = self.config
        is_new = np.array([usage["period"] == MODERN for usage in usages])
        found = find_senses(
            vectors, most=config.max_senses, least_silhouette=config.least_silhouette,
            seed=config.seed,
        )  # fmt: skip
        units = None
        if config.unit == "document":
            units = [usage["document"] for usage in usages]
        measured = measure_shift(
            vectors, is_new, found.labels, units=units, resamples=config.resamples,
            confidence=config.confidence, seed=config.seed,
        )  # fmt: skip
        size = float(len(usages))
        rows = [
            _row(word, name, shift.value, size, low=shift.low, high=shift.high,
                 expected=shift.expected, p_value=shift.p_value)
            for name, shift in measured.items()
        ]  # fmt: skip
        # What is above the level of chance: few usages look far apart by themselves.
        excess = measured["prt"].value - measured["prt"].expected
        rows.append(_row(word, "prt_excess", excess, size))
        rows.append(_row(word, "senses", float(found.count), size))
        rows.append(_row(word, "silhouette", found.silhouette, size))
        shares = [sense_distribution(found.labels[side], found.count) for side in (~is_new, is_new)]
        for sense in range(found.count):
            gain = float(shares[1][sense] - shares[0][sense])
            in_sense = float((found.labels == sense).sum())
            rows.append(_row(word, "sense_gain", gain, in_sense, group=str(sense)))
        order = sorted(
            range(len(usages)),
            key=lambda k: (found.labels[k], usages[k]["period"] == MODERN, found.distances[k], k),
        )
        made: list[dict[str, Any]] = []
        for k in order:
            last = made[-1] if made else None
            sense, period = int(found.labels[k]), usages[k]["period"]
            same = last is not None and (last["sense"], last["period"]) == (sense, period)
            rank = last["rank"] + 1 if last is not None and same else 0
            made.append({**usages[k], "sense": sense, "rank": rank})
        return rows, made

    def _frequency(self, by_word: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        """How PRT goes with the number of usages: near 0 where frequency is not taken for it."""
        from scipy.stats import spearmanr

        values = [[row["value"] for row in by_word.values()],
                  [row["weight"] for row in by_word.values()]]  # fmt: skip
        if len(by_word) < 3 or min(len(set(side)) for side in values) < 2:
            return []
        rank = float(spearmanr(*values).statistic)
        return [_row("all", "prt_usages_correlation", rank, float(len(by_word)))]


def _row(
    word: str, metric: str, value: float, weight: float, *, group: str | None = None, **more: float
) -> dict[str, Any]:
    empty = dict.fromkeys(("low", "high", "expected", "p_value", "q_value"))
    return {"id": word, "metric": metric, "value": value, "weight": weight, "group": group,
            **empty, **more}  # fmt: skip


def _correct(rows: Sequence[dict[str, Any]]) -> None:
    """Set q values: the false discovery rate at which a word counts as changed."""
    for metric in ("prt", "apd", "jsd"):
        tested = sorted((row for row in rows if row["metric"] == metric),
                        key=lambda row: -row["p_value"])  # fmt: skip
        least = 1.0
        for above, row in enumerate(tested):
            least = min(least, row["p_value"] * len(tested) / (len(tested) - above))
            row["q_value"] = least
