"""Word vectors without a model: co-occurrence counts, PPMI and SVD, aligned between corpora.

Levy, Goldberg and Dagan (2015, Q15-1016) for the vectors; Hamilton, Leskovec and Jurafsky (2016,
P16-1141) for the alignment; Schütze (1998, J98-1004) for vectors of usages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WORD = r"[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}\p{N}]+)*"
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_RARE = 0.01


@dataclass(frozen=True)
class Tokens:
    """The words of a corpus as numbers.

    Attributes:
        numbers: int64, all documents one after the other; -1 where a word is not in the vocabulary.
        documents: int64, which document each word is of.
    """

    numbers: npt.NDArray[np.int64]
    documents: npt.NDArray[np.int64]

    def counts(self, size: int) -> npt.NDArray[np.int64]:
        """How often each word of the vocabulary occurs."""
        return np.bincount(self.numbers[self.numbers >= 0], minlength=size)


@dataclass(frozen=True)
class CountSpace:
    """A vector for each word, by what it occurs with.

    Attributes:
        words: in lower case, most frequent first.
        vectors: float64 [words, d].
        shares: of each word among all, float64 [words].
    """

    words: list[str]
    vectors: Floats
    shares: Floats

    def usage_vectors(
        self, contexts: Sequence[str], spans: Sequence[tuple[int, int]], *, window: int
    ) -> Floats:
        """A vector for each usage: the sum of the words before it, and that of the words after.

        Schütze's context vectors, with the two sides apart: what comes before a word and what
        after it say different things. A word counts 1 / distance, and a / (a + share) with a = 0.01
        (after Arora, Liang and Ma 2017), so rare words weigh more; vectors of words are of length
        1. The word itself is left out, wherever it stands in the window: what it means is to be
        read from the others. The numbers were chosen on the planted changes of
        benchmarks/parts/semantics.py, on other seeds than it measures.

        Args:
            contexts: texts with the word in them.
            spans: its characters [start, end) in each.
            window: words on either side.

        Returns:
            [n, 2 d]: before, after.
        """
        numbers = {word: number for number, word in enumerate(self.words)}
        lengths = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        weights = _RARE / (_RARE + self.shares)[:, None]
        weighted = weights * self.vectors / np.where(lengths > 0, lengths, 1.0)
        made = np.zeros((len(contexts), 2, self.vectors.shape[1]))
        for row, (context, (start, end)) in enumerate(zip(contexts, spans, strict=True)):
            itself = context[start:end].lower()
            sides = (
                _WORD.findall(context[:start].lower())[::-1][:window],
                _WORD.findall(context[end:].lower())[:window],
            )
            for side, words in enumerate(sides):
                for distance, word in enumerate(words, start=1):
                    if word != itself and word in numbers:
                        made[row, side] += weighted[numbers[word]] / distance
        return made.reshape(len(contexts), -1)


def tokenize(texts: Sequence[str]) -> Any:
    """Words in lower case of each text: a polars frame with "document" and "word", in order."""
    import polars as pl

    words = pl.Series("word", texts, dtype=pl.String).str.to_lowercase().str.extract_all(WORD)
    frame = pl.DataFrame({"document": pl.arange(0, len(texts), eager=True), "word": words})
    return frame.explode("word").drop_nulls("word")


def vocabulary(frames: Sequence[Any], *, largest: int, min_count: int) -> list[str]:
    """The most frequent words of all corpora, most frequent first, equals by their characters."""
    import polars as pl

    counts = (
        pl.concat([frame.select("word") for frame in frames])
        .group_by("word")
        .len()
        .filter(pl.col("len") >= min_count)
        .sort(["len", "word"], descending=[True, False])
    )
    words: list[str] = counts["word"].head(largest).to_list()
    return words


def numbered(frame: Any, words: Sequence[str]) -> Tokens:
    """The words of `tokenize` as their places in a vocabulary."""
    import polars as pl

    places = pl.DataFrame(
        {"word": pl.Series(words, dtype=pl.String), "number": pl.arange(0, len(words), eager=True)}
    )
    joined = frame.join(places, on="word", how="left", maintain_order="left")
    return Tokens(
        joined["number"].fill_null(-1).to_numpy().astype(np.int64),
        joined["document"].to_numpy().astype(np.int64),
    )


def cooccurrences(tokens: Tokens, size: int, *, window: int) -> Any:
    """How often two words are at most `window` words apart in a document: sparse [size, size].

    Symmetric. Words out of the vocabulary hold their place, so that distances are those of the
    text.
    """
    from scipy.sparse import coo_array, csr_array

    total = csr_array((size, size), dtype=np.float64)
    for distance in range(1, window + 1):
        left, right = tokens.numbers[:-distance], tokens.numbers[distance:]
        together = (tokens.documents[:-distance] == tokens.documents[distance:]) & (
            (left >= 0) & (right >= 0)
        )
        ones = np.ones(int(together.sum()))
        total = total + coo_array((ones, (left[together], right[together])), (size, size)).tocsr()
    return (total + total.T).tocsr()


def ppmi(counts: Any, *, smoothing: float = 0.75) -> Any:
    """Positive pointwise mutual information of counts, sparse, in nats.

    Context probabilities are smoothed by a power, so that rare contexts do not win (Levy et al.
    2015: 0.75; 1 is none).
    """
    pairs = counts.tocoo()
    rows = np.asarray(counts.sum(axis=1), np.float64).ravel()
    columns = np.asarray(counts.sum(axis=0), np.float64).ravel() ** smoothing
    expected = rows[pairs.row] * (columns[pairs.col] / max(columns.sum(), 1e-300))
    values = np.log(pairs.data / expected)
    kept = values > 0
    from scipy.sparse import coo_array

    return coo_array((values[kept], (pairs.row[kept], pairs.col[kept])), counts.shape).tocsr()


def truncated_svd(matrix: Any, dimensions: int, *, power: float = 0.5) -> Floats:
    """Left singular vectors times singular values to a power, the largest first: [n, d].

    The first vector of the iteration is fixed and the largest element of each column is positive:
    the same matrix gives the same vectors. Fewer dimensions where the matrix has not so many.
    """
    from scipy.sparse.linalg import svds

    size = min(matrix.shape)
    wanted = min(dimensions, size - 1)
    if wanted < 1 or matrix.nnz == 0:
        return np.zeros((matrix.shape[0], dimensions))
    start = np.random.default_rng(0).standard_normal(size)
    left, values, _ = svds(matrix.astype(np.float64), k=wanted, v0=start, solver="arpack")
    order = np.argsort(-values, kind="stable")
    left, values = left[:, order], values[order]
    signs = np.sign(left[np.abs(left).argmax(axis=0), np.arange(wanted)])
    vectors: Floats = left * np.where(signs == 0, 1, signs) * values**power
    return vectors


def count_space(
    tokens: Sequence[Tokens],
    words: Sequence[str],
    *,
    dimensions: int,
    window: int,
    smoothing: float = 0.75,
) -> CountSpace:
    """One space for all corpora together."""
    size = len(words)
    total = sum((cooccurrences(some, size, window=window) for some in tokens[1:]),
                cooccurrences(tokens[0], size, window=window))  # fmt: skip
    counts = np.sum([some.counts(size) for some in tokens], axis=0)
    vectors = truncated_svd(ppmi(total, smoothing=smoothing), dimensions)
    return CountSpace(list(words), vectors, counts / max(1, counts.sum()))


def align_spaces(
    old: npt.ArrayLike, new: npt.ArrayLike, anchors: npt.ArrayLike | None = None
) -> Floats:
    """The old space turned onto the new one (orthogonal Procrustes; Hamilton et al. 2016).

    Vectors are brought to length 1 first. A rotation keeps all distances within the old space.

    Args:
        old, new: vectors of the same words, [n, d].
        anchors: which rows to turn by, such as words frequent in both; None takes all.

    Returns:
        The old vectors, of length 1, after the rotation R that minimises |old R - new|.
    """
    from scipy.linalg import orthogonal_procrustes

    from operators.semantics.measures import unit

    a, b = unit(np.asarray(old, np.float64)), unit(np.asarray(new, np.float64))
    rows = slice(None) if anchors is None else np.asarray(anchors)
    rotation, _ = orthogonal_procrustes(a[rows], b[rows])
    turned: Floats = a @ rotation
    return turned
