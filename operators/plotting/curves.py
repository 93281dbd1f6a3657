"""Values over training steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from operators.plotting.canvas import COLOURS, LINE_STYLES, canvas, say_no_data

# Few points are marked one by one; on a long curve the marks would hide it.
_MARKED_POINTS = 25


def learning_curves(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
) -> bytes:
    """A PNG with one line for each series (name -> (steps, values)), in the order of the mapping.

    Seven colours, then the same with another line style. A NaN leaves a gap in its line;
    steps must be finite.

    Raises:
        ValueError: if steps and values of a series differ in length.
    """
    for name, (steps, values) in series.items():
        if len(steps) != len(values):
            raise ValueError(f"series {name!r} has {len(steps)} steps and {len(values)} values")
    from matplotlib.ticker import MaxNLocator

    with canvas(6.4, 3.8) as drawing:
        axes = drawing.axes
        axes.set_title(title)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        lines = []
        for index, (steps, values) in enumerate(series.values()):
            lines += axes.plot(
                steps,
                values,
                color=COLOURS[index % len(COLOURS)],
                linestyle=LINE_STYLES[index // len(COLOURS) % len(LINE_STYLES)],
                linewidth=1.6,
                marker="o" if len(steps) <= _MARKED_POINTS else "",
                markersize=3.2,
            )
        if all(step == int(step) for steps, _ in series.values() for step in steps):
            axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
        if not any(len(steps) for steps, _ in series.values()):
            say_no_data(axes)
        if lines:
            # Beside the axes: inside, a legend lies on the very curves it names.
            axes.legend(lines, list(series), loc="upper left", bbox_to_anchor=(1.01, 1.0))
        return drawing.png()
