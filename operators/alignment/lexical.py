"""Sentence alignment by a lexicon that is learnt from the two texts themselves.

After Moore 2002 ("Fast and Accurate Sentence Alignment of Bilingual Corpora", AMTA) and hunalign
-realign (Varga et al. 2005): align, learn translations of words from the alignment, align again.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from operators.alignment.bands import (
    Band,
    Ints,
    Spans,
    along,
    magnified,
    sentence_bands,
    whole,
    widened,
)
from operators.alignment.beads import Bead
from operators.alignment.gale_church import fitted_lengths, usual_variance

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
_ALIKE = 0.5  # least likeness (Dice, character bigrams) of words that may be one
_CONCENTRATION = 0.1  # Dirichlet prior: of words that look the same it is 0.5, of others 0,
_LIKENESS = 5.0  # and of words never seen together 0.5 in all
_MOST_RATE = 0.95  # no word is sure to have a counterpart
_ITERATIONS = 5  # of model 1
_KEPT = 0.5  # an expected count worth keeping
_ROUNDS = 6
_UNEVEN = 0.1  # log ratio of numbers of sentences from which on a piece may be missing
_SETTLED = 1000  # one new bead in so many is none

_WHOLE = 1_000_000  # places that are all looked at
_FACTOR = 4  # sentences of a block of the next coarser level
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
                      np.full(n + m, -np.log(_kinds(None)[3])))  # fmt: skip
    texts = _Pair(_Side(source), _Side(target))
    lexicon = _lookalikes(texts)
    levels = [1]
    while (n // levels[-1] + 1) * (m // levels[-1] + 1) > _WHOLE:
        levels.append(levels[-1] * _FACTOR)
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
    texts: _Pair, lexicon: _Lexicon, levels: Sequence[int], ratio: float
) -> tuple[Spans, Floats]:
    """Beads and their costs, where the first search expects this ratio of lengths."""
    n, m = texts.size
    spans: Spans | None = None
    for level in reversed(levels[1:]):
        blocks = texts.blocks(level)
        if spans is not None:
            spans = magnified(spans, _FACTOR, *blocks.size)
        model = _Model(blocks, _rare(blocks, lexicon), None, ratio, coarse=True)
        spans = model.search(spans, radius=_RADIUS // 2)[0]
    if spans is not None:
        spans = magnified(spans, _FACTOR, n, m)
    found, costs = _Model(texts, lexicon, None, ratio).search(spans, radius=_RADIUS)
    for _ in range(_ROUNDS - 1):
        before = found
        lexicon = _learn(texts, found, lexicon)
        found, costs = _Model(texts, lexicon, before, ratio).search(before, radius=_NEAR)
        if _changed(found, before) <= len(found) // _SETTLED:
            break
    return found, costs


def _changed(found: Spans, before: Spans) -> int:
    """How many beads are new."""
    old = set(map(tuple, before.tolist()))
    return sum(bead not in old for bead in map(tuple, found.tolist()))


def words_of(sentence: str) -> list[str]:
    """Words, without case: runs of letters, marks and digits, and each other sign by itself.

    Scripts that put no spaces between words give all pairs of neighbouring characters instead.
    """
    return list(itertools.chain.from_iterable(map(_pieces, sentence.casefold().split())))


@lru_cache(maxsize=100_000)
def _pieces(chunk: str) -> tuple[str, ...]:
    pieces: list[str] = []
    runs = itertools.groupby(chunk, key=_character_class)
    for kind, run in runs:
        text = "".join(run)
        if kind == "unspaced" and len(text) > 1:
            pieces += [text[k : k + 2] for k in range(len(text) - 1)]
        elif kind == "word":
            pieces.append(text)
        else:
            pieces += text
    return tuple(pieces)


# Thai and Lao, Burmese, Khmer, Japanese and Chinese.
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF),
    (0x20000, 0x3FFFF),
)  # fmt: skip


def _character_class(character: str) -> str:
    code = ord(character)
    if unicodedata.category(character)[0] not in "LMN":
        return "sign"
    return "unspaced" if any(low <= code <= high for low, high in _UNSPACED) else "word"


class _Side:
    """A text as numbers.

    Attributes:
        words: word numbers, all sentences one after the other; `begin` where each sentence begins.
        length: characters of the first k sentences.
        vocabulary: the words by number, `count` of each.
    """

    def __init__(self, sentences: Sequence[str]) -> None:
        numbers: dict[str, int] = {}
        found: list[int] = []
        begin = [0]
        for sentence in sentences:
            found += [numbers.setdefault(word, len(numbers)) for word in words_of(sentence)]
            begin.append(len(found))
        self.words = np.array(found, np.int32)
        self.begin = np.array(begin, np.int64)
        self.vocabulary = list(numbers)
        self.count = np.bincount(self.words, minlength=len(numbers)).astype(np.float64)
        self.share = self.count / max(len(found), 1)
        self.length = np.concatenate([[0.0], np.cumsum([float(len(s)) for s in sentences])])

    def blocks(self, size: int) -> _Side:
        """The same text, `size` sentences as one."""
        side = object.__new__(_Side)
        side.__dict__.update(self.__dict__)
        at = np.append(np.arange(0, len(self.begin) - 1, size), len(self.begin) - 1)
        side.begin, side.length = self.begin[at], self.length[at]
        return side

    def occurrences(self) -> tuple[Ints, npt.NDArray[np.int32]]:
        """Sentences by word: where those of each word begin, and the sentences."""
        sentence = np.repeat(np.arange(len(self.begin) - 1, dtype=np.int32), np.diff(self.begin))
        order = np.argsort(self.words, kind="stable")
        return _ends(self.words, len(self.vocabulary)), sentence[order]


@dataclass(frozen=True)
class _Pair:
    source: _Side
    target: _Side

    @property
    def size(self) -> tuple[int, int]:
        return len(self.source.begin) - 1, len(self.target.begin) - 1

    @property
    def numbers(self) -> tuple[npt.NDArray[np.int32], Ints, npt.NDArray[np.int32], Ints]:
        return self.source.words, self.source.begin, self.target.words, self.target.begin

    def blocks(self, size: int) -> _Pair:
        return _Pair(self.source.blocks(size), self.target.blocks(size))


@dataclass(frozen=True)
class _Lexicon:
    """Words that may translate each other, each two an entry, in order of source, then target.

    Attributes:
        left, right: the two words of each entry.
        likeness: of the two words, 0 below `_ALIKE`.
        forward, backward: t(target | source), t(source | target).
        learnt: expected counts and prior, where beads taught them; else 0.
        source_rate, target_rate: probability that a word has a counterpart.
    """

    left: Ints
    right: Ints
    likeness: Floats
    forward: Floats
    backward: Floats
    learnt: Floats
    source_rate: Floats
    target_rate: Floats


def _lexicon(
    texts: _Pair, left: Ints, right: Ints, likeness: Floats, counts: Floats, learnt: bool
) -> _Lexicon:
    prior = _prior(likeness)
    known = counts + prior
    sizes = len(texts.source.count), len(texts.target.count)
    shares, rates = [], []
    for words, size, count in zip(
        (left, right), sizes, (texts.source.count, texts.target.count), strict=True
    ):
        total = np.bincount(words, known, size) + _UNSEEN
        shares.append(known / total[words])
        rates.append(
            np.minimum(
                np.bincount(words, known, size)
                / (count + np.bincount(words, prior, size) + _UNSEEN),
                _MOST_RATE,
            )
        )
    taught = np.where(counts > 1e-9, known, 0.0) if learnt else np.zeros(len(left))
    return _Lexicon(left, right, likeness, shares[0], shares[1], taught, rates[0], rates[1])


_UNSEEN = _CONCENTRATION * _LIKENESS


def _prior(likeness: Floats) -> Floats:
    return np.asarray(_CONCENTRATION * _LIKENESS * likeness**2, np.float64)


def _lookalikes(texts: _Pair) -> _Lexicon:
    """Words that look alike, as if they had been found together as often as they can be."""
    from operators.alignment import sentence_kernels

    numbers: dict[str, int] = {}
    sides = [_bigrams(side.vocabulary, numbers) for side in (texts.source, texts.target)]
    pairs, likeness = sentence_kernels.alike(*sides[0], *sides[1], len(numbers), _ALIKE)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    left, right = pairs[order].astype(np.int64).T
    likeness = likeness[order]
    prior = _prior(likeness)
    n, m = len(texts.source.count), len(texts.target.count)
    counts = likeness**2 * np.minimum(
        texts.source.count[left] * prior / np.bincount(left, prior, n)[left],
        texts.target.count[right] * prior / np.bincount(right, prior, m)[right],
    )
    return _lexicon(texts, left, right, likeness, counts, learnt=False)


def _rare(texts: _Pair, lexicon: _Lexicon) -> _Lexicon:
    """Without words that each block has, on average: they do not tell one place from another."""
    n, m = texts.size
    rare = texts.source.count <= n, texts.target.count <= m
    kept = rare[0][lexicon.left] & rare[1][lexicon.right]
    return _Lexicon(
        lexicon.left[kept],
        lexicon.right[kept],
        lexicon.likeness[kept],
        lexicon.forward[kept],
        lexicon.backward[kept],
        lexicon.learnt[kept],
        np.where(rare[0], lexicon.source_rate, 0.0),
        np.where(rare[1], lexicon.target_rate, 0.0),
    )


def _bigrams(words: Sequence[str], numbers: dict[str, int]) -> tuple[Ints, Ints]:
    """Character bigrams, ends included, of each word, and where those of each begin."""
    grams: list[int] = []
    at = [0]
    for word in words:
        marked = f"\x02{word}\x03"
        own = {marked[k : k + 2] for k in range(len(marked) - 1)}
        grams += sorted(numbers.setdefault(gram, len(numbers)) for gram in own)
        at.append(len(grams))
    return np.array(grams, np.int64), np.array(at, np.int64)


def _learn(texts: _Pair, spans: Spans, before: _Lexicon) -> _Lexicon:
    """Translations that the beads show, of words together more than once or alike."""
    from operators.alignment import sentence_kernels

    source, target = texts.source, texts.target
    width = len(target.vocabulary)
    beads = spans[(spans[:, 1] > spans[:, 0]) & (spans[:, 3] > spans[:, 2])]
    keys = sentence_kernels.word_pairs(
        *texts.numbers, beads, source.count > 1, target.count > 1, width
    )
    keys.sort()
    again = keys[1:] == keys[:-1]
    twice = keys[1:][again & ~np.append(False, again)[:-1]] if len(keys) > 1 else keys[:0]
    looks = before.likeness > 0
    alike = before.left[looks] * width + before.right[looks]
    entries = np.union1d(twice, alike)
    left, right = entries // max(width, 1), entries % max(width, 1)
    likeness = np.zeros(len(entries))
    likeness[np.searchsorted(entries, alike)] = before.likeness[looks]
    n, m = len(source.count), width
    found = sentence_kernels.find_entries(*texts.numbers, beads, _ends(left, n), right)
    prior = _prior(likeness)
    forward = 1 / np.bincount(left, minlength=n)[left]
    backward = 1 / np.bincount(right, minlength=m)[right]
    rates = [np.full(n, 0.5), np.full(m, 0.5)]
    counts, explained = np.zeros(len(entries)), [np.zeros(n), np.zeros(m)]
    for _ in range(_ITERATIONS):
        sentence_kernels.expect(
            *texts.numbers, beads, found, forward, backward, *rates, source.share, target.share,
            counts, *explained,
        )  # fmt: skip
        known = counts + prior
        forward = known / (np.bincount(left, known, n) + _UNSEEN)[left]
        backward = known / (np.bincount(right, known, m) + _UNSEEN)[right]
        rates = [
            np.minimum((words + 0.5) / (side.count + 1), _MOST_RATE)
            for words, side in zip(explained, (source, target), strict=True)
        ]
    # Less is too little to say anything outside the bead that it comes from.
    kept = (counts >= _KEPT) | (likeness > 0)
    return _lexicon(texts, left[kept], right[kept], likeness[kept], counts[kept], learnt=True)


class _Model:
    """What makes beads of these texts probable."""

    def __init__(
        self,
        texts: _Pair,
        lexicon: _Lexicon,
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
        self.penalties = -np.log(_kinds(beads)[: len(moves)])
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
            _ends(lexicon.right, len(target.count)), lexicon.left[order], lexicon.forward[order],
            lexicon.learnt[order], *source.occurrences(), *now[1],
        )  # fmt: skip
        backward, backward_base = sentence_kernels.evidence(
            source.words, source.begin, target.begin, *by_source, lexicon.source_rate, source.share,
            _ends(lexicon.left, len(source.count)), lexicon.right, lexicon.backward,
            lexicon.learnt, *target.occurrences(), *now[0],
        )  # fmt: skip
        spans, costs = sentence_kernels.lexical_path(
            source.length, target.length, *places, self.moves, self.penalties, *self.gap,
            self.lengths, _WORDS_WEIGHT, forward, forward_base, tuple(by_target), backward,
            backward_base, tuple(by_source),
        )  # fmt: skip
        return (spans, costs) if len(spans) else None


def _kinds(beads: Spans | None) -> Floats:
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


def _ends(words: npt.NDArray[Any], size: int) -> Ints:
    counts = np.bincount(words, minlength=size)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _beads(spans: Spans, costs: Floats) -> list[Bead]:
    return [
        Bead(tuple(range(i, i_end)), tuple(range(j, j_end)), float(cost))
        for (i, i_end, j, j_end), cost in zip(spans.tolist(), costs, strict=True)
    ]
