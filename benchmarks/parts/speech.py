"""Sentences of a noisy transcript found in an hour of speech whose word times are known.

    python -m benchmarks.parts.speech     needs TOKENMILL_DATA with the folder speech, the extra
                                          `speech`, and jiwer for the word error rates

Spoken digits are put one after the other with random gaps until an hour is full; ten percent of
them are then left out of the transcript and ten percent of further words put into it, some inside
sentences and some as sentences of their own that nobody says. They are digits as well: a wrong word
looks like a right one. Beside our alignment stand the matchers that a script would use (difflib of
the standard library, and an exact global alignment of words without gaps that open and extend).
"""

from __future__ import annotations

import difflib
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from operators.speech import (
    TimedWord,
    align_transcript,
    find_recogniser,
    needleman_wunsch,
    open_audio,
    read_timed_words,
    recognise,
    tokens,
)
from operators.speech.needleman_wunsch import Scoring

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MISSING, EXTRA = 0.10, 0.10
RATE = 8000


@dataclass(frozen=True)
class Case:
    """Speech as it was, and a transcript of it as one finds them.

    Attributes:
        spoken: every word with its true times.
        sentences: the transcript.
        truth: start and end of what each sentence says and was said; None where nothing was.
        unspoken: words of each sentence that nobody said.
        seconds: length of the recording.
    """

    spoken: list[TimedWord]
    sentences: list[str]
    truth: list[tuple[float, float] | None]
    unspoken: list[int]
    seconds: float


def clips(folder: Path) -> dict[str, list[Any]]:
    """The samples of every take of each digit, by its word."""
    import soundfile

    found: dict[str, list[Any]] = {word: [] for word in DIGITS}
    for path in sorted(folder.glob("*.wav")):
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE
        found[DIGITS[int(path.name[0])]].append(samples)
    return found


def make_case(lengths: dict[str, list[float]], seconds: float, seed: int) -> Case:
    """Digits for so long, in sentences of five to nine, and the transcript with its errors."""
    chance = random.Random(seed)
    spoken: list[TimedWord] = []
    groups: list[list[tuple[str, int | None]]] = []
    at = 0.5
    while at < seconds - 12:
        group: list[tuple[str, int | None]] = []
        for _ in range(chance.randint(5, 9)):
            word = chance.choice(DIGITS)
            length = chance.choice(lengths[word])
            if chance.random() >= MISSING:
                group.append((word, len(spoken)))
            spoken.append(TimedWord(word, at, at + length))
            at += length + chance.uniform(0.05, 0.6)
        groups.append(group)
        at += chance.uniform(0.1, 1.5)
    wanted = round(EXTRA * len(spoken))
    # Half of the further words stand in sentences of their own, four to nine long.
    alone: list[list[tuple[str, int | None]]] = []
    while sum(map(len, alone)) < wanted // 2:
        alone.append([(chance.choice(DIGITS), None) for _ in range(chance.randint(4, 9))])
    for _ in range(wanted - sum(map(len, alone))):
        group = chance.choice(groups)
        group.insert(chance.randint(0, len(group)), (chance.choice(DIGITS), None))
    for group in alone:
        groups.insert(chance.randint(0, len(groups)), group)
    groups = [group for group in groups if group]
    truth: list[tuple[float, float] | None] = []
    for group in groups:
        said = [spoken[index] for _, index in group if index is not None]
        truth.append((said[0].start, said[-1].end) if said else None)
    return Case(
        spoken,
        [" ".join(word for word, _ in group) for group in groups],
        truth,
        [sum(index is None for _, index in group) for group in groups],
        at,
    )


def misheard(words: Sequence[TimedWord], rate: float, seed: int) -> list[TimedWord]:
    """What a recogniser makes of them: so many errors, and times that are off by 20 ms or so."""
    chance = random.Random(seed)
    heard: list[TimedWord] = []
    for word in words:
        draw = chance.random()
        text = word.text
        if draw < 0.25 * rate:
            continue
        if draw < 0.75 * rate:
            text = chance.choice([*DIGITS, "to", "for", "ate", "heaven", "fine", "tree"])
        start = max(heard[-1].end if heard else 0.0, word.start + chance.gauss(0, 0.02))
        end = max(start + 0.05, word.end + chance.gauss(0, 0.02))
        heard.append(TimedWord(text, start, end))
        if draw >= 1 - 0.25 * rate:
            heard.append(TimedWord(chance.choice(DIGITS), end, end + 0.04))
    return heard


@dataclass(frozen=True)
class Judged:
    """What became of the sentences of a case; times in milliseconds."""

    sentences: int
    kept: int
    unspoken_kept: int
    with_an_unspoken_word: int
    median: float
    p95: float
    worst: float

    def row(self, name: str, seconds: float, audio: float) -> str:
        return (
            f"| {name} | {self.kept} of {self.sentences} | {self.unspoken_kept} | "
            f"{self.with_an_unspoken_word} | {self.median:.0f} | {self.p95:.0f} | {self.worst:.0f} "
            f"| {seconds:.2f} s | {audio / seconds:,.0f} |"
        )


def judge(case: Case, spans: Sequence[tuple[float, float] | None]) -> Judged:
    """Compare the spans that were kept with the truth."""
    errors: list[float] = []
    for span, true in zip(spans, case.truth, strict=True):
        if span is not None and true is not None:
            errors += [abs(span[0] - true[0]), abs(span[1] - true[1])]
    kept = [index for index, span in enumerate(spans) if span is not None]
    at = np.array(errors or [np.nan]) * 1000
    return Judged(
        sentences=len(spans),
        kept=len(kept),
        unspoken_kept=sum(case.truth[index] is None for index in kept),
        with_an_unspoken_word=sum(case.unspoken[index] > 0 for index in kept),
        median=float(np.median(at)),
        p95=float(np.percentile(at, 95)),
        worst=float(at.max()),
    )


Spans = list[tuple[float, float] | None]
Method = Callable[[Sequence[TimedWord], Sequence[str]], Spans]


def ours(words: Sequence[TimedWord], sentences: Sequence[str]) -> Spans:
    return [
        (segment.start, segment.end)
        if segment.kept and segment.start is not None and segment.end is not None
        else None
        for segment in align_transcript(words, sentences)
    ]


def spans_of_links(
    words: Sequence[TimedWord], sentences: Sequence[str], links: Sequence[int]
) -> Spans:
    """Sentences of which .8 of the words are linked, from the first to the last linked word."""
    spans: Spans = []
    at = 0
    for sentence in sentences:
        count = len(tokens(sentence))
        linked = [j for j in links[at : at + count] if j >= 0]
        at += count
        enough = linked and len(linked) >= 0.8 * max(count, linked[-1] - linked[0] + 1)
        spans.append((words[linked[0]].start, words[linked[-1]].end) if enough else None)
    return spans


def by_difflib(words: Sequence[TimedWord], sentences: Sequence[str]) -> Spans:
    read = [token.text for sentence in sentences for token in tokens(sentence)]
    matcher = difflib.SequenceMatcher(None, read, [word.text for word in words], autojunk=False)
    links = [-1] * len(read)
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            links[block.a + offset] = block.b + offset
    return spans_of_links(words, sentences, links)


def by_words(words: Sequence[TimedWord], sentences: Sequence[str]) -> Spans:
    read = [token.text for sentence in sentences for token in tokens(sentence)]
    numbers: dict[str, int] = {}
    a, b = ([numbers.setdefault(text, len(numbers)) for text in side]
            for side in (read, [word.text for word in words]))  # fmt: skip
    _, links = needleman_wunsch(a, b, scoring=Scoring(1, -1, 0, -1), free_b=True)
    same = [j if j >= 0 and a[i] == b[j] else -1 for i, j in enumerate(links.tolist())]
    return spans_of_links(words, sentences, same)


METHODS: dict[str, Method] = {
    "ours": ours,
    "difflib, words": by_difflib,
    "Needleman-Wunsch, words": by_words,
}
HEAD = (
    "| recogniser | method | kept | not spoken, kept | kept with an unspoken word | "
    "boundary error, median ms | 95 % | worst | time | x real time |\n"
    "|---|---|---|---|---|---|---|---|---|---|\n"
)


def an_hour(folder: Path) -> str:
    """The experiment with words as they were spoken, and with errors of a recogniser."""
    lengths = {w: [len(s) / RATE for s in takes] for w, takes in clips(folder).items()}
    ours([TimedWord("one", 0, 1)], ["one"])  # compiles
    lines = []
    for name, rate in (("exact", 0.0), ("5 % errors", 0.05), ("10 % errors", 0.10),
                       ("20 % errors", 0.20)):  # fmt: skip
        case = make_case(lengths, 3600.0, seed=7)
        words = misheard(case.spoken, rate, seed=11) if rate else case.spoken
        for method, call in METHODS.items():
            times = []
            for _ in range(3):
                began = time.perf_counter()
                spans = call(words, case.sentences)
                times.append(time.perf_counter() - began)
            judged = judge(case, spans)
            row = judged.row(f"{name} | {method}", statistics.median(times), case.seconds)
            print(row, flush=True)
            lines.append(row)
    return "\n".join(lines)


GRAMMAR = (
    "#JSGF V1.0;\ngrammar digits;\npublic <digits> = <digit>+ ;\n"
    f"<digit> = {' | '.join(DIGITS)} ;\n"
)


def heard_digits(folder: Path, seconds: float = 100.0) -> str:
    """The same with words of pocketsphinx, given a grammar of the ten digits."""
    import io

    import jiwer
    import soundfile

    takes = clips(folder)
    lengths = {word: [len(samples) / RATE for samples in found] for word, found in takes.items()}
    case = make_case(lengths, seconds, seed=7)
    # Digital silence is no recording: its logarithm is not finite.
    noise = np.random.default_rng(7).standard_normal(round((case.seconds + 1) * RATE))
    sound = (noise * 1e-3).astype(np.float32)
    for word in case.spoken:
        length = word.end - word.start
        take = next(s for s in takes[word.text] if abs(len(s) / RATE - length) < 0.5 / RATE)
        at = round(word.start * RATE)
        sound[at : at + len(take)] += take
    stream = io.BytesIO()
    soundfile.write(stream, sound, RATE, format="WAV", subtype="PCM_16")
    with tempfile.TemporaryDirectory() as temporary:
        grammar = Path(temporary, "digits.gram")
        grammar.write_text(GRAMMAR, encoding="utf-8")
        recogniser = find_recogniser("pocketsphinx", {"jsgf": str(grammar)})
        began = time.perf_counter()
        words = recognise(open_audio(stream.getvalue()), recogniser)
        took = time.perf_counter() - began
    error = jiwer.wer(" ".join(w.text for w in case.spoken), " ".join(w.text for w in words))
    print(f"digits: WER {error:.3f}, {took / case.seconds:.2f} x real time", flush=True)
    lines = [HEAD.rstrip()]
    for name, call in METHODS.items():
        began = time.perf_counter()
        spans = call(words, case.sentences)
        spent = time.perf_counter() - began
        lines.append(judge(case, spans).row(f"pocketsphinx | {name}", spent, case.seconds))
        print(lines[-1], flush=True)
    text = "\n".join(lines)
    return (
        f"{seconds:.0f} seconds of such digits (8 kHz, with noise at -60 dB) recognised by "
        f"pocketsphinx with a grammar of ten words: word error rate {error:.3f} (jiwer), "
        f"{took / case.seconds:.2f} of real time.\n\n{text}"
    )


def read_aloud(folder: Path) -> str:
    """Two clips of a novel: pocketsphinx against hand-checked word times, and the segments."""
    import jiwer

    recogniser = find_recogniser("pocketsphinx")
    lines = [
        "| clip | words | WER | word boundary, median ms | 95 % | score | kept | start off by | "
        "end off by |\n|---|---|---|---|---|---|---|---|---|"
    ]
    for path in sorted(folder.glob("*.wav")):
        gold = read_timed_words("gold.json", path.with_suffix(".json").read_text("utf-8"))
        transcript = path.with_suffix(".txt").read_text("utf-8").strip()
        words = recognise(open_audio(path.read_bytes()), recogniser)
        error = jiwer.wer(transcript, " ".join(word.text for word in words))
        matcher = difflib.SequenceMatcher(
            None, [w.text for w in gold], [w.text for w in words], autojunk=False
        )
        off = [
            abs(getattr(gold[block.a + k], side) - getattr(words[block.b + k], side)) * 1000
            for block in matcher.get_matching_blocks()
            for k in range(block.size)
            for side in ("start", "end")
        ]
        segment = align_transcript(words, [transcript])[0]
        assert segment.start is not None
        assert segment.end is not None
        lines.append(
            f"| {path.stem[-4:]} | {len(gold)} | {error:.3f} | {np.median(off):.0f} | "
            f"{np.percentile(off, 95):.0f} | {segment.score:.2f} | {segment.reason or 'kept'} | "
            f"{1000 * (segment.start - gold[0].start):+.0f} ms | "
            f"{1000 * (segment.end - gold[-1].end):+.0f} ms |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines)


def growth() -> str:
    """Time and memory of the alignment as a novel grows, a third of which nobody reads."""
    import tracemalloc

    root = Path(os.environ["TOKENMILL_DATA"]) / "books"
    book = next(path for path in sorted(root.rglob("*.txt")) if path.stat().st_size > 900_000)
    text = book.read_text("utf-8", errors="replace")
    every = [token.text for token in tokens(text)]
    chance = random.Random(3)
    lines = ["| words of text | hours of speech | time | x real time | peak memory | kept |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for count in (1_000, 10_000, 30_000, 100_000):
        words = every[:count]
        sentences = [" ".join(words[i : i + 15]) for i in range(0, len(words), 15)]
        unread = {i for i in range(len(sentences)) if (i // 40) % 3 == 2}
        said = [w for i, s in enumerate(sentences) if i not in unread for w in s.split()]
        # One word in five is misheard as another of the book.
        heard = [
            TimedWord(
                chance.choice(every) if chance.random() < 0.2 else word, i * 0.4, i * 0.4 + 0.3
            )
            for i, word in enumerate(said)
        ]
        began = time.perf_counter()
        segments = align_transcript(heard, sentences)
        took = time.perf_counter() - began
        tracemalloc.start()
        align_transcript(heard, sentences)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        false = sum(segment.kept for i, segment in enumerate(segments) if i in unread)
        hours = len(heard) * 0.4 / 3600
        lines.append(
            f"| {len(words):,} | {hours:.1f} | {took:.2f} s | {hours * 3600 / took:,.0f} | "
            f"{peak / 2**20:.0f} MiB | {sum(s.kept for s in segments)} of "
            f"{len(sentences) - len(unread)} read, {false} of {len(unread)} not read |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines)


def measure() -> str:
    """All parts, as a section of Markdown."""
    root = os.environ.get("TOKENMILL_DATA")
    if not root:
        return "Not measured: TOKENMILL_DATA is unset."
    folder = Path(root) / "speech"
    parts = [
        "One hour of spoken digits, 10 % of them missing from the transcript, 10 % of its words "
        "never spoken (digits as well, half of them in sentences of their own); sentences of five "
        "to nine. Boundary errors are of kept sentences, against the first and last of their words "
        "that were spoken. Errors of the recogniser: half substitutions, a quarter deletions, a "
        "quarter insertions; times off by a normal of 20 ms.\n\n"
        + HEAD
        + an_hour(folder / "digits"),
        heard_digits(folder / "digits"),
        "Two clips of a novel, recognised by pocketsphinx with its own language model, against the "
        "known times of words:\n\n" + read_aloud(folder / "librivox"),
        "A book in sentences of 15 words, a third never read, one word in five misheard:\n\n"
        + growth(),
    ]
    return "\n\n".join(parts)


if __name__ == "__main__":
    print(measure())
