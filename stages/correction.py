"""Grammatical error correction: learners' sentences, and synthetic code-switched ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from stages.content_hash import hash_content
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
from stages.kinds import BITEXT, DROPPED, METRICS

if TYPE_CHECKING:
    from operators.correction import Edit, Phrase, Sentence, Switched

SAMPLE = "sample://learner-english"

# Edits that make the errors, in tokens of `target_text` (white space divides them).
ERRORS = pa.list_(
    pa.struct(
        [("start", pa.int32()), ("end", pa.int32()), ("type", pa.string()), ("text", pa.string())]
    )
)
# What was translated: tokens of `target_text`, the words before, and what stands for them.
SWITCHES = pa.list_(
    pa.struct(
        [
            ("start", pa.int32()),
            ("end", pa.int32()),
            ("text", pa.string()),
            ("translation", pa.string()),
        ]
    )
)
CORRECTIONS = BITEXT.append(pa.field("errors", ERRORS))
CODE_SWITCHED = CORRECTIONS.append(pa.field("switches", SWITCHES))
PHRASES = BITEXT.append(pa.field("count", pa.int64()))

PhrasePair = tuple[tuple[str, ...], tuple[str, ...]]
Method = Literal[
    "ratio-token", "cont-token", "rand-phrase", "ratio-phrase", "overlap-phrase", "noun-token"
]


class Read(Stage):
    """Read sentences of learners with their corrections from M2 files (ERRANT's format).

    A row is a sentence as one annotator corrects it: `source_text` is what the learner wrote,
    `target_text` the correction, `errors` the edits that bring the errors back.
    """

    word = "correction.read"

    class Config(StageConfig):
        sources: list[str] = Field(
            min_length=1,
            description="M2 files, on any filesystem, with globs; or sample://learner-english",
        )
        language: str = Field("eng_Latn", description="language of the sentences")
        inverted: bool = Field(
            False, description="the files hold correct sentences, with edits that make errors"
        )
        annotator: int | None = Field(
            0, ge=0, description="whose corrections; null: those of each, a row an annotator"
        )
        shard_rows: int = Field(
            2048, gt=0, description="rows in a shard; shards are what workers take"
        )

    outputs = {
        "sentences": Output(
            Kind.BITEXT, "source: as written; target: corrected; errors: edits from the latter back"
        )
    }

    def sources(self) -> Mapping[str, str]:
        return {
            address: hash_content(content) for address, content in _contents(self.config.sources)
        }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        rows: list[dict[str, Any]] = []
        done = edits = 0
        for row in self._rows():
            rows.append(row)
            done += 1
            edits += len(row["errors"])
            if len(rows) == self.config.shard_rows:
                outputs["sentences"].write(pa.Table.from_pylist(rows, CORRECTIONS))
                rows = []
                context.progress(done, unit="sentences")
        if rows or not done:
            outputs["sentences"].write(pa.Table.from_pylist(rows, CORRECTIONS))
        context.metric("sentences", done)
        context.metric("errors", edits)

    def _rows(self) -> Iterator[dict[str, Any]]:
        from operators.correction import apply_edits, invert, parse_m2

        config = self.config
        for address, content in _contents(config.sources):
            try:
                # Not splitlines: it ends lines at U+2028 and others, which a token may hold.
                lines = content.decode("utf-8-sig").split("\n")
            except UnicodeDecodeError as error:
                line = content[: error.start].count(b"\n") + 1
                raise ValueError(f"{address}:{line}: is not UTF-8 text ({error.reason})") from error
            for number, sentence in enumerate(parse_m2(lines, address), start=1):
                wanted = sentence.annotators if config.annotator is None else (config.annotator,)
                for annotator in wanted:
                    if config.inverted:
                        errors = sentence.edits_of(annotator)
                        correct = list(sentence.tokens)
                        written = apply_edits(correct, errors)
                    else:
                        inverse = invert(sentence, annotator)
                        errors, correct = list(inverse.edits), list(inverse.tokens)
                        written = list(sentence.tokens)
                    suffix = "" if config.annotator is not None else f"@{annotator}"
                    yield {
                        "id": f"{address}#{number}{suffix}",
                        "group": f"{address}#{number}",
                        "source_language": config.language,
                        "target_language": config.language,
                        "source_text": " ".join(written),
                        "target_text": " ".join(correct),
                        "source_sentences": [],
                        "target_sentences": [],
                        "score": None,
                        "edits": [],
                        "errors": [_error(edit) for edit in errors],
                    }


class Phrases(Stage):
    """Learn from bitext how phrases are translated: word links, then all consistent phrase pairs.

    Words are linked by `operators.alignment.learn_words`, and phrase pairs extracted as Koehn, Och
    and Marcu (2003) do. Chinese, Japanese and others without spaces are linked by character.
    """

    word = "correction.phrases"

    class Config(StageConfig):
        language: str = Field("eng_Latn", description="language that phrases are translated from")
        into: str = Field(description="language that they are translated into, such as zho_Hans")
        longest: int = Field(5, ge=1, description="words of a phrase, on either side, at most")
        min_count: int = Field(1, ge=1, description="rarer (<) phrase pairs are left out")
        glossary: str | None = Field(
            None, description="file of phrases and their translations, divided by a tab, which "
            "hold whatever the bitext says; or sample://learner-english",
        )  # fmt: skip
        method: Literal["hmm", "fast_align", "ibm1"] = Field(
            "hmm", description="how words are linked"
        )
        symmetrization: Literal["grow-diag-final-and", "grow-diag", "intersection", "union"] = (
            Field("grow-diag-final-and", description="how the links of two directions become one")
        )

    inputs = {
        "bitext": Input(
            Kind.BITEXT, "sentences and their translations, in any direction", optional=True
        )
    }
    outputs = {"phrases": Output(Kind.BITEXT, "phrase pairs; score: p(target | source)")}

    def sources(self) -> Mapping[str, str]:
        if self.config.glossary is None:
            return {}
        address, content = _glossary(self.config.glossary, self.config.into)
        return {address: hash_content(content)}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        config = self.config
        counts: dict[PhrasePair, int] = {}
        if "bitext" in inputs:
            counts = self._learn(inputs["bitext"], context)
        elif config.glossary is None:
            raise ValueError("there is nothing to learn from: give bitext, or set glossary")
        given = dict(self._given())
        pairs = [
            (pair, count)
            for pair, count in counts.items()
            if count >= config.min_count and pair[0] not in given
        ]
        pairs += [(pair, 1) for pair in given.items()]
        totals: dict[tuple[str, ...], int] = {}
        for (source, _), count in pairs:
            totals[source] = totals.get(source, 0) + count
        rows = [
            {
                "id": f"{' '.join(source)}|||{' '.join(target)}",
                "group": None,
                "source_language": config.language,
                "target_language": config.into,
                "source_text": " ".join(source),
                "target_text": " ".join(target),
                "source_sentences": [],
                "target_sentences": [],
                "score": count / totals[source],
                "edits": [],
                "count": count,
            }
            for (source, target), count in sorted(pairs)
        ]
        outputs["phrases"].write(pa.Table.from_pylist(rows, PHRASES))
        context.metric("phrase_pairs", len(rows))
        context.metric("source_phrases", len(totals))

    def _given(self) -> Iterator[PhrasePair]:
        from operators.correction import words_of

        config = self.config
        if config.glossary is None:
            return
        address, content = _glossary(config.glossary, config.into)
        for number, line in enumerate(content.decode("utf-8-sig").split("\n"), start=1):
            if not line.strip():
                continue
            sides = line.rstrip("\r").split("\t")
            if len(sides) != 2 or not all(side.strip() for side in sides):
                raise ValueError(
                    f'{address}:{number}: is no line of a glossary: "{line[:60]}"; it should be a '
                    "phrase, a tab and its translation"
                )
            source = tuple(word.casefold() for word in words_of(sides[0], config.language))
            yield source, tuple(words_of(sides[1], config.into))

    def _learn(self, bitext: Artifact, context: Context) -> dict[PhrasePair, int]:
        """How often each phrase pair is consistent with the word links of the bitext."""
        from operators.alignment import align_words
        from operators.correction import phrase_pairs, words_of

        config = self.config
        texts = list(self._texts(bitext))
        if not texts:
            raise ValueError(
                f"the bitext has no pair of {config.language} and {config.into}; set language and "
                "into to two that it has"
            )
        pairs = [
            (words_of(source, config.language), words_of(target, config.into))
            for source, target in texts
        ]
        links = align_words(pairs, method=config.method, symmetrization=config.symmetrization)
        counts: dict[PhrasePair, int] = {}
        for (source, target), linked in zip(pairs, links, strict=True):
            folded = [word.casefold() for word in source]
            for pair in phrase_pairs(folded, target, linked, longest=config.longest):
                counts[pair] = counts.get(pair, 0) + 1
        context.metric("sentence_pairs", len(pairs))
        return counts

    def _texts(self, bitext: Artifact) -> Iterator[tuple[str, str]]:
        wanted = (self.config.language, self.config.into)
        for batch in bitext.batches():
            columns = ["source_language", "target_language", "source_text", "target_text"]
            for row in batch.select(columns).to_pylist():
                languages = (row["source_language"], row["target_language"])
                if languages == wanted:
                    yield row["source_text"], row["target_text"]
                elif languages == wanted[::-1]:
                    yield row["target_text"], row["source_text"]


class CodeSwitch(RowStage):
    """Say a span of each corrected sentence in another language, and put its other errors back.

    Chan et al. 2024 (LREC-COLING). Errors that the translated span overlaps are not put back. A
    sentence of which nothing was translated is in `dropped`, with the reason. To translate by other
    means than a phrase table, subclass this stage and override `translator`.
    """

    word = "correction.code_switch"

    class Config(StageConfig):
        method: Method = Field("ratio-phrase", description="how the span is chosen")
        ratio: float = Field(
            0.15, ge=0, le=1, description="tokens to translate, as a share of the sentence"
        )
        learners: Literal["zho", "kor", "jpn"] | None = Field(
            None, description="draw the share of each sentence as learners of this first language "
            "mix theirs in; ratio is not used then",
        )  # fmt: skip
        parses: str | None = Field(
            None, description="file with a bracketed parse of a corrected sentence a line; "
            "default: phrases of English by marker words",
        )  # fmt: skip
        dropped_types: list[str] = Field(
            ["Um"], description="types of errors that are never put back"
        )
        longest: int = Field(
            100, ge=1, description="sentences of more (>) tokens are taken in pieces, at full stops"
        )
        attempts: int = Field(
            20, ge=1, description="spans tried before a sentence that has no translation is left"
        )
        seed: int = Field(0, description="of the choices; each row has a stream of its own")

    inputs = {
        "sentences": Input(Kind.BITEXT, "learners' sentences and corrections, of correction.read"),
        "phrases": Input(Kind.BITEXT, "phrase pairs, of correction.phrases"),
    }
    outputs = {
        "bitext": Output(
            Kind.BITEXT, "source: with errors; target: correct; both in two languages"
        ),
        "dropped": Output(Kind.DROPPED, "sentences of which nothing was translated"),
    }

    def sources(self) -> Mapping[str, str]:
        if self.config.parses is None:
            return {}
        return {a: hash_content(content) for a, content in _contents([self.config.parses])}

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        self.translate = self.translator(inputs)
        self.trees = None if self.config.parses is None else _read_parses(self.config.parses)
        if self.config.method == "noun-token" and self.trees is None:
            raise ValueError(
                "noun-token needs to know nouns: give the parses of the corrected sentences"
            )

    def translator(self, inputs: Mapping[str, Any]) -> Callable[[Sequence[str]], list[str] | None]:
        """What translates tokens: a list of tokens, or None where it cannot."""
        from operators.correction import PhraseTable
        from operators.correction.translation import is_unspaced

        table = inputs["phrases"].table()
        languages = table.column("target_language").unique().to_pylist()
        if len(languages) != 1:
            raise ValueError(f"the phrases are in {len(languages)} languages; there must be one")
        columns = ["source_text", "target_text", "count"]
        rows = table.select(columns).to_pylist()
        return PhraseTable.from_counts(
            (
                (tuple(row["source_text"].split()), tuple(row["target_text"].split()), row["count"])
                for row in rows
            ),
            is_spaced=not is_unspaced(languages[0]),
        )

    def apply(self, rows: pa.Table, context: Context) -> Mapping[str, pa.Table]:
        if "errors" not in rows.column_names:
            raise ValueError('sentences have no column "errors"; read them by correction.read')
        kept, dropped = [], []
        for row in rows.to_pylist():
            switched, reason = self._switch(row)
            context.count("sentences", 1)
            context.count("eligible", int(switched.is_eligible))
            context.count("drawn", int(switched.drawn > 0))
            context.count("changed", int(bool(switched.spans)))
            if reason:
                dropped.append(
                    {"id": row["id"], "source": row["group"] or "", "reason": reason,
                     "value": float(switched.drawn), "text": row["target_text"]}
                )  # fmt: skip
                continue
            context.count("errors_kept", len(switched.kept))
            context.count("errors_dropped", len(switched.dropped))
            kept.append(_switched_row(row, switched))
        return {
            "bitext": pa.Table.from_pylist(kept, CODE_SWITCHED),
            "dropped": pa.Table.from_pylist(dropped, DROPPED),
        }

    def _switch(self, row: Mapping[str, Any]) -> tuple[Switched, str]:
        """The sentence, and why it is dropped, or nothing."""
        from operators.correction import LEARNERS, switch_language

        config = self.config
        sentence = _sentence(row)
        generator = _generator(config.seed, row["id"])
        ratio = config.ratio
        if config.learners is not None:
            ratio = LEARNERS[config.learners].draw(generator)
        phrases = self._phrases(sentence)
        switched = switch_language(
            sentence,
            self.translate,
            method=config.method,
            ratio=ratio,
            phrases=phrases or (),
            dropped_types=frozenset(config.dropped_types),
            longest=config.longest,
            attempts=config.attempts,
            generator=generator,
        )
        if switched.spans:
            return switched, ""
        if phrases is None:
            return switched, "no_parse"
        return switched, "no_translation" if switched.is_eligible else "no_span"

    def _phrases(self, sentence: Sentence) -> Sequence[Phrase] | None:
        from operators.correction import constituents, marker_chunks

        if self.config.method in ("ratio-token", "cont-token"):
            return ()
        if self.trees is None:
            return marker_chunks(sentence.tokens)
        phrases = self.trees.get(sentence.tokens)
        if phrases is None or self.config.method == "noun-token":
            return phrases
        return constituents(phrases, len(sentence.tokens))

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        sentences = counts.get("sentences", 0)
        if not sentences:
            return {}
        return {f"{name}_share": counts[name] / sentences for name in ("eligible", "drawn",
                                                                       "changed")}  # fmt: skip


class Statistics(Stage):
    """How the languages are mixed: share of the second one and switch points, beside real learners.

    Both are counted in tokens of the correct sentence; where words are written without spaces, a
    translated phrase is one token.
    """

    word = "correction.statistics"

    class Config(StageConfig):
        learners: Literal["zho", "kor", "jpn"] = Field(
            "zho", description="first language of the learners to compare with (Chan et al. 2024)"
        )

    inputs = {"bitext": Input(Kind.BITEXT, "code-switched sentences, of correction.code_switch")}
    outputs = {
        "statistics": Output(
            Kind.METRICS, "l2_ratio and switch_points by sentence (weight: tokens), and over all"
        )
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.correction import LEARNERS, switch_points
        from operators.plotting import histogram_with_density

        target = LEARNERS[self.config.learners]
        rows: list[dict[str, Any]] = []
        ratios, points = [], []
        for row in _checked(inputs["bitext"].table(), "switches").to_pylist():
            tags = [False] * len(row["target_text"].split())
            for switch in row["switches"]:
                tags[switch["start"] : switch["end"]] = [True] * (switch["end"] - switch["start"])
            ratios.append(sum(tags) / max(1, len(tags)))
            points.append(switch_points(tags))
            for metric, value in (("l2_ratio", ratios[-1]), ("switch_points", points[-1])):
                rows.append(
                    {"id": row["id"], "metric": metric, "value": float(value),
                     "weight": float(len(tags)), "group": self.config.learners}
                )  # fmt: skip
        if not ratios:
            raise ValueError(
                "there is no code-switched sentence to count; the phrase table may know too little"
            )
        summary = {
            "l2_ratio_mean": float(np.mean(ratios)),
            "l2_ratio_std": float(np.std(ratios)),
            "target_mean": target.ratio,
            "target_std": target.english_std,
            "target_density": float(np.mean([target.density(ratio) for ratio in ratios])),
            "switch_points_mean": float(np.mean(points)),
        }
        for metric, value in summary.items():
            rows.append({"id": "all", "metric": metric, "value": round(value, 12),
                         "weight": float(len(ratios)), "group": self.config.learners})  # fmt: skip
            context.metric(metric, value)
        outputs["statistics"].write(pa.Table.from_pylist(rows, METRICS))
        context.figure(
            "l2_ratio",
            histogram_with_density(
                ratios,
                target.density,
                bins=20,
                title="Share of the second language in a sentence",
                xlabel="share of tokens",
                label=f"learners ({self.config.learners})",
            ),
        )


def _error(edit: Edit) -> dict[str, Any]:
    return {"start": edit.start, "end": edit.end, "type": edit.type,
            "text": " ".join(edit.correction)}  # fmt: skip


def _sentence(row: Mapping[str, Any]) -> Sentence:
    """The correct sentence of a row, with the edits that make its errors."""
    from operators.correction import Edit, Sentence

    errors = tuple(
        Edit(error["start"], error["end"], tuple(error["text"].split()), error["type"])
        for error in row["errors"]
    )
    return Sentence(tuple(row["target_text"].split()), errors)


def _switched_row(row: Mapping[str, Any], switched: Switched) -> dict[str, Any]:
    spans, positions = switched.spans, switched.positions

    def moved(at: int) -> int:
        """Where a gap between tokens of the sentence lies after the translation."""
        before = [k for k, (_, end) in enumerate(spans) if end <= at]
        return at if not before else at - spans[before[-1]][1] + positions[before[-1]][1]

    words = row["target_text"].split()
    switches = [
        {"start": into[0], "end": into[1], "text": " ".join(words[start:end]),
         "translation": " ".join(translation)}
        for (start, end), into, translation in zip(
            spans, positions, switched.translations, strict=True)
    ]  # fmt: skip
    return {
        **{name: row[name] for name in BITEXT.names},
        "source_text": " ".join(switched.incorrect),
        "target_text": " ".join(switched.correct),
        "edits": [*row["edits"], *(f'"{s["text"]}" -> "{s["translation"]}"' for s in switches)],
        "errors": [
            {**_error(edit), "start": moved(edit.start), "end": moved(edit.end)}
            for edit in switched.kept
        ],
        "switches": switches,
    }


def _generator(seed: int, row_id: str) -> np.random.Generator:
    digest = blake2b(f"{seed}\x00{row_id}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def _checked(table: pa.Table, column: str) -> pa.Table:
    if column not in table.column_names:
        raise ValueError(
            f'the bitext has no column "{column}"; it must come from correction.code_switch'
        )
    return table


def _contents(urls: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Address and content of each file, in order."""
    import fsspec

    for url in urls:
        if url == SAMPLE:
            sample = resources.files("stages") / "learner_english" / "sentences.m2"
            yield url, Path(str(sample)).read_bytes()
            continue
        try:
            files = fsspec.open_files(url, "rb")
        except (ValueError, ImportError) as error:
            raise ValueError(f'the source "{url}" cannot be opened: {error}') from error
        if not files or not all(file.fs.isfile(file.path) for file in files):
            raise FileNotFoundError(f'the source "{url}" matches no file; or {SAMPLE}')
        alone = len(files) == 1 and "*" not in url
        for file in sorted(files, key=lambda file: str(file.path)):
            with file as stream:
                yield (url if alone else str(file.path)), stream.read()


def _glossary(address: str, into: str) -> tuple[str, bytes]:
    if address != SAMPLE:
        return next(_contents([address]))
    folder = resources.files("stages") / "learner_english"
    file = Path(str(folder / f"glossary.{into}.tsv"))
    if not file.is_file():
        raise ValueError(f"{SAMPLE} has no glossary into {into}; it has one into zho_Hans")
    return f"{address}/{into}", file.read_bytes()


def _read_parses(address: str) -> dict[tuple[str, ...], list[Phrase]]:
    from operators.correction import parse_brackets

    trees: dict[tuple[str, ...], list[Phrase]] = {}
    for name, content in _contents([address]):
        for number, line in enumerate(content.decode("utf-8").split("\n"), start=1):
            if not line.strip():
                continue
            try:
                tokens, phrases = parse_brackets(line)
            except ValueError as error:
                raise ValueError(f"{name}:{number}: is no bracketed parse: {error}") from error
            trees[tuple(tokens)] = phrases
    return trees
