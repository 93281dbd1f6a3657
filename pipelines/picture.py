"""A picture of a run: its stages as boxes, what each takes from which as lines; an SVG.

Plain text and not a plot: it is drawn at the end of every run, which loading matplotlib would make
a second longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from html import escape

from pipelines.status import StageStatus

WIDTH, HEIGHT = 172, 46  # of a box
ACROSS, DOWN = 26, 34  # between boxes
MARGIN = 24
COLORS = {
    "computed": ("#e7f2ff", "#1f6fd1"),
    "reused": ("#eef6ee", "#4d9a55"),
    "failed": ("#fdeaea", "#c93a3a"),
    "skipped": ("#f4f4f4", "#9a9a9a"),
    "waiting": ("#f4f4f4", "#9a9a9a"),
    "running": ("#fff6dd", "#c9931e"),
}
WORST = ("failed", "skipped", "waiting", "running", "computed", "reused")


@dataclass
class Box:
    """One stage of the DAG file, all its matrix cells together."""

    name: str
    states: list[str] = field(default_factory=list)
    rows: int | None = None
    takes: set[str] = field(default_factory=set)

    @property
    def state(self) -> str:
        return min(self.states, key=WORST.index, default="waiting")

    @property
    def second_line(self) -> str:
        counts = {state: self.states.count(state) for state in WORST if state in self.states}
        several = len(self.states) > 1
        text = ", ".join(f"{n} {state}" if several else state for state, n in counts.items())
        return text + (f" · {self.rows:,} rows" if self.rows is not None else "")


def draw(boxes: Sequence[Box]) -> str:
    """The picture, as SVG."""
    levels = _levels(boxes)
    places = {}
    widest = max((len(level) for level in levels), default=1)
    for down, level in enumerate(levels):
        left = (widest - len(level)) * (WIDTH + ACROSS) / 2  # levels have their middle in common
        for across, box in enumerate(level):
            y = MARGIN + down * (HEIGHT + DOWN)
            places[box.name] = (MARGIN + left + across * (WIDTH + ACROSS), y)
    width = 2 * MARGIN + widest * (WIDTH + ACROSS) - ACROSS
    height = 2 * MARGIN + len(levels) * (HEIGHT + DOWN) - DOWN
    lines = [_line(places[name], places[box.name]) for box in boxes for name in sorted(box.takes)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="Helvetica, Arial, sans-serif">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
            '<g fill="none" stroke="#8a94a3" stroke-width="1.4">',
            *lines,
            "</g>",
            *(_drawn(box, places[box.name]) for box in boxes),
            "</svg>",
        ]
    )


def _levels(boxes: Sequence[Box]) -> list[list[Box]]:
    """Boxes by the length of the longest way to them; in a level near to what they take from."""
    named = {box.name: box for box in boxes}
    order = TopologicalSorter({box.name: sorted(box.takes) for box in boxes}).static_order()
    depth: dict[str, int] = {}
    place: dict[str, float] = {}
    levels: list[list[Box]] = []
    for box in map(named.__getitem__, order):
        depth[box.name] = 1 + max((depth[source] for source in box.takes), default=-1)
        while len(levels) <= depth[box.name]:
            levels.append([])
        levels[depth[box.name]].append(box)
    for level in levels:
        level.sort(key=lambda box: _mean([place[source] for source in box.takes]))
        for number, box in enumerate(level):
            place[box.name] = number - (len(level) - 1) / 2
    return levels


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _line(source: tuple[float, float], target: tuple[float, float]) -> str:
    x, y = source[0] + WIDTH / 2, source[1] + HEIGHT
    to_x, to_y = target[0] + WIDTH / 2, target[1]
    middle = (y + to_y) / 2
    return f'<path d="M{x:g} {y:g} C{x:g} {middle:g} {to_x:g} {middle:g} {to_x:g} {to_y:g}"/>'


def _drawn(box: Box, place: tuple[float, float]) -> str:
    fill, edge = COLORS[box.state]
    x, y = place
    name = box.name if len(box.name) <= 22 else f"{box.name[:21]}…"
    return (
        f"<g><title>{escape(box.name)}: {escape(box.second_line)}</title>"
        f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{fill}" '
        f'stroke="{edge}" stroke-width="1.4"/>'
        f'<text x="{x + 10:g}" y="{y + 19:g}" font-size="13" font-weight="bold" '
        f'fill="#1b2430">{escape(name)}</text>'
        f'<text x="{x + 10:g}" y="{y + 36:g}" font-size="11" fill="#4a5563">'
        f"{escape(box.second_line)}</text></g>"
    )


def boxes_of(statuses: Iterable[StageStatus]) -> list[Box]:
    """Boxes of planned stages."""
    statuses = list(statuses)
    found: dict[str, Box] = {}
    bases = {status.name: status.planned.stage for status in statuses}
    for status in statuses:
        planned = status.planned
        box = found.setdefault(planned.stage, Box(planned.stage))
        box.states.append(status.state)
        if status.rows is not None:
            box.rows = status.rows + (box.rows or 0)
        box.takes |= {bases[name] for name in planned.upstream() if name in bases}
    return list(found.values())
