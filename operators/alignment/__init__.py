"""Bitext from documents and their translations: sentences, beads, alignment, scores."""

from operators.alignment.beads import Bead, BeadScores, score_beads
from operators.alignment.gale_church import (
    GALE_CHURCH_PRIORS,
    align_lengths,
    align_sentences,
    length_deviation,
    match_cost,
)
from operators.alignment.sentences import split_sentences

__all__ = [
    "GALE_CHURCH_PRIORS",
    "Bead",
    "BeadScores",
    "align_lengths",
    "align_sentences",
    "length_deviation",
    "match_cost",
    "score_beads",
    "split_sentences",
]
