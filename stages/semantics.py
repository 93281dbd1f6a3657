"""Semantic change: how words are used in two corpora, old and modern, and how far that differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

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
from stages.kinds import DOCUMENTS, DROPPED, METRICS, REPORT
from stages.tokenizer import END_OF_TEXT, load_tokenizer

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

_CORPORA = {
    "old": Input(Kind.DOCUMENTS, "the old corpus", optional=True),
    "modern": Input(Kind.DOCUMENTS, "the modern corpus", optional=True),
    "documents": Input(
        Kind.DOCUMENTS, "both in one, told apart by old_groups and modern_groups", optional=True
    ),
}


class Clean(RowStage):
    """Drop texts that are mostly no letters, or too short, as Historical Ink does (Montes et al.
    2024).

    Exact duplicates and empty texts are what `corpus.clean` drops with `dedup: exact`.
    """

    word = "semantics.clean"

    class Config(StageConfig):
        letters: str = Field("a-zA-ZÀ-ÿ", description="characters and ranges that count as letters")
        max_other_fraction: float = Field(
            0.5, ge=0, le=1, description="more (>) characters that are no letters: dropped; spaces "
            "are none",
        )  # fmt: skip
        min_tokens: int = Field(
            6, ge=0, description="fewer (<) tokens, begin and end counted: dropped; needs a "
            "tokenizer",
        )  # fmt: skip

    inputs = {
        "documents": Input(Kind.DOCUMENTS, "texts as read"),
        "tokenizer": Input(Kind.TOKENIZER, "what counts their tokens", optional=True),
    }
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "the texts that are kept, as they were"),
        "dropped": Output(Kind.DROPPED, "the texts that are not, with the reason"),
    }

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        self.tokenizer = load_tokenizer(inputs["tokenizer"]) if "tokenizer" in inputs else None

    def apply(self, rows: pa.Table, context: Context) -> Mapping[str, pa.Table]:
        from operators.semantics import count_wordpieces, letter_share

        config = self.config
        texts = rows.column("text").to_pylist()
        verdicts: list[tuple[str, float] | None] = []
        for text in texts:
            others = 1 - letter_share(text, config.letters)
            few = others > config.max_other_fraction
            verdicts.append(("few_letters", others) if few else None)
        if self.tokenizer is not None:
            for row, count in enumerate(count_wordpieces(self.tokenizer, texts)):
                if verdicts[row] is None and count < config.min_tokens:
                    verdicts[row] = ("few_tokens", float(count))
        dropped = [
            {"id": row["id"], "source": row["source"], "reason": verdict[0], "value": verdict[1],
             "text": row["text"]}
            for row, verdict in zip(rows.to_pylist(), verdicts, strict=True)
            if verdict is not None
        ]  # fmt: skip
        return {
            "documents": rows.filter(pa.array([v is None for v in verdicts], pa.bool_())),
            "dropped": pa.Table.from_pylist(dropped, DROPPED),
        }


class Wordpiece(Stage):
    """Train a WordPiece tokenizer, as BERT models have it, to count tokens by.

    Texts are divided at white space and punctuation; letters and accents stay as they are. The
    artifact opens with `tokenizers.Tokenizer.from_file`. It does not give every text back, so it is
    for measuring, not for training (`tokenizer.train`).
    """

    word = "semantics.wordpiece"
    libraries = ("tokenizers",)

    class Config(StageConfig):
        vocab_size: int = Field(52_000, ge=100, description="tokens wanted")
        min_frequency: int = Field(2, ge=0, description="a pair must occur so often (>=)")

    inputs = {"documents": Input(Kind.DOCUMENTS, "text to learn from")}
    outputs = {"tokenizer": Output(Kind.TOKENIZER, "tokenizer.json")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.semantics.wordpiece import train_wordpiece

        texts = (
            text
            for batch in inputs["documents"].batches()
            for text in batch.column("text").to_pylist()
        )
        tokenizer = train_wordpiece(
            texts, vocab_size=self.config.vocab_size, min_frequency=self.config.min_frequency
        )
        tokenizer.save(str(Path(outputs["tokenizer"].folder(), "tokenizer.json")))
        context.metric("vocab_size", tokenizer.get_vocab_size())


class Chunks(RowStage):
    """Cut documents between sentences into chunks that a model takes as a whole."""

    word = "semantics.chunks"
    expands = True

    class Config(StageConfig):
        max_tokens: int = Field(
            254, ge=1, description="tokens of a chunk at most, without begin and end; a longer "
            "sentence is a chunk of its own",
        )  # fmt: skip

    inputs = {
        "documents": Input(Kind.DOCUMENTS, "texts"),
        "tokenizer": Input(Kind.TOKENIZER, "what counts their tokens"),
    }
    outputs = {"documents": Output(Kind.DOCUMENTS, "one row a chunk, with the id ID#NUMBER")}

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        self.tokenizer = load_tokenizer(inputs["tokenizer"])

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.alignment import split_sentences
        from operators.semantics import sentence_chunks

        made: list[dict[str, Any]] = []
        for row in rows.to_pylist():
            sentences = split_sentences(row["text"], row["language"])
            encoded = self.tokenizer.encode_batch(sentences, add_special_tokens=False)
            lengths = [len(encoding.ids) for encoding in encoded]
            chunks = sentence_chunks(sentences, lengths, self.config.max_tokens)
            for number, chunk in enumerate(chunks):
                text = " ".join(sentences[k] for k in chunk)
                made.append({**row, "id": f"{row['id']}#{number}", "text": text})
                context.count("too_long", sum(lengths[k] for k in chunk) > self.config.max_tokens)
        return pa.Table.from_pylist(made, rows.schema)


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

    class Config(StageConfig):
        layers: int = Field(4, ge=1, description="last layers to average; language models only")
        window: int = Field(5, ge=1, description="words on either side; spaces only")
        hub: str | None = Field(
            None, description="name of a model on the hub, or its folder, where no model is given"
        )
        batch_size: int = Field(32, ge=1, description="usages in a forward pass")
        threads: int = Field(
            1, ge=1, description="CPU threads; in the key because the order of float sums is"
        )
        device: Literal["auto", "cpu", "cuda"] = Field(
            "auto", description="auto: a GPU where the task was given one"
        )

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


def _column(rows: pa.Table, name: str) -> Any:
    if name not in rows.column_names:
        raise ValueError(f'usages have no column "{name}"; they come from semantics.usages')
    return rows.column(name).to_pylist()
