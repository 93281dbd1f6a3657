"""Grammatical error correction: sentences of learners, and phrases that translate theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from stages.content_hash import hash_content
from stages.contract import (
    Artifact,
    Context,
    Field,
    Input,
    Kind,
    Output,
    Sink,
    Stage,
    StageConfig,
)
from stages.kinds import BITEXT

if TYPE_CHECKING:
    from operators.correction import Edit

SAMPLE = "sample://learner-english"

# Edits that make the errors, in tokens of `target_text` (white space divides them).
ERRORS = pa.list_(
    pa.struct(
        [("start", pa.int32()), ("end", pa.int32()), ("type", pa.string()), ("text", pa.string())]
    )
)
CORRECTIONS = BITEXT.append(pa.field("errors", ERRORS))
PHRASES = BITEXT.append(pa.field("count", pa.int64()))

PhrasePair = tuple[tuple[str, ...], tuple[str, ...]]


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
            address: hash_content(content) for address, content in contents_of(self.config.sources)
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
        for address, content in contents_of(config.sources):
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
                        "errors": [error_row(edit) for edit in errors],
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


def error_row(edit: Edit) -> dict[str, Any]:
    return {"start": edit.start, "end": edit.end, "type": edit.type,
            "text": " ".join(edit.correction)}  # fmt: skip


def contents_of(urls: Sequence[str]) -> Iterator[tuple[str, bytes]]:
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
        return next(contents_of([address]))
    folder = resources.files("stages") / "learner_english"
    file = Path(str(folder / f"glossary.{into}.tsv"))
    if not file.is_file():
        raise ValueError(f"{SAMPLE} has no glossary into {into}; it has one into zho_Hans")
    return f"{address}/{into}", file.read_bytes()
