"""Grammatical error correction: M2 files, error edits, and synthetic code-switched data."""

from operators.correction.m2 import (
    Edit,
    Sentence,
    apply_edits,
    format_m2,
    invert,
    parse_m2,
)
from operators.correction.phrases import (
    Phrase,
    constituents,
    marker_chunks,
    parse_brackets,
)
from operators.correction.spans import METHODS, PHRASE_METHODS, candidate_spans, share_of_sentence
from operators.correction.switching import Switched, switch_language
from operators.correction.targets import LEARNERS, Learners, switch_points
from operators.correction.translation import PhraseTable, phrase_pairs, words_of

__all__ = [
    "LEARNERS",
    "METHODS",
    "PHRASE_METHODS",
    "Edit",
    "Learners",
    "Phrase",
    "PhraseTable",
    "Sentence",
    "Switched",
    "apply_edits",
    "candidate_spans",
    "constituents",
    "format_m2",
    "invert",
    "marker_chunks",
    "parse_brackets",
    "parse_m2",
    "phrase_pairs",
    "share_of_sentence",
    "switch_language",
    "switch_points",
    "words_of",
]
