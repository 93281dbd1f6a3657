"""Long recordings divided where they are quietest, so that recognition needs bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

_HOP = 0.01  # seconds between two measurements of loudness
_QUIET = 0.2  # seconds of which the quietest are looked for
# Below this level (of full scale) nobody speaks, and nothing is recognised.
_SILENCE = 10 ** (-60 / 20)


def speech_chunks(
    blocks: Iterable[npt.NDArray[np.float32]],
    rate: int,
    *,
    max_seconds: float = 30.0,
    min_seconds: float = 10.0,
) -> Iterator[tuple[float, npt.NDArray[np.float32]]]:
    """Pieces of a recording, each with the second at which it begins.

    A piece ends in the middle of the quietest fifth of a second between `min_seconds` and
    `max_seconds` after its beginning: breath and pauses are found without a threshold, in noise
    and in a studio. Pieces in which all is silence (below -60 dB) are left out.

    Args:
        blocks: the samples, one after the other, in pieces of any size.
        rate: samples a second.
        max_seconds: how long a piece may be.
        min_seconds: how long it is at least, the last one apart.

    Raises:
        ValueError: not 0 < min_seconds < max_seconds.
    """
    if not 0 < min_seconds < max_seconds:
        raise ValueError(
            f"min_seconds must be above 0 and below max_seconds, not {min_seconds} of {max_seconds}"
        )
    longest, shortest = round(max_seconds * rate), round(min_seconds * rate)
    held = np.zeros(0, np.float32)
    at = 0
    for block in blocks:
        held = np.concatenate((held, block))
        while len(held) > longest:
            cut = shortest + _quietest(held[shortest:longest], rate)
            if not _is_silent(held[:cut], rate):
                yield at / rate, held[:cut]
            held, at = held[cut:], at + cut
    if len(held) and not _is_silent(held, rate):
        yield at / rate, held


def _loudness(samples: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float64]:
    """Root mean square of each hundredth of a second."""
    hop = max(1, round(_HOP * rate))
    whole = samples[: len(samples) // hop * hop].astype(np.float64).reshape(-1, hop)
    if not len(whole):
        whole = samples.astype(np.float64).reshape(1, -1)
    loudness: npt.NDArray[np.float64] = np.sqrt((whole**2).mean(axis=1))
    return loudness


def _quietest(samples: npt.NDArray[np.float32], rate: int) -> int:
    energy = _loudness(samples, rate) ** 2
    width = min(len(energy), max(1, round(_QUIET / _HOP)))
    # Whole numbers of steps: a sum of the same terms does not depend on what came before.
    windows = np.lib.stride_tricks.sliding_window_view(energy, width).sum(axis=1)
    hop = max(1, round(_HOP * rate))
    return min(len(samples), (int(windows.argmin()) + width // 2) * hop + 1)


def _is_silent(samples: npt.NDArray[np.float32], rate: int) -> bool:
    return bool(_loudness(samples, rate).max() < _SILENCE)
