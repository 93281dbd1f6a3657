"""Measure texts: how their surprisals hang together, and how generated ones degenerate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
from pydantic import field_validator

from stages.compute_settings import WindowSettings
from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.evaluation_means import weighted_means
from stages.evaluation_surprisals import surprisals
from stages.kinds import METRICS
from stages.tokenizer_files import load_tokenizer

if TYPE_CHECKING:
    from operators.evaluation.fractal import PowerLaw

Rows = list[dict[str, Any]]

# What is measured of all documents at once is found under this id.
_ALL = "all documents"

# A document alone has an exponent where it has a value at so many scales.
_FEWEST_SCALES = 3


class Fractal(Stage):
    """Fractal measures of language: Hurst, Joseph and Hölder exponents of a model's surprisals.

    Alabdulmohsin et al. 2024. The surprisals of a document's tokens make a walk; exponents say how
    it spreads with distance. H is told beside that of the same surprisals shuffled, which have no
    memory: what is above it is the text's. No stretch crosses the end of a document.
    """

    word = "evaluation.fractal"
    libraries = ("torch", "transformers")

    class Config(WindowSettings):
        drop: int = Field(
            100, ge=0, description="tokens at the beginning of a document, which lack context"
        )
        smallest: int = Field(
            64, ge=4, description="stretch of the rescaled range to begin with; it is doubled"
        )
        largest: int = Field(4096, ge=8, description="stretch, at most; documents limit it too")
        smallest_step: int = Field(
            4, ge=2, description="distance to begin with for Joseph and Hölder; it is doubled"
        )
        epsilon: float = Field(
            0.05, gt=0, description="Hölder: a step no longer than this ends where it began"
        )
        seed: int = Field(0, description="of the shuffling; each document has a stream of its own")

    inputs = {
        "model": Input(Kind.MODEL, "whose surprisals are taken; it carries its tokenizer"),
        "documents": Input(Kind.DOCUMENTS, "long held-out documents, best of 4,096 tokens or more"),
    }
    outputs = {
        "scores": Output(
            Kind.METRICS,
            "of all documents: pooled_hurst, pooled_hurst_shuffled, pooled_hurst_excess, "
            "pooled_joseph, pooled_holder, bits_per_byte_of_all, h_b; by document (weight: tokens) "
            "hurst, hurst_shuffled, hurst_excess; by scale the points of each fit",
        )
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.bits_per_byte import bits_per_byte
        from operators.evaluation.fractal import (
            doubling,
            h_b,
            holder,
            joseph,
            normalised,
            rescaled_range,
            shuffled,
        )
        from operators.modeling import load_model

        config = self.config
        table = inputs["documents"].table()
        ids, texts = (table.column(name).to_pylist() for name in ("id", "text"))
        model = load_model(str(inputs["model"].folder()), device=config.device)
        tokenizer = load_tokenizer(inputs["model"])
        nats = surprisals(model, tokenizer, tokenizer.encode_batch(texts), config, context)
        series = {
            name: normalised(losses / math.log(2), drop=config.drop)
            for name, losses in zip(ids, nats, strict=True)
        }
        series = {name: one for name, one in series.items() if len(one) >= config.smallest}
        mixed = {name: shuffled(one, name, seed=config.seed) for name, one in series.items()}
        stretches = doubling(config.smallest, config.largest)
        steps = doubling(config.smallest_step, config.largest)
        laws = {
            "hurst": rescaled_range(list(series.values()), stretches),
            "hurst_shuffled": rescaled_range(list(mixed.values()), stretches),
            "joseph": joseph(list(series.values()), steps),
            "holder": holder(list(series.values()), steps, epsilon=config.epsilon),
        }
        if math.isnan(laws["hurst"].exponent):
            longest = max(map(len, nats), default=0)
            raise ValueError(
                f"the longest document has {longest} tokens; two stretches of {config.smallest} "
                f"and {2 * config.smallest} behind the first {config.drop} are the least: give "
                "longer documents, or a smaller `smallest` or `drop`"
            )

        pooled = {name: law.exponent for name, law in laws.items()}
        pooled["holder"] = -pooled["holder"]  # the share falls with distance: ~ tau**-S
        pooled["hurst_excess"] = pooled["hurst"] - pooled["hurst_shuffled"]
        bits = bits_per_byte([one.sum() for one in nats], [len(text.encode()) for text in texts])
        numbers = {f"pooled_{name}": value for name, value in pooled.items()}
        numbers |= {"bits_per_byte_of_all": bits, "h_b": h_b(bits, pooled["hurst"])}
        tokens = float(sum(map(len, series.values())))
        rows = [_row(_ALL, name, value, tokens, "all") for name, value in numbers.items()]
        for name, value in numbers.items():
            if not math.isnan(value):
                context.metric(name, value)
        context.metric("documents", len(series))
        context.metric("documents_too_short", len(ids) - len(series))

        for name, one in series.items():
            own = rescaled_range([one], stretches)
            if len(own.scales) >= _FEWEST_SCALES:
                other = rescaled_range([mixed[name]], stretches).exponent
                rows += [
                    _row(name, metric, value, float(len(one)), "document")
                    for metric, value in (
                        ("hurst", own.exponent),
                        ("hurst_shuffled", other),
                        ("hurst_excess", own.exponent - other),
                    )
                ]
        for name, law in laws.items():
            rows += [
                _row(f"{name} at {scale}", f"{name}_points", float(value), float(scale), "scale")
                for scale, value in zip(law.scales, law.values, strict=True)
            ]
        kept = [row for row in rows if not math.isnan(row["value"])]
        outputs["scores"].write(pa.Table.from_pylist(kept, METRICS))
        context.figure("power_laws", _figure(laws))


class Degeneration(Stage):
    """How generated text degenerates: it repeats itself, and texts repeat each other.

    rep-n (Welleck et al. 2020) and the longest loop of one phrase by document, copies among the
    documents; of all of them distinct-n (Li et al. 2016) and the coefficient of Zipf's law. Human
    text repeats too: measure some of the same kind and length beside it.
    """

    word = "evaluation.degeneration"

    class Config(StageConfig):
        units: Literal["words", "characters"] = Field(
            "words", description="words between white space; characters where a language has none"
        )
        ngrams: tuple[int, ...] = Field(
            (1, 2, 3, 4), min_length=1, description="n of rep-n and distinct-n"
        )
        among: int = Field(
            1000, ge=1, description="n-grams that distinct-n is taken among; with more it falls"
        )
        longest_phrase: int = Field(32, ge=1, description="units of a phrase in a loop, at most")
        zipf_ranks: int = Field(
            1000, ge=2, description="most frequent units that Zipf's law is fitted to"
        )

        @field_validator("ngrams")
        @classmethod
        def _are_different(cls, ngrams: tuple[int, ...]) -> tuple[int, ...]:
            if min(ngrams) < 1 or len(set(ngrams)) < len(ngrams):
                raise ValueError("must be 1 or more, and different")
            return ngrams

    inputs = {"documents": Input(Kind.DOCUMENTS, "texts, such as those of editing.generate")}
    outputs = {
        "scores": Output(
            Kind.METRICS,
            "by document (`group`: its language): rep_n (weight: n-grams), longest_loop in units, "
            "looped (share of its units; weight: units), duplicate, units; of all documents "
            "distinct_n and zipf",
        )
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.degeneration import (
            distinct,
            duplication,
            longest_loop,
            repetition,
            zipf_coefficient,
        )

        config = self.config
        table = inputs["documents"].table()
        ids, languages, texts = (
            table.column(name).to_pylist() for name in ("id", "language", "text")
        )
        if not texts:
            raise ValueError("there are no documents to measure")
        documents = [text.split() if config.units == "words" else list(text) for text in texts]
        rows: Rows = []
        for name, language, units, copied in zip(
            ids, languages, documents, duplication(texts), strict=True
        ):
            for n in config.ngrams:
                count = len(units) - n + 1
                if count > 0:
                    rows.append(
                        _row(name, f"rep_{n}", repetition(units, n), float(count), language)
                    )
            loop = longest_loop(units, longest_phrase=config.longest_phrase)
            rows.append(_row(name, "longest_loop", float(loop), 1.0, language))
            if units:
                share = loop / len(units)
                rows.append(_row(name, "looped", share, float(len(units)), language))
            rows.append(_row(name, "duplicate", copied, 1.0, language))
            rows.append(_row(name, "units", float(len(units)), 1.0, language))
        for metric, value in weighted_means(rows).items():
            context.metric(metric, value)
        whole = {
            f"distinct_{n}": (distinct(documents, ids, n, config.among), config.among)
            for n in config.ngrams
        }
        units_of_all = sum(map(len, documents))
        whole["zipf"] = (zipf_coefficient(documents, ranks=config.zipf_ranks), units_of_all)
        for metric, (value, weight) in whole.items():
            if not math.isnan(value):
                rows.append(_row(_ALL, metric, value, float(weight), "all"))
                context.metric(metric, value)
        context.metric("documents", len(texts))
        outputs["scores"].write(pa.Table.from_pylist(rows, METRICS))


def _figure(laws: Mapping[str, PowerLaw]) -> bytes:
    from operators.plotting.power_laws import Fitted, power_laws

    def drawn(law: PowerLaw) -> Fitted:
        line = [] if math.isnan(law.exponent) else law.line().tolist()
        return Fitted(law.scales.tolist(), law.values.tolist(), line)

    panels = {
        "rescaled range": {
            f"text: H = {laws['hurst'].exponent:.2f}": drawn(laws["hurst"]),
            f"shuffled: H = {laws['hurst_shuffled'].exponent:.2f}": drawn(laws["hurst_shuffled"]),
        },
        "deviation of steps": {
            f"text: J = {laws['joseph'].exponent:.2f}": drawn(laws["joseph"]),
        },
        "share of steps that come back": {
            f"text: S = {-laws['holder'].exponent:.2f}": drawn(laws["holder"]),
        },
    }
    return power_laws(panels, title="Surprisals over distance", xlabel="tokens")


def _row(name: str, metric: str, value: float, weight: float, group: str) -> dict[str, Any]:
    return {"id": name, "metric": metric, "value": value, "weight": weight, "group": group}
