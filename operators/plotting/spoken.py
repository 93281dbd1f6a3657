"""How well a transcript was found in its recording."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from operators.plotting.canvas import COLOURS, MUTED, canvas, say_no_data

_BINS = 25


def kept_and_dropped(
    kept: npt.ArrayLike, dropped: npt.ArrayLike, *, title: str, xlabel: str
) -> bytes:
    """A PNG with the distribution of scores from 0 to 1, what was kept on what was dropped.

    Args:
        kept: scores, any shape.
        dropped: scores, any shape; those that are not finite are left out.
        title: above the figure.
        xlabel: what the scores are.
    """
    sides = [np.asarray(side, dtype=np.float64).ravel() for side in (kept, dropped)]
    sides = [side[np.isfinite(side)] for side in sides]
    from matplotlib.ticker import MaxNLocator

    with canvas(6.0, 3.4) as drawing:
        axes = drawing.axes
        axes.set_title(title)
        axes.set_xlabel(xlabel)
        axes.set_ylabel("sentences")
        if not sum(map(len, sides)):
            say_no_data(axes)
            return drawing.png()
        axes.grid(visible=False, axis="x")
        axes.hist(
            sides,
            bins=np.linspace(0, 1, _BINS + 1).tolist(),
            stacked=True,
            color=[COLOURS[0], COLOURS[1]],
            label=[f"kept ({len(sides[0])})", f"dropped ({len(sides[1])})"],
            edgecolor="white",
            linewidth=0.5,
            zorder=2,
        )
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="upper left")
        return drawing.png()


def alignment_timeline(
    spans: Sequence[tuple[int, float, float, bool]],
    words: Sequence[tuple[float, float]],
    *,
    title: str,
) -> bytes:
    """A PNG of one recording: time across, the sentences of its transcript downwards.

    A bar is where a sentence was found; the marks along the lower edge are recognised words. Bars
    along one line mean that all was read in order; a step in it is speech that the transcript lacks
    (to the right) or text that nobody read (downwards).

    Args:
        spans: sentence, start, end in seconds, whether it was kept.
        words: start and end of each recognised word in seconds.
        title: above the figure.
    """
    from matplotlib.ticker import MaxNLocator

    with canvas(7.0, 4.2) as drawing:
        axes = drawing.axes
        axes.set_title(title)
        axes.set_xlabel("seconds")
        axes.set_ylabel("sentence of the transcript")
        if not spans and not words:
            say_no_data(axes)
            return drawing.png()
        for is_kept, colour, name in ((True, COLOURS[0], "kept"), (False, COLOURS[1], "dropped")):
            chosen = [span for span in spans if span[3] is is_kept]
            if chosen:
                axes.hlines(
                    [span[0] for span in chosen],
                    [span[1] for span in chosen],
                    [span[2] for span in chosen],
                    colors=colour,
                    linewidth=max(1.5, min(6.0, 160 / max(1, len(spans)))),
                    label=f"{name} ({len(chosen)})",
                    zorder=3,
                )
        # Words stand below the last sentence, in units of the axis of sentences.
        last = max((span[0] for span in spans), default=0)
        below = last + max(1.0, 0.05 * (last + 1))
        if words:
            axes.hlines(
                [below] * len(words),
                [start for start, _ in words],
                [end for _, end in words],
                colors=MUTED,
                linewidth=5.0,
                label=f"recognised words ({len(words)})",
                zorder=2,
            )
        axes.set_ylim(below + max(0.5, 0.03 * (last + 1)), -max(0.5, 0.03 * (last + 1)))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        # The place of the words is no sentence.
        axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= last])
        axes.legend(loc="upper right")
        return drawing.png()
