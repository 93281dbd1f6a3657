"""Sound must be the same however it is divided, and what is no sound must say so."""

import io
import math

import numpy as np
import pytest
from scipy.signal import resample_poly

soundfile = pytest.importorskip("soundfile", reason="the extra `speech` is not installed")

from operators.speech import AudioError, cut_flac, open_audio, speech_chunks  # noqa: E402


def encoded(samples, rate, kind="WAV", subtype="FLOAT"):
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=kind, subtype=subtype)
    return stream.getvalue()


def noise(seconds, rate, channels=1, seed=0):
    chance = np.random.default_rng(seed)
    return (chance.standard_normal((round(seconds * rate), channels)) * 0.1).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_together_are_what_the_whole_file_would_be(rate, channels):
    samples = noise(2.37, rate, channels)
    audio = open_audio(encoded(samples, rate))
    assert (audio.rate, audio.channels) == (rate, channels)
    assert audio.seconds == pytest.approx(2.37, abs=1e-4)
    common = math.gcd(rate, 16000)
    whole = resample_poly(samples.mean(axis=1), 16000 // common, rate // common)
    for seconds in (0.1, 0.5, 60.0):
        joined = np.concatenate(list(audio.blocks(16000, seconds)))
        assert joined.shape == whole.shape
        np.testing.assert_allclose(joined, whole, atol=1e-6)


@pytest.mark.parametrize(("kind", "subtype"), [("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III")])
def test_other_formats_are_read(kind, subtype):
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)
    audio = open_audio(encoded(tone, 16000, kind, subtype))
    joined = np.concatenate(list(audio.blocks()))
    assert len(joined) / 16000 == pytest.approx(2.0, abs=0.1)
    assert np.sqrt((joined[4000:28000] ** 2).mean()) == pytest.approx(0.3 / math.sqrt(2), rel=0.02)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"RIFF and no more", "is no sound that can be read"),
        (bytes(range(256)) * 40, "is no sound that can be read"),
        (encoded(np.zeros((0, 1), np.float32), 16000), "holds no samples"),
    ],
    ids=["nothing", "a_head", "other_bytes", "no_samples"],
)
def test_what_is_no_sound_is_an_error_that_says_so(content, message):
    with pytest.raises(AudioError, match=message):
        open_audio(content)


def test_a_file_that_breaks_off_is_no_silent_success():
    whole = encoded(noise(3, 16000), 16000, "FLAC", "PCM_16")
    audio = open_audio(whole[: len(whole) // 2])
    with pytest.raises(AudioError, match="breaks off"):
        list(audio.blocks())


def test_cuts_are_the_samples_between_their_times():
    samples = noise(2, 16000)[:, 0].clip(-1, 1)
    audio = open_audio(encoded(samples, 16000))
    spans = [(0.0, 0.5), (0.4, 1.2), (1.9, 5.0), (3.0, 4.0)]
    *cuts, nothing = cut_flac(audio, spans)
    assert nothing is None  # it begins after the end
    read = [soundfile.read(io.BytesIO(cut), dtype="float32") for cut in cuts]
    for (start, end), (cut, rate) in zip(spans[:3], read, strict=True):
        assert rate == 16000
        np.testing.assert_allclose(cut, samples[round(start * rate) : round(end * rate)], atol=1e-4)
    with pytest.raises(ValueError, match="in the order of their times"):
        cut_flac(audio, [(1, 2), (0, 1)])


def test_pieces_are_divided_in_the_pauses_and_lose_nothing_but_silence():
    rate = 1000
    loud = noise(60, rate)[:, 0] + 0.05
    for pause in (13.0, 25.5, 41.0):
        loud[round((pause - 0.2) * rate) : round((pause + 0.2) * rate)] = 1e-4
    pieces = list(speech_chunks([loud[:7000], loud[7000:50000], loud[50000:]], rate,
                                max_seconds=20, min_seconds=10))  # fmt: skip
    starts = [start for start, _ in pieces]
    assert starts[:4] == [0.0, *(pytest.approx(p, abs=0.11) for p in (13.0, 25.5, 41.0))]
    assert all(len(samples) <= 20 * rate for _, samples in pieces)
    np.testing.assert_array_equal(np.concatenate([s for _, s in pieces]), loud)
    assert list(speech_chunks([np.zeros(90000, np.float32)], rate)) == []
    with pytest.raises(ValueError, match="must be above 0"):
        list(speech_chunks([], rate, max_seconds=5, min_seconds=5))


def test_pieces_do_not_depend_on_how_the_samples_come():
    samples = noise(50, 1000)[:, 0]
    whole = list(speech_chunks([samples], 1000, max_seconds=12, min_seconds=4))
    parts = list(speech_chunks(np.array_split(samples, 37), 1000, max_seconds=12, min_seconds=4))
    assert [start for start, _ in whole] == [start for start, _ in parts]
