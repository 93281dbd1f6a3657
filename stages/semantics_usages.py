"""Usages of words in two corpora, old and modern: found, learnt from, and placed by their sense."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stages.compute_settings import ComputeSettings
from stages.content_hash import local_hashes
from stages.contract import (
    Artifact,
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
from stages.kinds import DOCUMENTS, METRICS
from stages.tokenizer_files import END_OF_TEXT, MODEL_FILE, load_library_tokenizer

OLD, MODERN = "old", "modern"


# A usage is a document: `text` is the word in its surroundings.
USAGES = (
    DOCUMENTS.append(pa.field("word", pa.string()))
    .append(pa.field("period", pa.string()))  # old, modern
    .append(pa.field("document", pa.string()))  # id of the document that it is from
    .append(pa.field("start", pa.int32()))  # of the word in `text`, in characters
    .append(pa.field("end", pa.int32()))
)


VECTOR = pa.list_(pa.float32())


_CORPORA = {
    "old": Input(Kind.DOCUMENTS, "the old corpus", optional=True),
    "modern": Input(Kind.DOCUMENTS, "the modern corpus", optional=True),
    "documents": Input(
        Kind.DOCUMENTS, "both in one, told apart by old_groups and modern_groups", optional=True
    ),
}


class Corpora(StageConfig):
    """Which documents are old and which are modern."""

    old_groups: list[str] = Field(
        [], description="groups of `documents` that are the old corpus, such as 1840s"
    )
    modern_groups: list[str] = Field(
        [], description="groups of `documents` that are the modern corpus"
    )

    def read(self, inputs: Mapping[str, Artifact]) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Batches of rows with the period they are of."""
        import pyarrow.compute as pc

        both = {OLD, MODERN} <= inputs.keys()
        if both == ("documents" in inputs) or (both and (self.old_groups or self.modern_groups)):
            raise ValueError(
                "give two corpora, old and modern; or `documents` with old_groups and modern_groups"
            )
        if both:
            for period in (OLD, MODERN):
                for batch in inputs[period].batches():
                    yield period, batch
            return
        wanted = {OLD: self.old_groups, MODERN: self.modern_groups}
        shared = sorted(set(self.old_groups) & set(self.modern_groups))
        if shared or not all(wanted.values()):
            raise ValueError(
                f'the group "{shared[0]}" is both old and modern' if shared else
                "old_groups and modern_groups must both name groups"
            )  # fmt: skip
        for batch in inputs["documents"].batches():
            for period, groups in wanted.items():
                is_of = pc.is_in(batch.column("group"), value_set=pa.array(groups, pa.string()))
                yield period, batch.filter(is_of)


class Usages(Stage):
    """Find where words are used in an old and a modern corpus, and take equally many of each.

    Whole words only. Frequency must not look like change, so each word has as many usages from one
    corpus as from the other, chosen by a hash of their ids.
    """

    word = "semantics.usages"

    class Config(Corpora):
        words: list[str] = Field(min_length=1, description="the words to look at")
        variants: dict[str, list[str]] = Field(
            {}, description="other spellings and forms of a word: {colour: [color, colours]}"
        )
        ignore_case: bool = Field(True, description="whether Case and case are one word")
        reach: int = Field(
            300, ge=1, description="characters of context on either side, cut at spaces"
        )
        max_usages: int = Field(200, ge=1, description="usages of a word and corpus at most")
        min_usages: int = Field(
            10, ge=1, description="a word with fewer (<) in one of them is left out, and told"
        )
        seed: int = Field(0, description="of the sample")
        shard_rows: int = Field(
            512, gt=0, description="rows in a shard; shards are what vectors are spread over"
        )

    inputs = _CORPORA
    outputs = {
        "usages": Output(Kind.DOCUMENTS, "a row a usage: text is the word in its context"),
        "counts": Output(
            Kind.METRICS, "usages found and taken, and per million words, by word and corpus"
        ),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.semantics import HashSample, find_usages, usage_pattern

        config = self.config
        pattern, forms = usage_pattern(
            config.words, config.variants, ignore_case=config.ignore_case
        )
        samples = {
            (word, period): HashSample(config.max_usages, config.seed)
            for word in config.words
            for period in (OLD, MODERN)
        }
        words = {OLD: 0, MODERN: 0}
        done = 0
        for period, batch in config.read(inputs):
            for row in batch.select(["id", "text", "language", "source"]).to_pylist():
                words[period] += len(row["text"].split())
                for usage in find_usages(row["text"], pattern, forms, reach=config.reach):
                    id_ = f"{period}:{row['id']}:{usage.start}"
                    samples[usage.word, period].add(id_, (id_, row, usage))
            done += batch.num_rows
            context.progress(done, unit="documents")
        rows: list[dict[str, Any]] = []
        counts: list[dict[str, Any]] = []
        left_out = 0
        for word in config.words:
            sides = {period: samples[word, period] for period in (OLD, MODERN)}
            size = min(config.max_usages, *(side.seen for side in sides.values()))
            if size < config.min_usages:
                size, left_out = 0, left_out + 1
            for period, side in sides.items():
                found = {
                    "usages": float(side.seen),
                    "taken": float(size),
                    "per_million": 1e6 * side.seen / max(1, words[period]),
                }
                counts += [
                    {"id": word, "metric": metric, "value": value,
                     "weight": float(words[period]), "group": period}
                    for metric, value in found.items()
                ]  # fmt: skip
                for id_, row, usage in side.chosen(size):
                    rows.append(
                        {"id": id_, "text": usage.context, "language": row["language"],
                         "source": row["source"], "group": None, "edits": [], "word": word,
                         "period": period, "document": row["id"], "start": usage.at,
                         "end": usage.to}
                    )  # fmt: skip
        table = pa.Table.from_pylist(rows, USAGES)
        for start in range(0, max(len(rows), 1), config.shard_rows):
            outputs["usages"].write(table.slice(start, config.shard_rows))
        outputs["counts"].write(pa.Table.from_pylist(counts, METRICS))
        context.metric("words", len(config.words) - left_out)
        context.metric("words_left_out", left_out)
        context.metric("usages", len(rows))


class Space(Stage):
    """Word vectors of both corpora from co-occurrence counts alone: PPMI and SVD.

    `model` is one space of both corpora, for `semantics.vectors`. `distances` compares two spaces,
    one of each corpus, turned onto each other by orthogonal Procrustes (Hamilton et al. 2016).
    """

    word = "semantics.space"
    libraries = ("scipy", "numpy")

    class Config(Corpora):
        dimensions: int = Field(100, ge=1, description="of the vectors")
        window: int = Field(2, ge=1, description="words on either side that count as near")
        largest: int = Field(20_000, ge=2, description="words at most, the most frequent ones")
        min_count: int = Field(5, ge=1, description="rarer (<) words are left out")
        smoothing: float = Field(
            0.75, gt=0, le=1, description="power of context frequencies (Levy et al. 2015)"
        )

    inputs = _CORPORA
    outputs = {
        "model": Output(Kind.MODEL, "one space: words, vectors and shares"),
        "distances": Output(
            Kind.METRICS, "procrustes_distance of each word frequent in both (weight: rarer count)"
        ),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        import polars as pl

        from operators.semantics import (
            align_spaces,
            cooccurrences,
            count_space,
            numbered,
            ppmi,
            tokenize,
            truncated_svd,
            vocabulary,
        )
        from operators.semantics.measures import centroid_distances

        config = self.config
        frames: dict[str, list[Any]] = {OLD: [], MODERN: []}
        done = {OLD: 0, MODERN: 0}
        for period, batch in config.read(inputs):
            frame = tokenize(batch.column("text").to_pylist())
            frames[period].append(frame.with_columns(pl.col("document") + done[period]))
            done[period] += batch.num_rows
            context.progress(sum(done.values()), unit="documents")
        corpora = [pl.concat(frames[period]) for period in (OLD, MODERN) if frames[period]]
        if len(corpora) < 2 or not all(map(len, corpora)):
            raise ValueError("both corpora must hold words")
        words = vocabulary(corpora, largest=config.largest, min_count=config.min_count)
        if len(words) < 2:
            raise ValueError(
                f"{len(words)} words occur {config.min_count} times or more; lower min_count or "
                "read more text"
            )
        tokens = [numbered(frame, words) for frame in corpora]
        space = count_space(
            tokens, words, dimensions=config.dimensions, window=config.window,
            smoothing=config.smoothing,
        )  # fmt: skip
        folder = outputs["model"].folder()
        settings = {"kind": "counts", "window": config.window, "words": words}
        Path(folder, "space.json").write_text(json.dumps(settings), encoding="utf-8")
        np.save(Path(folder, "vectors.npy"), space.vectors.astype(np.float32))
        np.save(Path(folder, "shares.npy"), space.shares)

        counts = np.array([some.counts(len(words)) for some in tokens])
        rarer = counts.min(axis=0)
        (both,) = np.nonzero(rarer >= config.min_count)
        if len(both):
            sides = [
                truncated_svd(
                    ppmi(
                        cooccurrences(some, len(words), window=config.window),
                        smoothing=config.smoothing,
                    ),
                    config.dimensions,
                )[both]
                for some in tokens
            ]
            distances = centroid_distances(align_spaces(*sides), sides[1])
        else:
            distances = np.zeros(0)
        rows = [
            {"id": words[k], "metric": "procrustes_distance", "value": round(float(distance), 9),
             "weight": float(rarer[k]), "group": None}
            for k, distance in zip(both.tolist(), distances, strict=True)
        ]  # fmt: skip
        outputs["distances"].write(pa.Table.from_pylist(rows, METRICS))
        context.metric("words", len(words))
        context.metric("words_in_both", len(both))


class Vectors(RowStage):
    """A vector for each usage, from a language model or from counts.

    A language model, masked or causal, gives the mean of its last layers over the word's tokens. A
    space of `semantics.space` gives weighted sums of the words on either side (Schütze 1998).
    """

    word = "semantics.vectors"
    libraries = ("torch", "transformers")

    class Config(ComputeSettings):
        layers: int = Field(4, ge=1, description="last layers to average; language models only")
        window: int = Field(5, ge=1, description="words on either side; spaces only")
        hub: str | None = Field(
            None, description="name of a model on the hub, or its folder, where no model is given"
        )
        batch_size: int = Field(32, ge=1, description="usages in a forward pass")

    inputs = {
        "usages": Input(Kind.DOCUMENTS, "usages, of semantics.usages"),
        "model": Input(
            Kind.MODEL, "a model with its tokenizer, or a semantics.space", optional=True
        ),
    }
    outputs = {"usages": Output(Kind.DOCUMENTS, "the same rows, with a vector")}

    def sources(self) -> Mapping[str, str]:
        if self.config.hub is None:
            return {}
        folder = Path(self.config.hub)
        if folder.is_dir():
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            return {str(path): digest for path, digest in local_hashes(files).items()}
        from huggingface_hub import HfApi

        # The hub's own commit of the model: exact, and one small request.
        return {self.config.hub: str(HfApi().model_info(self.config.hub).sha)}

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        from operators.semantics import CountSpace

        if ("model" in inputs) == (self.config.hub is not None):
            raise ValueError("give a model, or set hub to the name of one; not both")
        self.space: CountSpace | None = None
        if "model" in inputs and Path(inputs["model"].folder(), "space.json").is_file():
            folder = inputs["model"].folder()
            settings = json.loads(Path(folder, "space.json").read_text(encoding="utf-8"))
            self.space = CountSpace(
                settings["words"],
                np.load(Path(folder, "vectors.npy")).astype(np.float64),
                np.load(Path(folder, "shares.npy")),
            )
            self.window = self.config.window
            return
        from operators.semantics.contextual import load_encoder

        if "model" in inputs and Path(inputs["model"].folder(), MODEL_FILE).is_file():
            # Says which tokenizers have places in the text, where this one has none.
            load_library_tokenizer(inputs["model"])
        source = self.config.hub or str(inputs["model"].folder())
        self.model, self.tokenizer = load_encoder(source, local=Path(source).is_dir())

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        contexts = _column(rows, "text")
        spans = list(zip(_column(rows, "start"), _column(rows, "end"), strict=True))
        if self.space is not None:
            made = self.space.usage_vectors(contexts, spans, window=self.window)
            context.count("empty", int((~made.any(axis=1)).sum()))
        else:
            made = self._contextual(contexts, spans)
        vectors = pa.array(list(made.astype(np.float32)), VECTOR)
        return rows.append_column(pa.field("vector", VECTOR), vectors)

    def _contextual(self, contexts: Sequence[str], spans: Sequence[tuple[int, int]]) -> Any:
        from operators.semantics.contextual import contextual_vectors

        begin = None
        if not self.tokenizer.num_special_tokens_to_add(is_pair=False):
            # The models of this project read each text behind this token.
            begin = self.tokenizer.token_to_id(END_OF_TEXT)
        return contextual_vectors(
            self.model,
            self.tokenizer,
            contexts,
            spans,
            layers=self.config.layers,
            longest=int(self.model.config.max_position_embeddings),
            begin=begin,
            batch_size=self.config.batch_size,
            device=self.config.device,
            threads=self.config.threads,
        )


def _column(rows: pa.Table, name: str) -> Any:
    if name not in rows.column_names:
        raise ValueError(f'usages have no column "{name}"; they come from semantics.usages')
    return rows.column(name).to_pylist()
