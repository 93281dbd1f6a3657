"""What editing and generation did to texts: arms side by side under one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa

from stages.compute_settings import ComputeSettings
from stages.contract import Artifact, Context, Field, Input, Kind, Output, Sink, Stage
from stages.editing_diagnostics_report import Page
from stages.editing_prior import Prior, check_known, lists_of, open_prior
from stages.kinds import METRICS, REPORT

_TOP = (40, 64)  # most frequent bigrams, as the study counts them
_ORDERS = (1, 2)


@dataclass
class Arm:
    """What was measured of one arm.

    Attributes:
        name: as the report calls it.
        ids: of its rows.
        symbols: of each row: token ids, or numbers of words.
        names: what a symbol is called in the report; beyond them, by its number.
        buckets: for each order of n-grams, their buckets in each row.
        edits: of each row, how many; of documents, how many times they were edited.
        values: measures of the arm.
        of_rows: measures of each row.
        probabilities: of all tokens under the model; None without one.
        bigrams: the most frequent ones, with their shares of all.
    """

    name: str
    ids: list[str]
    symbols: list[Any]
    names: Sequence[str | bytes]
    buckets: dict[int, list[Any]]
    edits: list[int]
    values: dict[str, float] = field(default_factory=dict)
    of_rows: dict[str, Any] = field(default_factory=dict)
    probabilities: Any = None
    bigrams: list[tuple[str, float]] = field(default_factory=list)


class Diagnose(Stage):
    """Compare arms of data as the study of ToEdit does: what editing has kept of human text.

    Perplexities under one model, token probabilities by deciles, hashed uni- and bigrams with their
    entropies, the most frequent bigrams, how much was edited, and DSIR weights: how far the rows of
    an arm look like those of the baseline. All rows are measured alike, so the arms can be compared
    with each other; with another model, or other numbers of rows, they cannot.
    """

    word = "editing.diagnose"
    libraries = ("torch", "transformers")

    class Config(ComputeSettings):
        baseline: int = Field(
            0, ge=0, description="which arm, from 0, DSIR weights are to: the human text"
        )
        names: tuple[str, ...] = Field(
            (), description="what the arms are called, in order; default their matrix values"
        )
        rows: int = Field(
            10_000, ge=1, description="of each arm that are looked at; by a hash of their ids"
        )
        buckets: int = Field(10_000, ge=1, description="that n-grams are hashed into")
        batch_size: int = Field(32, ge=1, description="sequences in a forward pass")
        title: str = Field("Diagnostics", description="heading of the report")

    inputs = {
        "tokens": Input(Kind.TOKENS, "arms as tokens", many=True, optional=True),
        "documents": Input(
            Kind.DOCUMENTS, "arms as text, instead of tokens", many=True, optional=True
        ),
        "model": Input(Kind.MODEL, "gives perplexities and probabilities", optional=True),
    }
    outputs = {
        "report": Output(Kind.REPORT, "report.md and the plots"),
        "measures": Output(Kind.METRICS, "one row an arm and measure"),
        "rows": Output(Kind.METRICS, "perplexity, share of edits and DSIR weight of each row"),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        config = self.config
        given = [name for name in ("tokens", "documents") if inputs.get(name)]
        if len(given) != 1:
            raise ValueError("arms are given either as tokens or as documents, and all alike")
        kind = given[0]
        prior = open_prior(inputs["model"], config.device) if "model" in inputs else None
        artifacts = inputs[kind]
        names = self._names(artifacts)
        arms = []
        for name, artifact in zip(names, artifacts, strict=True):
            arms.append(self._arm(name, kind, artifact, prior))
            context.progress(len(arms), len(names), "arms")
        base = arms[config.baseline]
        self._weigh(arms, base)
        measures = [
            {"id": arm.name, "metric": metric, "value": value, "weight": arm.values["tokens"],
             "group": base.name}
            for arm in arms
            for metric, value in arm.values.items()
        ]  # fmt: skip
        outputs["measures"].write(pa.Table.from_pylist(measures, METRICS))
        rows = [
            {"id": id_, "metric": metric, "value": float(value), "weight": float(len(symbols)),
             "group": arm.name}
            for arm in arms
            for metric, values in arm.of_rows.items()
            for id_, value, symbols in zip(arm.ids, values, arm.symbols, strict=True)
            if np.isfinite(value)  # a row of one token has no perplexity
        ]  # fmt: skip
        outputs["rows"].write(pa.Table.from_pylist(rows, METRICS))
        page = Page(config.title, arms, base.name, config.buckets)
        files = [("report.md", "text/markdown", page.markdown().encode())]
        for name, png in page.figures().items():
            context.figure(name, png)
            files.append((f"{name}.png", "image/png", png))
        content = [{"id": n, "media_type": t, "content": c} for n, t, c in files]
        outputs["report"].write(pa.Table.from_pylist(content, REPORT))

    def _names(self, artifacts: Sequence[Artifact]) -> list[str]:
        config = self.config
        count = len(artifacts)
        if config.names and len(config.names) != count:
            raise ValueError(f"{len(config.names)} names were given for {count} arms")
        if config.baseline >= count:
            raise ValueError(f"the baseline is arm {config.baseline}, but there are {count}")
        names = list(config.names) or [
            ",".join(f"{axis}={value}" for axis, value in artifact.cell.items()) or f"arm {number}"
            for number, artifact in enumerate(artifacts)
        ]
        if len(set(names)) != count:
            raise ValueError(f"arms need different names, not {', '.join(names)}")
        return names

    def _arm(self, name: str, kind: str, artifact: Artifact, prior: Prior | None) -> Arm:
        from operators.editing.diagnostics import (
            bucket_counts,
            entropy,
            ngram_buckets,
            number_words,
            top_bigrams,
            word_keys,
        )

        config = self.config
        table = chosen_rows(artifact.table(), config.rows)
        if table.num_rows == 0:
            raise ValueError(f'there are no rows in "{name}" to look at')
        edits = [len(edits) for edits in table.column("edits").to_pylist()]
        if kind == "tokens":
            symbols = lists_of(table, "tokens")
            keys, read = symbols, symbols
            names: Sequence[str | bytes] = prior.tokenizer.tokens if prior else ()
        else:
            texts = table.column("text").to_pylist()
            symbols, words = number_words(texts)
            names, hashed = words, word_keys(words)
            keys = [hashed[row] for row in symbols]
            read = prior.tokenizer.encode_batch(texts) if prior else []
            read = [np.array([prior.end_of_text, *row]) for row in read] if prior else []
        buckets = {n: [ngram_buckets(row, n, config.buckets) for row in keys] for n in _ORDERS}
        arm = Arm(name, table.column("id").to_pylist(), symbols, names, buckets, edits)
        values = arm.values
        values["rows"] = float(table.num_rows)
        values["tokens"] = float(sum(map(len, symbols)))
        if prior is not None:
            self._score(arm, read, prior)
        for order, told in zip(_ORDERS, ("unigram", "bigram"), strict=True):
            counts = bucket_counts(buckets[order], config.buckets)
            values[f"{told}_entropy"] = entropy(counts)
        pairs, total = top_bigrams(symbols, max(_TOP))
        for top in _TOP:
            among = sum(often for _, _, often in pairs[:top])
            values[f"top_{top}_bigram_share"] = among / total if total else 0.0
        arm.bigrams = [
            (f"{_called(names, left)} {_called(names, right)}", often / total)
            for left, right, often in pairs[: min(_TOP)]
        ]
        values["edited_rows_share"] = float(np.mean([count > 0 for count in edits]))
        if kind == "tokens":
            lengths = np.maximum([len(row) for row in symbols], 1)
            arm.of_rows["edited_share"] = np.array(edits) / lengths
            values["edited_share"] = float(arm.of_rows["edited_share"].mean())
            values["edits_per_row"] = float(np.mean(edits))
        return arm

    def _score(self, arm: Arm, rows: list[Any], prior: Prior) -> None:
        """Perplexities and probabilities under the model."""
        from operators.editing.diagnostics import decile_table, perplexities, row_losses

        check_known(rows, prior)
        losses = row_losses(
            prior.model,
            rows,
            context=prior.context,
            batch_size=self.config.batch_size,
            device=self.config.device,
            threads=self.config.threads,
        )
        found = perplexities(losses)
        every = np.concatenate(losses)
        arm.of_rows["perplexity"] = found
        arm.probabilities = decile_table(np.exp(-every).clip(max=1.0))
        if not len(every):
            return
        values = arm.values
        values["nats_per_token"] = float(every.mean())
        for name, share in (("median", 0.5), ("90th", 0.9)):
            values[f"perplexity_{name}"] = float(np.nanquantile(found, share))
        for decile, count in enumerate(arm.probabilities.tolist()):
            values[f"probability_decile_{decile}"] = count / len(every)

    def _weigh(self, arms: Sequence[Arm], base: Arm) -> None:
        """DSIR weights of all rows: from the distribution of their arm to that of the baseline."""
        from operators.editing.diagnostics import (
            bucket_counts,
            bucket_probabilities,
            dsir_log_weights,
        )

        def features(arm: Arm) -> tuple[list[Any], Any]:
            rows = [np.concatenate(parts) for parts in zip(*arm.buckets.values(), strict=True)]
            return rows, bucket_probabilities(bucket_counts(rows, self.config.buckets))

        _, target = features(base)
        for arm in arms:
            rows, source = features(arm)
            weights = dsir_log_weights(rows, target, source)
            arm.of_rows["dsir_log_weight"] = weights
            grams = max(1, sum(map(len, rows)))
            arm.values["dsir_log_weight_per_ngram"] = float(weights.sum() / grams)


def chosen_rows(table: pa.Table, count: int) -> pa.Table:
    """So many rows, by a hash of their ids, in their order; all where there are no more."""
    if table.num_rows <= count:
        return table
    ids = table.column("id").to_pylist()
    ranks = [blake2b(id_.encode(), digest_size=8).digest() for id_ in ids]
    first = sorted(range(len(ids)), key=ranks.__getitem__)[:count]
    return table.take(pa.array(sorted(first)))


def _called(names: Sequence[str | bytes], symbol: int) -> str:
    if symbol >= len(names):
        return str(symbol)
    name = names[symbol]
    return name if isinstance(name, str) else name.decode("utf-8", "replace")
