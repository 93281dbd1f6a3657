"""Near duplicates, taken out of a corpus of any size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import model_validator

from stages.contract import (
    Artifact,
    Context,
    Field,
    Input,
    Kind,
    Output,
    Shuffled,
    Sink,
    Stage,
    StageConfig,
    execution_field,
)

# Rows of a bucket: its key, a document, a sketch of it.
_BUCKET_BYTES = 32
_PARTITION_BYTES = 32 * 2**20
# Bytes of a set of shingles, for a byte of its text: a word is shorter than 8 bytes, but not much.
_SET_BYTES = 2
# Links that have room in one place (16 bytes each).
_FEW_LINKS = 4_000_000
_ROW_BITS = 32
_PERCENT, _SIZE = "percent", "size"  # what steps tally
_LARGEST_SIZE = 100  # of a cluster, in the figure

_DECISIONS = pa.schema(
    [
        ("shard", pa.int64()),
        ("row", pa.int64()),
        ("reason", pa.string()),
        ("similarity", pa.float64()),
        ("duplicate_of", pa.string()),
    ]
)


class NearDuplicates(Stage):
    """Remove documents that say what another one says: equal ones, and nearly equal ones.

    Documents meet by shuffles: those of equal content, then those of one bucket of a MinHash
    signature (Broder 1997; bands after Leskovec et al.), then those that buckets join, which are
    compared by their sets of shingles themselves. So no worker holds more than some shards or one
    partition, and what is called near is near. Of a cluster the row with the smallest id is kept,
    whatever the order of the rows; `duplicate_of` names it.
    """

    word = "corpus.near_duplicates"

    class Config(StageConfig):
        similarity: float | None = Field(
            0.7,
            gt=0,
            le=1,
            description="Jaccard similarity (>=) of the shingles of near duplicates; null: only "
            "equal documents are removed",
        )
        shingle: int = Field(5, ge=1, description="words in a shingle")
        recall: float = Field(
            0.99,
            gt=0,
            lt=0.9995,
            description="share of the pairs exactly at `similarity` that is found; more of those "
            "above it",
        )
        permutations: int = Field(
            128, ge=1, le=128, description="hash functions of a signature, at most"
        )
        partitions: int | None = execution_field(
            None,
            description="parts in which documents meet; by default so many that one holds some "
            "32 MiB",
            why="what becomes of a document depends on those it meets, and it meets the same",
        )

        @model_validator(mode="after")
        def _can_be_found(self) -> NearDuplicates.Config:
            if self.similarity is not None:
                from operators.corpus import choose_bands

                choose_bands(self.similarity, self.recall, self.permutations)
            return self

    inputs = {"documents": Input(Kind.DOCUMENTS, "documents, normalised")}
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "the rows that are kept, as they were"),
        "dropped": Output(
            Kind.DROPPED,
            "the rows that are not: exact_duplicate or near_duplicate, their similarity to the "
            "row in duplicate_of",
        ),
    }
    conserves = ("documents", ("documents", "dropped"))

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        documents: Artifact = inputs["documents"]
        shards = documents.parts
        partitions = self.config.partitions
        equal = context.shuffle(documents, self.hashed, "low", self.repeated, partitions=partitions)
        found = [equal]
        context.metric("exact_duplicates", equal.rows)
        if self.config.similarity is not None:
            by_shard = context.shuffle(equal, None, "shard", None, partitions=shards)
            rows = documents.rows * self._bands().bands
            links = context.shuffle(
                by_shard,
                self.bucketed,
                "bucket",
                self.linked,
                partitions=partitions or -(-rows * _BUCKET_BYTES // _PARTITION_BYTES) or 1,
            )
            joined = self._components(links, context)
            asked = context.shuffle(joined, self.addressed, "shard", None, partitions=shards)
            size = documents.bytes * _SET_BYTES * joined.rows // max(1, documents.rows)
            near = context.shuffle(
                asked,
                self.sets,
                "key",
                self.verified,
                partitions=partitions or -(-size // _PARTITION_BYTES) or 1,
            )
            found.append(near)
            context.metric("near_duplicates", near.rows)
            context.metric("compared", joined.rows)
        context.shuffle(found, None, "shard", self.divided, partitions=shards, outputs=outputs)
        if len(found) > 1 and found[1].rows:
            self._draw(found[1], context)

    def _bands(self) -> Any:
        from operators.corpus import choose_bands

        config = self.config
        return choose_bands(config.similarity, config.recall, config.permutations)

    # -- equal documents ---------------------------------------------------------------------------

    def hashed(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        """A hash of each document."""
        from operators.corpus import content_hashes

        low, high = content_hashes(rows.column("text"))
        return pa.table(
            {"low": low, "high": high, "number": _numbers(part, rows.num_rows), "id": rows["id"]}
        )

    def repeated(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        """Documents that repeat one with a smaller id."""
        rows = rows.sort_by([("low", "ascending"), ("high", "ascending"), ("id", "ascending")])
        low, high = rows["low"].to_numpy(), rows["high"].to_numpy()
        first = np.ones(len(low), bool)
        first[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
        of = np.maximum.accumulate(np.where(first, np.arange(len(low)), 0))
        repeats = np.flatnonzero(~first)
        return _decisions(
            rows["number"].to_numpy()[repeats],
            "exact_duplicate",
            np.ones(len(repeats)),
            rows["id"].take(pa.array(of[repeats])),
        )

    # -- documents worth comparing -----------------------------------------------------------------

    def bucketed(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        """Each document of a shard in its buckets; without those that repeat another."""
        from operators.corpus import bucket_keys, shingle_signatures, signature_sketches

        texts = inputs["documents"].part(part).column("text")
        bands = self._bands()
        signatures, sizes = shingle_signatures(
            texts, permutations=bands.permutations, shingle=self.config.shingle
        )
        live = sizes > 0
        live[rows["row"].to_numpy()] = False
        keys = bucket_keys(signatures[live], bands)
        sketches = np.repeat(signature_sketches(signatures[live]), bands.bands, axis=0)
        return pa.table(
            {
                "bucket": keys.ravel(),
                "number": np.repeat(_numbers(part, len(sizes))[live], bands.bands),
                "low": np.ascontiguousarray(sketches[:, 0]),
                "high": np.ascontiguousarray(sketches[:, 1]),
            }
        )

    def linked(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        """Pairs that share a bucket and may be similar."""
        from operators.corpus import bucket_links

        links = bucket_links(
            rows["bucket"].to_numpy(),
            np.stack([rows["low"].to_numpy(), rows["high"].to_numpy()], axis=1),
            rows["number"].to_numpy(),
            threshold=self.config.similarity,
            permutations=self._bands().permutations,
        )
        return _edges(links[:, 1], links[:, 0])

    # -- what links join ---------------------------------------------------------------------------

    def _components(self, links: Shuffled, context: Context) -> Shuffled:
        """For each document in a link, the smallest of those it is joined with."""
        if links.rows <= _FEW_LINKS:
            return context.shuffle(links, None, "key", self.joined, partitions=1)
        changed = True
        while changed:
            large = context.shuffle(links, self.both_ways, "key", self.large_star)
            links = context.shuffle(large, self.keyed, "key", self.small_star)
            changed = large.counts.get("changed", 0) + links.counts.get("changed", 0) > 0
        return context.shuffle(links, self.with_centre, "key", self.once)

    def joined(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        from operators.corpus import components

        return _edges(*components(rows["left"].to_numpy(), rows["right"].to_numpy()))

    def both_ways(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        left, right = rows["left"].to_numpy(), rows["right"].to_numpy()
        return _edges(np.concatenate([left, right]), np.concatenate([right, left]))

    def keyed(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        return _edges(rows["left"].to_numpy(), rows["right"].to_numpy())

    def with_centre(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        """The centre of a star belongs to it, too."""
        left, right = rows["left"].to_numpy(), rows["right"].to_numpy()
        centres = np.unique(right)
        return _edges(np.concatenate([left, centres]), np.concatenate([right, centres]))

    def large_star(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        from operators.corpus import large_star

        made = large_star(rows["left"].to_numpy(), rows["right"].to_numpy())
        context.count("changed", made.changed)
        return _edges(made.nodes, made.others)

    def small_star(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        from operators.corpus import small_star

        made = small_star(rows["left"].to_numpy(), rows["right"].to_numpy())
        context.count("changed", made.changed)
        return _edges(made.nodes, made.others)

    def once(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        """Each document once: its centre may have come from several parts."""
        nodes, first = np.unique(rows["left"].to_numpy(), return_index=True)
        return _edges(nodes, rows["right"].to_numpy()[first])

    # -- comparison --------------------------------------------------------------------------------

    def addressed(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        numbers = rows["left"].to_numpy()
        return rows.append_column("shard", pa.array(numbers >> _ROW_BITS))

    def sets(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        """The shingles of the documents of one shard that are to be compared."""
        from operators.corpus import shingle_sets

        rows = rows.sort_by("left")
        numbers, groups = rows["left"].to_numpy(), rows["right"].to_numpy()
        held = inputs["documents"].part(part).select(["id", "text"])
        held = held.take(pa.array(numbers & (2**_ROW_BITS - 1)))
        made = shingle_sets(held["text"], shingle=self.config.shingle)
        offsets = np.concatenate([np.zeros(1, np.int64), made.ends])
        return pa.table(
            {
                "key": _spread(groups),
                "group": groups,
                "number": numbers,
                "id": held["id"],
                "shingles": pa.LargeListArray.from_arrays(offsets, made.values),
            }
        )

    def verified(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> pa.Table:
        """Documents that are similar to one with a smaller id."""
        from operators.corpus import ShingleSets, similar_clusters

        rows = rows.combine_chunks()
        if not rows.num_rows:
            return _DECISIONS.empty_table()
        lists = rows["shingles"].chunk(0)
        ranks = np.empty(rows.num_rows, np.int64)
        ranks[pc.sort_indices(rows["id"]).to_numpy()] = np.arange(rows.num_rows)
        clusters, similarities = similar_clusters(
            rows["group"].to_numpy(),
            ShingleSets(
                lists.flatten().to_numpy(),
                lists.offsets.to_numpy()[1:] - lists.offsets[0].as_py(),
            ),
            ranks,
            threshold=self.config.similarity,
        )
        repeats = np.flatnonzero(clusters != np.arange(len(clusters)))
        _, others = np.unique(clusters[repeats], return_counts=True)
        _tally(context, _SIZE, np.minimum(others + 1, _LARGEST_SIZE))
        _tally(context, _PERCENT, (similarities[repeats] * 100).astype(np.int64))
        return _decisions(
            rows["number"].to_numpy()[repeats],
            "near_duplicate",
            similarities[repeats],
            rows["id"].take(pa.array(clusters[repeats])),
        )

    # -- what becomes of the documents -------------------------------------------------------------

    def divided(
        self, rows: pa.Table, part: int, inputs: Mapping[str, Any], context: Context
    ) -> Mapping[str, pa.Table]:
        """One shard, kept and dropped."""
        documents = inputs["documents"].part(part)
        rows = rows.sort_by("row")
        dropped = np.zeros(documents.num_rows, bool)
        dropped[rows["row"].to_numpy()] = True
        gone = documents.take(rows["row"])
        return {
            "documents": documents.filter(pa.array(~dropped)),
            "dropped": pa.table(
                {
                    "id": gone["id"],
                    "source": gone["source"],
                    "reason": rows["reason"],
                    "value": rows["similarity"],
                    "text": gone["text"],
                    "duplicate_of": rows["duplicate_of"],
                }
            ),
        }

    def _draw(self, near: Shuffled, context: Context) -> None:
        """How similar what is dropped was to what stays, and how large clusters are."""
        from operators.plotting import histogram

        percents, dropped = _tallied(near, _PERCENT)
        sizes, clusters = _tallied(near, _SIZE)
        context.metric("clusters", float(clusters.sum()))
        context.figure(
            "similarity",
            histogram(
                (percents + 0.5) / 100,
                weights=dropped,
                bins=50,
                title="Near duplicates that are dropped",
                xlabel="Jaccard similarity to the document that stays",
            ),
        )
        context.figure(
            "clusters",
            histogram(
                sizes,
                weights=clusters,
                bins=min(_LARGEST_SIZE, max(8, int(sizes.max(initial=2)) - 1)),
                title="Clusters of near duplicates",
                xlabel=f"documents in a cluster ({_LARGEST_SIZE} stands for more, too)",
                log=True,
            ),
        )


def _tally(context: Context, name: str, values: Any) -> None:
    """Count how often there is each value."""
    for value, amount in zip(*np.unique(values, return_counts=True), strict=True):
        context.count(f"{name} {value}", int(amount))


def _tallied(shuffled: Shuffled, name: str) -> tuple[Any, Any]:
    """The values that steps have tallied under a name, and how often there is each."""
    found = [key for key in shuffled.counts if key.startswith(f"{name} ")]
    values = np.array([int(key.removeprefix(name)) for key in found], np.int64)
    return values, np.array([shuffled.counts[key] for key in found], np.int64)


def _numbers(part: int, rows: int) -> Any:
    """A number for each row of a shard: where it lies."""
    return (np.int64(part) << _ROW_BITS) + np.arange(rows, dtype=np.int64)


def _spread(numbers: Any) -> Any:
    """Numbers as evenly spread ones, one to one."""
    from operators.corpus import mix64

    return mix64(numbers.astype(np.uint64))


def _edges(left: Any, right: Any) -> pa.Table:
    return pa.table({"key": _spread(left), "left": left, "right": right})


def _decisions(numbers: Any, reason: str, similarities: Any, kept: Any) -> pa.Table:
    columns = [
        pa.array(numbers >> _ROW_BITS),
        pa.array(numbers & (2**_ROW_BITS - 1)),
        pa.array([reason] * len(numbers), pa.string()),
        pa.array(similarities, pa.float64()),
        kept,
    ]
    return pa.table(columns, schema=_DECISIONS)
