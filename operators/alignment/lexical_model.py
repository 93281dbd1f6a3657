"""What makes beads of two texts probable, and the search for the most probable ones.

The words by a lexicon, the lengths by a ratio and a variance, the kinds of beads by their shares,
each as earlier beads show it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from operators.alignment.bands import Band, Spans, along, sentence_bands, whole, widened
from operators.alignment.gale_church import fitted_lengths, usual_variance
from operators.alignment.numbered_texts import TextPair, ends
from operators.alignment.text_lexicon import Lexicon

Floats = npt.NDArray[np.float64]

# Kinds of beads in order of preference; the coarse search takes the first five. Up to 2-2 their
# prior probabilities are Gale and Church's (one-sided ones as theirs), and each further sentence
# makes a bead e^1.5 times as rare, as 2-2 against 2-1 and 2-1 against 1-1 are, about.
MOVES = (
    (1, 1), (2, 1), (1, 2), (1, 0), (0, 1), (2, 2), (3, 1), (1, 3), (3, 2), (2, 3), (4, 1), (1, 4),
    (3, 3), (4, 2), (2, 4), (4, 3), (3, 4), (4, 4),
)  # fmt: skip
_COARSE_MOVES = 5
_RARER = 1.5
_PRIOR_BEADS = 50.0  # beads that the prior probabilities of kinds weigh as much as

_WORDS_WEIGHT = 0.5  # words of a sentence do not speak independently

_WHOLE = 1_000_000  # places that are all looked at
FACTOR = 4  # sentences of a block of the next coarser level


def levels_of(n: int, m: int) -> list[int]:
    """Sentences of a block, level by level, up to where all places can be looked at."""
    levels = [1]
    while (n // levels[-1] + 1) * (m // levels[-1] + 1) > _WHOLE:
        levels.append(levels[-1] * FACTOR)
    return levels


class LexicalModel:
    """What makes beads of these texts probable."""

    def __init__(
        self,
        texts: TextPair,
        lexicon: Lexicon,
        beads: Spans | None,
        ratio: float,
        *,
        coarse: bool = False,
    ) -> None:
        self.texts, self.lexicon, self.beads = texts, lexicon, beads
        source, target = texts.source.length, texts.target.length
        if beads is None:
            variance = usual_variance(ratio)
        else:
            both = beads[(beads[:, 1] > beads[:, 0]) & (beads[:, 3] > beads[:, 2])]
            ratio, variance = fitted_lengths(
                source[both[:, 1]] - source[both[:, 0]], target[both[:, 3]] - target[both[:, 2]]
            )
        moves = MOVES[:_COARSE_MOVES] if coarse else MOVES
        self.moves = np.array(moves, np.int64)
        self.penalties = -np.log(kind_shares(beads)[: len(moves)])
        self.gap = _gap(beads)
        self.lengths = (ratio, variance, *_gammas(source, target, ratio, variance))

    def search(self, near: Spans | None, *, radius: int) -> tuple[Spans, Floats]:
        """The best path, and what each of its beads costs; if `near` is given, near to it."""
        n, m = self.texts.size
        costs = np.zeros(0)

        def around(radius: int) -> Band:
            if near is None or (n + 1) * (m + 1) <= _WHOLE // 4:
                return whole(n + 1, m + 1)
            return along(near, n, m, radius)

        def search(places: Band) -> Spans | None:
            nonlocal costs
            found = self._search(places)
            if found is None:
                return None
            spans, costs = found
            return spans

        spans = widened(search, around, radius, n, m)
        assert spans is not None, "one-sided beads make a path everywhere"
        return spans, costs

    def _search(self, places: Band) -> tuple[Spans, Floats] | None:
        from operators.alignment import sentence_kernels

        source, target, lexicon = self.texts.source, self.texts.target, self.lexicon
        n, m = self.texts.size
        by_target, by_source = sentence_bands(places, sentence_kernels.MOST)
        now = [np.zeros((2, size), np.int64) for size in (n, m)]
        for i, i_end, j, j_end in [] if self.beads is None else self.beads.tolist():
            now[0][:, i:i_end] = [[j], [j_end]]
            now[1][:, j:j_end] = [[i], [i_end]]
        order = np.argsort(lexicon.right, kind="stable")
        forward, forward_base = sentence_kernels.evidence(
            target.words, target.begin, source.begin, *by_target, lexicon.target_rate, target.share,
            ends(lexicon.right, len(target.count)), lexicon.left[order], lexicon.forward[order],
            lexicon.learnt[order], *source.occurrences(), *now[1],
        )  # fmt: skip
        backward, backward_base = sentence_kernels.evidence(
            source.words, source.begin, target.begin, *by_source, lexicon.source_rate, source.share,
            ends(lexicon.left, len(source.count)), lexicon.right, lexicon.backward,
            lexicon.learnt, *target.occurrences(), *now[0],
        )  # fmt: skip
        spans, costs = sentence_kernels.lexical_path(
            source.length, target.length, *places, self.moves, self.penalties, *self.gap,
            self.lengths, _WORDS_WEIGHT, forward, forward_base, tuple(by_target), backward,
            backward_base, tuple(by_source),
        )  # fmt: skip
        return (spans, costs) if len(spans) else None


def kind_shares(beads: Spans | None) -> Floats:
    """Probabilities of `MOVES` by beads found, if any; of one-sided ones only where a gap opens."""
    usual = {(1, 1): 0.89, (2, 1): 0.089, (1, 2): 0.089, (1, 0): 0.0099, (0, 1): 0.0099}
    prior = np.array([usual.get((a, b), 0.011 * np.exp(-_RARER * (a + b - 4))) for a, b in MOVES])
    prior /= prior.sum()
    if beads is None:
        return prior
    beads = beads[~(_one_sided(beads) & np.append(False, _one_sided(beads)[:-1]))]
    sizes = beads[:, 1] - beads[:, 0], beads[:, 3] - beads[:, 2]
    counts = np.array([((sizes[0] == a) & (sizes[1] == b)).sum() for a, b in MOVES], np.float64)
    return np.asarray((counts + _PRIOR_BEADS * prior) / (counts.sum() + _PRIOR_BEADS), np.float64)


def _gap(beads: Spans | None) -> tuple[float, float]:
    """Costs of one more bead in a gap, of either side, and of leaving a gap.

    Missing sentences come in runs: were each as dear as the first, or as cheap as many in a row
    are, a sentence in the midst of a gap would be paired with whatever fits it by chance.
    """
    longer, all_ = 0, 0
    if beads is not None:
        alone = _one_sided(beads)
        longer, all_ = int((alone[1:] & alone[:-1]).sum()), int(alone.sum())
    share = (longer + 1) / (all_ + 2)
    return float(-np.log(share / 2)), float(-np.log(1 - share))


def _one_sided(beads: Spans) -> npt.NDArray[np.bool_]:
    return np.asarray((beads[:, 1] == beads[:, 0]) | (beads[:, 3] == beads[:, 2]))


def _gammas(source: Floats, target: Floats, ratio: float, variance: float) -> tuple[Floats, Floats]:
    """Shapes and scales of the lengths of sentences of both texts.

    Lengths of a text vary at least as much as those of translations of one sentence.
    """
    shapes, scales = np.empty(2), np.empty(2)
    for side, (length, least) in enumerate(
        ((source, variance / ratio**2), (target, variance / ratio))
    ):
        lengths = np.maximum(np.diff(length), 1.0)
        mean = lengths.mean()
        spread = max(lengths.var(), least * mean)
        shapes[side], scales[side] = mean**2 / spread, spread / mean
    return shapes, scales
