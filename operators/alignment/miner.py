"""A miner without an encoder: sentence vectors of two languages, learnt from some translations.

Four views of a sentence are laid side by side in one vector, so that the scalar product of two
sentences is a weighted mean of their likeness in each:

- *projection*: where it lies among the seed sentences of its own language, by words and character
  n-grams. Ridge regression onto the seeds removes what many of them share; the seeds are the same
  in both languages, and so are the coordinates (kernel regression between languages as in Gao and
  others; explicit semantic analysis across languages, Potthast et al. 2008, with whitening).
- *letters*: character n-grams of the romanised sentence, and of its consonants: names, numbers,
  loan words, cognates.
- *lexicon*: its words, and the words that they are expected to become.
- *length*.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from operators.alignment.grams import (
    Bags,
    gram_bags,
    inverse_frequencies,
    romanized,
    unit,
    weighted,
    word_lists,
)
from operators.alignment.mining import (
    Margin,
    MinedPair,
    MixedVectors,
    Retrieval,
    cosines,
    mine_bitext,
)
from operators.alignment.words import PRIORS, learn_words

Floats = npt.NDArray[np.float32]
Side = Literal["source", "target"]
_SIDES: tuple[Side, Side] = ("source", "target")

SEEDS = pa.schema([("source", pa.string()), ("target", pa.string()), ("doubt", pa.float64())])

# Chosen on rows 0-499 of FLORES dev, twelve languages, two folds; benchmarks/parts/bitext.py.
_PROJECTION, _LETTERS, _CONSONANTS, _LEXICON, _LENGTH = 1.0, 3.0, 1.5, 0.5, 0.1
_RIDGE = 1.0
_DOUBT = 1.0  # ridge of a pair that was mined, beside that of a seed
_COMMON = 0.05  # of the seeds: letters in more of them say nothing and cost most of the time,
_SEVERAL = 50  # if there are more than so many
_ANCHORS = 1000  # seeds that span the projection at most
_SPREAD = 32  # bumps over the logarithm of the length
_UNTOLD = 200  # seeds that do not yet tell which letters are rare
_LISTENED = 1000  # sentences of each side that do instead
_FEW = 20  # seeds that do not yet tell how much lengths vary
_ROWS = 2048  # texts at a time


class Miner:
    """Turns sentences of two languages into vectors of one space, and finds translations by them.

    Made by `learn_miner`. What it was learnt from is what it is: `tables` gives that, and
    `Miner(*tables)` is the same miner again.
    """

    def __init__(self, seeds: pa.Table, lexicon: pa.Table) -> None:
        self._tables = (seeds, lexicon)
        known = {side: [text for text in seeds[side].to_pylist() if text] for side in _SIDES}
        seeds = seeds.filter(pc.is_finite(seeds["doubt"]))
        texts = {side: seeds[side].to_pylist() for side in _SIDES}
        doubts = seeds["doubt"].to_numpy()
        step = max(1, -(-len(doubts) // _ANCHORS))
        self._lexicon = _Lexicon(lexicon, texts)
        self._projections = {
            side: _Projection(own[::step], doubts[::step]) for side, own in texts.items()
        }
        self._letters = [_Letters([*known["source"], *known["target"]], spell) for spell in _SPELL]
        sizes = {side: np.log1p([len(text) for text in own]) for side, own in texts.items()}
        ratios = sizes["target"] - sizes["source"]
        self._ratio = float(np.median(ratios)) if len(ratios) else 0.0
        # Too few seeds know nothing of how much lengths vary; one in five is usual.
        enough = len(ratios) >= _FEW
        self._deviation = max(float(np.std(ratios)), 0.05) if enough else 0.2

    @property
    def tables(self) -> tuple[pa.Table, pa.Table]:
        """Seeds (`SEEDS`; infinite doubt: not a pair) and lexicon (`PRIORS` of `learn_words`)."""
        return self._tables

    def vectors(self, texts: Sequence[str], side: Side) -> MixedVectors:
        """Vectors of sentences, of length 1: 2 kB for 500 seeds, 4 kB at most, and 12 bytes for
        each of some 100 to 200 features.

        A sentence without a letter or number has little but its length, and is near to nothing.
        """
        if side not in ("source", "target"):
            raise ValueError(f'side must be "source" or "target", not {side!r}')
        parts = [
            self._part(texts[start : start + _ROWS], side)
            for start in range(0, max(len(texts), 1), _ROWS)
        ]
        ends = np.cumsum([0, *(len(part.features) for part in parts)])
        return MixedVectors(
            np.concatenate([part.dense for part in parts]),
            np.concatenate(
                [[0], *(p.begins[1:] + end for p, end in zip(parts, ends, strict=False))]
            ),
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.values for part in parts]),
        )

    def _part(self, texts: Sequence[str], side: Side) -> MixedVectors:
        from operators.alignment import gram_kernels

        total = _PROJECTION + _LETTERS + _CONSONANTS + _LEXICON + _LENGTH
        sizes = np.log1p([len(text) for text in texts])
        dense = [
            self._projections[side](texts) * np.sqrt(_PROJECTION / total),
            self._bumps(sizes, side) * np.sqrt(_LENGTH / total),
        ]
        plain = romanized(texts)
        views = [
            (view(plain), w) for view, w in zip(self._letters, (_LETTERS, _CONSONANTS), strict=True)
        ]
        views += [(view, _LEXICON / 2) for view in self._lexicon(texts, side)]
        scaled = [(bags, values * np.float32(np.sqrt(w / total))) for (bags, values), w in views]
        begins = np.sum([bags.begins for bags, _ in scaled], axis=0)
        rows = [np.repeat(np.arange(len(texts)), np.diff(bags.begins)) for bags, _ in scaled]
        features = np.concatenate(
            [gram_kernels.salted(bags.hashes, n) for n, (bags, _) in enumerate(scaled, start=1)]
        )
        order = np.lexsort((features, np.concatenate(rows)))
        values = np.concatenate([values for _, values in scaled])
        return MixedVectors(
            np.hstack(dense).astype(np.float32), begins, features[order], values[order]
        )

    def _bumps(self, sizes: Any, side: Side) -> Any:
        """Products of two rows fall off as a Gaussian of the difference of their lengths."""
        shift = self._ratio if side == "source" else 0.0
        where = np.mod((sizes + shift) / self._deviation, _SPREAD)[:, None]
        away = np.abs(where - np.arange(_SPREAD))
        bumps = np.exp(-(np.minimum(away, _SPREAD - away) ** 2))
        return bumps / np.sqrt((bumps**2).sum(axis=1, keepdims=True))

    def similarity(self, source: Sequence[str], target: Sequence[str]) -> Floats:
        """Likeness of each source sentence to each target sentence, [source, target]; 1 at most."""
        return cosines(self.vectors(source, "source"), self.vectors(target, "target"))

    def mine(
        self,
        source: Sequence[str],
        target: Sequence[str],
        *,
        k: int = 4,
        threshold: float = 0.0,
        retrieval: Retrieval = "max",
        margin: Margin = "ratio",
    ) -> list[MinedPair]:
        """Translations among sentences, by `mine_bitext` on their vectors."""
        vectors = self.vectors(source, "source"), self.vectors(target, "target")
        return mine_bitext(*vectors, k=k, threshold=threshold, retrieval=retrieval, margin=margin)


def learn_miner(
    seed_pairs: Sequence[tuple[str, str]],
    *,
    source: Sequence[str] = (),
    target: Sequence[str] = (),
    rounds: int = 1,
    share: float = 0.8,
) -> Miner:
    """Learn to tell translations from some hundred pairs or more; without any, from spelling alone.

    With sentences of both languages that may hold translations of each other, the miner teaches
    itself: pairs that are each other's best are found among them, the `share` of them with the
    highest margins is added to the seeds, and all is learnt again. More translations are then found
    first; but what was believed has a high margin ever after, right or wrong, so that a threshold
    says little. Do so where most sentences have a translation. Where seeds are few (< 200),
    sentences also tell which letters are rare.

    Args:
        seed_pairs: sentences and their translations.
        source, target: sentences to teach itself with; neither or both.
        rounds: how often.
        share: of the pairs found that are believed, by margin.
    """
    paired = [(s, t) for s, t in seed_pairs if s.strip() and t.strip()]
    seeds = _seeds(paired, 0.0)
    if len(paired) < _UNTOLD:
        alone = [*((s, "") for s in source[:_LISTENED]), *(("", t) for t in target[:_LISTENED])]
        seeds = pa.concat_tables([seeds, _seeds(alone, float("inf"))])
    miner = _learn(seeds)
    for _ in range(rounds if source and target else 0):
        found = miner.mine(source, target, retrieval="intersect")
        believed = found[: int(share * len(found))]
        new = _seeds([(source[p.source], target[p.target]) for p in believed], _DOUBT)
        miner = _learn(pa.concat_tables([seeds, new]))
    return miner


def _seeds(pairs: Sequence[tuple[str, str]], doubt: float) -> pa.Table:
    columns = [[s for s, _ in pairs], [t for _, t in pairs], [doubt] * len(pairs)]
    return pa.table(dict(zip(SEEDS.names, columns, strict=True)), schema=SEEDS)


def _learn(seeds: pa.Table) -> Miner:
    paired = seeds.filter(pc.is_finite(seeds["doubt"]))
    sides = [word_lists(paired[side].to_pylist()) for side in _SIDES]
    lexicon = learn_words(list(zip(*sides, strict=True)), method="hmm").priors
    return Miner(seeds, lexicon)


class _Projection:
    """Coordinates of a text of one language: (k(text, seeds) (K + ridge)^-1), of length 1."""

    def __init__(self, seeds: Sequence[str], doubts: Any) -> None:
        bags = gram_bags(seeds)
        self._grams, self._weights = inverse_frequencies([bags])
        self._seeds = self._matrix(bags)
        kernel = (self._seeds @ self._seeds.T).toarray().astype(np.float64)
        self._inverse = np.linalg.inv(kernel + np.diag(_RIDGE + doubts))
        self.width = len(seeds)

    def _matrix(self, bags: Bags) -> Any:
        from scipy.sparse import csr_array

        own, values = weighted(bags, self._grams, self._weights)
        columns = np.searchsorted(self._grams, own.hashes)
        return csr_array((values, columns, own.begins), shape=(len(bags), len(self._grams)))

    def __call__(self, texts: Sequence[str]) -> Any:
        if not self.width:
            return np.zeros((len(texts), 0))
        likeness = (self._matrix(gram_bags(texts)) @ self._seeds.T).toarray()
        found = likeness.astype(np.float64) @ self._inverse
        return found / np.maximum(np.sqrt((found**2).sum(axis=1, keepdims=True)), 1e-12)


def _consonants(text: str) -> str:
    """What is left of a name when it has gone through a script that writes its vowels otherwise."""
    bare = _VOWELS.sub("", text.replace("ph", "f").replace("c", "k"))
    return _TWICE.sub(r"\1", bare)


_VOWELS = re.compile("[aeiouy'`]")
_TWICE = re.compile(r"([a-z])\1+")
_SPELL = (str, _consonants)


class _Letters:
    """Character n-grams that both languages share, of romanised texts."""

    def __init__(self, seeds: Sequence[str], spell: Any) -> None:
        self._spell = spell
        self._grams, self._weights = inverse_frequencies([self._bags(romanized(seeds))])
        # A gram in none of the seeds is as rare as can be: the names of the corpus are among them.
        self._unseen = float(np.log(1 + len(seeds)) + 1)
        least = self._unseen - float(np.log(1 + max(_COMMON * len(seeds), _SEVERAL)))
        self._weights[self._weights < least] = 0

    def _bags(self, plain: Sequence[str]) -> Bags:
        return gram_bags([self._spell(text) for text in plain], most=4)

    def __call__(self, plain: Sequence[str]) -> tuple[Bags, Floats]:
        return weighted(self._bags(plain), self._grams, self._weights, unseen=self._unseen)


class _Lexicon:
    """Words of a text and the words expected on the other side, weighted by how rare they are."""

    def __init__(self, lexicon: pa.Table, seeds: dict[Side, list[str]]) -> None:
        from scipy.sparse import csr_array, diags_array

        self._numbers: dict[str, dict[str, int]] = {}
        self._rarity: dict[str, Any] = {}
        for side, texts in seeds.items():
            lists = word_lists(texts)
            numbers = {w: n for n, w in enumerate(sorted({w for own in lists for w in own}))}
            found = np.zeros(len(numbers))
            for own in lists:
                found[[numbers[w] for w in set(own)]] += 1
            self._numbers[side] = numbers
            self._rarity[side] = np.log((1 + len(texts)) / (1 + found))
        rows = lexicon.select(PRIORS.names).to_pylist()
        s, t = self._numbers["source"], self._numbers["target"]
        rows = [row for row in rows if row["source"] in s and row["target"] in t]
        counts = csr_array(
            (
                [row["count"] for row in rows],
                ([s[row["source"]] for row in rows], [t[row["target"]] for row in rows]),
            ),
            shape=(len(s), len(t)),
        )
        # Expected words of the other side, made rare-weighted in the same step.
        self._becomes = {}
        for side, table in (("source", counts), ("target", counts.T.tocsr())):
            total = np.maximum(np.asarray(table.sum(axis=1)).ravel(), 1e-12)
            other = self._rarity["target" if side == "source" else "source"]
            self._becomes[side] = (diags_array(1 / total) @ table @ diags_array(other)).tocsr()

    def __call__(self, texts: Sequence[str], side: Side) -> list[tuple[Bags, Floats]]:
        """Words of the source language first, as they are or expected; then of the target's."""
        own = self._bag(texts, side)
        rows = {side: own.multiply(self._rarity[side][None]).tocsr()}
        rows["target" if side == "source" else "source"] = own @ self._becomes[side]
        found = []
        for name in ("source", "target"):
            matrix = rows[name]
            matrix.sort_indices()
            begins = matrix.indptr.astype(np.int64)
            hashes = matrix.indices.astype(np.uint64)
            bags = Bags(begins, hashes, np.ones(len(hashes), np.int32))
            found.append((bags, unit(matrix.data.astype(np.float32), begins)))
        return found

    def _bag(self, texts: Sequence[str], side: Side) -> Any:
        from scipy.sparse import csr_array

        numbers = self._numbers[side]
        columns: list[int] = []
        begins = [0]
        for words in word_lists(texts):
            columns += sorted({numbers[word] for word in words if word in numbers})
            begins.append(len(columns))
        shape = (len(texts), len(numbers))
        return csr_array((np.ones(len(columns)), columns, begins), shape=shape)
