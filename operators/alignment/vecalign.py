"""Sentence alignment by sentence vectors (Thompson and Koehn 2019, "Vecalign", D19-1136)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from operators.alignment.bands import Band, Spans, along, magnified, whole
from operators.alignment.beads import Bead

Floats = npt.NDArray[np.float64]
Encoder = Callable[[Sequence[str]], npt.ArrayLike]
Vectors = npt.ArrayLike | Encoder

_NORM_SAMPLES = 100
_COST_SAMPLES = 20_000
_SKIP_QUANTILE = 0.2
_SEARCH_BUFFER = 5
_COARSEST = 300**2
_LONGEST = 10_000  # characters of the text of a block
_BLANK = "BLANK_LINE"  # what an empty sentence is to an encoder


def align_by_vectors(
    source: Sequence[str],
    target: Sequence[str],
    *,
    source_vectors: Vectors,
    target_vectors: Vectors,
    max_bead: int = 4,
    seed: int = 0,
) -> list[Bead]:
    """Align two texts by vectors of their sentences, from any encoder that knows both languages.

    The cost of a bead of a source and b target sentences is 2·a·b·(1 - cos) / (n_x + n_y) with n
    one minus the mean cosine with 100 random vectors of the other text; a sentence alone costs
    the 20 % quantile of the costs of random pairs of sentences. Beads have at most `max_bead`
    sentences in all (the paper's runs have 8). Other than in the paper, a sentence without a
    counterpart does not hide in the bead beside it: there is no bead whose sides would be nearer
    without the first or the last sentences of one of them. Texts are halved until 300 by 300 pairs
    are left, by summing neighbouring vectors; the path found there is followed up in a band: time
    and memory grow with the length of the texts. Samples are drawn from `seed`.

    The score of a bead is its cost over a·b, lower is better; one with an empty side has 0.

    Args:
        source, target: the sentences; an encoder is asked about their texts, otherwise only
            their number counts.
        source_vectors, target_vectors: one of
            - [sentences, size]: the vector of a block of sentences is the sum of their unit
              vectors, which knows less of it than its own vector would;
            - [blocks, sentences, size]: [k - 1, i] is the vector of the k sentences from i on, for
              all k up to `max_bead` - 1; rows of blocks beyond the end (i + k > sentences) are
              not looked at;
            - an encoder: texts to vectors [texts, size]; asked once, for all different texts of
              blocks (sentences joined by spaces, cut at 10,000 characters).
        max_bead: sentences of a bead at most, >= 2.
        seed: of the samples.

    Raises:
        ValueError: `max_bead` < 2; or vectors of another shape, with missing blocks, or that are
            zero or not finite.
    """
    if max_bead < 2:
        raise ValueError(f"max_bead is {max_bead}, but must be at least 2")
    n, m = len(source), len(target)
    sides = [
        _blocks(texts, vectors, max_bead - 1, name)
        for texts, vectors, name in (
            (source, source_vectors, "source_vectors"), (target, target_vectors, "target_vectors"),
        )
    ]  # fmt: skip
    if not n or not m:
        return [Bead((i,), ()) for i in range(n)] + [Bead((), (j,)) for j in range(m)]
    x, y = sides
    if x.shape[2] != y.shape[2]:
        raise ValueError(
            f"source_vectors have {x.shape[2]} dimensions and target_vectors {y.shape[2]}"
        )
    generator = np.random.default_rng(seed)
    levels = [(x, y)]
    while levels[-1][0].shape[1] * levels[-1][1].shape[1] > _COARSEST:
        x, y = levels[-1]
        levels.append((_halved(x), _halved(y)))
    spans: Spans | None = None
    scores: Floats = np.zeros(0)
    width = max(-(-max_bead // 2) + _SEARCH_BUFFER, 3)
    for depth in range(len(levels) - 1, -1, -1):
        x, y = levels[depth]
        rows, columns = x.shape[1], y.shape[1]
        places = whole(rows + 1, columns + 1)
        if spans is not None:
            places = along(magnified(spans, 2, rows, columns), rows, columns, width)
        spans, scores = _search(x, y, places, max_bead if depth == 0 else 2, generator)
    assert spans is not None
    return [
        Bead(tuple(range(i, i_end)), tuple(range(j, j_end)), float(score))
        for (i, i_end, j, j_end), score in zip(spans.tolist(), scores, strict=True)
    ]


def bead_cost(
    cosine: float, source_norm: float, target_norm: float, *, source: int = 1, target: int = 1
) -> float:
    """What a bead of `source` and `target` sentences costs."""
    return 2 * source * target * (1 - cosine) / (1e-6 + source_norm + target_norm)


def _search(
    x: Floats, y: Floats, places: Band, max_bead: int, generator: np.random.Generator
) -> tuple[Spans, Floats]:
    from operators.alignment import sentence_kernels, vector_kernels

    moves = [(a, total - a) for total in range(2, max_bead + 1) for a in range(1, total)]
    # In order of preference: fewer sentences first, and even kinds before uneven ones.
    moves.sort(key=lambda move: (sum(move), abs(move[0] - move[1]), -move[0]))
    moves += [(1, 0), (0, 1)]
    x_norm, y_norm = _normalisers(x, y, generator), _normalisers(y, x, generator)
    skip = _skip_cost(x, y, x_norm, y_norm, generator)
    table = np.array(moves, np.int64)
    n, m = x.shape[1], y.shape[1]
    _, cost, taken = vector_kernels.vector_path(x, y, x_norm, y_norm, *places, table, skip)
    spans = np.asarray(sentence_kernels.walk_back(taken, *places, table, n, m), np.int64)
    reached = cost[places.at[spans[:, 1]] + spans[:, 3] - places.low[spans[:, 1]]]
    areas = (spans[:, 1] - spans[:, 0]) * (spans[:, 3] - spans[:, 2])
    costs = np.diff(reached, prepend=0.0)
    return spans, np.where(areas > 0, costs / np.maximum(areas, 1), 0.0)


def _normalisers(x: Floats, y: Floats, generator: np.random.Generator) -> Floats:
    """1 - mean cosine of each vector with a sample of the other text, from all sizes of blocks."""
    kinds, n, _ = y.shape
    sample = []
    for kind in range(min(kinds, n)):
        draws = _NORM_SAMPLES // kinds + (kind < _NORM_SAMPLES % kinds)
        sample.append(y[kind, generator.integers(kind, n, draws)])
    mean = np.concatenate(sample).mean(axis=0)
    return np.asarray(1 - x @ mean, np.float64)


def _skip_cost(
    x: Floats, y: Floats, x_norm: Floats, y_norm: Floats, generator: np.random.Generator
) -> float:
    n, m = x.shape[1], y.shape[1]
    if n * m <= _COST_SAMPLES:
        rows, columns = (table.ravel() for table in np.indices((n, m)))
    else:
        rows = generator.integers(0, n, _COST_SAMPLES)
        columns = generator.integers(0, m, _COST_SAMPLES)
    cosines = np.einsum("nd,nd->n", x[0, rows], y[0, columns])
    costs = 2 * (1 - cosines) / (1e-6 + x_norm[0, rows] + y_norm[0, columns])
    return float(np.quantile(costs, _SKIP_QUANTILE))


def _halved(x: Floats) -> Floats:
    """Pairs of neighbouring sentences as one, without what all have in common; no larger blocks."""
    first = x[0]
    if len(first) % 2:
        first = np.concatenate([first, np.zeros((1, first.shape[1]))])
    summed = first[0::2] + first[1::2]
    return _unit(summed - summed.mean(axis=0))[None]


def _unit(x: Floats) -> Floats:
    return np.asarray(x / (np.linalg.norm(x, axis=-1, keepdims=True) + 1e-5), np.float64)


def _blocks(texts: Sequence[str], vectors: Vectors, kinds: int, name: str) -> Floats:
    """[k - 1, i]: unit vector of the k sentences that end with sentence i."""
    n = len(texts)
    kinds = max(min(kinds, n), 1)
    if callable(vectors):
        given = _encoded(texts, vectors, kinds, name)
    else:
        given = np.asarray(vectors, np.float64)
    if given.ndim == 2:
        if len(given) != n:
            raise ValueError(f"{name} has {len(given)} vectors, but there are {n} sentences")
        _check(given, name, 1)
        unit = _unit(given)
        total = np.concatenate([np.zeros((1, given.shape[1])), np.cumsum(unit, axis=0)])
        given = np.stack([
            np.concatenate([total[k:] - total[: n + 1 - k], np.ones((k - 1, given.shape[1]))])
            for k in range(1, kinds + 1)
        ])  # fmt: skip
    elif given.ndim != 3 or given.shape[1] != n:
        raise ValueError(
            f"{name} has the shape {given.shape}, but must be [{n} sentences, size] or "
            f"[blocks, {n} sentences, size]"
        )
    elif len(given) < kinds:
        raise ValueError(
            f"{name} has vectors of blocks of up to {len(given)} sentences, but beads need "
            f"blocks of up to {kinds}; give these too, a lower max_bead, or only the vectors of "
            "sentences, whose sums then stand for blocks"
        )
    else:
        for k in range(1, kinds + 1):
            _check(given[k - 1, : n + 1 - k], name, k)
    ends = np.zeros((kinds, n, given.shape[2]))
    for k in range(1, kinds + 1):
        ends[k - 1, k - 1 :] = _unit(given[k - 1, : n + 1 - k])
    return ends


def _check(vectors: Floats, name: str, size: int) -> None:
    bad = ~np.isfinite(vectors).all(axis=1) | ~vectors.any(axis=1)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{name}: the vector of {size} sentence(s) from {first} on is zero or not finite"
        )


def _encoded(texts: Sequence[str], encoder: Encoder, kinds: int, name: str) -> Floats:
    n = len(texts)
    clean = [text if text.strip() else _BLANK for text in texts]
    numbers: dict[str, int] = {}
    where = np.zeros((kinds, n), np.int64)
    for k in range(1, kinds + 1):
        for i in range(n + 1 - k):
            text = " ".join(clean[i : i + k])[:_LONGEST]
            where[k - 1, i] = numbers.setdefault(text, len(numbers))
    if not numbers:
        return np.zeros((1, 0, 1))
    found = np.asarray(encoder(list(numbers)), np.float64)
    if found.ndim != 2 or len(found) != len(numbers):
        raise ValueError(
            f"{name} gave an array of shape {found.shape} for {len(numbers)} texts, not one vector "
            "a text"
        )
    return np.asarray(found[where], np.float64)
