"""Beads, the links of a sentence alignment, and their scores against a gold alignment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_Ids = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Bead:
    """Source sentences that translate target sentences.

    Attributes:
        source: 0-based positions of sentences in the source document; empty for an insertion.
        target: 0-based positions in the target document; empty for a deletion.
        score: how well the two sides match, on the scale of the aligner that made the bead; 0
            where nobody scored it, as in a gold alignment.
    """

    source: tuple[int, ...]
    target: tuple[int, ...]
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class BeadScores:
    """Precision, recall and F1, strict and lax, with the counts behind them.

    A ratio with nothing below the line is 0.

    Attributes:
        predicted_beads: beads that precision is measured on, insertions and deletions included.
        strict_correct: of these, identical to a gold bead.
        lax_correct: of these, identical or partly linked in gold.
        gold_beads: beads that recall is measured on, without insertions and deletions.
        strict_found: of these, identical to a predicted bead.
        lax_found: of these, identical or partly linked in the prediction.
    """

    predicted_beads: int
    strict_correct: int
    lax_correct: int
    gold_beads: int
    strict_found: int
    lax_found: int

    @property
    def strict_precision(self) -> float:
        return _ratio(self.strict_correct, self.predicted_beads)

    @property
    def strict_recall(self) -> float:
        return _ratio(self.strict_found, self.gold_beads)

    @property
    def strict_f1(self) -> float:
        return _f1(self.strict_precision, self.strict_recall)

    @property
    def lax_precision(self) -> float:
        return _ratio(self.lax_correct, self.predicted_beads)

    @property
    def lax_recall(self) -> float:
        return _ratio(self.lax_found, self.gold_beads)

    @property
    def lax_f1(self) -> float:
        return _f1(self.lax_precision, self.lax_recall)


def score_beads(predicted: Sequence[Sequence[Bead]], gold: Sequence[Sequence[Bead]]) -> BeadScores:
    """Score alignments of documents: `predicted[d]` and `gold[d]` are those of document d.

    The convention of vecalign's ``score.py`` (Thompson and Koehn 2019, after Sennrich and Volk
    2011, W11-4624). Counts are pooled over documents. Beads empty on both sides are dropped, and
    a repeated bead counts once. Precision counts every predicted bead, insertions and deletions
    included, against all gold beads. Recall is precision with the two arguments swapped, after
    beads with an empty side are removed from both. Strict: the bead is in the other alignment.
    Lax: strict, or some target sentence of the bead is linked to one of its source sentences in
    the other alignment. The beads' scores are not looked at.

    Raises:
        ValueError: the two sides have different numbers of documents.
    """
    if len(predicted) != len(gold):
        raise ValueError(f"{len(predicted)} predicted documents, but {len(gold)} gold documents")
    counts = [0] * 6
    for predicted_document, gold_document in zip(predicted, gold, strict=True):
        ours, theirs = _bead_ids(predicted_document), _bead_ids(gold_document)
        precision = _count_correct(ours, theirs)
        recall = _count_correct(_two_sided(theirs), _two_sided(ours))
        counts = [total + n for total, n in zip(counts, precision + recall, strict=True)]
    return BeadScores(*counts)


def _bead_ids(beads: Iterable[Bead]) -> set[_Ids]:
    ids = {(tuple(sorted(bead.source)), tuple(sorted(bead.target))) for bead in beads}
    return ids - {((), ())}


def _two_sided(beads: set[_Ids]) -> set[_Ids]:
    return {(source, target) for source, target in beads if source and target}


def _count_correct(tested: set[_Ids], reference: set[_Ids]) -> tuple[int, int, int]:
    """How many beads are tested, strictly correct, laxly correct."""
    links: dict[int, set[int]] = defaultdict(set)
    for source, target in reference:
        for sentence in source:
            links[sentence].update(target)
    lax = sum(
        (source, target) in reference
        or any(not links[sentence].isdisjoint(target) for sentence in source)
        for source, target in tested
    )
    return len(tested), len(tested & reference), lax


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
