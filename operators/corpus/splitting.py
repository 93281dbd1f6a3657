"""Held-out documents, chosen by whole clusters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xxhash


def assign_split(
    clusters: Sequence[str], *, held_out_fraction: float, seed: int
) -> npt.NDArray[np.bool_]:
    """Whether each row is held out: bool [len(clusters)].

    `clusters` holds a label a row; rows with equal labels share their fate, so that no
    near-duplicate of a held-out text is trained on. A label is held out if its hash with `seed`,
    as a number in [0, 1), is < `held_out_fraction`. Nothing else counts: not the order of the
    rows and not which other rows there are. The fraction is that of clusters in expectation,
    not of rows; with a larger fraction and the same seed, what was held out stays held out.

    Raises:
        ValueError: `held_out_fraction` is not in [0, 1].
    """
    if not 0 <= held_out_fraction <= 1:
        raise ValueError(f"held_out_fraction must lie in [0, 1], not {held_out_fraction}")
    hashes = np.fromiter(
        (xxhash.xxh3_64_intdigest(f"{seed}:{label}".encode()) for label in clusters),
        dtype=np.uint64,
        count=len(clusters),
    )
    # 53 bits fit a float exactly; 64 would round up to 1.0, and a fraction of 1 would miss some.
    held_out: npt.NDArray[np.bool_] = (hashes >> np.uint64(11)) / 2.0**53 < held_out_fraction
    return held_out
