"""Recordings as samples: any rate, any number of channels, in pieces of bounded size."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]


class AudioError(ValueError):
    """What cannot be read as sound."""


@dataclass(frozen=True)
class Audio:
    """An encoded recording: wav, flac, mp3, ogg or another format of libsndfile.

    Attributes:
        content: the file.
        rate: samples a second in the file.
        channels: of the file.
        seconds: how long it lasts.
    """

    content: bytes
    rate: int
    channels: int
    seconds: float

    def blocks(self, rate: int = 16_000, seconds: float = 60.0) -> Iterator[Samples]:
        """One channel, the mean of all, at `rate`, in pieces of about `seconds`; float32, -1 to 1.

        Each piece is resampled (polyphase, Kaiser window) with what stands around it, so that
        together they are what the whole file would be resampled to.

        Raises:
            AudioError: the file breaks off or is damaged.
        """
        import soundfile
        from scipy.signal import resample_poly

        common = math.gcd(rate, self.rate)
        up, down = rate // common, self.rate // common
        # The filter of resample_poly reaches 10 max(up, down) samples at the common rate.
        margin = 0 if up == down else math.ceil((10 * max(up, down) / up + 1) / down) * down
        size = max(1, round(seconds * self.rate / down)) * down
        held = np.zeros(0, np.float32)  # read, and not yet given in full
        is_first = True
        try:
            with soundfile.SoundFile(io.BytesIO(self.content)) as file:
                while True:
                    wanted = size + margin if is_first else size
                    read = file.read(wanted, dtype="float32", always_2d=True)
                    is_last = len(read) < wanted
                    held = np.concatenate((held, _mono(read)))
                    if up == down:
                        if len(held):
                            yield held
                        held = held[:0]
                    else:
                        lead = 0 if is_first else margin
                        resampled = resample_poly(held, up, down).astype(np.float32)
                        end = len(resampled) if is_last else (len(held) - margin) * up // down
                        begin = lead * up // down
                        if end > begin:
                            yield resampled[begin:end]
                        held = held[max(0, len(held) - 2 * margin) :]
                    is_first = False
                    if is_last:
                        return
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise AudioError(f"the sound breaks off: {error}") from error


def open_audio(content: bytes) -> Audio:
    """A recording from the bytes of its file.

    Raises:
        AudioError: the bytes are no sound, or of no length.
    """
    import soundfile

    if not content:
        raise AudioError("the file is empty")
    try:
        information = soundfile.info(io.BytesIO(content))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise AudioError(f"is no sound that can be read: {error}") from error
    if information.frames <= 0:
        raise AudioError("holds no samples")
    return Audio(
        content,
        int(information.samplerate),
        int(information.channels),
        information.frames / information.samplerate,
    )


def cut_flac(
    audio: Audio, spans: list[tuple[float, float]], rate: int = 16_000
) -> list[bytes | None]:
    """Stretches of a recording as FLAC files of one channel, 16 bits, at `rate`.

    None for a stretch after the end of the recording.

    Args:
        audio: the recording.
        spans: start and end of each in seconds; they may not run backwards.
        rate: samples a second.

    Raises:
        AudioError: the file breaks off or is damaged.
        ValueError: spans run backwards.
    """
    import soundfile

    if any(b[0] < a[0] for a, b in itertools.pairwise(spans)):
        raise ValueError("spans must be in the order of their times")
    pieces: list[list[Samples]] = [[] for _ in spans]
    places = [(round(start * rate), round(end * rate)) for start, end in spans]
    at = first = 0
    for block in audio.blocks(rate):
        for number in range(first, len(places)):
            start, end = places[number]
            if start >= at + len(block):
                break
            if end > at:
                pieces[number].append(block[max(0, start - at) : end - at])
            elif number == first:
                first += 1
        at += len(block)
    cuts: list[bytes | None] = []
    for piece in pieces:
        joined = np.concatenate([np.zeros(0, np.float32), *piece])
        if not len(joined):
            cuts.append(None)
            continue
        stream = io.BytesIO()
        soundfile.write(stream, joined, rate, format="FLAC", subtype="PCM_16")
        cuts.append(stream.getvalue())
    return cuts


def to_pcm16(samples: Samples) -> npt.NDArray[np.int16]:
    """Samples from -1 to 1 as 16-bit numbers; what is louder is cut off."""
    return np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)


def _mono(samples: Samples) -> Samples:
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
