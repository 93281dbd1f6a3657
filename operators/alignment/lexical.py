"""Sentence alignment by a lexicon that is learnt from the two texts themselves.

After Moore 2002 ("Fast and Accurate Sentence Alignment of Bilingual Corpora", AMTA) and hunalign
-realign (Varga et al. 2005): align, learn translations of words from the alignment, align again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from operators.alignment.bands import Spans, magnified
from operators.alignment.beads import Bead
from operators.alignment.lexical_model import FACTOR, LexicalModel, kind_shares, levels_of
from operators.alignment.numbered_texts import NumberedText, TextPair
from operators.alignment.text_lexicon import Lexicon, learn_lexicon, lookalikes, rare_only

Floats = npt.NDArray[np.float64]

_ROUNDS = 6
_UNEVEN = 0.1  # log ratio of numbers of sentences from which on a piece may be missing
_SETTLED = 1000  # one new bead in so many is none

_RADIUS = 24  # sentences around the path that was found in blocks
_NEAR = 10  # and around one that was found in sentences


def align_by_words(source: Sequence[str], target: Sequence[str]) -> list[Bead]:
    """Align two texts by words that translate each other, by lengths, and by kinds of beads.

    The score of a bead is its cost: -log of how much more probable its two sides are as
    translations of each other than as texts of their own - the words by model 1 in both
    directions, which together count half, the lengths by a t distribution around the ratio -
    and -log of the share of beads of its kind. Lower is better; one with an empty side has the
    latter only, less in a run of such beads than where it opens. Their sum is the least.

    At first words translate each other that look alike: numbers, names, cognates. Then, round by
    round, translations are learnt from the beads (model 1, both directions agreeing), each word
    with the probability that it has a counterpart at all, so that words of which nothing is known
    count for nothing. What a bead itself taught is not counted in its own favour. Length ratio and
    variance, and how frequent kinds of beads are, are learnt likewise. It ends when at
    most one bead in a thousand changes, or after 6 rounds.

    Where one text has at least a tenth more sentences than the other, this is done twice, once for
    texts that are all there and once for a text of which a piece is missing, and the alignment
    with the lower costs is taken.

    Long texts (more than a million pairs of sentences) are first aligned in blocks of 4, 16, ...
    sentences, then near the path found: time and memory grow with the length of the texts.
    """
    n, m = len(source), len(target)
    if not n or not m:
        return _beads(np.array([[i, i + 1, 0, 0] for i in range(n)] +
                               [[0, 0, j, j + 1] for j in range(m)], np.int64).reshape(-1, 4),
                      np.full(n + m, -np.log(kind_shares(None)[3])))  # fmt: skip
    texts = TextPair(NumberedText(source), NumberedText(target))
    lexicon = lookalikes(texts)
    levels = levels_of(n, m)
    # Most of the time both texts are all there. If one has many more sentences, a piece of the
    # other may be missing, and what its lengths then say is the mean sentence of each.
    lengths = texts.source.length[-1], texts.target.length[-1]
    whole_ratio = lengths[1] / lengths[0] if all(lengths) else 1.0
    ratios = [whole_ratio]
    if abs(np.log(m / n)) > _UNEVEN:
        ratios.append(whole_ratio * n / m)
    found = [_align(texts, lexicon, levels, ratio) for ratio in ratios]
    return _beads(*min(found, key=lambda spans_and_costs: float(spans_and_costs[1].sum())))


def _align(
    texts: TextPair, lexicon: Lexicon, levels: Sequence[int], ratio: float
) -> tuple[Spans, Floats]:
    """Beads and their costs, where the first search expects this ratio of lengths."""
    n, m = texts.size
    spans: Spans | None = None
    for level in reversed(levels[1:]):
        blocks = texts.blocks(level)
        if spans is not None:
            spans = magnified(spans, FACTOR, *blocks.size)
        model = LexicalModel(blocks, rare_only(blocks, lexicon), None, ratio, coarse=True)
        spans = model.search(spans, radius=_RADIUS // 2)[0]
    if spans is not None:
        spans = magnified(spans, FACTOR, n, m)
    found, costs = LexicalModel(texts, lexicon, None, ratio).search(spans, radius=_RADIUS)
    for _ in range(_ROUNDS - 1):
        before = found
        lexicon = learn_lexicon(texts, found, lexicon)
        found, costs = LexicalModel(texts, lexicon, before, ratio).search(before, radius=_NEAR)
        if _changed(found, before) <= len(found) // _SETTLED:
            break
    return found, costs


def _changed(found: Spans, before: Spans) -> int:
    """How many beads are new."""
    old = set(map(tuple, before.tolist()))
    return sum(bead not in old for bead in map(tuple, found.tolist()))


def _beads(spans: Spans, costs: Floats) -> list[Bead]:
    return [
        Bead(tuple(range(i, i_end)), tuple(range(j, j_end)), float(cost))
        for (i, i_end, j, j_end), cost in zip(spans.tolist(), costs, strict=True)
    ]
