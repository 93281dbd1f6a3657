"""Evaluate transcripts and translations against references."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from stages.contract import Artifact, Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import METRICS
from stages.table_columns import check_columns

if TYPE_CHECKING:
    from operators.evaluation.word_errors import EditCounts, Split


class Transcripts(Stage):
    """Word and character error rates of what was heard, and how well named entities were found.

    The rate of a corpus is all its edits over all its words, and both sides are written alike
    before they are compared. A clip without a word in its reference has no rate: such clips are
    counted, and what was heard there is among the edits of the corpus.
    """

    word = "evaluation.transcripts"
    libraries = ("jiwer",)

    class Config(StageConfig):
        reference: str = Field("text", description="the column with what was said")
        hypothesis: str = Field("recognised", description="the column with what was heard")
        normalise: bool = Field(
            True, description="NFC, no capitals, no punctuation, on both sides; false divides at "
            "white space and no more",
        )  # fmt: skip
        numbers: str | None = Field(
            None, description='spells numbers in this language ("en"); takes num2words'
        )
        characters: bool | None = Field(
            None, description="letters for words, for scripts without spaces; default: by what the "
            "reference is written in",
        )  # fmt: skip
        entities: str | None = Field(
            None, description="the column with the named entities of the reference, a list of "
            "{label, phrase}, in the order of the text",
        )  # fmt: skip
        recognised_entities: str | None = Field(
            None, description="the column with those of the hypothesis"
        )
        combined_labels: dict[str, str] = Field(
            {}, description="labels that count as another, on both sides: {GPE: PLACE, LOC: PLACE}"
        )

    inputs = {"speech": Input(Kind.SPEECH, "clips with what was said in them and what was heard")}
    outputs = {
        "scores": Output(
            Kind.METRICS, "by clip: wer, substitutions, deletions, insertions (weight: words of "
            "the reference), cer (characters); entity_f1 and label_f1 (entities of both sides); "
            "inserted_in_empty where the reference has no word",
        )
    }  # fmt: skip

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        config = self.config
        table = inputs["speech"].table()
        asked = (config.reference, config.hypothesis, config.entities, config.recognised_entities)
        check_columns(table, [name for name in asked if name], "clips")
        if bool(config.entities) != bool(config.recognised_entities):
            raise ValueError(
                "entities and recognised_entities are compared with each other: set both"
            )
        if not table.num_rows:
            raise ValueError("there is no clip to evaluate")
        clips = table.to_pylist()
        rows = self._errors(clips, context)
        if config.entities:
            rows += self._entities(clips, context)
        outputs["scores"].write(pa.Table.from_pylist(rows, METRICS))
        context.metric("clips", len(clips))

    def _errors(self, clips: Sequence[Mapping[str, Any]], context: Context) -> list[dict[str, Any]]:
        from operators.evaluation.word_errors import character_errors, corpus_errors, word_errors

        words: list[EditCounts] = []
        letters: list[EditCounts] = []
        for clip in clips:
            said, heard = clip[self.config.reference] or "", clip[self.config.hypothesis] or ""
            split = self._split(said)
            words += word_errors([said], [heard], split)
            letters += character_errors([said], [heard], split)
        corpus = corpus_errors(words)
        context.metric("wer", corpus.rate)
        context.metric("cer", corpus_errors(letters).rate)
        length = corpus.total.reference_length
        for kind in ("substitutions", "deletions", "insertions"):
            context.metric(kind, getattr(corpus.total, kind) / length)
        context.metric("reference_words", length)
        context.metric("empty_references", corpus.empty_references)
        context.metric("inserted_in_empty", corpus.inserted_in_empty)
        rates = [counts.rate for counts in words if counts.reference_length]
        context.metric("mean_of_wers", math.fsum(rates) / len(rates))
        rows = []
        for clip, of_words, of_letters in zip(clips, words, letters, strict=True):
            rows += _error_rows(clip, of_words, of_letters)
        return rows

    def _entities(
        self, clips: Sequence[Mapping[str, Any]], context: Context
    ) -> list[dict[str, Any]]:
        from operators.evaluation.named_entities import entity_scores

        config = self.config
        gold, found = (
            [
                [
                    (entity["label"], " ".join(self._split(clip[config.reference] or "")(phrase)))
                    for entity in clip[column] or []
                    if (phrase := entity["phrase"])
                ]
                for clip in clips
            ]
            for column in (config.entities, config.recognised_entities)
        )
        rows = []
        for metric, labels_only in (("entity_f1", False), ("label_f1", True)):
            scores = entity_scores(
                gold, found, combined=config.combined_labels, labels_only=labels_only
            )
            context.metric(metric, scores.micro.f1)
            context.metric(f"{metric}_macro", scores.macro_f1)
            if not labels_only:
                context.metric("entity_precision", scores.micro.precision)
                context.metric("entity_recall", scores.micro.recall)
                for label, counts in scores.by_label.items():
                    context.metric(f"entity_f1.{_name(label)}", counts.f1)
            rows += [
                _row(clip, metric, counts.f1, counts.weight)
                for clip, counts in zip(clips, scores.utterances, strict=True)
                if counts.weight
            ]
        return rows

    def _split(self, reference: str) -> Split:
        """What makes words of a clip's two sides: the same for both, by what the reference is."""
        from operators.speech.normalization import spell_numbers, tokens, writes_no_spaces

        config = self.config
        by_letter = config.characters
        if by_letter is None:
            by_letter = writes_no_spaces(reference)
        if not config.normalise:
            return (lambda text: list("".join(text.split()))) if by_letter else str.split
        spell = spell_numbers(config.numbers) if config.numbers else None
        return lambda text: [
            token.text for token in tokens(text, characters=bool(by_letter), spell=spell)
        ]


def _error_rows(
    clip: Mapping[str, Any], words: EditCounts, letters: EditCounts
) -> list[dict[str, Any]]:
    length = words.reference_length
    if not length:
        return [_row(clip, "inserted_in_empty", words.insertions, 1)]
    rows = [_row(clip, "wer", words.rate, length)]
    rows += [
        _row(clip, kind, getattr(words, kind) / length, length)
        for kind in ("substitutions", "deletions", "insertions")
    ]
    return [*rows, _row(clip, "cer", letters.rate, letters.reference_length)]


def _row(clip: Mapping[str, Any], metric: str, value: float, weight: float) -> dict[str, Any]:
    return {"id": clip["id"], "metric": metric, "value": float(value), "weight": float(weight),
            "group": clip["language"]}  # fmt: skip


class Translations(Stage):
    """BLEU and chrF of translations, by sacrebleu, with its signatures.

    A score for each pair of languages. The BLEU of a corpus is no mean of its sentences: their
    n-gram counts are given, whose sums have the BLEU of any set of sentences.
    """

    word = "evaluation.translations"
    libraries = ("sacrebleu",)

    class Config(StageConfig):
        column: str | None = Field(
            None, description="the column with the translations: of `hypotheses` where it is wired "
            "(default target_text), else of `references` (default hypothesis)",
        )  # fmt: skip
        join: Literal["id", "source_text"] = Field(
            "id", description="what a reference and its translation share; of equal source "
            "texts the first goes with the first, the second with the second",
        )  # fmt: skip
        tokenize: Literal["auto", "13a", "intl", "zh", "char", "none"] = Field(
            "auto", description="of BLEU; auto: zh for Chinese, char for other scripts without "
            "spaces, else 13a. The signature says which it was",
        )  # fmt: skip

    inputs = {
        "references": Input(Kind.BITEXT, "right translations, in target_text"),
        "hypotheses": Input(
            Kind.BITEXT, "translations of the same rows, in target_text", optional=True
        ),
    }
    outputs = {
        "scores": Output(
            Kind.METRICS, "by sentence: chrf, and the statistics of BLEU (bleu_correct_1, ...); by "
            "pair of languages: corpus_bleu and corpus_chrf, with signature as group",
        )
    }  # fmt: skip

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.translation_scores import STATISTICS, translation_scores

        sentences = self._sentences(inputs["references"], inputs.get("hypotheses"))
        if not sentences:
            raise ValueError("there is no translation to evaluate")
        pairs: dict[str, list[Mapping[str, Any]]] = {}
        for row in sentences:
            pairs.setdefault(f"{row['source_language']}-{row['target_language']}", []).append(row)
        rows = []
        for pair, members in sorted(pairs.items()):
            wanted = [row["target_text"] for row in members]
            found = translation_scores(
                wanted,
                [row["hypothesis"] for row in members],
                tokenize=_tokenizer(self.config.tokenize, members[0]["target_language"], wanted),
            )
            for metric, value, signature in (
                ("corpus_bleu", found.bleu, found.bleu_signature),
                ("corpus_chrf", found.chrf, found.chrf_signature),
            ):
                rows.append({"id": pair, "metric": metric, "value": value,
                             "weight": float(len(members)), "group": signature})  # fmt: skip
                context.metric(f"{metric.removeprefix('corpus_')}.{_name(pair)}", value)
            columns: dict[str, Any] = {"chrf": found.sentence_chrf}
            columns |= {
                f"bleu_{name}": found.statistics[:, place] for place, name in enumerate(STATISTICS)
            }
            rows += [
                {"id": row["id"], "metric": metric, "value": float(value), "weight": 1.0,
                 "group": pair}
                for metric, values in columns.items()
                for row, value in zip(members, values, strict=True)
            ]  # fmt: skip
        outputs["scores"].write(pa.Table.from_pylist(rows, METRICS))
        context.metric("sentences", len(sentences))
        for side, column in (("references", "target_text"), ("hypotheses", "hypothesis")):
            empty = sum(not row[column].strip() for row in sentences)
            context.metric(f"empty_{side}", empty)

    def _sentences(self, references: Artifact, hypotheses: Artifact | None) -> list[dict[str, Any]]:
        """The rows of the references, with a translation each."""
        rows = references.table().to_pylist()
        given = rows if hypotheses is None else hypotheses.table().to_pylist()
        side = "references" if hypotheses is None else "hypotheses"
        column = self.config.column or ("hypothesis" if hypotheses is None else "target_text")
        if given and column not in given[0]:
            raise ValueError(
                f'the {side} have no column "{column}": set column, or wire hypotheses'
            )
        wanted, found = (_keyed(each, self.config.join) for each in (rows, given))
        differing = sorted(wanted.keys() ^ found.keys())
        if differing:
            raise ValueError(
                f"references and hypotheses must have the same {self.config.join}: "
                f'{len(differing)} are on one side only, such as "{differing[0][0]}"'
            )
        return [
            {**row, "target_text": row["target_text"] or "", "hypothesis": found[key][column] or ""}
            for key, row in wanted.items()
        ]


def _keyed(rows: Sequence[dict[str, Any]], column: str) -> dict[tuple[str, int], dict[str, Any]]:
    """Rows by the value of a column, and the how manieth of that value each is."""
    counts: dict[str, int] = {}
    keyed = {}
    for row in rows:
        number = counts.get(row[column], 0)
        keyed[row[column], number] = row
        counts[row[column]] = number + 1
    return keyed


def _tokenizer(setting: str, language: str, references: Sequence[str]) -> str:
    from operators.speech.normalization import writes_no_spaces

    if setting != "auto":
        return setting
    if language.startswith(("zho", "cmn", "yue")):
        return "zh"
    return "char" if writes_no_spaces("".join(references)) else "13a"


def _name(label: str) -> str:
    """A part of a metric's name that MLflow takes."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in label)
