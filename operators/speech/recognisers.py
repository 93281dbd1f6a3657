"""What turns sound into words with times: a narrow interface, and one recogniser of one's own."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from operators.speech.audio import Audio, to_pcm16
from operators.speech.chunks import speech_chunks
from operators.speech.timed_words import TimedWord, clean_word

RATE = 16_000
EMBEDDED = "pocketsphinx"


class Recogniser(Protocol):
    """Recognises a stretch of speech by itself, whatever it was given before."""

    def transcribe(self, samples: npt.NDArray[np.float32], rate: int) -> list[TimedWord]:
        """The words of one channel, -1 to 1, in order; times in seconds from its first sample."""
        ...


class Pocketsphinx:
    """The recogniser of CMU Sphinx, with the English model that comes with it, or others.

    Options are those of `pocketsphinx.Decoder`: `hmm`, `dict`, `lm`, `jsgf` (a grammar, such as
    ten digits), ...
    """

    def __init__(self, **options: Any) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise ValueError(
                "the recogniser pocketsphinx is not installed: pip install 'tokenmill[speech]'"
            ) from error
        self._decoder = Decoder(
            **{"loglevel": "FATAL", "samprate": RATE, "cmn": "batch", **options}
        )

    def transcribe(self, samples: npt.NDArray[np.float32], rate: int) -> list[TimedWord]:
        """The best path; a word's confidence is its posterior in the lattice of all paths."""
        if rate != int(self._decoder.config["samprate"]):
            raise ValueError(
                f"the sound has {rate} samples a second, and the model wants "
                f"{self._decoder.config['samprate']:g}"
            )
        decoder = self._decoder
        decoder.reinit_feat()  # forgets the noise and the loudness of what came before
        decoder.start_utt()
        decoder.process_raw(to_pcm16(samples).tobytes(), full_utt=True)
        decoder.end_utt()
        if decoder.hyp() is None:
            return []
        frames = float(decoder.config["frate"])
        logarithms = decoder.get_logmath()
        words = []
        for segment in decoder.seg():
            text = clean_word(segment.word)
            if text:
                confidence = min(1.0, max(0.0, float(logarithms.exp(segment.prob))))
                words.append(
                    TimedWord(
                        text,
                        segment.start_frame / frames,
                        (segment.end_frame + 1) / frames,
                        confidence,
                    )
                )
        return words


def find_recogniser(name: str, options: Mapping[str, Any] | None = None) -> Recogniser:
    """A recogniser by name: `pocketsphinx`, or `module:Class`, made with `options`.

    Raises:
        ValueError: there is none of this name, or it has no `transcribe`.
    """
    if name == EMBEDDED:
        return Pocketsphinx(**(options or {}))
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(
            f'there is no recogniser "{name}"; there is {EMBEDDED}, or one of yours as module:Class'
        )
    try:
        made = getattr(importlib.import_module(module), attribute)(**(options or {}))
    except (ImportError, AttributeError) as error:
        raise ValueError(f'the recogniser "{name}" cannot be loaded: {error}') from error
    if not callable(getattr(made, "transcribe", None)):
        raise ValueError(f'the recogniser "{name}" has no method transcribe(samples, rate)')
    return cast(Recogniser, made)


def recognise(
    audio: Audio, recogniser: Recogniser, *, max_seconds: float = 30.0, rate: int = RATE
) -> list[TimedWord]:
    """The words of a whole recording, piece by piece (`speech_chunks`).

    Raises:
        AudioError: the file breaks off or is damaged.
    """
    words: list[TimedWord] = []
    chunks = speech_chunks(
        audio.blocks(rate), rate, max_seconds=max_seconds, min_seconds=max_seconds / 3
    )
    for start, samples in chunks:
        words += [
            TimedWord(word.text, start + word.start, start + word.end, word.confidence)
            for word in recogniser.transcribe(samples, rate)
        ]
    return words
