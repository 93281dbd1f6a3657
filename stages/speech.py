"""From recordings and their transcripts to sentences, each with where it was said."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
from pydantic import field_validator

from stages.audio_files import (
    AUDIO_ENDINGS,
    by_stem,
    find_files,
    option_files,
    read_address,
)
from stages.content_hash import hash_content, local_hashes
from stages.contract import (
    Context,
    Field,
    Input,
    Kind,
    Output,
    RowStage,
    Sink,
    Stage,
    StageConfig,
)
from stages.kinds import DROPPED, RECORDINGS, SPEECH
from stages.reading.pdf import pdf_document
from stages.reading.records import Limits, Read

if TYPE_CHECKING:
    from operators.speech import AlignedSegment, SegmentRules, TimedWord

TRANSCRIPTS = (".txt", ".pdf")
WORD_TIMES = (".json", ".csv", ".ctm")
Scalar = str | int | float | bool | None

# A line end inside a paragraph; an empty line ends one.
_WRAPPED = re.compile(r"(?<!\n)\n(?!\s*\n)")
_NUMBERS_DESCRIPTION = (
    "spell numbers in this language (two letters, such as en) before texts are compared, for "
    "recognisers that write words; needs the library num2words"
)


class Recordings(Stage):
    """Find recordings and their transcripts by URL, and pair them by name.

    A recording and its text share the name of their files, without folder and ending. What has no
    counterpart, and a transcript without text, is in `dropped` with its reason. Where a recogniser
    has been run already, its words are read from files of the same name.
    """

    word = "speech.recordings"

    class Config(StageConfig):
        audio: list[str] = Field(
            min_length=1,
            description="URLs of the sound: files, folders and globs on any filesystem (wav, flac, "
            "mp3, ogg, opus)",
        )
        text: list[str] = Field(
            min_length=1, description="URLs of the transcripts: files, folders, globs (txt, pdf)"
        )
        words: list[str] | None = Field(
            None,
            description="URLs of recognised words with their times, from a recogniser of your own: "
            "files, folders, globs (json, csv, ctm)",
        )
        language: str = Field("und", description="language of all recordings, such as eng_Latn")
        shard_rows: int = Field(
            1,
            gt=0,
            description="recordings in a shard; shards are what recognition is spread over",
        )

        @field_validator("audio", "text")
        @classmethod
        def _is_named(cls, urls: list[str]) -> list[str]:
            if not all(url.strip() for url in urls):
                raise ValueError(
                    "a URL is empty; name files, a folder or a glob (an unset environment variable "
                    "with an empty default reads as nothing)"
                )
            return urls

    outputs = {
        "recordings": Output(Kind.RECORDINGS, "one row a recording that has a transcript"),
        "dropped": Output(Kind.DROPPED, "recordings and transcripts that are not used"),
    }
    libraries = ("pypdfium2",)

    def _files(self) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        config = self.config
        return (
            find_files(config.audio, AUDIO_ENDINGS, "sound"),
            find_files(config.text, TRANSCRIPTS, "transcripts"),
            find_files(config.words, WORD_TIMES, "recognised words") if config.words else {},
        )

    def sources(self) -> Mapping[str, str]:
        sound, texts, words = self._files()
        return {**sound, **texts, **words}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        config = self.config
        hashes, texts, words = self._files()
        sound, transcripts = by_stem(list(hashes), "sound"), by_stem(list(texts), "transcript")
        heard = by_stem(list(words), "file of words")
        dropped: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []

        def drop(address: str, reason: str, text: str | None = None) -> None:
            dropped.append({"id": address, "source": address, "reason": reason, "value": None,
                            "text": text})  # fmt: skip

        shards = 0
        for done, (name, address) in enumerate(sorted(sound.items()), start=1):
            source = transcripts.get(name)
            if source is None:
                drop(address, "no_transcript")
                continue
            try:
                text = _transcript(source)
            except ValueError as error:
                drop(address, f"unreadable_transcript: {source}: {error}")
                continue
            if not text.strip():
                drop(address, f"empty_transcript: {source}")
                continue
            timed = None
            if config.words:
                if name not in heard:
                    drop(address, "no_words", text)
                    continue
                try:
                    timed = _timed_words(heard[name])
                except ValueError as error:
                    drop(address, f"unreadable_words: {error}", text)
                    continue
            rows.append({"id": address, "audio": address, "audio_hash": hashes[address],
                         "text": text, "language": config.language, "source": source,
                         "speaker": None, "group": None, "seconds": None, "words": timed,
                         "edits": []})  # fmt: skip
            if len(rows) == config.shard_rows:
                outputs["recordings"].write(pa.Table.from_pylist(rows, RECORDINGS))
                rows, shards = [], shards + 1
            context.progress(done, len(sound), "recordings")
        for name, address in sorted(transcripts.items()):
            if name not in sound:
                drop(address, "no_recording")
        if rows or not shards:
            outputs["recordings"].write(pa.Table.from_pylist(rows, RECORDINGS))
        outputs["dropped"].write(pa.Table.from_pylist(dropped, DROPPED))
        context.metric("recordings", len(sound) - sum(row["id"] in hashes for row in dropped))
        context.metric("dropped", len(dropped))


class Recognise(RowStage):
    """Recognise the words of each recording, with their times.

    The long part of the work, and so a stage of its own: its words are kept, and what comes after
    can be changed without recognising again. Recordings that are no sound, or in which no word is
    heard, are in `dropped` with the reason.
    """

    word = "speech.recognise"

    class Config(StageConfig):
        recogniser: str = Field(
            "pocketsphinx",
            description="pocketsphinx (English, in the extra `speech`), or one of yours as "
            "module:Class with a method transcribe(samples, rate) -> words with times",
        )
        options: dict[str, Scalar] = Field(
            {},
            description="what the recogniser is made with; of pocketsphinx: hmm, dict, lm, jsgf, "
            "... - files that are named here are part of the key",
        )
        max_seconds: float = Field(
            30.0,
            gt=1,
            description="longer recordings are divided at their quietest places into pieces of "
            "this length at most",
        )

    inputs = {"recordings": Input(Kind.RECORDINGS, "recordings with their transcripts")}
    outputs = {
        "recordings": Output(Kind.RECORDINGS, "the same, with words and length"),
        "dropped": Output(Kind.DROPPED, "recordings without speech, with the reason"),
    }
    libraries = ("pocketsphinx", "soundfile", "scipy")

    def sources(self) -> Mapping[str, str]:
        files = list(option_files(self.config.options))
        return {str(path): digest for path, digest in local_hashes(files).items()}

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        from operators.speech import find_recogniser

        self._recogniser = find_recogniser(self.config.recogniser, self.config.options)

    def apply(self, rows: pa.Table, context: Context) -> Mapping[str, pa.Table]:
        from operators.speech import AudioError, open_audio, recognise

        kept: list[dict[str, Any]] = []
        dropped: list[dict[str, Any]] = []
        for row in rows.to_pylist():
            content = read_address(row["audio"])
            if hash_content(content) != row["audio_hash"]:
                raise ValueError(
                    f"{row['audio']} has changed since it was listed; run again, so that "
                    "speech.recordings reads it anew"
                )
            reason, timed = "", []
            try:
                audio = open_audio(content)
                timed = recognise(audio, self._recogniser, max_seconds=self.config.max_seconds)
                row["seconds"] = audio.seconds
                reason = "" if timed else "no_speech"
                context.count("milliseconds", round(audio.seconds * 1000))
            except AudioError as error:
                reason = f"unreadable_audio: {error}"
            if reason:
                dropped.append({"id": row["id"], "source": row["audio"], "reason": reason,
                                "value": None, "text": row["text"]})  # fmt: skip
                continue
            row["words"] = _as_rows(timed)
            kept.append(row)
            context.count("words", len(timed))
        return {
            "recordings": pa.Table.from_pylist(kept, rows.schema),
            "dropped": pa.Table.from_pylist(dropped, DROPPED),
        }

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        return {"hours": counts.get("milliseconds", 0) / 3_600_000}


# What is known of a dropped sentence, besides the columns of its kind.
DROPPED_SENTENCE = pa.schema(
    [*DROPPED, ("audio", pa.string()), ("sentence", pa.int32()), ("start", pa.float64()),
     ("end", pa.float64()), ("score", pa.float64()), ("recognised", pa.string())]
)  # fmt: skip
SENTENCE = [("sentence", pa.int32()), ("score_of_sum", pa.float64())]
CLIP = ("clip", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


class Align(RowStage):
    """Find each sentence of the transcripts in the recognised words, and judge what was found.

    Every sentence is in `speech`, or in `dropped` with the rule it failed and what was measured.
    Times are of recognised words; see `operators.speech.align_transcript`.
    """

    word = "speech.align"

    class Config(StageConfig):
        sentences: Literal["rules", "lines"] = Field(
            "rules",
            description="sentences by rules, paragraphs end at empty lines; or a sentence a line",
        )
        min_score: float = Field(
            0.8,
            ge=0,
            le=1,
            description="share of characters that agree, of the longer of sentence and recognised "
            "text (>=)",
        )
        boundary_words: int = Field(
            2,
            ge=0,
            description="of so many words at each end of a sentence one must be recognised as "
            "written; 0 asks for nothing",
        )
        min_seconds: float = Field(1.0, ge=0, description="shorter (<) segments are dropped")
        max_seconds: float = Field(30.0, gt=0, description="longer (>) segments are dropped")
        min_density: float = Field(
            5.0, ge=0, description="letters a second of speech; fewer (<): dropped"
        )
        max_density: float = Field(
            25.0, gt=0, description="letters a second of speech; more (>): dropped"
        )
        padding: float = Field(
            0.1,
            ge=0,
            description="seconds before and after each segment, to the middle of the pause at most",
        )
        characters: bool | None = Field(
            None,
            description="take letters for words, for writing without spaces; default: by the text",
        )
        numbers: str | None = Field(None, description=_NUMBERS_DESCRIPTION)
        cut: Literal["none", "flac"] = Field(
            "none",
            description="flac: each segment as a FLAC file, 16 kHz, in a column `clip` that the "
            "Audio type of `datasets` reads",
        )

        def rules(self) -> SegmentRules:
            """The rules as the method takes them."""
            from operators.speech import SegmentRules

            return SegmentRules(
                self.min_score, self.boundary_words, self.min_seconds, self.max_seconds,
                self.min_density, self.max_density,
            )  # fmt: skip

    inputs = {"recordings": Input(Kind.RECORDINGS, "recordings whose words are recognised")}
    outputs = {
        "speech": Output(Kind.SPEECH, "one row a sentence that was found"),
        "dropped": Output(Kind.DROPPED, "the other sentences, with reason, score and times"),
    }
    expands = True
    libraries = ("num2words", "soundfile", "scipy")

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        from operators.speech import spell_numbers

        numbers = self.config.numbers
        self._spell = spell_numbers(numbers) if numbers else None

    def apply(self, rows: pa.Table, context: Context) -> Mapping[str, pa.Table]:
        kept: list[dict[str, Any]] = []
        dropped: list[dict[str, Any]] = []
        cuts = self.config.cut != "none"
        for row in rows.to_pylist():
            found, sentences = self._align(row)
            clips = iter(_clips(row, found) if cuts else ())
            for segment in found:
                text = sentences[segment.sentence]
                base = {"id": f"{row['id']}#{segment.sentence}", "source": row["source"],
                        "text": text, "audio": row["audio"], "start": segment.start,
                        "end": segment.end, "score": segment.score,
                        "recognised": segment.recognised,
                        "sentence": segment.sentence}  # fmt: skip
                if segment.kept:
                    sound = next(clips) if cuts else None
                    clip = {"bytes": sound, "path": None} if sound else None
                    kept.append(
                        {**base, "language": row["language"], "cer": segment.cer,
                         "score_of_sum": segment.score_of_sum, "speaker": row["speaker"],
                         "group": row["group"], "edits": row["edits"], "clip": clip}
                    )  # fmt: skip
                    span = (segment.end or 0.0) - (segment.start or 0.0)
                    context.count("kept_milliseconds", round(1000 * span))
                else:
                    dropped.append({**base, "reason": segment.reason, "value": segment.value})
                    context.count(f"dropped_{segment.reason}", 1)
            context.count("sentences", len(sentences))
            context.count("kept", sum(segment.kept for segment in found))
        schema = pa.schema([*SPEECH, *SENTENCE, *([CLIP] if cuts else [])])
        return {
            "speech": pa.Table.from_pylist(kept, schema),
            "dropped": pa.Table.from_pylist(dropped, DROPPED_SENTENCE),
        }

    def _align(self, row: Mapping[str, Any]) -> tuple[list[AlignedSegment], list[str]]:
        from operators.speech import TimedWord, align_transcript

        if row["words"] is None:
            raise ValueError(
                f'the words of "{row["id"]}" are not recognised yet: wire the output of '
                "speech.recognise, or give `words` to speech.recordings"
            )
        sentences = _sentences(row["text"], row["language"], self.config.sentences)
        words = [TimedWord(**word) for word in row["words"]]
        found = align_transcript(
            words,
            sentences,
            rules=self.config.rules(),
            padding=self.config.padding,
            duration=row["seconds"],
            characters=self.config.characters,
            spell=self._spell,
        )
        return found, sentences

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        sentences = counts.get("sentences", 0)
        return {
            "kept_share": counts.get("kept", 0) / sentences if sentences else math.nan,
            "kept_hours": counts.get("kept_milliseconds", 0) / 3_600_000,
        }


def _transcript(address: str) -> str:
    """The text of a transcript; "" of a PDF that has none.

    Raises:
        ValueError: it cannot be read.
    """
    from operators.speech import unwrap_lines

    content = read_address(address)
    if address.lower().endswith(".pdf"):
        (read,) = pdf_document(address, io.BytesIO(content), Limits())
        if isinstance(read, Read):
            return unwrap_lines(read.text)
        if read.reason == "pdf_without_text":
            return ""
        raise ValueError(read.message.removeprefix(f"{address}: "))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line} is not UTF-8 text ({error.reason})") from error


def _timed_words(address: str) -> list[dict[str, Any]]:
    from operators.speech import read_timed_words

    try:
        text = read_address(address).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{address}: is not UTF-8 text ({error.reason})") from error
    return _as_rows(read_timed_words(address, text))


def _as_rows(words: Sequence[TimedWord]) -> list[dict[str, Any]]:
    return [
        {"text": word.text, "start": word.start, "end": word.end, "confidence": word.confidence}
        for word in words
    ]


def _sentences(text: str, language: str, how: str) -> list[str]:
    if how == "lines":
        return [line.strip() for line in text.split("\n") if line.strip()]
    from operators.alignment import split_sentences

    return split_sentences(_WRAPPED.sub(" ", text.replace("\r\n", "\n")), language)


def _clips(row: Mapping[str, Any], found: Sequence[AlignedSegment]) -> list[bytes | None]:
    """The sound of each segment that is kept."""
    from operators.speech import cut_flac, open_audio

    content = read_address(row["audio"])
    if hash_content(content) != row["audio_hash"]:
        raise ValueError(f"{row['audio']} has changed since it was listed; run again")
    spans = [
        (s.start, s.end) for s in found if s.kept and s.start is not None and s.end is not None
    ]
    return cut_flac(open_audio(content), spans)
