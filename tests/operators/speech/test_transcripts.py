"""Sentences must be found where they were said, and only those."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.speech import SegmentRules, TimedWord, align_transcript

ANY = SegmentRules(min_seconds=0, max_seconds=1e9, min_density=0, max_density=1e9)
TEXT = (
    "it is a truth universally acknowledged that a single man in possession of a good fortune must "
    "be in want of a wife however little known the feelings or views of such a man may be on his "
    "first entering a neighbourhood this truth is so well fixed in the minds of the surrounding "
    "families that he is considered as the rightful property of some one or other of their "
    "daughters my dear bennet said his lady to him one day have you heard that netherfield park is "
    "let at last"
)
PROSE = TEXT.split()
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WEATHER = "and now the weather with some showers over the hills by the evening"


def timed(text, start=0.0, step=0.4, length=0.35):
    """Words at an even pace."""
    words = text.split() if isinstance(text, str) else text
    return [TimedWord(w, start + i * step, start + i * step + length) for i, w in enumerate(words)]


def sentences_of(words, size=9):
    return [" ".join(words[i : i + size]) for i in range(0, len(words), size)]


def test_the_worked_example_has_its_scores_and_its_times():
    heard = timed("um good evning rain fel today thanks", step=1.0, length=0.9)
    found = align_transcript(heard, ["Good evening!", "Rain fell today."])
    assert [segment.recognised for segment in found] == ["good evning", "rain fel today"]
    assert [round(segment.score, 4) for segment in found] == [0.9167, 0.9333]
    assert [round(segment.score_of_sum, 4) for segment in found] == [0.9565, 0.9655]
    assert [(s.start, s.end) for s in found] == [(1.0, 2.9), (3.0, 5.9)]
    assert [segment.words for segment in found] == [(1, 3), (3, 6)]
    assert all(segment.kept for segment in found)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_perfectly_recognised_words_give_exact_times(seed, size):
    chance = random.Random(seed)
    words, at = [], 0.0
    for text in PROSE[:60]:
        at += chance.uniform(0, 1)
        length = chance.uniform(0.05, 0.6)
        words.append(TimedWord(text, at, at + length))
        at += length
    sentences = sentences_of(PROSE[:60], size)
    found = align_transcript(words, sentences, rules=ANY)
    for index, segment in enumerate(found):
        said = words[index * size : (index + 1) * size]
        assert (segment.start, segment.end) == (said[0].start, said[-1].end)
        assert (segment.score, segment.cer, segment.kept) == (1.0, 0.0, True)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_times_rise_and_every_sentence_is_accounted_for_whatever_was_heard(seed):
    chance = random.Random(seed)
    heard = [chance.choice([*PROSE, "1,500", "?!", "uh-huh", ""]) for _ in range(80)]
    at, words = 0.0, []
    for text in heard:
        at += chance.uniform(0, 0.5)
        words.append(TimedWord(text, at, at + chance.uniform(0, 0.9)))  # they may overlap
    sentences = [" ".join(chance.choices(PROSE, k=chance.randint(0, 9))) for _ in range(15)]
    found = align_transcript(words, sentences, padding=0.15, duration=60.0)
    assert [segment.sentence for segment in found] == list(range(15))
    spans = [(s.start, s.end) for s in found if s.start is not None]
    assert all(start <= end for start, end in spans)
    assert all(a[1] <= b[0] + 1e-9 for a, b in itertools.pairwise(spans))
    assert all(segment.kept == (segment.reason is None) for segment in found)


def test_one_early_insertion_shifts_nothing_that_comes_later():
    sentences = sentences_of(PROSE)
    plain = align_transcript(timed(PROSE, start=100), sentences, rules=ANY)
    intro = timed("welcome to this recording which is in the public domain", start=0)
    found = align_transcript([*intro, *timed(PROSE, start=100)], sentences, rules=ANY)
    assert [(s.start, s.end, s.kept) for s in found] == [(s.start, s.end, s.kept) for s in plain]


def test_speech_that_is_not_in_the_transcript_belongs_to_no_sentence():
    # In the middle of it, at a sentence's end: five minutes of something else.
    sentences = sentences_of(PROSE)
    other = WEATHER.split() * 50
    cut = 27
    words = [
        *timed(PROSE[:cut]),
        *timed(other, start=100),
        *timed(PROSE[cut:], start=500),
    ]
    found = align_transcript(words, sentences, rules=ANY)
    assert all(segment.kept for segment in found)
    assert found[2].end == pytest.approx((cut - 1) * 0.4 + 0.35)
    assert found[3].start == 500.0


def test_text_that_nobody_read_is_dropped_and_shifts_nothing():
    sentences = sentences_of(PROSE)
    invented = [
        f"page {n} printed by order of the king in london price one shilling" for n in "123"
    ]
    wanted = align_transcript(timed(PROSE), sentences)
    given_text = [invented[0], *sentences[:4], *invented[1:], *sentences[4:]]
    found = align_transcript(timed(PROSE), given_text)
    read = [segment for segment in found if given_text[segment.sentence] in sentences]
    assert [(s.start, s.end, s.kept) for s in read] == [(s.start, s.end, s.kept) for s in wanted]
    others = [segment for segment in found if given_text[segment.sentence] in invented]
    assert not any(segment.kept for segment in others)
    assert {segment.reason for segment in others} <= {"not_spoken", "low_score"}


def test_sentences_in_reverse_order_are_not_all_found():
    sentences = sentences_of(PROSE)
    found = align_transcript(timed(PROSE), sentences[::-1], rules=ANY)
    assert 1 <= sum(segment.kept for segment in found) < len(sentences) / 2


def test_misread_and_misheard_words_still_stand_opposite_of_each_other():
    page = ["Tbe quick brown f0x jumped", "over tlie lazy dog and sIept"]
    heard = timed("the quick brown fox jumped over the lazy dock and slept")
    found = align_transcript(heard, page, rules=SegmentRules(min_score=0.75))
    assert [segment.kept for segment in found] == [True, True]
    assert [(s.start, round(s.end, 2)) for s in found] == [(0.0, 1.95), (2.0, 4.35)]


def test_words_that_the_recogniser_joins_or_divides_are_found():
    found = align_transcript(
        timed("every body said good bye and wentaway to morrow"),
        ["everybody said goodbye", "and went away tomorrow"],
        rules=SegmentRules(boundary_words=0),
    )
    assert [segment.words for segment in found] == [(0, 5), (5, 9)]


def test_a_word_that_two_sentences_share_is_divided_in_proportion():
    words = [TimedWord("hello", 0, 1), TimedWord("worldagain", 1, 2), TimedWord("friends", 2, 3)]
    found = align_transcript(words, ["hello world", "again friends"], rules=ANY)
    assert [(s.start, s.end) for s in found] == [(0, 1.5), (1.5, 3)]


def test_padding_ends_halfway_to_the_next_word_even_to_one_of_no_sentence():
    words = [TimedWord("noise", 0, 1), TimedWord("one", 1.1, 2), TimedWord("two", 2, 3),
             TimedWord("three", 5, 6), TimedWord("four", 6, 7)]  # fmt: skip
    found = align_transcript(words, ["one two", "three four"], rules=ANY, padding=0.3, duration=7.2)
    assert [(s.start, s.end) for s in found] == [
        (pytest.approx(1.05), pytest.approx(3.3)),
        (pytest.approx(4.7), 7.2),
    ]


@pytest.mark.parametrize(
    ("rules", "reason", "value"),
    [
        (SegmentRules(min_seconds=4.0), "too_short", 3.95),
        (SegmentRules(max_seconds=3.9), "too_long", 3.95),
        (SegmentRules(min_density=15), "too_slow", 14.18),
        (SegmentRules(max_density=14), "too_fast", 14.18),
    ],
)
def test_a_segment_out_of_limits_says_which_and_what_was_measured(rules, reason, value):
    sentence = "it is a truth universally acknowledged that a single man"
    (found,) = align_transcript(timed(sentence), [sentence], rules=rules)
    assert (found.kept, found.reason) == (False, reason)
    assert found.value == pytest.approx(value, abs=0.01)


def test_values_on_a_limit_are_kept():
    words = [TimedWord("good", 0.0, 0.5), TimedWord("evening", 0.5, 1.0)]
    exact = SegmentRules(min_score=1.0, min_seconds=1.0, max_seconds=1.0, min_density=12.0,
                         max_density=12.0)  # fmt: skip
    (found,) = align_transcript(words, ["good evening"], rules=exact)
    assert found.kept
    below = SegmentRules(min_score=11 / 12)
    (found,) = align_transcript([TimedWord("good", 0, 0.5), TimedWord("evning", 0.5, 1)],
                                ["good evening"], rules=below)  # fmt: skip
    assert found.kept


def test_pauses_are_no_slow_speech():
    words = [TimedWord("good", 0, 0.4), TimedWord("evening", 5.0, 5.5)]
    (found,) = align_transcript(words, ["good evening"])
    assert found.kept
    assert (found.start, found.end) == (0, 5.5)


def test_a_sentence_whose_outer_words_were_not_heard_is_dropped():
    sentence = "the old mill by the river still grinds the corn of the whole village"
    heard = timed(sentence.split()[2:])
    (found,) = align_transcript(heard, [sentence], rules=SegmentRules(min_score=0.5))
    assert found.reason == "boundary_words"
    relaxed = SegmentRules(min_score=0.5, boundary_words=0)
    assert align_transcript(heard, [sentence], rules=relaxed)[0].kept


def test_writing_without_spaces_is_aligned_by_characters():
    words = [TimedWord("今日は", 0.0, 0.6), TimedWord("天気", 0.6, 1.0), TimedWord("がいい", 1.0, 1.6),
             TimedWord("明日は", 2.0, 2.6), TimedWord("雨", 2.6, 2.9), TimedWord("です", 2.9, 3.3)]  # fmt: skip
    found = align_transcript(words, ["今日は天気がいい。", "明日は、雨です。"])
    assert [(s.start, s.end, s.score) for s in found] == [(0.0, 1.6, 1.0), (2.0, 3.3, 1.0)]
    assert all(segment.kept for segment in found)


def test_empty_inputs_are_no_error():
    assert align_transcript([], []) == []
    assert align_transcript(timed("hello"), []) == []
    (nothing,) = align_transcript([], ["hello there"])
    assert (nothing.reason, nothing.start, nothing.words) == ("not_spoken", None, None)
    (blank,) = align_transcript(timed("hello"), ["... ?!"])
    assert blank.reason == "empty_sentence"
    (silent,) = align_transcript([TimedWord("...", 0, 1)], ["hello"])
    assert silent.reason == "not_spoken"


def test_times_that_run_backwards_are_an_error_that_names_the_word():
    with pytest.raises(ValueError, match=r'word 1 \("b", 0.5-1 s\) is out of order'):
        align_transcript([TimedWord("a", 1, 2), TimedWord("b", 0.5, 1)], ["a b"])
    with pytest.raises(ValueError, match="has no times"):
        align_transcript([TimedWord("a", float("nan"), 2)], ["a"])
    with pytest.raises(ValueError, match="padding is -1"):
        align_transcript([], [], padding=-1)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_anchors_find_what_the_whole_matrix_finds(seed):
    # Ten words only: no word is rare, sequences of them are.
    chance = random.Random(seed)
    said = [chance.choice(DIGITS) for _ in range(400)]
    groups = [said[i : i + 8] for i in range(0, len(said), 8)]
    for group in groups:
        if chance.random() < 0.3:
            group[chance.randrange(len(group))] = chance.choice(DIGITS)
    sentences = [" ".join(group) for group in groups]
    words = timed([w for w in said if chance.random() < 0.95])
    exact = align_transcript(words, sentences, exact_cells=10**12)
    anchored = align_transcript(words, sentences, exact_cells=0)
    same = sum(a == b for a, b in zip(exact, anchored, strict=True))
    assert same >= len(sentences) - 2
    kept = [(a.start, a.end) for a, b in zip(exact, anchored, strict=True) if a.kept and b.kept]
    assert len(kept) >= 35


def test_an_hour_of_digits_with_a_noisy_transcript_keeps_nothing_that_was_not_said():
    # The acceptance line, with errors of a recogniser besides; benchmarks/parts/speech.py has more.
    chance = random.Random(5)
    spoken, sentences, truth, at = [], [], [], 0.0
    while at < 3600:
        kept = []
        for _ in range(chance.randint(5, 9)):
            word = TimedWord(chance.choice(DIGITS), at, at + chance.uniform(0.3, 0.6))
            at = word.end + chance.uniform(0.05, 0.6)
            spoken.append(word)
            if chance.random() >= 0.1:
                kept.append(word)
        texts = [word.text for word in kept]
        if chance.random() < 0.35:
            texts.insert(chance.randrange(len(texts) + 1), chance.choice(DIGITS))
        sentences.append(" ".join(texts))
        truth.append((kept[0].start, kept[-1].end))
        if chance.random() < 0.06:
            sentences.append(" ".join(chance.choices(DIGITS, k=7)))
            truth.append(None)
    heard = [
        TimedWord(chance.choice(DIGITS) if chance.random() < 0.03 else w.text, w.start, w.end)
        for w in spoken
        if chance.random() >= 0.02
    ]
    found = align_transcript(heard, sentences)
    kept = [segment for segment in found if segment.kept]
    assert len(kept) >= 0.5 * len(sentences)
    assert all(truth[segment.sentence] is not None for segment in kept)
    errors = sorted(
        error
        for s in kept
        for error in (abs(s.start - truth[s.sentence][0]), abs(s.end - truth[s.sentence][1]))
    )
    assert errors[len(errors) // 2] <= 0.05
    assert errors[int(0.9 * len(errors))] <= 0.05
