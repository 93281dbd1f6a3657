"""Speech and its text: recognised words with times, their alignment with a transcript, audio."""

from operators.speech.audio import Audio, AudioError, cut_flac, open_audio
from operators.speech.chunks import speech_chunks
from operators.speech.needleman_wunsch import Scoring, needleman_wunsch
from operators.speech.normalization import Token, spell_numbers, tokens, writes_no_spaces
from operators.speech.recognisers import Recogniser, find_recogniser, recognise
from operators.speech.timed_words import TimedWord, read_timed_words
from operators.speech.transcript_text import unwrap_lines
from operators.speech.transcripts import AlignedSegment, SegmentRules, align_transcript

__all__ = [
    "AlignedSegment",
    "Audio",
    "AudioError",
    "Recogniser",
    "Scoring",
    "SegmentRules",
    "TimedWord",
    "Token",
    "align_transcript",
    "cut_flac",
    "find_recogniser",
    "needleman_wunsch",
    "open_audio",
    "read_timed_words",
    "recognise",
    "speech_chunks",
    "spell_numbers",
    "tokens",
    "unwrap_lines",
    "writes_no_spaces",
]
