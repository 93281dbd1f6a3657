"""Equal and almost equal texts: exact matches, MinHash signatures, LSH, clusters.

MinHash after Broder (1997), "On the resemblance and containment of documents"; banding after
Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", chapter 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from operators.corpus.ngrams import mix64, ngram_hashes, text_units

Signatures = npt.NDArray[np.uint32]

CHARACTER_SHINGLE = 5
# A row of only this value is the signature of a text without shingles.
_EMPTY = np.uint32(0xFFFFFFFF)
# Work arrays of permutations x this many shingles stay within the CPU's cache.
_SHINGLE_BLOCK = 2048
_PAIR_BLOCK = 1 << 16
# A pair exactly on the threshold becomes a candidate with at least this probability.
_RECALL_AT_THRESHOLD = 0.95


def exact_duplicates(texts: Sequence[str]) -> list[int]:
    """For each text, the index of the first text equal to it; its own index if it is the first."""
    first: dict[str, int] = {}
    return [first.setdefault(text, index) for index, text in enumerate(texts)]


def minhash_signatures(
    texts: Sequence[str], *, permutations: int = 128, shingle: int = 5, seed: int = 1
) -> Signatures:
    """MinHash signatures: uint32 [len(texts), permutations].

    The share of equal columns in two rows estimates the Jaccard similarity of the two texts'
    sets of shingles, with standard error at most 0.5 / sqrt(permutations).

    A shingle is a run of `shingle` words in lower case. A text with few spaces - one whose
    pieces between white space are longer than 15 characters on average, as in Chinese, Japanese
    or Thai - has shingles of 5 characters instead, whatever `shingle` says. Words are hashed
    with xxHash; each permutation is a multiply-add-shift hash of the shingle (Dietzfelbinger et
    al. 1996) whose constants follow from `seed` alone. A row depends on its own text only.

    A text with less than one shingle gets a row of 0xFFFFFFFF, which `lsh_candidates` and
    `near_duplicate_clusters` never match with anything.

    Raises:
        ValueError: `permutations` or `shingle` is less than 1.
    """
    if permutations < 1 or shingle < 1:
        raise ValueError("permutations and shingle must be at least 1")
    # Counter-based, not numpy's generators: their streams may change from version to version.
    counters = np.arange(2 * permutations, dtype=np.uint64)
    constants = mix64(mix64(np.full(2 * permutations, seed % 2**64, dtype=np.uint64)) ^ counters)
    factors = constants[:permutations, None] | np.uint64(1)
    terms = constants[permutations:, None]

    signatures = np.full((len(texts), permutations), _EMPTY, dtype=np.uint32)
    for row, text in enumerate(texts):
        units = text_units(text)
        size = shingle if units.kind == "words" else CHARACTER_SHINGLE
        shingles = np.unique(ngram_hashes(units.ids, size))
        for start in range(0, len(shingles), _SHINGLE_BLOCK):
            hashes = factors * shingles[None, start : start + _SHINGLE_BLOCK]
            hashes += terms
            # The low bits of a product mod 2^64 are poorly mixed; the high half is the hash. The
            # shift keeps the order, so it can come after the minimum.
            lowest = (hashes.min(axis=1) >> np.uint64(32)).astype(np.uint32)
            np.minimum(signatures[row], lowest, out=signatures[row])
    return signatures


def optimal_bands(permutations: int, threshold: float) -> int:
    """The fewest bands that still find similar pairs.

    With b bands of r = permutations // b rows, a pair of similarity s becomes a candidate with
    probability 1 - (1 - s^r)^b. Fewer bands give fewer candidates to verify, so this is the
    smallest b for which a pair exactly on the threshold is found with probability >= 0.95.

    Raises:
        ValueError: `permutations` is less than 1 or `threshold` outside (0, 1].
    """
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1, not {permutations}")
    _check_threshold(threshold)
    for bands in range(1, permutations + 1):
        rows = permutations // bands
        if 1 - (1 - threshold**rows) ** bands >= _RECALL_AT_THRESHOLD:
            return bands
    return permutations


def lsh_candidates(signatures: Signatures, bands: int) -> npt.NDArray[np.int64]:
    """Pairs of rows that agree on all columns of at least one band: int64 [m, 2].

    Each pair is (i, j) with i < j; pairs are unique and sorted. Columns left over by
    permutations // bands are not used. Rows of texts without shingles are in no pair. Within a
    band k equal rows make k(k-1)/2 pairs; `near_duplicate_clusters` first sets equal signatures
    aside.

    Raises:
        ValueError: `bands` is not in 1..permutations.
    """
    rows_total, permutations = signatures.shape
    if not 1 <= bands <= permutations:
        raise ValueError(f"bands must lie in 1..{permutations}, not {bands}")
    width = permutations // bands
    live = _rows_with_shingles(signatures)
    codes = np.empty(0, dtype=np.int64)
    for band in range(bands):
        keys = np.zeros(len(live), dtype=np.uint64)
        for column in range(band * width, (band + 1) * width):
            keys = mix64(keys ^ signatures[live, column].astype(np.uint64))
        left, right = _equal_pairs(keys)
        codes = np.union1d(codes, live[left] * rows_total + live[right])
    return np.stack(np.divmod(codes, max(rows_total, 1)), axis=1)


def near_duplicate_clusters(signatures: Signatures, *, threshold: float) -> npt.NDArray[np.int64]:
    """The cluster of each text, as the smallest row index in it: int64 [n].

    Texts are linked where their estimated Jaccard similarity is >= `threshold`, among the
    candidates of LSH with `optimal_bands`; a cluster is a connected component of the links. So
    two texts of one cluster may be less similar than the threshold. A text without shingles is
    a cluster of its own.

    Raises:
        ValueError: `threshold` is not in (0, 1].
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _check_threshold(threshold)
    count, permutations = signatures.shape
    live = _rows_with_shingles(signatures)
    if not len(live):
        return np.arange(count, dtype=np.int64)

    # Copies of one text would make a quadratic number of pairs: link each to the first only.
    as_bytes = np.ascontiguousarray(signatures[live]).view(f"V{4 * permutations}").ravel()
    _, first, inverse = np.unique(as_bytes, return_index=True, return_inverse=True)
    representatives = live[np.sort(first)]
    copies = np.stack([live[first[inverse]], live], axis=1)

    distinct = np.ascontiguousarray(signatures[representatives])
    candidates = lsh_candidates(distinct, optimal_bands(permutations, threshold))
    similar = np.zeros(len(candidates), dtype=bool)
    for start in range(0, len(candidates), _PAIR_BLOCK):
        block = slice(start, start + _PAIR_BLOCK)
        equal = distinct[candidates[block, 0]] == distinct[candidates[block, 1]]
        similar[block] = equal.mean(axis=1) >= threshold
    links = np.concatenate([copies, representatives[candidates[similar]]])

    graph = coo_array((np.ones(len(links), dtype=bool), (links[:, 0], links[:, 1])), (count, count))
    _, components = connected_components(graph, directed=False)
    _, smallest, members = np.unique(components, return_index=True, return_inverse=True)
    clusters: npt.NDArray[np.int64] = smallest[members].astype(np.int64)
    return clusters


def _rows_with_shingles(signatures: Signatures) -> npt.NDArray[np.int64]:
    return np.flatnonzero((signatures != _EMPTY).any(axis=1))


def _equal_pairs(
    keys: npt.NDArray[np.uint64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions (i, j), i < j, of all pairs of equal keys."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    left, right = [], []
    # In sorted order equal keys are neighbours: compare with the 1st, 2nd, ... neighbour while
    # any still agrees. The total work is the number of pairs.
    active = np.arange(len(keys))
    step = 1
    while len(active):
        active = active[active + step < len(keys)]
        active = active[ordered[active] == ordered[active + step]]
        left.append(order[active])
        right.append(order[active + step])
        step += 1
    empty = [np.empty(0, dtype=np.int64)]
    return np.concatenate(left or empty), np.concatenate(right or empty)


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], not {threshold}")
