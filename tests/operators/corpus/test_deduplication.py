"""Duplicates: exact, estimated, candidate pairs and clusters."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.corpus import (
    exact_duplicates,
    lsh_candidates,
    minhash_signatures,
    near_duplicate_clusters,
    optimal_bands,
)


def words(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [f"w{draw.randrange(10**9)}" for _ in range(count)]


def pair_with_jaccard(similarity: float, seed: int, size: int = 600) -> tuple[str, str]:
    """Two texts whose sets of single words have about this Jaccard similarity."""
    common = round(2 * size * similarity / (1 + similarity))
    shared = words(common, seed)
    return (
        " ".join(shared + words(size - common, seed + 1)),
        " ".join(shared + words(size - common, seed + 2)),
    )


@given(st.lists(st.sampled_from("abc") | st.text()))
def test_exact_duplicates_point_to_the_first_equal_text(texts: list[str]) -> None:
    assert exact_duplicates(texts) == [texts.index(text) for text in texts]


@pytest.mark.parametrize("similarity", [0.0, 0.3, 0.5, 0.8, 0.95, 1.0])
def test_equal_columns_estimate_the_jaccard_similarity(similarity: float) -> None:
    permutations, repeats = 256, 12
    estimates = []
    for repeat in range(repeats):
        pair = pair_with_jaccard(similarity, seed=100 * repeat)
        left, right = minhash_signatures(pair, permutations=permutations, shingle=1, seed=repeat)
        estimates.append((left == right).mean())
    # Four standard errors of the mean; a biased hash family fails here.
    error = 4 * np.sqrt(similarity * (1 - similarity) / (permutations * repeats))
    assert np.mean(estimates) == pytest.approx(similarity, abs=error + 2e-3)


def test_columns_of_a_signature_are_independent() -> None:
    texts = [" ".join(words(50, seed)) for seed in range(400)]
    signatures = minhash_signatures(texts, permutations=32, shingle=1)
    correlation = np.corrcoef(signatures.T) - np.eye(32)
    assert np.abs(correlation).max() < 0.25


def test_a_row_depends_on_its_own_text_and_the_seed_only() -> None:
    texts = [" ".join(words(30, seed)) for seed in range(5)]
    together = minhash_signatures(texts, seed=3)
    assert together.shape == (5, 128)
    assert together.dtype == np.uint32
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(minhash_signatures([text], seed=3)[0], together[row])
    assert not np.array_equal(minhash_signatures(texts, seed=4), together)


def test_signatures_do_not_change_between_releases() -> None:
    # Stored signatures and cluster labels must stay valid: a new value here is a breaking change.
    signature = minhash_signatures(["the quick brown fox jumps over the lazy dog"], permutations=4)
    assert signature.tolist() == [[85718128, 672426865, 1878293178, 609876255]]


def test_a_long_text_is_hashed_in_blocks_with_the_same_result() -> None:
    many = words(5000, 1)
    whole = minhash_signatures([" ".join(many)], shingle=1)[0]
    halves = minhash_signatures([" ".join(many[:2500]), " ".join(many[2500:])], shingle=1)
    np.testing.assert_array_equal(whole, halves.min(axis=0))


def test_case_and_white_space_do_not_matter_but_word_order_does() -> None:
    first, second, third = minhash_signatures(
        [
            "One two three four five six",
            "one TWO\nthree  four five six",
            "two one four three six five",
        ]
    )
    np.testing.assert_array_equal(first, second)
    assert (first == third).mean() < 0.1


def test_texts_without_spaces_are_compared_by_characters() -> None:
    draw = random.Random(5)
    base = "".join(chr(0x4E00 + draw.randrange(3000)) for _ in range(400))
    other = "".join(chr(0x4E00 + draw.randrange(3000)) for _ in range(400))
    left, right, unlike = minhash_signatures([base, base[:390] + other[:10], other])
    assert (left == right).mean() > 0.85
    assert (left == unlike).mean() < 0.05


def test_texts_shorter_than_a_shingle_are_never_near_duplicates() -> None:
    texts = ["", "", "four words are few", "four words are few", "猫です", "猫です", " \n"]
    signatures = minhash_signatures(texts)
    assert lsh_candidates(signatures, 16).shape == (0, 2)
    assert near_duplicate_clusters(signatures, threshold=0.5).tolist() == list(range(7))


def test_no_texts_give_empty_results() -> None:
    signatures = minhash_signatures([])
    assert signatures.shape == (0, 128)
    assert lsh_candidates(signatures, 8).shape == (0, 2)
    assert near_duplicate_clusters(signatures, threshold=0.8).shape == (0,)


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=6, max_size=6), min_size=1, max_size=12),
    st.integers(1, 6),
)
def test_candidates_are_exactly_the_pairs_that_agree_on_a_band(
    rows: list[list[int]], bands: int
) -> None:
    signatures = np.array(rows, dtype=np.uint32)
    width = 6 // bands
    expected = [
        [i, j]
        for i in range(len(rows))
        for j in range(i + 1, len(rows))
        if any(
            rows[i][b * width : (b + 1) * width] == rows[j][b * width : (b + 1) * width]
            for b in range(bands)
        )
    ]
    assert lsh_candidates(signatures, bands).tolist() == expected


@pytest.mark.parametrize("bands", [0, 129])
def test_an_impossible_number_of_bands_is_refused(bands: int) -> None:
    with pytest.raises(ValueError, match="bands"):
        lsh_candidates(minhash_signatures(["a b c d e"]), bands)


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
def test_bands_find_pairs_on_the_threshold(threshold: float) -> None:
    def found(bands: int) -> float:
        return 1 - (1 - threshold ** (128 // bands)) ** bands

    bands = optimal_bands(128, threshold)
    assert found(bands) >= 0.95
    assert bands == 1 or found(bands - 1) < 0.95


def test_a_higher_threshold_needs_no_more_bands() -> None:
    bands = [optimal_bands(128, threshold / 100) for threshold in range(5, 101, 5)]
    assert bands == sorted(bands, reverse=True)
    assert bands[-1] == 1


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        optimal_bands(128, threshold)
    with pytest.raises(ValueError, match="threshold"):
        near_duplicate_clusters(minhash_signatures(["a"]), threshold=threshold)


def test_similar_pairs_are_clustered_and_dissimilar_ones_are_not() -> None:
    texts: list[str] = []
    for seed in range(0, 100, 10):
        texts += pair_with_jaccard(0.95, seed=1000 + seed)
        texts += pair_with_jaccard(0.4, seed=5000 + seed)
    labels = near_duplicate_clusters(minhash_signatures(texts, shingle=1), threshold=0.8)
    for block in range(0, len(texts), 4):
        assert labels[block : block + 4].tolist() == [block, block, block + 2, block + 3]


def test_an_estimate_exactly_on_the_threshold_links() -> None:
    signatures = np.arange(256, dtype=np.uint32).reshape(2, 128)
    signatures[1, :96] = signatures[0, :96]
    assert near_duplicate_clusters(signatures, threshold=0.75).tolist() == [0, 0]
    assert near_duplicate_clusters(signatures, threshold=0.76).tolist() == [0, 1]


def test_a_cluster_is_a_chain_of_links_named_after_its_first_row() -> None:
    chain = np.arange(5 * 128, dtype=np.uint32).reshape(5, 128)
    chain[3, :110] = chain[1, :110]  # 1 - 3 and 3 - 4 are similar, 1 - 4 are not
    chain[4, 18:] = chain[3, 18:]
    assert (chain[1] == chain[4]).mean() < 0.8
    assert near_duplicate_clusters(chain, threshold=0.8).tolist() == [0, 1, 2, 1, 1]


def test_clusters_do_not_depend_on_the_order_of_rows() -> None:
    texts = [text for seed in range(0, 60, 10) for text in pair_with_jaccard(0.9, seed, size=80)]
    order = random.Random(2).sample(range(len(texts)), len(texts))
    signatures = minhash_signatures(texts, shingle=1)
    straight = near_duplicate_clusters(signatures, threshold=0.7)
    shuffled = near_duplicate_clusters(signatures[order], threshold=0.7)
    assert {frozenset(np.flatnonzero(straight == label)) for label in straight} == {
        frozenset(np.array(order)[shuffled == label]) for label in shuffled
    }


def test_thousands_of_copies_do_not_make_millions_of_pairs() -> None:
    signatures = np.repeat(minhash_signatures(["a b c d e f", "g h i j k l"]), 20_000, axis=0)
    labels = near_duplicate_clusters(signatures, threshold=0.8)
    assert np.array_equal(labels, np.repeat([0, 20_000], 20_000))
