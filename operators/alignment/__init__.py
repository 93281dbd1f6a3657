"""Bitext from documents and their translations: sentences, words, their alignment, scores."""

from operators.alignment.beads import Bead, BeadScores, score_beads
from operators.alignment.bitext_scores import BitextScores, score_bitext
from operators.alignment.documents import DocumentPair, nameless, pair_by_content, pair_by_name
from operators.alignment.gale_church import (
    GALE_CHURCH_PRIORS,
    align_by_length,
    align_lengths,
    length_deviation,
    match_cost,
)
from operators.alignment.grams import word_lists
from operators.alignment.miner import Miner, learn_miner
from operators.alignment.mining import MinedPair, MixedVectors, mine_bitext, xsim
from operators.alignment.sentence_alignment import align_sentences
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
    "BitextScores",
    "DocumentPair",
    "MinedPair",
    "Miner",
    "MixedVectors",
    "TimedWord",
    "WordAlignment",
    "align_by_length",
    "align_lengths",
    "align_sentences",
    "align_transcript",
    "align_words",
    "alignment_error_rate",
    "learn_miner",
    "learn_words",
    "length_deviation",
    "match_cost",
    "mine_bitext",
    "nameless",
    "pair_by_content",
    "pair_by_name",
    "score_beads",
    "score_bitext",
    "split_sentences",
    "symmetrize",
    "translation_table",
    "word_lists",
    "xsim",
]
