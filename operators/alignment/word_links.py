"""Word links: error rate against gold links, and one alignment from two directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

Link = tuple[int, int]
Symmetrization = Literal["intersection", "union", "grow-diag", "grow-diag-final-and"]

# In the order in which Moses looks at them (Koehn et al. 2005): first beside, then across.
_NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


@dataclass(frozen=True, slots=True)
class AlignmentErrorRate:
    """Alignment error rate, precision and recall, with the pooled counts behind them.

    Attributes:
        predicted: links predicted.
        sure: sure gold links.
        sure_found: of these, predicted.
        possible_found: predicted links that are possible (sure ones are).
    """

    predicted: int
    sure: int
    sure_found: int
    possible_found: int

    @property
    def aer(self) -> float:
        """1 - (|A and S| + |A and P|) / (|A| + |S|); 0 where there is nothing on both sides."""
        both = self.predicted + self.sure
        return 1 - (self.sure_found + self.possible_found) / both if both else 0.0

    @property
    def precision(self) -> float:
        return self.possible_found / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return self.sure_found / self.sure if self.sure else 0.0


def alignment_error_rate(
    predicted: Sequence[AbstractSet[Link]],
    sure: Sequence[AbstractSet[Link]],
    possible: Sequence[AbstractSet[Link]] | None = None,
) -> AlignmentErrorRate:
    """Score links against gold (Och and Ney 2003): counts are summed over sentence pairs first.

    Args:
        predicted: links (source position, target position) of each sentence pair.
        sure: gold links that an aligner must find.
        possible: gold links that it may find; sure links are among them whether listed or not.

    Raises:
        ValueError: the sequences differ in length.
    """
    possible = sure if possible is None else possible
    if not len(predicted) == len(sure) == len(possible):
        raise ValueError(
            f"{len(predicted)} predicted, {len(sure)} sure and {len(possible)} possible sentence "
            "pairs; there must be as many of each"
        )
    counts = [0, 0, 0, 0]
    for ours, certain, allowed in zip(predicted, sure, possible, strict=True):
        counts[0] += len(ours)
        counts[1] += len(certain)
        counts[2] += len(ours & certain)
        counts[3] += len(ours & (certain | allowed))
    return AlignmentErrorRate(*counts)


def symmetrize(
    forward: AbstractSet[Link], backward: AbstractSet[Link], how: Symmetrization
) -> set[Link]:
    """One alignment from those of the two directions (Och and Ney 2003; Koehn et al. 2005).

    `grow-diag` begins with the intersection and adds links of the union beside links there are,
    corners included, while one of their words has none yet. `-final-and` then adds links of either
    direction both of whose words have none. Links are looked at in order, so the result does not
    depend on the order of the sets.
    """
    if how == "union":
        return set(forward | backward)
    links = set(forward & backward)
    if how == "intersection":
        return links
    left = set(forward | backward) - links
    if not left:
        return links
    sources, targets = {i for i, _ in links}, {j for _, j in links}

    def add(link: Link, enough: Callable[[bool, bool], bool]) -> bool:
        is_new = enough(link[0] not in sources, link[1] not in targets)
        if is_new:
            links.add(link)
            left.discard(link)
            sources.add(link[0])
            targets.add(link[1])
        return is_new

    waiting = sorted(links)
    while waiting:
        found = []
        for i, j in waiting:
            for down, across in _NEIGHBOURS:
                link = (i + down, j + across)
                if link in left and add(link, lambda a, b: a or b):
                    found.append(link)
        waiting = sorted(found)
    if how == "grow-diag-final-and":
        for direction in (forward, backward):
            for link in sorted(direction - links):
                add(link, lambda a, b: a and b)
    return links
