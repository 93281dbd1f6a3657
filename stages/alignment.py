"""From documents in several languages to bitext."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from stages.content_hash import hash_content
from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import BITEXT, METRICS
from stages.sources import SAMPLES, sample_gold

if TYPE_CHECKING:
    from operators.alignment import Bead

Beads = list[tuple[tuple[int, ...], tuple[int, ...]]]


class Sentences(Stage):
    """Align the sentences of documents that are versions of each other.

    Documents with one `group` are versions of each other. Each group's document in the source
    language is aligned with each of its others. A bead with an empty side is no bitext; it is
    counted. Where gold alignments are given, strict and lax precision, recall and F1 are measured.
    """

    word = "alignment.sentences"

    class Config(StageConfig):
        source_language: str = Field("eng_Latn", description="language on the source side")
        target_languages: list[str] | None = Field(
            None, description="languages on the target side; default all others"
        )
        method: Literal["lexical", "length"] = Field(
            "length",
            description="lexical: by words, whose translations are learnt from each document pair; "
            "length: Gale-Church with the length ratio and variance of each document pair",
        )
        sentences: Literal["lines", "rules"] = Field(
            "rules", description="a sentence a line (blank ones are none), or split by rules"
        )
        gold: str | None = Field(
            None,
            description="hand-made beads to measure against: a .jsonl file with group, "
            "source_language, target_language, beads; or sample://parallel",
        )

    inputs = {"documents": Input(Kind.DOCUMENTS, "documents, versions of each other in a group")}
    outputs = {
        "bitext": Output(Kind.BITEXT, "one row a bead with both sides; lower scores are better"),
        "scores": Output(Kind.METRICS, "precision, recall and F1 by language, where gold is given"),
    }

    def sources(self) -> Mapping[str, str]:
        if self.config.gold is None:
            return {}
        return {self.config.gold: hash_content(gold_file(self.config.gold).read_bytes())}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.alignment import align_sentences, split_sentences

        config = self.config
        rows: list[dict[str, Any]] = []
        found: dict[tuple[str, str], Beads] = {}
        pairs = list(self._pairs(inputs["documents"].table()))
        one_sided = 0
        longest: tuple[int, str, list[Bead], str, str] | None = None
        for done, (group, source, target) in enumerate(pairs, start=1):
            if config.sentences == "lines":
                sides = [_lines(side["text"]) for side in (source, target)]
            else:
                sides = [split_sentences(s["text"], s["language"]) for s in (source, target)]
            beads = align_sentences(sides[0], sides[1], method=config.method)
            if longest is None or len(beads) > longest[0]:
                longest = (len(beads), group, beads, source["language"], target["language"])
            found[group, target["language"]] = [(bead.source, bead.target) for bead in beads]
            for bead in beads:
                if not (bead.source and bead.target):
                    one_sided += 1
                    continue
                rows.append(
                    {
                        "id": f"{source['id']}:{bead.source[0]}|{target['id']}:{bead.target[0]}",
                        "group": group,
                        "source_language": source["language"],
                        "target_language": target["language"],
                        "source_text": _join([sides[0][i] for i in bead.source], source),
                        "target_text": _join([sides[1][i] for i in bead.target], target),
                        "source_sentences": list(bead.source),
                        "target_sentences": list(bead.target),
                        "score": bead.score,
                        "edits": [],
                    }
                )
            context.progress(done, len(pairs), "pairs")
        outputs["bitext"].write(pa.Table.from_pylist(rows, BITEXT))
        context.metric("document_pairs", len(pairs))
        context.metric("beads", len(rows))
        context.metric("one_sided_beads", one_sided)
        if longest is not None:
            _, group, beads, *languages = longest
            context.figure("alignment", _plot(group, beads, *languages))
        outputs["scores"].write(pa.Table.from_pylist(self._scores(found, context), METRICS))

    def _pairs(self, documents: pa.Table) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
        config = self.config
        groups: dict[str, dict[str, dict[str, Any]]] = {}
        for row in documents.to_pylist():
            if row["group"] is None:
                continue
            other = groups.setdefault(row["group"], {}).setdefault(row["language"], row)
            if other is not row:
                raise ValueError(
                    f'"{other["id"]}" and "{row["id"]}" are both the {row["language"]} version of '
                    f'the group "{row["group"]}"; a group has one document a language'
                )
        if not any(config.source_language in versions for versions in groups.values()):
            raise ValueError(
                f"no document in {config.source_language} belongs to a group; set group_field "
                "where documents are read, or another source_language"
            )
        for group, versions in sorted(groups.items()):
            source = versions.pop(config.source_language, None)
            for language, target in sorted(versions.items()):
                wanted = config.target_languages
                if source is not None and (wanted is None or language in wanted):
                    yield group, source, target

    def _scores(
        self, found: Mapping[tuple[str, str], Beads], context: Context
    ) -> list[dict[str, Any]]:
        from operators.alignment import Bead, score_beads

        if self.config.gold is None:
            return []
        gold = read_gold(self.config.gold, self.config.source_language)
        shared = sorted(gold.keys() & found.keys())
        if not shared:
            raise ValueError(f"{self.config.gold} has no beads for any of these documents")

        def score(pairs: Sequence[tuple[str, str]]) -> Any:
            sides = [[[Bead(*b) for b in beads[pair]] for pair in pairs] for beads in (found, gold)]
            return score_beads(sides[0], sides[1])

        languages = sorted({language for _, language in shared})
        by_name = {name: [p for p in shared if p[1] == name] for name in languages}
        rows = []
        for name, pairs in {**by_name, "all": shared}.items():
            scores = score(pairs)
            for measure in ("strict_precision", "strict_recall", "strict_f1",
                            "lax_precision", "lax_recall", "lax_f1"):  # fmt: skip
                value = getattr(scores, measure)
                weight = float(sum(len(gold[pair]) for pair in pairs))
                rows.append({"id": name, "metric": measure, "value": value, "weight": weight,
                             "group": self.config.source_language})  # fmt: skip
                if name == "all":
                    context.metric(measure, value)
        return rows


def _plot(group: str, beads: Sequence[Bead], source: str, target: str) -> bytes:
    from operators.plotting import bead_plot

    return bead_plot(
        [(bead.source, bead.target, bead.score) for bead in beads],
        title=f"Alignment of {group}",
        xlabel=f"sentence in {source}",
        ylabel=f"sentence in {target}",
    )


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _join(sentences: Sequence[str], document: Mapping[str, Any]) -> str:
    # Chinese and Japanese have no spaces between sentences; Thai, without any between words, has.
    unspaced = document["language"].endswith(("_Hans", "_Hant", "_Jpan"))
    return ("" if unspaced else " ").join(sentences)


def gold_file(address: str) -> Path:
    """The file of hand-made beads that an address names.

    Raises:
        ValueError: there is no such sample.
    """
    if address.startswith("sample://"):
        name = address.removeprefix("sample://")
        if name not in SAMPLES:
            raise ValueError(f'there is no sample "{name}"; there is: {", ".join(SAMPLES)}')
        return sample_gold(name)
    return Path(address)


def read_gold(address: str, source_language: str) -> dict[tuple[str, str], Beads]:
    """Hand-made beads by group and target language; those of other source languages are left out.

    Raises:
        ValueError: a line holds no beads, or there is no such sample.
    """
    gold: dict[tuple[str, str], Beads] = {}
    lines = gold_file(address).read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            beads = [(tuple(source), tuple(target)) for source, target in row["beads"]]
            if row["source_language"] == source_language:
                gold[row["group"], row["target_language"]] = beads
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{address}:{number}: is no line of beads: {error!r}") from error
    return gold
