"""Named entities in transcripts, as SLUE counts them, and the score of its benchmark.

An utterance is a set of (label, phrase, k), the k-th time that this phrase has this label in it
(Shon et al. 2022). A phrase counts as found where both sides have it; places in the text do not
matter, as a transcript has other places. *Label-F1* ignores the phrases and so forgives a
misspelled name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Entity = tuple[str, str]  # label, phrase
Numbered = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class EntityCounts:
    """Entities of an utterance or a corpus.

    Attributes:
        right: in both sides.
        gold: in the reference.
        predicted: in the hypothesis.
    """

    right: int = 0
    gold: int = 0
    predicted: int = 0

    def __add__(self, other: EntityCounts) -> EntityCounts:
        return EntityCounts(
            self.right + other.right, self.gold + other.gold, self.predicted + other.predicted
        )

    @property
    def precision(self) -> float:
        """0 where nothing is predicted."""
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """0 where there is nothing to find."""
        return self.right / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """2 right / (gold + predicted); a ratio of sums, with gold + predicted as its weight."""
        return 2 * self.right / self.weight if self.weight else 0.0

    @property
    def weight(self) -> int:
        return self.gold + self.predicted


@dataclass(frozen=True)
class EntityScores:
    """Scores of a corpus.

    Attributes:
        micro: counts of all labels; its `f1` is the headline.
        by_label: counts of each label that occurs on either side, in order of the labels.
        utterances: counts of each utterance, in order.
    """

    micro: EntityCounts
    by_label: Mapping[str, EntityCounts]
    utterances: Sequence[EntityCounts]

    @property
    def macro_f1(self) -> float:
        """Mean of the F1 of the labels."""
        return float(np.mean([counts.f1 for counts in self.by_label.values()]))


def numbered_entities(
    entities: Iterable[Entity], combined: Mapping[str, str] | None = None
) -> set[Numbered]:
    """The set of (label, phrase, k) of an utterance, k counting from 0.

    Args:
        entities: label and phrase of each, in the order of the text.
        combined: new names of labels, such as {"GPE": "PLACE", "LOC": "PLACE"}; labels that are
            not in it keep their own. Numbers are given afterwards.
    """
    seen: dict[Entity, int] = {}
    found = set()
    for label, phrase in entities:
        named = ((combined or {}).get(label, label), phrase)
        found.add((*named, seen.get(named, 0)))
        seen[named] = seen.get(named, 0) + 1
    return found


def entity_scores(
    gold: Sequence[Sequence[Entity]],
    predicted: Sequence[Sequence[Entity]],
    *,
    combined: Mapping[str, str] | None = None,
    labels_only: bool = False,
) -> EntityScores:
    """How well entities were found.

    Args:
        gold: entities of the references, a list an utterance.
        predicted: those of the hypotheses, in the same order; phrases written alike on both sides.
        combined: see `numbered_entities`; the same for both sides.
        labels_only: every phrase counts as the same: label-F1.

    Raises:
        ValueError: numbers of utterances that differ, or no entity on either side.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} references need as many hypotheses, got {len(predicted)}")
    by_label: dict[str, EntityCounts] = {}
    utterances = []
    for pair in zip(gold, predicted, strict=True):
        right, found = (
            numbered_entities(
                ((label, "" if labels_only else phrase) for label, phrase in side), combined
            )
            for side in pair
        )
        for label in sorted({entity[0] for entity in right | found}):
            own, theirs = ({e for e in side if e[0] == label} for side in (right, found))
            counts = EntityCounts(len(own & theirs), len(own), len(theirs))
            by_label[label] = by_label.get(label, EntityCounts()) + counts
        utterances.append(EntityCounts(len(right & found), len(right), len(found)))
    if not by_label:
        raise ValueError(f"there is no entity in {len(gold)} utterances, on either side")
    return EntityScores(
        sum(by_label.values(), EntityCounts()), dict(sorted(by_label.items())), utterances
    )


def macro_f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Mean F1 of the classes that occur on either side (sentiment of an utterance).

    Raises:
        ValueError: numbers that differ, or no utterance.
    """
    if len(gold) != len(predicted) or not gold:
        raise ValueError(f"{len(gold)} gold classes and {len(predicted)} predicted ones")
    scores = []
    for name in sorted({*gold, *predicted}):
        right = sum(g == p == name for g, p in zip(gold, predicted, strict=True))
        scores.append(EntityCounts(right, gold.count(name), predicted.count(name)).f1)
    return float(np.mean(scores))


def slue_score(word_error_rate: float, entity_f1: float, sentiment_f1: float) -> float:
    """Mean of 100 - WER, NER F1 and sentiment macro F1, in percent.

    Args:
        word_error_rate: a share, such as 0.23; above 1 it makes its part negative.
        entity_f1: micro F1, in [0, 1].
        sentiment_f1: macro F1, in [0, 1].
    """
    return 100 * ((1 - word_error_rate) + entity_f1 + sentiment_f1) / 3
