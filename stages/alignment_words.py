"""Word links of bitext, and the lexicon that is learnt on the way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from stages.content_hash import hash_content
from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import LEXICON, METRICS

LINKS = pa.list_(pa.struct([("source", pa.int32()), ("target", pa.int32())]))
WORDS = pa.list_(pa.string())


class Words(Stage):
    """Link the words of sentence pairs that translate each other, language pair by language pair.

    Learnt from the pairs themselves, and from a lexicon where one is given. The lexicon that comes
    out is what a later alignment, a miner's coverage score or a filter can start from.
    """

    word = "alignment.words"

    class Config(StageConfig):
        method: Literal["hmm", "fast_align", "ibm1"] = Field(
            "hmm", description="hmm: positions depend on the last one, and directions agree"
        )
        symmetrization: Literal["grow-diag-final-and", "grow-diag", "intersection", "union"] = (
            Field("grow-diag-final-and", description="how two directions become one")
        )
        gold: str | None = Field(
            None,
            description="a .jsonl file of sentence pairs with hand-made links to measure against: "
            "src_words, tgt_words, alignment (sure links), and possible where there are such; "
            "aligned together with the bitext",
        )

    inputs = {
        "bitext": Input(Kind.BITEXT, "sentence pairs"),
        "lexicon": Input(Kind.LEXICON, "what is known of the languages before", optional=True),
    }
    outputs = {
        "bitext": Output(Kind.BITEXT, "the same rows, with source_words, target_words, links"),
        "lexicon": Output(Kind.LEXICON, "words that translate each other, with expected counts"),
        "scores": Output(Kind.METRICS, "alignment error rate where gold is given"),
    }
    conserves = ("bitext", ("bitext",))

    def sources(self) -> Mapping[str, str]:
        if self.config.gold is None:
            return {}
        return {self.config.gold: hash_content(Path(self.config.gold).read_bytes())}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.alignment import alignment_error_rate, learn_words, word_lists

        config = self.config
        table = inputs["bitext"].table()
        by_languages = rows_by_languages(table)
        known = lexicons(inputs.get("lexicon"))
        gold = [] if config.gold is None else _read_gold(config.gold)
        if gold and len(by_languages) != 1:
            said = ", ".join("-".join(pair) for pair in sorted(by_languages)) or "none"
            raise ValueError(
                f"{config.gold} does not say its languages, so the bitext must be of one pair of "
                f"languages; it has {said}"
            )
        words: dict[str, list[Any]] = {"source": [[]] * table.num_rows,
                                       "target": [[]] * table.num_rows}  # fmt: skip
        links: list[Any] = [[]] * table.num_rows
        entries: list[dict[str, Any]] = []
        for done, (languages, rows) in enumerate(sorted(by_languages.items()), start=1):
            sides = [
                word_lists(table.column(f"{side}_text").take(rows).to_pylist()) for side in words
            ]
            pairs = [*zip(*sides, strict=True), *(row[0] for row in gold)]
            learnt = learn_words(
                pairs,
                method=config.method,
                symmetrization=config.symmetrization,
                priors=known.get(languages),
            )
            for n, row in enumerate(rows):
                words["source"][row], words["target"][row] = sides[0][n], sides[1][n]
                links[row] = [{"source": i, "target": j} for i, j in sorted(learnt.links[n])]
            entries += lexicon_rows(languages, learnt.priors)
            if gold:
                found = learnt.links[len(rows) :]
                rate = alignment_error_rate(found, [g[1] for g in gold], [g[2] for g in gold])
                self._tell(rate, languages, outputs, context)
            context.progress(done, len(by_languages), "language pairs")
        columns = {"source_words": pa.array(words["source"], WORDS),
                   "target_words": pa.array(words["target"], WORDS),
                   "links": pa.array(links, LINKS)}  # fmt: skip
        outputs["bitext"].write(with_columns(table, columns))
        outputs["lexicon"].write(pa.Table.from_pylist(entries, LEXICON))
        if not gold:
            outputs["scores"].write(METRICS.empty_table())
        context.metric("sentence_pairs", table.num_rows)
        context.metric("links", sum(map(len, links)))
        context.metric("lexicon_entries", len(entries))

    def _tell(
        self, rate: Any, languages: tuple[str, str], outputs: Mapping[str, Sink], context: Context
    ) -> None:
        rows = []
        for name in ("aer", "precision", "recall"):
            value = float(getattr(rate, name))
            context.metric(name, value)
            rows.append({"id": "-".join(languages), "metric": name, "value": value,
                         "weight": float(rate.sure), "group": self.config.method})  # fmt: skip
        outputs["scores"].write(pa.Table.from_pylist(rows, METRICS))


def rows_by_languages(table: pa.Table) -> dict[tuple[str, str], list[int]]:
    """Row numbers of bitext by source and target language."""
    found: dict[tuple[str, str], list[int]] = {}
    sides = [table.column(f"{side}_language").to_pylist() for side in ("source", "target")]
    for row, languages in enumerate(zip(*sides, strict=True)):
        found.setdefault(languages, []).append(row)
    return found


def lexicons(artifact: Any) -> dict[tuple[str, str], pa.Table]:
    """A lexicon's entries by source and target language; none where there is no artifact."""
    if artifact is None:
        return {}
    table = artifact.table()
    return {languages: table.take(rows) for languages, rows in rows_by_languages(table).items()}


def lexicon_rows(languages: tuple[str, str], priors: pa.Table) -> list[dict[str, Any]]:
    """Entries as `LEXICON` has them, sorted by their words."""
    rows = sorted(priors.to_pylist(), key=lambda row: (row["source"], row["target"]))
    return [
        {
            "id": "\t".join((*languages, row["source"], row["target"])),
            "source_language": languages[0],
            "target_language": languages[1],
            "source": row["source"],
            "target": row["target"],
            # Sums of floats may differ in their last bits between machines.
            "count": round(row["count"], 6),
        }
        for row in rows
    ]


def with_columns(table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    """A table with further columns; those that it has already are replaced."""
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        is_new = at < 0
        table = table.append_column(name, values) if is_new else table.set_column(at, name, values)
    return table


Gold = tuple[tuple[Sequence[str], Sequence[str]], set[tuple[int, int]], set[tuple[int, int]]]


def _read_gold(address: str) -> list[Gold]:
    found: list[Gold] = []
    for number, line in enumerate(Path(address).read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            pair = ([str(w) for w in row["src_words"]], [str(w) for w in row["tgt_words"]])
            sure = {(int(i), int(j)) for i, j in row["alignment"]}
            possible = {(int(i), int(j)) for i, j in row.get("possible", [])}
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{address}:{number}: is no pair with links: {error!r}") from error
        for i, j in sure | possible:
            if not (0 <= i < len(pair[0]) and 0 <= j < len(pair[1])):
                raise ValueError(
                    f"{address}:{number}: links word {i} to word {j}, counted from 0, and there "
                    f"are {len(pair[0])} and {len(pair[1])}"
                )
        found.append((pair, sure, possible))
    return found
