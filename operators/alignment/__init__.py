"""Bitext from documents and their translations: sentences, words, their alignment, scores."""

from operators.alignment.beads import Bead, BeadScores, score_beads
from operators.alignment.gale_church import (
    GALE_CHURCH_PRIORS,
    align_lengths,
    align_sentences,
    length_deviation,
    match_cost,
)
from operators.alignment.sentences import split_sentences
from operators.alignment.word_links import AlignmentErrorRate, alignment_error_rate, symmetrize
from operators.alignment.words import (
    WordAlignment,
    align_words,
    learn_words,
    translation_table,
)
from operators.speech.timed_words import TimedWord
from operators.speech.transcripts import AlignedSegment, align_transcript

__all__ = [
    "GALE_CHURCH_PRIORS",
    "AlignedSegment",
    "AlignmentErrorRate",
    "Bead",
    "BeadScores",
    "TimedWord",
    "WordAlignment",
    "align_lengths",
    "align_sentences",
    "align_transcript",
    "align_words",
    "alignment_error_rate",
    "learn_words",
    "length_deviation",
    "match_cost",
    "score_beads",
    "split_sentences",
    "symmetrize",
    "translation_table",
]
