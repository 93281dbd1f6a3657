"""Bands find what they promise to, and links join what shares a bucket."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.corpus import Bands, bucket_keys, bucket_links, choose_bands, signature_sketches
from operators.corpus.banding import most_different_bits


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("recall", [0.9, 0.99, 0.999])
def test_bands_find_a_pair_on_the_threshold_as_often_as_asked(threshold, recall):
    bands = choose_bands(threshold, recall)
    assert bands.probability(threshold) >= recall
    assert bands.permutations <= 128
    wider = Bands(128 // (bands.rows + 1), bands.rows + 1)
    assert wider.probability(threshold) < recall / 0.9995, "more rows would do"


def test_too_few_permutations_for_a_low_threshold_are_refused_with_the_cure():
    with pytest.raises(ValueError, match="allow more permutations, less recall"):
        choose_bands(0.01, 0.999, 16)


def drawn(similarity, pairs, permutations, seed=0):
    """Signatures of pairs that agree in each column with the probability `similarity`."""
    generator = np.random.default_rng(seed)
    left = generator.integers(0, 2**32, (pairs, permutations), dtype=np.uint32)
    other = generator.integers(0, 2**32, (pairs, permutations), dtype=np.uint32)
    right = np.where(generator.random((pairs, permutations)) < similarity, left, other)
    return np.concatenate([left, right])


def linked_pairs(signatures, threshold, bands):
    buckets = bucket_keys(signatures, bands)
    sketches = np.repeat(signature_sketches(signatures), bands.bands, axis=0)
    numbers = np.repeat(np.arange(len(signatures)), bands.bands)
    return bucket_links(
        buckets.ravel(), sketches, numbers, threshold=threshold, permutations=bands.permutations
    )


def test_of_pairs_exactly_on_the_threshold_99_in_100_are_linked_and_of_unlike_ones_hardly_any():
    bands = choose_bands(0.5)
    pairs = 10_000
    links = linked_pairs(drawn(0.5, pairs, bands.permutations), 0.5, bands)
    found = np.count_nonzero(links[:, 1] - links[:, 0] == pairs)
    assert found / pairs >= 0.99 - 3 * np.sqrt(0.99 * 0.01 / pairs)
    assert len(links) == found, "others share a bucket by chance"
    links = linked_pairs(drawn(0.1, pairs, bands.permutations), 0.5, bands)
    assert len(links) < 0.01 * pairs


def test_bits_of_sketches_agree_as_often_as_the_similarity_says():
    sketches = signature_sketches(drawn(0.6, 4000, 128))
    different = [
        bin(int(a[0] ^ b[0])).count("1") + bin(int(a[1] ^ b[1])).count("1")
        for a, b in zip(sketches[:4000], sketches[4000:], strict=True)
    ]
    assert abs(np.mean(different) - 128 * 0.2) < 0.4
    assert np.mean(np.array(different) > most_different_bits(0.6, 128)) < 0.002


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), max_size=40), st.randoms())
def test_links_join_all_of_a_bucket_and_nothing_across_whatever_the_order(rows, chance):
    def joined(rows):
        links = bucket_links(
            np.array([bucket for bucket, _ in rows], np.uint64),
            np.zeros((len(rows), 2), np.uint64),
            np.array([number for _, number in rows], np.int64),
            threshold=0.5,
            permutations=128,
        )
        assert len(links) <= len(rows)
        return components_of({number for _, number in rows}, links.tolist())

    everything = [(a, b) for p, a in rows for q, b in rows if p == q]
    assert joined(rows) == components_of({number for _, number in rows}, everything)
    mixed = list(rows)
    chance.shuffle(mixed)
    assert joined(mixed) == joined(rows)


def components_of(nodes, edges):
    """Components by repeated merging, as frozen sets."""
    groups = {node: {node} for node in nodes}
    for a, b in edges:
        if groups[a] is not groups[b]:
            groups[a] |= groups[b]
            for node in groups[b]:
                groups[node] = groups[a]
    return {frozenset(group) for group in groups.values()}


def test_no_rows_make_no_links():
    empty = np.empty(0, np.uint64)
    links = bucket_links(
        empty, np.empty((0, 2), np.uint64), np.empty(0, np.int64), threshold=0.5, permutations=8
    )
    assert links.shape == (0, 2)
