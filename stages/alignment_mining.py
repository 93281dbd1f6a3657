"""Translations found: documents that are versions of each other, and sentences among the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa

from stages.alignment_words import rows_by_languages
from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import BITEXT, METRICS

Seeds = dict[tuple[str, str], list[tuple[str, str]]]


class Documents(Stage):
    """Find which documents are versions of each other in other languages, and group them.

    In this order: by the groups they have, by names that differ in the language alone, and by
    content as a miner sees it. The miner learns from seed bitext where it is given, and else goes
    by names, numbers and spelling. A document for which no version is found keeps its group, or has
    none; every document comes out.
    """

    word = "alignment.documents"
    libraries = ("anyascii",)  # its tables spell all names

    class Config(StageConfig):
        source_language: str = Field("eng_Latn", description="language that others are paired with")
        target_languages: list[str] | None = Field(
            None, description="languages to pair with it; default all others"
        )
        by: list[Literal["name", "content"]] = Field(
            ["name", "content"], description="what tells versions, beside the groups there are"
        )
        threshold: float = Field(
            1.05, description="margin (>) of a pair by content; below it documents stay alone"
        )
        rounds: int = Field(
            1, ge=0, description="how often the miner teaches itself on the documents"
        )
        codes: dict[str, list[str]] = Field(
            {},
            description="how names write a language, beside its codes of two and three letters: "
            "{deu_Latn: [german, dt]}",
        )
        groups: Literal["keep", "measure"] = Field(
            "keep",
            description="keep: groups there are stand; measure: they are put aside, and what is "
            "found is measured against them",
        )

    inputs = {
        "documents": Input(Kind.DOCUMENTS, "documents in several languages"),
        "seeds": Input(Kind.BITEXT, "translations to learn from", optional=True),
    }
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "the same rows; versions of each other share a group"),
        "scores": Output(
            Kind.METRICS, "score of each pair found; precision and recall if measured"
        ),
    }
    conserves = ("documents", ("documents",))

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        config = self.config
        table = inputs["documents"].table()
        gold = table.column("group").to_pylist()
        groups: list[str | None] = [None] * len(gold) if config.groups == "measure" else list(gold)
        by_language: dict[str, list[int]] = {}
        for row, language in enumerate(table.column("language").to_pylist()):
            by_language.setdefault(language, []).append(row)
        if config.source_language not in by_language:
            raise ValueError(
                f"no document is in {config.source_language}; there are: "
                f"{', '.join(sorted(by_language)) or 'none'}"
            )
        seeds = seed_pairs(inputs.get("seeds"))
        wanted = config.target_languages
        scores: list[dict[str, Any]] = []
        counts: dict[str, int] = {}
        targets = sorted(by_language.keys() - {config.source_language})
        for done, language in enumerate(targets, start=1):
            if wanted is None or language in wanted:
                pairs = self._pair(table, by_language, language, groups, seeds)
                for source, target, score, by in pairs:
                    counts[by] = counts.get(by, 0) + 1
                    scores.append({"id": f"{_id(table, source)}|{_id(table, target)}",
                                   "metric": f"margin by {by}", "value": score, "weight": 1.0,
                                   "group": groups[source]})  # fmt: skip
                if config.groups == "measure":
                    scores += _measure(pairs, gold, by_language, config.source_language, language)
            context.progress(done, len(targets), "languages")
        for by in ("name", "content"):
            context.metric(f"pairs_by_{by}", counts.get(by, 0))
        context.metric("documents_without_a_version", sum(group is None for group in groups))
        self._tell(scores, context)
        at = table.schema.get_field_index("group")
        outputs["documents"].write(table.set_column(at, "group", pa.array(groups, pa.string())))
        outputs["scores"].write(pa.Table.from_pylist(scores, METRICS))

    def _pair(
        self,
        table: pa.Table,
        by_language: Mapping[str, Sequence[int]],
        language: str,
        groups: list[str | None],
        seeds: Seeds,
    ) -> list[tuple[int, int, float, str]]:
        """Pairs of rows found for one language; `groups` is filled."""
        from operators.alignment import learn_miner, pair_by_content, pair_by_name

        config = self.config
        taken = {groups[row] for row in by_language[language] if groups[row] is not None}
        free = [
            [row for row in by_language[config.source_language]
             if groups[row] is None or groups[row] not in taken],
            [row for row in by_language[language] if groups[row] is None],
        ]  # fmt: skip
        found: list[tuple[int, int, float, str]] = []
        for by in dict.fromkeys(config.by):
            sides = [table.take(rows) for rows in free]
            if not (free[0] and free[1]):
                break
            if by == "name":
                names = [side.column("source").to_pylist() for side in sides]
                pairs = pair_by_name(
                    names[0], names[1], self._codes(config.source_language), self._codes(language)
                )
            else:
                texts = [side.column("text").to_pylist() for side in sides]
                miner = learn_miner(
                    seeds.get((config.source_language, language), []),
                    source=texts[0],
                    target=texts[1],
                    rounds=config.rounds,
                )
                pairs = pair_by_content(
                    miner.vectors(texts[0], "source"),
                    miner.vectors(texts[1], "target"),
                    threshold=config.threshold,
                )
            new = [(free[0][p.source], free[1][p.target], p.score, p.by) for p in pairs]
            for source, target, _, _ in new:
                groups[source] = groups[source] or _id(table, source)
                groups[target] = groups[source]
            gone = {row for pair in new for row in pair[:2]}
            free = [[row for row in rows if row not in gone] for rows in free]
            found += new
        return found

    def _codes(self, language: str) -> list[str]:
        from operators.corpus.language_codes import other_codes

        three = language.partition("_")[0]
        known = [language, three, *other_codes(three)]
        return [*known, *self.config.codes.get(language, ())]

    def _tell(self, scores: Sequence[Mapping[str, Any]], context: Context) -> None:
        from operators.plotting import histogram

        margins = [row["value"] for row in scores if row["metric"] == "margin by content"]
        if margins:
            png = histogram(margins, bins=40, title="Documents paired by content", xlabel="margin")
            context.figure("document_margins", png)
        for name in ("precision", "recall"):
            rows = [row for row in scores if row["metric"] == name]
            if total := sum(row["weight"] for row in rows):
                value = sum(row["value"] * row["weight"] for row in rows) / total
                context.metric(name, value)


def _id(table: pa.Table, row: int) -> str:
    return str(table.column("id")[row].as_py())


def _measure(
    pairs: Sequence[tuple[int, int, float, str]],
    gold: Sequence[str | None],
    by_language: Mapping[str, Sequence[int]],
    source_language: str,
    language: str,
) -> list[dict[str, Any]]:
    sides = [{gold[row] for row in by_language[name] if gold[row] is not None}
             for name in (source_language, language)]  # fmt: skip
    there = len(sides[0] & sides[1])
    right = sum(gold[s] is not None and gold[s] == gold[t] for s, t, _, _ in pairs)
    return [
        {"id": language, "metric": name, "value": right / weight if weight else 1.0,
         "weight": float(weight), "group": source_language}
        for name, weight in (("precision", len(pairs)), ("recall", there))
    ]  # fmt: skip


def seed_pairs(artifact: Any) -> Seeds:
    """Texts of bitext by source and target language; none where there is no artifact."""
    if artifact is None:
        return {}
    table = artifact.table()
    sides = [table.column(f"{side}_text").to_pylist() for side in ("source", "target")]
    return {
        languages: [(sides[0][row], sides[1][row]) for row in rows]
        for languages, rows in rows_by_languages(table).items()
    }


class Mine(Stage):
    """Find translations among the sentences of two languages, in whatever documents they stand.

    A miner learns from seed bitext (`operators.alignment.learn_miner`), and teaches itself on the
    sentences where it is told to; no model is downloaded. Sentences that the bitext
    `aligned` has already are left out. Of one that is there several times the first is taken.
    """

    word = "alignment.mine"
    libraries = ("anyascii",)  # its tables spell all names

    class Config(StageConfig):
        source_language: str = Field("eng_Latn", description="language on the source side")
        target_languages: list[str] | None = Field(
            None, description="languages on the target side; default all others"
        )
        sentences: Literal["lines", "rules"] = Field(
            "rules", description="a sentence a line (blank ones are none), or split by rules"
        )
        min_chars: int = Field(10, ge=1, description="shorter (<) sentences are left out")
        max_chars: int = Field(1000, ge=1, description="longer (>) sentences are left out")
        rounds: int = Field(
            0,
            ge=0,
            description="how often the miner teaches itself; margins then confirm themselves",
        )
        k: int = Field(4, ge=1, description="neighbours that a margin is taken against")
        margin: Literal["ratio", "distance", "absolute"] = Field(
            "ratio", description="cosine over, minus, or without the mean of the neighbours'"
        )
        threshold: float = Field(1.1, description="margin (>) of a pair")
        retrieval: Literal["max", "intersect"] = Field(
            "max", description="greedy from the best pair down, or mutual bests alone"
        )

    inputs = {
        "documents": Input(Kind.DOCUMENTS, "documents, versions of each other or not"),
        "seeds": Input(Kind.BITEXT, "translations to learn from", optional=True),
        "aligned": Input(Kind.BITEXT, "bitext of these documents, to leave out", optional=True),
    }
    outputs = {
        "bitext": Output(Kind.BITEXT, "one row a pair; higher scores (margins) are better"),
        "scores": Output(Kind.METRICS, "sentences, pairs and what is left, by language"),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        config = self.config
        seeds = seed_pairs(inputs.get("seeds"))
        by_language: dict[str, list[dict[str, Any]]] = {}
        for document in inputs["documents"].table().to_pylist():
            by_language.setdefault(document["language"], []).append(document)
        if config.source_language not in by_language:
            raise ValueError(
                f"no document is in {config.source_language}; there are: "
                f"{', '.join(sorted(by_language)) or 'none'}"
            )
        used = _used(inputs.get("aligned"))
        wanted = config.target_languages
        languages = [
            name for name in sorted(by_language)
            if name != config.source_language and (wanted is None or name in wanted)
        ]  # fmt: skip
        rows: list[dict[str, Any]] = []
        measures: list[dict[str, Any]] = []
        for done, language in enumerate(languages, start=1):
            # A sentence that has its German may still lack its Greek.
            source, target = (
                self._sentences(by_language[name], used.get((config.source_language, language), {}))
                for name in (config.source_language, language)
            )
            found = self._mine(source, target, language, seeds)
            rows += found
            numbers = {
                "source_sentences": len(source),
                "target_sentences": len(target),
                "pairs": len(found),
                "target_sentences_left": len(target) - len(found),
            }
            for name, value in numbers.items():
                measures.append({"id": language, "metric": name, "value": float(value),
                                 "weight": 1.0, "group": config.source_language})  # fmt: skip
            context.progress(done, len(languages), "languages")
        outputs["bitext"].write(pa.Table.from_pylist(rows, BITEXT))
        outputs["scores"].write(pa.Table.from_pylist(measures, METRICS))
        for name in ("pairs", "target_sentences_left"):
            context.metric(name, sum(m["value"] for m in measures if m["metric"] == name))
        if rows:
            from operators.plotting import histogram

            png = histogram([row["score"] for row in rows], bins=40, title="Sentence pairs mined",
                            xlabel=f"margin ({config.margin})")  # fmt: skip
            context.figure("margins", png)

    def _sentences(
        self,
        documents: Sequence[dict[str, Any]],
        used: Mapping[tuple[str, str], set[int]],
    ) -> dict[str, tuple[dict[str, Any], int]]:
        """Sentence -> its document and its number there, where it comes first."""
        config = self.config
        found: dict[str, tuple[dict[str, Any], int]] = {}
        for document in documents:
            gone = used.get((document["group"], document["language"]), set())
            for number, sentence in enumerate(sentences_of(document, config.sentences)):
                if number not in gone and config.min_chars <= len(sentence) <= config.max_chars:
                    found.setdefault(sentence, (document, number))
        return found

    def _mine(
        self,
        source: Mapping[str, tuple[dict[str, Any], int]],
        target: Mapping[str, tuple[dict[str, Any], int]],
        language: str,
        seeds: Seeds,
    ) -> list[dict[str, Any]]:
        from operators.alignment import learn_miner

        config = self.config
        texts = list(source), list(target)
        if not (texts[0] and texts[1]):
            return []
        miner = learn_miner(
            seeds.get((config.source_language, language), []),
            source=texts[0],
            target=texts[1],
            rounds=config.rounds,
        )
        pairs = miner.mine(
            *texts,
            k=config.k,
            threshold=config.threshold,
            retrieval=config.retrieval,
            margin=config.margin,
        )
        rows = []
        for pair in pairs:
            (left, i), (right, j) = source[texts[0][pair.source]], target[texts[1][pair.target]]
            rows.append(
                {
                    "id": f"{left['id']}:{i}|{right['id']}:{j}",
                    "group": left["group"] if left["group"] == right["group"] else None,
                    "source_language": config.source_language,
                    "target_language": language,
                    "source_text": texts[0][pair.source],
                    "target_text": texts[1][pair.target],
                    "source_sentences": [i],
                    "target_sentences": [j],
                    "score": pair.score,
                    "edits": [],
                }
            )
        return rows


def sentences_of(document: Mapping[str, Any], how: str) -> list[str]:
    """The sentences of a document, counted as `alignment.sentences` counts them."""
    from operators.alignment import split_sentences

    if how == "lines":
        return [line.strip() for line in document["text"].split("\n") if line.strip()]
    return split_sentences(document["text"], document["language"])


def _used(artifact: Any) -> dict[tuple[str, str], dict[tuple[str, str], set[int]]]:
    """Sentences that bitext has: by its two languages, then by group and language of a document."""
    used: dict[tuple[str, str], dict[tuple[str, str], set[int]]] = {}
    for row in [] if artifact is None else artifact.table().to_pylist():
        languages = (row["source_language"], row["target_language"])
        own = used.setdefault(languages, {})
        if row["group"] is not None:
            for side, language in zip(("source", "target"), languages, strict=True):
                own.setdefault((row["group"], language), set()).update(row[f"{side}_sentences"])
    return used
