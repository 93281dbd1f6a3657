"""Word and character error rates of transcripts, by `jiwer`.

The rate of a corpus is the edits of all its transcripts over the words of all its references: not
the mean of their rates, in which a reference of one word counts as much as one of a hundred.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

# Makes the words to compare of a text; the same for references and hypotheses.
Split = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class EditCounts:
    """The fewest edits (Levenshtein) that make a hypothesis of a reference.

    Their number is unique; how it divides into kinds need not be.

    Attributes:
        hits: words that agree.
        substitutions: words of the reference that became others.
        deletions: words of the reference that are missing.
        insertions: words that are not in the reference.
    """

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other: EditCounts) -> EditCounts:
        return EditCounts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @property
    def edits(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def reference_length(self) -> int:
        return self.hits + self.substitutions + self.deletions

    @property
    def rate(self) -> float:
        """Edits over words of the reference; may exceed 1. NaN of an empty reference."""
        return self.edits / self.reference_length if self.reference_length else math.nan


@dataclass(frozen=True, slots=True)
class CorpusErrors:
    """Errors of a corpus.

    Attributes:
        total: all edits, those against empty references included.
        empty_references: how many there are: a rate of their own they have not.
        inserted_in_empty: words that were heard where the reference has none; part of `total`.
    """

    total: EditCounts
    empty_references: int
    inserted_in_empty: int

    @property
    def rate(self) -> float:
        """All edits over all words of the references.

        Raises:
            ValueError: no reference has a word.
        """
        if not self.total.reference_length:
            raise ValueError(
                f"none of the references has a word ({self.empty_references} are empty): there is "
                "nothing to count errors against"
            )
        return self.total.rate


def word_errors(
    references: Sequence[str], hypotheses: Sequence[str], split: Split = str.split
) -> list[EditCounts]:
    """The edits of each transcript, in words.

    Args:
        references: what was said; may be empty.
        hypotheses: what was heard, in the same order.
        split: makes words of both sides, with the same normalisation.

    Raises:
        ValueError: numbers of references and hypotheses that differ.
    """
    if len(references) != len(hypotheses):
        raise ValueError(
            f"{len(references)} references need as many hypotheses, got {len(hypotheses)}"
        )
    sides = [[list(split(text)) for text in texts] for texts in (references, hypotheses)]
    return [_edits(said, heard) for said, heard in zip(*sides, strict=True)]


def character_errors(
    references: Sequence[str], hypotheses: Sequence[str], split: Split = str.split
) -> list[EditCounts]:
    """The edits of each transcript in code points of its words, with one space between them."""
    return word_errors(references, hypotheses, lambda text: list(" ".join(split(text))))


def corpus_errors(counts: Iterable[EditCounts]) -> CorpusErrors:
    """The counts of all transcripts, summed."""
    total, empty, inserted = EditCounts(), 0, 0
    for each in counts:
        total += each
        if not each.reference_length:
            empty += 1
            inserted += each.insertions
    return CorpusErrors(total, empty, inserted)


def _edits(reference: list[str], hypothesis: list[str]) -> EditCounts:
    import jiwer

    if not reference:  # versions of jiwer differ here: some refuse it
        return EditCounts(insertions=len(hypothesis))

    # jiwer would divide the text once more; it is given the pieces by their number.
    pieces: dict[str, int] = {}
    written = [
        " ".join(str(pieces.setdefault(piece, len(pieces))) for piece in side)
        for side in (reference, hypothesis)
    ]
    found = jiwer.process_words(written[0], written[1])
    return EditCounts(found.hits, found.substitutions, found.deletions, found.insertions)
