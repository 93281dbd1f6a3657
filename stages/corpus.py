"""From sources to a clean corpus: read documents, clean them, split them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import ValidationInfo, field_validator

from stages.contract import (
    Context,
    Field,
    Input,
    Kind,
    Output,
    RowStage,
    Sink,
    Stage,
    StageConfig,
)
from stages.kinds import DOCUMENTS, DROPPED
from stages.quarantine import Quarantine, Written
from stages.sources import Bad, Columns, Limits, open_source, read_sources

SHARD_ROWS = Field(
    512,
    gt=0,
    description="rows in a shard; shards are what row-parallel stages are spread over",
)


class Reading(StageConfig):
    """How files are read, and what becomes of those that cannot be."""

    max_files: int | None = Field(
        None, gt=0, description="files to take of each source at most; default all"
    )
    max_bytes: int = Field(
        64 * 2**20, gt=0, description="of one document or line; a longer one is dropped unread"
    )
    invalid_utf8: Literal["drop", "replace"] = Field(
        "drop", description="replace: U+FFFD stands for what is no UTF-8, and the document stays"
    )
    on_bad_input: Literal["drop", "fail"] = Field(
        "drop", description="drop: what cannot be read is in `dropped`; fail: the first ends all"
    )
    max_bad_fraction: float = Field(
        0.5, ge=0, le=1, description="of what was found; a larger (>) bad share fails the stage"
    )
    shard_rows: int = SHARD_ROWS

    def limits(self) -> Limits:
        return Limits(self.max_bytes, self.invalid_utf8)


class Documents(Stage):
    """Read documents from sources by URL: files, data sets, the running Python's own documentation.

    A changed or new file changes the key; an untouched one costs nothing. What cannot be read is in
    `dropped` with its reason, and the rest goes on.
    """

    word = "corpus.documents"
    libraries = ("trafilatura", "pypdfium2")

    class Config(Reading):
        sources: list[str] = Field(
            min_length=1,
            description="URLs: files and globs on any filesystem (txt, md, jsonl, csv, tsv, "
            "parquet, arrow, html, pdf, warc, wet), hf://NAME, python-docs://, sample://parallel",
        )
        text_field: str = Field("text", description="field with the text, in structured files")
        id_field: str | None = Field(
            None, description="field with a unique id; default: address and row number"
        )
        language_field: str | None = Field(None, description="field with the language")
        group_field: str | None = Field(
            None, description="field shared by documents that are versions of each other"
        )
        language: str = Field(
            "und", description="language where the source does not say, such as eng_Latn"
        )

    outputs = {
        "documents": Output(Kind.DOCUMENTS, "one row a document, with id and source"),
        "dropped": Output(Kind.DROPPED, "what could not be read, with the reason"),
    }

    def _columns(self) -> Columns:
        config = self.config
        return Columns(
            config.text_field, config.id_field, config.language_field, config.group_field
        )

    def sources(self) -> Mapping[str, str]:
        hashes: dict[str, str] = {}
        for url in self.config.sources:
            hashes.update(open_source(url, self._columns(), self.config.max_files).hashes())
        return hashes

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        config = self.config
        written = Written(outputs["documents"], DOCUMENTS, config.shard_rows)
        quarantine = Quarantine(outputs["dropped"], config)
        seen: set[str] = set()
        for found in read_sources(
            config.sources, self._columns(), config.max_files, config.limits()
        ):
            if isinstance(found, Bad):
                quarantine.add(found)
                continue
            if found.id in seen:
                raise ValueError(
                    f'two documents have the id "{found.id}" (one from {found.source}); '
                    "ids must be unique"
                )
            seen.add(found.id)
            written.add(
                {
                    "id": found.id,
                    "text": found.text,
                    "language": found.language or config.language,
                    "source": found.source,
                    "group": found.group,
                    "edits": [],
                },
                len(found.text),
            )
            if written.rows % config.shard_rows == 0:
                context.progress(written.rows, unit="documents")
        quarantine.end(written.rows, context)
        written.end()
        context.metric("documents", written.rows)


class Rules(StageConfig):
    """What a text must be to be kept, looked at by itself."""

    normalization: Literal["NFC", "NFKC", "none"] = Field(
        "NFC", description="Unicode form of the text"
    )
    min_chars: int | None = Field(200, ge=0, description="shorter (<) texts are dropped")
    max_chars: int | None = Field(1_000_000, ge=0, description="longer (>) texts are dropped")
    max_duplicate_line_fraction: float | None = Field(
        0.30, ge=0, le=1, description="more (>) lines seen before in the text: dropped (Gopher)"
    )
    max_top_ngram_fraction: float | None = Field(
        0.20, ge=0, le=1, description="more (>) of the text in its top n-gram: dropped (Gopher)"
    )
    ngram: int = Field(2, ge=1, description="words in the n-gram of that rule")
    min_letter_fraction: float | None = Field(
        0.5, ge=0, le=1, description="fewer (<) letters among the visible characters: dropped"
    )

    @field_validator("max_chars")
    @classmethod
    def _leaves_some_length(cls, longest: int | None, info: ValidationInfo) -> int | None:
        shortest = info.data.get("min_chars")
        if longest is not None and shortest is not None and longest < shortest:
            raise ValueError(f"must not be below min_chars {shortest}")
        return longest

    def judge(self, text: str) -> tuple[str, tuple[str, float] | None]:
        """The normalised text, and the first rule it fails with what was measured, or None."""
        from operators.corpus import FilterRules, drop_reason, normalize_text

        rules = FilterRules(
            min_chars=self.min_chars,
            max_chars=self.max_chars,
            max_duplicate_line_fraction=self.max_duplicate_line_fraction,
            max_top_ngram_fraction=self.max_top_ngram_fraction,
            ngram=self.ngram,
            min_letter_fraction=self.min_letter_fraction,
        )
        normal = normalize_text(text, form=self.normalization)
        return normal, drop_reason(normal, rules)


class Filter(RowStage):
    """Normalise, and filter by length and repetition: each text by itself, shard by shard.

    The rules of `corpus.clean` without its removal of duplicates, which must see all texts at once:
    memory does not grow with the corpus, and shards are spread over the workers. Every row that is
    not kept is in `dropped`, with the first rule it failed and what was measured.
    """

    word = "corpus.filter"

    class Config(Rules):
        pass

    inputs = {"documents": Input(Kind.DOCUMENTS, "documents as read")}
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "the rows that are kept, normalised"),
        "dropped": Output(Kind.DROPPED, "the rows that are not, with the reason"),
    }

    def apply(self, rows: pa.Table, context: Context) -> Mapping[str, pa.Table]:
        judged = [self.config.judge(text) for text in rows.column("text").to_pylist()]
        texts, verdicts = [text for text, _ in judged], [verdict for _, verdict in judged]
        return {
            "documents": _kept(rows, texts, verdicts),
            "dropped": _dropped(rows, texts, verdicts),
        }


class Clean(Stage):
    """Normalise, filter by length and repetition, and remove exact and near duplicates.

    Every row that is not kept is in `dropped`, with the first rule it failed and what was measured.
    Of duplicates the one with the smallest id is kept, whatever the order of the rows.
    """

    word = "corpus.clean"

    class Config(Rules):
        dedup: Literal["none", "exact", "minhash"] = Field(
            "minhash", description="which duplicates are removed; minhash includes exact ones"
        )
        similarity: float = Field(
            0.8, gt=0, le=1, description="estimated Jaccard similarity (>=) of near duplicates"
        )
        permutations: int = Field(128, ge=16, description="hash functions of the MinHash estimate")
        shingle: int = Field(5, ge=1, description="words in a shingle")
        shard_rows: int = SHARD_ROWS

    inputs = {"documents": Input(Kind.DOCUMENTS, "documents as read")}
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "the rows that are kept, normalised"),
        "dropped": Output(Kind.DROPPED, "the rows that are not, with the reason"),
    }
    conserves = ("documents", ("documents", "dropped"))

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        config = self.config
        table = inputs["documents"].table()
        texts = []
        verdicts: list[tuple[str, float] | None] = []
        for text in table.column("text").to_pylist():
            normal, verdict = config.judge(text)
            texts.append(normal)
            verdicts.append(verdict)
            if len(texts) % 100 == 0:
                context.progress(len(texts), table.num_rows, "documents")
        kept = [index for index, verdict in enumerate(verdicts) if verdict is None]
        ids = table.column("id").to_pylist()
        for index, verdict in self._duplicates(texts, ids, kept).items():
            verdicts[index] = verdict
        kept_rows = _kept(table, texts, verdicts)
        for start in range(0, max(kept_rows.num_rows, 1), config.shard_rows):
            outputs["documents"].write(kept_rows.slice(start, config.shard_rows))
        outputs["dropped"].write(_dropped(table, texts, verdicts))

    def _duplicates(
        self, texts: Sequence[str], ids: Sequence[str], rows: Sequence[int]
    ) -> dict[int, tuple[str, float]]:
        """Row -> verdict for the rows that repeat another one of `rows`."""
        from operators.corpus import exact_duplicates, minhash_signatures, near_duplicate_clusters

        if self.config.dedup == "none":
            return {}
        rows = sorted(rows, key=lambda row: ids[row])
        firsts = exact_duplicates([texts[row] for row in rows])
        found = {rows[i]: ("exact_duplicate", 1.0) for i, first in enumerate(firsts) if first != i}
        if self.config.dedup == "exact":
            return found
        rows = [row for row in rows if row not in found]
        signatures = minhash_signatures(
            [texts[row] for row in rows],
            permutations=self.config.permutations,
            shingle=self.config.shingle,
        )
        clusters = near_duplicate_clusters(signatures, threshold=self.config.similarity)
        for position, cluster in enumerate(clusters.tolist()):
            if cluster != position:
                agree = float(np.mean(signatures[position] == signatures[cluster]))
                found[rows[position]] = ("near_duplicate", agree)
        return found


def _kept(
    table: pa.Table, texts: Sequence[str], verdicts: Sequence[tuple[str, float] | None]
) -> pa.Table:
    normalised = table.set_column(
        table.schema.get_field_index("text"), "text", pa.array(texts, pa.string())
    )
    return normalised.filter(pa.array([verdict is None for verdict in verdicts], pa.bool_()))


def _dropped(
    table: pa.Table, texts: Sequence[str], verdicts: Sequence[tuple[str, float] | None]
) -> pa.Table:
    ids, origins = table.column("id").to_pylist(), table.column("source").to_pylist()
    rows = [
        {"id": ids[i], "source": origins[i], "reason": verdict[0], "value": verdict[1],
         "text": texts[i]}
        for i, verdict in enumerate(verdicts)
        if verdict is not None
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, DROPPED)


class Split(Stage):
    """Divide documents into train and held-out, so that nothing leaks across.

    Documents of one source, versions of one document and near duplicates always go together; which
    way is decided by a hash of the seed and the smallest id among them, so that adding documents
    elsewhere moves none.
    """

    word = "corpus.split"

    class Config(StageConfig):
        held_out_fraction: float = Field(
            0.05, gt=0, lt=1, description="share of the units that is held out"
        )
        unit: Literal["source", "document"] = Field(
            "source", description="what is never divided: a file, or a single document"
        )
        similarity: float = Field(
            0.5, gt=0, le=1, description="estimated Jaccard similarity (>=) that must not cross"
        )
        permutations: int = Field(128, ge=16, description="hash functions of the MinHash estimate")
        shingle: int = Field(5, ge=1, description="words in a shingle")
        seed: int = Field(0, description="decides which units are held out")
        shard_rows: int = SHARD_ROWS

    inputs = {"documents": Input(Kind.DOCUMENTS, "clean documents")}
    outputs = {
        "train": Output(Kind.DOCUMENTS, "documents to train on"),
        "heldout": Output(Kind.DOCUMENTS, "documents to evaluate on"),
    }
    conserves = ("documents", ("train", "heldout"))

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.corpus import assign_split, minhash_signatures, near_duplicate_clusters

        config = self.config
        table = inputs["documents"].table()
        ids = table.column("id").to_pylist()
        signatures = minhash_signatures(
            table.column("text").to_pylist(),
            permutations=config.permutations,
            shingle=config.shingle,
        )
        clusters = near_duplicate_clusters(signatures, threshold=config.similarity)
        bonds: list[list[str | None]] = [[f"similar {cluster}" for cluster in clusters.tolist()]]
        bonds.append(
            [None if g is None else f"group {g}" for g in table.column("group").to_pylist()]
        )
        if config.unit == "source":
            bonds.append([f"source {source}" for source in table.column("source").to_pylist()])
        units = bound_together(ids, bonds)
        held = assign_split(units, held_out_fraction=config.held_out_fraction, seed=config.seed)
        if held.all() or not held.any():
            side = "train on" if held.all() else "hold out"
            raise ValueError(
                f"there is nothing left to {side}: {len(ids)} documents are bound into "
                f"{len(set(units))} units; read more sources, use `unit: document`, or change "
                "held_out_fraction"
            )
        for name, mask in (("train", ~held), ("heldout", held)):
            part = table.filter(pa.array(mask))
            for start in range(0, part.num_rows, config.shard_rows):
                outputs[name].write(part.slice(start, config.shard_rows))
        context.metric("units", len(set(units)))
        context.metric("held_out_share", float(held.mean()))


def bound_together(ids: Sequence[str], bonds: Sequence[Sequence[str | None]]) -> list[str]:
    """For each row the smallest id among all rows that it is bound to, directly or through others.

    Args:
        bonds: lists of labels, one label a row; rows with an equal label are bound.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    labels: dict[str, int] = {}
    rows, columns = [], []
    for bond in bonds:
        for row, label in enumerate(bond):
            if label is not None:
                rows.append(row)
                columns.append(len(ids) + labels.setdefault(label, len(labels)))
    size = len(ids) + len(labels)
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(size, size))
    _, components = connected_components(graph, directed=False)
    smallest: dict[int, str] = {}
    for component, id_ in zip(components[: len(ids)].tolist(), ids, strict=True):
        smallest[component] = min(id_, smallest.get(component, id_))
    return [smallest[component] for component in components[: len(ids)].tolist()]
