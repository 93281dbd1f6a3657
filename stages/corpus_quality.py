"""Quality in two steps: measure each document once, then decide by thresholds that can be moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import field_validator

from stages.contract import Artifact, Context, Field, Input, Kind, Output, RowStage, StageConfig
from stages.kinds import DROPPED

Threshold = float | None


class Measure(RowStage):
    """Measure what the rules of Gopher, C4 and FineWeb look at: one row of signals a document.

    Nothing is dropped here. `corpus.select` decides by thresholds, which can be moved without
    measuring again.
    """

    word = "corpus.measure"
    conserves = ("documents", ("signals",))

    class Config(StageConfig):
        words: Literal["spaced", "tokens"] = Field(
            "spaced",
            description="spaced: the pieces between white space; tokens: runs of letters and "
            "digits, and of one symbol, as a tokenizer for parsers cuts them",
        )
        stop_words: list[str] = Field(
            ["the", "be", "to", "of", "and", "that", "have", "with"],
            description="the words that are counted in stop_words; the default is Gopher's",
        )
        short_line: int = Field(
            30, ge=0, description="characters of a short line at most (<=), in short_line_fraction"
        )
        min_words_per_line: int = Field(3, ge=0, description="of a line that C4 keeps")
        max_word_length: int = Field(1000, ge=1, description="in a line that C4 keeps")

    inputs = {"documents": Input(Kind.DOCUMENTS, "documents")}
    outputs = {"signals": Output(Kind.SIGNALS, "one row a document, a column a signal")}

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.corpus.quality import measure_quality

        config = self.config
        signals = measure_quality(
            rows.column("text"),
            words=config.words,
            stop_words=config.stop_words,
            short_line=config.short_line,
            min_words_per_line=config.min_words_per_line,
            max_word_length=config.max_word_length,
        )
        ids = rows.column("id").combine_chunks()
        return pa.table([ids, *signals.columns], names=["id", *signals.schema.names])


class Select(RowStage):
    """Keep the documents whose signals pass the thresholds; presets hold published ones.

    A document that is not kept is in `dropped` with the first rule it broke, the value and the
    threshold. Rules are tried in the order languages, presets, `minimum`, `maximum`.
    """

    word = "corpus.select"

    class Config(StageConfig):
        presets: list[Literal["gopher", "gopher_quality", "gopher_repetition", "c4", "fineweb"]] = (
            Field([], description="published rules to begin with")
        )
        minimum: dict[str, Threshold] = Field(
            {}, description="signal: lowest value kept; null switches a rule of a preset off"
        )
        maximum: dict[str, Threshold] = Field(
            {}, description="signal: highest value kept; null switches a rule of a preset off"
        )
        languages: list[str] | None = Field(
            None, description="languages to keep, such as eng_Latn or eng; default all"
        )

        @field_validator("languages")
        @classmethod
        def _names_some(cls, languages: list[str] | None) -> list[str] | None:
            if languages == []:
                raise ValueError("an empty list keeps no document; leave it out to keep all")
            return languages

    inputs = {
        "documents": Input(Kind.DOCUMENTS, "documents"),
        "signals": Input(Kind.SIGNALS, "what was measured of them", many=True, optional=True),
    }
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "the rows that are kept, as they were"),
        "dropped": Output(Kind.DROPPED, "the rows that are not, with reason, value, threshold"),
    }

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        from operators.corpus.quality_rules import choose_rules

        config = self.config
        self._rules = choose_rules(config.presets, config.minimum, config.maximum)
        self._signals = [SignalsById(artifact) for artifact in inputs.get("signals") or []]
        known = [name for signals in self._signals for name in signals.names]
        for rule in self._rules:
            if rule.signal not in known:
                there = ", ".join(known) or "none: connect the input signals"
                raise ValueError(
                    f'no signal is called "{rule.signal}", on which there is a rule; there are '
                    f"{there}"
                )

    def apply(self, rows: pa.Table, context: Context) -> Mapping[str, pa.Table]:
        from operators.corpus.quality_rules import first_failures

        ids = rows.column("id").combine_chunks()
        wanted = {rule.signal for rule in self._rules}
        signals: dict[str, Any] = {}
        for each in self._signals:
            names = [name for name in each.names if name in wanted and name not in signals]
            signals.update(each.of(ids, names))
        found = first_failures(signals, self._rules, rows.num_rows)
        foreign = self._foreign(rows)
        kept = (found < 0) & ~foreign
        return {
            "documents": rows.filter(pa.array(kept)),
            "dropped": self._dropped(rows, signals, found, foreign),
        }

    def _foreign(self, rows: pa.Table) -> Any:
        wanted = self.config.languages
        if wanted is None:
            return np.zeros(rows.num_rows, bool)
        languages = rows.column("language").to_pylist()
        return np.array(
            [lang not in wanted and (lang or "").partition("_")[0] not in wanted
             for lang in languages],
            bool,
        )  # fmt: skip

    def _dropped(
        self, rows: pa.Table, signals: Mapping[str, Any], found: Any, foreign: Any
    ) -> pa.Table:
        schema = DROPPED.append(pa.field("threshold", pa.float64()))
        gone = np.flatnonzero((found >= 0) | foreign)
        ids, sources, texts = (rows.column(name).take(pa.array(gone))
                               for name in ("id", "source", "text"))  # fmt: skip
        reasons: list[str] = []
        values: list[float | None] = []
        thresholds: list[float | None] = []
        for row in gone.tolist():
            if foreign[row]:
                reasons.append("language_not_wanted")
                values.append(None)
                thresholds.append(None)
            else:
                rule = self._rules[found[row]]
                reasons.append(rule.reason)
                values.append(float(signals[rule.signal][row]))
                thresholds.append(float(rule.threshold))
        columns = {"id": ids, "source": sources, "reason": reasons, "value": values, "text": texts,
                   "threshold": thresholds}  # fmt: skip
        return pa.table(columns, schema=schema)


class SignalsById:
    """Signals as a table that can be asked for the rows of some documents.

    Where the signals lie in the same shards as the documents, as they do when they were measured of
    these very documents, the shard is found by its first id. Otherwise an index over all ids is
    made, 16 bytes a row.
    """

    def __init__(self, artifact: Artifact) -> None:
        self._table = artifact.table()
        self.names = [
            field.name
            for field in self._table.schema
            if field.name != "id" and pa.types.is_floating(field.type)
        ]
        self._batches = self._table.to_batches()
        self._by_first = {
            batch.column("id")[0].as_py(): batch for batch in self._batches if batch.num_rows
        }
        self._index: tuple[Any, Any] | None = None

    def of(self, ids: pa.Array, names: Sequence[str]) -> dict[str, Any]:
        """Signal -> float64 [len(ids)].

        Raises:
            ValueError: nothing was measured of one of the ids.
        """
        if not names or not len(ids):
            return {name: np.empty(len(ids)) for name in names}
        batch = self._by_first.get(ids[0].as_py())
        if batch is not None and batch.column("id").slice(0, len(ids)).equals(ids):
            rows = batch.slice(0, len(ids))
        else:
            rows = self._table.select(["id", *names]).take(pa.array(self._positions(ids)))
            found = rows.column("id").combine_chunks()
            if not found.equals(ids):
                wrong = next(a for a, b in zip(ids.to_pylist(), found.to_pylist(), strict=True)
                             if a != b)  # fmt: skip
                raise ValueError(_unmeasured(wrong))
        return {name: rows.column(name).to_numpy(zero_copy_only=False) for name in names}

    def _positions(self, ids: pa.Array) -> Any:
        if self._index is None:
            hashes = np.concatenate(
                [_hashes(batch.column("id")) for batch in self._batches] or [np.empty(0, np.uint64)]
            )
            order = np.argsort(hashes, kind="stable")
            self._index = hashes[order], order
        hashes, order = self._index
        asked = _hashes(ids)
        places = np.searchsorted(hashes, asked)
        inside = places < len(hashes)
        hit = inside.copy()
        hit[inside] = hashes[places[inside]] == asked[inside]
        if not hit.all():
            raise ValueError(_unmeasured(ids[int(np.argmin(hit))].as_py()))
        return order[places]


def _unmeasured(id_: str) -> str:
    return (
        f'nothing was measured of the document "{id_}"; '
        "give the signals of the very documents that are selected from"
    )


def _hashes(ids: pa.Array) -> Any:
    import xxhash

    return np.fromiter(
        (xxhash.xxh3_64_intdigest(id_.encode()) for id_ in ids.to_pylist()), np.uint64, len(ids)
    )


class Lines(RowStage):
    """Drop the lines of each document that C4 drops: boilerplate, menus, notices on cookies.

    A document of which no line is left is in `dropped`. Every other keeps its id, and `edits` says
    `c4_lines` where its text changed.
    """

    word = "corpus.lines"

    class Config(StageConfig):
        rules: list[Literal["no_end", "few_words", "long_word", "javascript", "policy"]] = Field(
            ["no_end", "few_words", "long_word", "javascript", "policy"],
            description="which lines go: without . ! ? or a quote at the end, with few words, with "
            'a very long one, with "javascript", on cookies and terms of use',
        )
        min_words: int = Field(3, ge=0, description="words of a line; fewer (<): few_words")
        max_word_length: int = Field(
            1000, ge=1, description="characters of a word; more (>): long_word"
        )
        citations: bool = Field(False, description='whether "[3]" and "[edit]" stay')

    inputs = {"documents": Input(Kind.DOCUMENTS, "documents")}
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "the documents with the lines that are kept"),
        "dropped": Output(Kind.DROPPED, "documents of which nothing is left"),
    }

    def apply(self, rows: pa.Table, context: Context) -> Mapping[str, pa.Table]:
        from operators.corpus.c4_lines import keep_c4_lines

        config = self.config
        lines = keep_c4_lines(
            rows.column("text").combine_chunks(),
            rules=config.rules,
            min_words=config.min_words,
            max_word_length=config.max_word_length,
            citations=config.citations,
        )
        for verdict, count in lines.counts.items():
            context.count(f"lines_{verdict}", count)
        edits = [
            [*(before or []), "c4_lines"] if changed else before
            for before, changed in zip(rows.column("edits").to_pylist(), lines.changed, strict=True)
        ]
        new = rows
        for name, values in (("text", lines.texts), ("edits", edits)):
            at = new.schema.get_field_index(name)
            new = new.set_column(
                at, new.schema.field(at), pa.array(values, new.schema.field(at).type)
            )
        empty = pa.array([changed and not text.strip() for text, changed in
                          zip(lines.texts, lines.changed, strict=True)], pa.bool_())  # fmt: skip
        gone = rows.filter(empty)
        count = gone.num_rows
        dropped = pa.table(
            {"id": gone.column("id"), "source": gone.column("source"),
             "reason": ["no_line_left"] * count, "value": [0.0] * count,
             "text": gone.column("text")},
            schema=DROPPED,
        )  # fmt: skip
        import pyarrow.compute as pc

        return {"documents": new.filter(pc.invert(empty)), "dropped": dropped}
