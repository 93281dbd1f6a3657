"""Sentences of a transcript found in what a recogniser heard (after Bhogale et al. 2023).

"Effectiveness of Mining Audio and Text Pairs from Public Data for Improving ASR Systems for
Low-Resource Languages" (Shrutilipi) aligns noisy transcripts with recognised speech by an adapted
Needleman-Wunsch; scores, limits and what is done at the edges of a sentence are this project's.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from operators.speech.needleman_wunsch import Scoring
from operators.speech.normalization import Token, tokens, writes_no_spaces
from operators.speech.timed_words import TimedWord, check_timed_words

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from operators.speech.links import Spelled

# A silence counts for at most so much of the time in which a sentence was said: speakers pause.
_LONGEST_PAUSE = 0.25
# What a character of a wide script stands for in letters: characters a second differ by about it.
_WIDE_LETTERS = 3


@dataclass(frozen=True)
class SegmentRules:
    """What a segment must be to be kept; a value on a limit is kept.

    Attributes:
        min_score: of `AlignedSegment.score`.
        boundary_words: of as many words at each end of a sentence one must be recognised as it is
            written, and the outermost one must stand opposite of something; 0 to ask for nothing.
        min_seconds, max_seconds: how long a segment lasts.
        min_density, max_density: letters a second of speech, pauses counted to 0.25 s each, a wide
            character (Chinese, Japanese, Korean) as three.
    """

    min_score: float = 0.8
    boundary_words: int = 2
    min_seconds: float = 1.0
    max_seconds: float = 30.0
    min_density: float = 5.0
    max_density: float = 25.0

    def __post_init__(self) -> None:
        if self.min_seconds > self.max_seconds or self.min_density > self.max_density:
            raise ValueError(f"a lower limit is above its upper one: {self}")


@dataclass(frozen=True)
class AlignedSegment:
    """A sentence of the transcript, and where it was said.

    Attributes:
        sentence: its index in the transcript.
        start, end: seconds; None where nothing was recognised opposite of it.
        score: 1 - edits / characters of the longer of sentence and recognised text, normalised.
        score_of_sum: 1 - edits / characters of both (as BhasaAnuvaad has it).
        cer: edits / characters of the sentence.
        recognised: what the recogniser heard in the segment, normalised.
        words: first and one past the last recognised word of the segment; None as `start`.
        kept: whether the segment meets all rules.
        reason: the first rule it fails: empty_sentence, not_spoken, low_score, boundary_words,
            too_short, too_long, too_slow or too_fast; None if it is kept.
        value: what was measured for that rule.
    """

    sentence: int
    start: float | None
    end: float | None
    score: float
    score_of_sum: float
    cer: float
    recognised: str
    words: tuple[int, int] | None
    kept: bool
    reason: str | None
    value: float | None


def align_transcript(
    words: Sequence[TimedWord],
    sentences: Sequence[str],
    *,
    rules: SegmentRules = SegmentRules(),
    padding: float = 0.0,
    duration: float | None = None,
    scoring: Scoring = Scoring(),  # noqa: B008 - frozen
    characters: bool | None = None,
    spell: Callable[[str], str] | None = None,
    exact_cells: int | None = None,
) -> list[AlignedSegment]:
    """Find each sentence of a transcript in recognised speech, and judge what was found.

    Both sides are written alike (`tokens`) and aligned by characters with affine gaps, so that
    misread and misheard words still stand opposite of each other; speech that is not in the
    transcript, and text that nobody read, are gaps, at both ends for nothing. A recognised word
    belongs to the sentence that more than half of its characters stand opposite of; one that two
    sentences share is divided in proportion. A segment reaches from the first to the last word of
    its sentence. Up to 4 million cells nothing is left out; longer texts are divided at anchors
    (`anchors`) first, and time grows as they do.

    Times rise: a word ends where the next one begins at the latest, and `padding` ends halfway to
    the recognised word before or after, whether that is in the transcript or not.

    Args:
        words: in the order of their times.
        sentences: of the transcript, in the order in which they may have been read.
        rules: what a segment must be to be kept.
        padding: seconds added at both ends, where there is room.
        duration: of the recording in seconds; padding ends there.
        scoring: of characters and gaps.
        characters: take letters for words, for writing without spaces; None finds out from the
            sentences.
        spell: how numbers are said, as `spell_numbers` gives it, where the recogniser writes words.
        exact_cells: from how many on anchors are used; default 4 million.

    Returns:
        One segment a sentence, in their order, those not kept with the reason.

    Raises:
        ValueError: `padding` is negative, or the times of the words run backwards.
    """
    import numpy as np

    from operators.speech.links import EXACT_CELLS, link_characters, spell_out

    if padding < 0:
        raise ValueError(f"padding is {padding}, but must be >= 0")
    check_timed_words(words)
    if characters is None:
        characters = writes_no_spaces("".join(sentences))
    separator = "" if characters else " "
    read = [tokens(sentence, characters=characters, spell=spell) for sentence in sentences]
    heard = [tokens(word.text, characters=characters, spell=spell) for word in words]
    reference_words = [token.text for of_sentence in read for token in of_sentence]
    heard_words = [token.text for of_word in heard for token in of_word]
    reference = spell_out(reference_words, separator)
    hypothesis = spell_out(heard_words, separator)
    links = link_characters(
        reference,
        hypothesis,
        reference_words,
        heard_words,
        scoring=scoring,
        exact_cells=EXACT_CELLS if exact_cells is None else exact_cells,
    )
    same = (links >= 0) & (reference.points == _at(hypothesis.points, links))
    # Which recognised word each of its tokens, and so each character, comes from.
    origin = np.repeat(np.arange(len(words)), [len(of_word) for of_word in heard])
    speech = _Speech(words, hypothesis, origin)
    first_words = np.concatenate(([0], np.cumsum([len(of_sentence) for of_sentence in read])))
    claims = _claims(reference, links, first_words, speech)
    segments = []
    for index, of_sentence in enumerate(read):
        span = claims.get(index)
        begin, end = first_words[index], first_words[index + 1]
        from_char = int(reference.starts[begin])
        to_char = max(from_char, int(reference.starts[end]) - len(separator))
        opposite = links[from_char:to_char]
        matches = same[from_char:to_char]
        segments.append(
            _judge(
                index,
                of_sentence,
                reference.text[from_char:to_char],
                span,
                reference.starts[begin : end + 1] - from_char,
                opposite,
                matches,
                speech,
                rules,
                padding,
                duration,
                len(separator),
            )
        )
    return segments


class _Speech:
    """Recognised characters, each with the time in which it was said."""

    def __init__(
        self, words: Sequence[TimedWord], spelled: Spelled, origin: npt.NDArray[np.int64]
    ) -> None:
        import numpy as np

        self.spelled = spelled
        starts = np.array([word.start for word in words], dtype=np.float64)
        ends = np.array([word.end for word in words], dtype=np.float64)
        # Recognisers may let words overlap; a word ends where the next one begins.
        ends[:-1] = np.minimum(ends[:-1], starts[1:])
        is_letter = spelled.word >= 0
        self.letters = np.flatnonzero(is_letter)
        of_letter = origin[spelled.word[self.letters]]
        self.word = np.full(len(spelled.word), -1, np.int64)
        self.word[self.letters] = of_letter
        # A word's time is divided evenly among its letters.
        self.length = np.bincount(of_letter, minlength=len(words))
        rank = np.arange(len(of_letter)) - (np.cumsum(self.length) - self.length)[of_letter]
        step = (ends - starts) / np.maximum(self.length, 1)
        self.start = np.zeros(len(spelled.word))
        self.end = np.zeros(len(spelled.word))
        self.start[self.letters] = starts[of_letter] + rank * step[of_letter]
        self.end[self.letters] = np.where(
            rank + 1 == self.length[of_letter],
            ends[of_letter],
            starts[of_letter] + (rank + 1) * step[of_letter],
        )
        self.first = np.searchsorted(of_letter, np.arange(len(words)), side="left")
        self.last = np.searchsorted(of_letter, np.arange(len(words)), side="right") - 1

    def whole(self, word: int) -> tuple[int, int]:
        """First and last character of a word."""
        return int(self.letters[self.first[word]]), int(self.letters[self.last[word]])

    def neighbours(self, first: int, last: int) -> tuple[float | None, float | None]:
        """When the letter before ends, and when the letter after begins."""
        import numpy as np

        left = int(np.searchsorted(self.letters, first)) - 1
        right = int(np.searchsorted(self.letters, last, side="right"))
        before = float(self.end[self.letters[left]]) if left >= 0 else None
        after = float(self.start[self.letters[right]]) if right < len(self.letters) else None
        return before, after

    def seconds_of_speech(self, first: int, last: int) -> float:
        """Time from one character to another, pauses counted to a quarter of a second."""
        import numpy as np

        begin = np.searchsorted(self.letters, first)
        inside = self.letters[begin : np.searchsorted(self.letters, last, side="right")]
        pauses = self.start[inside[1:]] - self.end[inside[:-1]]
        total = self.end[last] - self.start[first]
        return float(total - np.maximum(pauses - _LONGEST_PAUSE, 0).sum())


def _claims(
    reference: Spelled,
    links: npt.NDArray[np.int64],
    first_words: npt.NDArray[np.int64],
    speech: _Speech,
) -> dict[int, tuple[int, int]]:
    """First and last recognised character of each sentence that has any."""
    import numpy as np

    linked = np.flatnonzero((links >= 0) & (reference.word >= 0))
    linked = linked[speech.word[links[linked]] >= 0]
    sentence = np.searchsorted(first_words, reference.word[linked], side="right") - 1
    word = speech.word[links[linked]]
    # Links rise, so those of one word and one sentence stand together.
    change = np.flatnonzero((np.diff(word) != 0) | (np.diff(sentence) != 0)) + 1
    runs = np.concatenate(([0], change, [len(linked)])) if len(linked) else np.zeros(1, np.int64)
    total = np.bincount(word, minlength=len(speech.length))
    most = np.zeros(len(speech.length), np.int64)
    np.maximum.at(most, word[runs[:-1]], np.diff(runs))
    claims: dict[int, tuple[int, int]] = {}
    for begin, end in zip(runs[:-1].tolist(), runs[1:].tolist(), strict=True):
        of_word, count = int(word[begin]), end - begin
        length = int(speech.length[of_word])
        if 2 * count > length:
            first, last = speech.whole(of_word)
        elif 2 * int(most[of_word]) <= length < 2 * int(total[of_word]) and count > 1:
            first, last = int(links[linked[begin]]), int(links[linked[end - 1]])
        else:
            continue
        key = int(sentence[begin])
        known = claims.get(key)
        claims[key] = (known[0], last) if known else (first, last)
    return claims


def _judge(
    index: int,
    read: Sequence[Token],
    text: str,
    span: tuple[int, int] | None,
    word_starts: npt.NDArray[np.int64],
    opposite: npt.NDArray[np.int64],
    matches: npt.NDArray[np.bool_],
    speech: _Speech,
    rules: SegmentRules,
    padding: float,
    duration: float | None,
    separator: int,
) -> AlignedSegment:
    from operators.speech.needleman_wunsch import edit_distance

    if not read or span is None:
        return AlignedSegment(
            sentence=index,
            start=None,
            end=None,
            score=0.0,
            score_of_sum=0.0,
            cer=1.0 if read else 0.0,
            recognised="",
            words=None,
            kept=False,
            reason="not_spoken" if read else "empty_sentence",
            value=0.0,
        )
    first, last = span
    recognised = speech.spelled.text[first : last + 1]
    edits = edit_distance(text, recognised)
    score = 1 - edits / max(len(text), len(recognised))
    start, end = float(speech.start[first]), float(speech.end[last])
    letters = sum(_WIDE_LETTERS if _is_wide(sign) else 1 for sign in text)
    density = letters / max(speech.seconds_of_speech(first, last), 1e-3)
    edge = min(_exact(word_starts, opposite, matches, span, separator, rules.boundary_words))
    checks: tuple[tuple[str, bool, float], ...] = (
        ("low_score", score < rules.min_score, score),
        ("boundary_words", edge < min(rules.boundary_words, 1), float(edge)),
        ("too_short", end - start < rules.min_seconds, end - start),
        ("too_long", end - start > rules.max_seconds, end - start),
        ("too_slow", density < rules.min_density, density),
        ("too_fast", density > rules.max_density, density),
    )
    failed: list[tuple[str, float]] = [(name, found) for name, fails, found in checks if fails]
    before, after = speech.neighbours(first, last)
    room = (0.0 if before is None else (before + start) / 2,
            duration if after is None else (after + end) / 2)  # fmt: skip
    start = max(start - padding, room[0])
    end = end + padding if room[1] is None else min(end + padding, room[1])
    return AlignedSegment(
        sentence=index,
        start=start,
        end=max(start, end),
        score=score,
        score_of_sum=1 - edits / (len(text) + len(recognised)),
        cer=edits / len(text),
        recognised=recognised,
        words=(int(speech.word[first]), int(speech.word[last]) + 1),
        kept=not failed,
        reason=failed[0][0] if failed else None,
        value=failed[0][1] if failed else None,
    )


def _exact(
    word_starts: npt.NDArray[np.int64],
    opposite: npt.NDArray[np.int64],
    matches: npt.NDArray[np.bool_],
    span: tuple[int, int],
    separator: int,
    boundary_words: int,
) -> tuple[int, int]:
    """How many of the outer words at each end stand opposite of the very same letters.

    None where the outermost one has no half in the segment: then it may begin too late.
    """
    import numpy as np

    count = len(word_starts) - 1
    found = []
    for places in (range(count), range(count - 1, -1, -1)):
        exact = 0
        for rank, place in enumerate(places):
            if rank >= boundary_words:
                break
            letters = slice(word_starts[place], word_starts[place + 1] - separator)
            links = opposite[letters]
            inside = (links >= span[0]) & (links <= span[1])
            if rank == 0 and 2 * int(inside.sum()) < len(links):
                break
            exact += bool(matches[letters].all() and (np.diff(links) == 1).all())
        found.append(exact)
    return found[0], found[1]


def _at(points: npt.NDArray[np.int64], links: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    import numpy as np

    return points[np.maximum(links, 0)] if len(points) else np.full(len(links), -1, np.int64)


def _is_wide(sign: str) -> bool:
    return unicodedata.east_asian_width(sign) in "WF"
