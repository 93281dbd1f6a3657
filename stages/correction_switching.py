"""Synthetic code-switched sentences for grammatical error correction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from stages.content_hash import hash_content
from stages.contract import (
    Context,
    Field,
    Input,
    Kind,
    Output,
    RowStage,
    StageConfig,
)
from stages.correction import CORRECTIONS, contents_of, error_row
from stages.kinds import BITEXT, DROPPED

if TYPE_CHECKING:
    from operators.correction import Phrase, Sentence, Switched


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
CODE_SWITCHED = CORRECTIONS.append(pa.field("switches", SWITCHES))


Method = Literal[
    "ratio-token", "cont-token", "rand-phrase", "ratio-phrase", "overlap-phrase", "noun-token"
]


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
        return {a: hash_content(content) for a, content in contents_of([self.config.parses])}

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
            {**error_row(edit), "start": moved(edit.start), "end": moved(edit.end)}
            for edit in switched.kept
        ],
        "switches": switches,
    }


def _generator(seed: int, row_id: str) -> np.random.Generator:
    digest = blake2b(f"{seed}\x00{row_id}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def with_column(table: pa.Table, column: str) -> pa.Table:
    if column not in table.column_names:
        raise ValueError(
            f'the bitext has no column "{column}"; it must come from correction.code_switch'
        )
    return table


def _read_parses(address: str) -> dict[tuple[str, ...], list[Phrase]]:
    from operators.correction import parse_brackets

    trees: dict[tuple[str, ...], list[Phrase]] = {}
    for name, content in contents_of([address]):
        for number, line in enumerate(content.decode("utf-8").split("\n"), start=1):
            if not line.strip():
                continue
            try:
                tokens, phrases = parse_brackets(line)
            except ValueError as error:
                raise ValueError(f"{name}:{number}: is no bracketed parse: {error}") from error
            trees[tuple(tokens)] = phrases
    return trees
