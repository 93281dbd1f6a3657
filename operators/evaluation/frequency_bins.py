"""Loss by training frequency: what the mean over tokens hides about rare ones.

After Pinto, Galanti and Balestriero 2024 (the "Fair LM" paradox): weight decay can make rare
tokens much worse while the mean barely moves, because frequent tokens dominate it. Frequencies
must be those of the *training* data, and types never seen there stay apart, in bin 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl

Spacing = Literal["log", "quantile"]


def frequency_bins(
    counts: npt.ArrayLike, bins: int | Sequence[int] = 4, *, spacing: Spacing = "log"
) -> npt.NDArray[np.int64]:
    """The bin of each type: 0 never seen, 1 rarest ... highest most frequent. int64 [V].

    A count c >= 1 is in bin 1 + (number of edges <= c): a type exactly on an edge is in the upper
    bin, and types of one count are always in one bin. The edges are

    - the given ones, if `bins` is a sequence of increasing integers > 1: (10, 100) gives
      1-9, 10-99, 100 and more;
    - else, for "log", the `bins` - 1 inner points that cut the range from the smallest count seen
      to the largest into equal ratios, rounded up to integers;
    - else, for "quantile", the counts at shares 1/bins, 2/bins, ... of the types seen, in
      ascending order: bins of about equally many types. Ties can leave bins empty.

    Args:
        counts: training occurrences of each type, integers >= 0, [V].
        bins: number of bins for seen types (>= 1), or the edges between them.
        spacing: how edges are found; without meaning when they are given.

    Raises:
        ValueError: for negative or fractional counts, bins < 1, or edges that do not increase.
    """
    occurrences = np.asarray(counts)
    if occurrences.ndim != 1:
        raise ValueError(f"counts have shape {occurrences.shape}, but must be [V]")
    if occurrences.size and not np.issubdtype(occurrences.dtype, np.integer):
        raise ValueError(f"counts are {occurrences.dtype}, but must be integers")
    if (occurrences < 0).any():
        raise ValueError("counts must be >= 0")
    edges = _edges(occurrences[occurrences > 0], bins, spacing)
    return np.where(occurrences > 0, 1 + np.searchsorted(edges, occurrences, side="right"), 0)


def loss_by_bin(
    tokens: npt.ArrayLike, nats: npt.ArrayLike, bin_of_token: npt.ArrayLike
) -> pl.DataFrame:
    """Mean loss in each frequency bin, over tokens and over types.

    Args:
        tokens: ids of the scored (predicted) tokens, [N].
        nats: their losses, [N].
        bin_of_token: bin of every id, [V], from `frequency_bins`.

    Returns:
        One row for every bin from 0 to the highest of `bin_of_token`, ascending, with
        `bin`, `tokens` (scored tokens), `types` (different ids among them), `mean_nats` (micro:
        every token counts the same) and `macro_nats` (every type counts the same: the mean of
        the types' means). The means of a bin without tokens are null.

    Raises:
        ValueError: if tokens and nats differ in length, an id is outside [0, V), or a loss is NaN.
    """
    import polars as pl

    ids = np.asarray(tokens, dtype=np.int64).ravel()
    losses = np.asarray(nats, dtype=np.float64).ravel()
    bin_of = np.asarray(bin_of_token, dtype=np.int64).ravel()
    if len(ids) != len(losses):
        raise ValueError(f"{len(ids)} tokens have {len(losses)} losses")
    if len(ids) and not (ids.min() >= 0 and ids.max() < len(bin_of)):
        raise ValueError(f"ids range from {ids.min()} to {ids.max()}, but bins cover {len(bin_of)}")
    if np.isnan(losses).any():
        raise ValueError(f"nats[{int(np.argmax(np.isnan(losses)))}] is NaN")

    bins = int(bin_of.max()) + 1 if len(bin_of) else 0
    by_type = np.bincount(ids, minlength=len(bin_of))
    nats_by_type = np.bincount(ids, weights=losses, minlength=len(bin_of))
    scored = np.flatnonzero(by_type)
    scored_bin = bin_of[scored]
    token_count = np.bincount(scored_bin, weights=by_type[scored], minlength=bins)
    type_count = np.bincount(scored_bin, minlength=bins)
    micro = np.bincount(scored_bin, weights=nats_by_type[scored], minlength=bins)
    macro = np.bincount(scored_bin, weights=nats_by_type[scored] / by_type[scored], minlength=bins)
    used = type_count > 0
    return pl.DataFrame(
        {
            "bin": np.arange(bins),
            "tokens": token_count.astype(np.int64),
            "types": type_count.astype(np.int64),
            "mean_nats": np.divide(micro, token_count, out=np.full(bins, np.nan), where=used),
            "macro_nats": np.divide(macro, type_count, out=np.full(bins, np.nan), where=used),
        }
    ).with_columns(pl.col("mean_nats", "macro_nats").fill_nan(None))


def _edges(
    seen: npt.NDArray[np.integer], bins: int | Sequence[int], spacing: Spacing
) -> npt.NDArray[np.int64]:
    """The inner edges between bins 1, 2, ..., ascending; repeated ones mean empty bins."""
    if not isinstance(bins, int):
        given = np.asarray(bins, dtype=np.int64)
        if (given <= 1).any() or (np.diff(given) <= 0).any():
            raise ValueError(f"edges {list(bins)} must be > 1 and increase")
        return given
    if bins < 1:
        raise ValueError(f"bins is {bins}, but must be >= 1")
    if not len(seen):
        return np.empty(0, dtype=np.int64)
    if spacing == "log":
        points = np.geomspace(float(seen.min()), float(seen.max()), bins + 1)[1:-1]
        # geomspace gives 10.000000000000002 for 10: without rounding, a count on the edge
        # would fall into the lower bin.
        return np.ceil(np.round(points, 6)).astype(np.int64)
    if spacing == "quantile":
        shares = np.arange(1, bins) / bins
        return np.asarray(np.quantile(seen, shares, method="higher"), dtype=np.int64)
    raise ValueError(f"spacing is {spacing!r}, but must be 'log' or 'quantile'")
