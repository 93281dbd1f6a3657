"""A picture of a run: its stages as boxes, what each takes from which as lines; an SVG.

Plain text and not a plot: it is drawn at the end of every run, which loading matplotlib would make
a second longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from graphlib import TopologicalSorter
from html import escape

from pipelines.status import StageStatus

WIDTH, HEIGHT = 172, 46  # of a box
PASSAGE = 8  # of lines
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
    widths = [sum(slot.width for slot in level) + ACROSS * (len(level) - 1) for level in levels]
    width = 2 * MARGIN + max(widths, default=0)
    height = 2 * MARGIN + len(levels) * (HEIGHT + DOWN) - DOWN
    places = {}  # middle of the upper edge
    for down, level in enumerate(levels):
        for slot in level:
            places[slot.name, down] = (width / 2 + slot.middle, MARGIN + down * (HEIGHT + DOWN))
    depth = {slot.name: down for down, level in enumerate(levels) for slot in level if slot.box}
    lines = [
        _line([places[name, down] for down in range(depth[name], depth[box.name])],
              places[box.name, depth[box.name]])
        for box in boxes
        for name in sorted(box.takes)
    ]  # fmt: skip
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="Helvetica, Arial, sans-serif">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
            '<g fill="none" stroke="#8a94a3" stroke-width="1.4">',
            *lines,
            "</g>",
            *(_drawn(box, places[box.name, depth[box.name]]) for box in boxes),
            "</svg>",
        ]
    )


@dataclass
class _Slot:
    """A place in a level: of a box, or of the lines from a box above to others further down.

    Attributes:
        name: of the box.
        above: names of the slots in the level above that lead here.
        middle: distance from the middle of the picture.
    """

    name: str
    box: bool
    above: set[str]
    middle: float = 0.0

    @property
    def width(self) -> int:
        return WIDTH if self.box else PASSAGE


def _levels(boxes: Sequence[Box]) -> list[list[_Slot]]:
    """Boxes by the length of the longest way to them, and passages for lines between them; in a
    level each near to what leads to it.
    """
    takes = {box.name: box.takes for box in boxes}
    depth: dict[str, int] = {}
    for name in TopologicalSorter({n: sorted(takes[n]) for n in takes}).static_order():
        depth[name] = 1 + max((depth[source] for source in takes[name]), default=-1)
    levels: list[list[_Slot]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for name, down in depth.items():
        levels[down].append(_Slot(name, True, takes[name]))
        last = max((depth[n] for n in takes if name in takes[n]), default=down)
        for between in range(down + 1, last):
            levels[between].append(_Slot(name, False, {name}))
    above: dict[str, float] = {}
    for level in levels:
        level.sort(key=partial(_leaning, above=above))
        at = -(sum(slot.width for slot in level) + ACROSS * (len(level) - 1)) / 2
        for slot in level:
            slot.middle = at + slot.width / 2
            at += slot.width + ACROSS
        above = {slot.name: slot.middle for slot in level}
    return levels


def _leaning(slot: _Slot, above: Mapping[str, float]) -> float:
    """Where a slot would best be, for what leads to it."""
    return sum(above[name] for name in slot.above) / max(len(slot.above), 1)


def _line(through: Sequence[tuple[float, float]], target: tuple[float, float]) -> str:
    """From the lower edge of the first place, straight through the others, to the target."""
    x, y = through[0][0], through[0][1] + HEIGHT
    path = f"M{x:g} {y:g}"
    for to_x, to_y in [*through[1:], target]:
        middle = (y + to_y) / 2
        path += f" C{x:g} {middle:g} {to_x:g} {middle:g} {to_x:g} {to_y:g}"
        x, y = to_x, to_y + HEIGHT
        if (to_x, to_y) != target:
            path += f" L{x:g} {y:g}"
    return f'<path d="{path}"/>'


def _drawn(box: Box, place: tuple[float, float]) -> str:
    fill, edge = COLORS[box.state]
    x, y = place[0] - WIDTH / 2, place[1]
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
