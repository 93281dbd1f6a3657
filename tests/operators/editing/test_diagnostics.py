"""Diagnostics of texts: the published toys, the edges, and what they must not depend on."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from operators.editing.diagnostics import (
    bucket_counts,
    bucket_probabilities,
    decile_table,
    dsir_log_weights,
    entropy,
    frequency_curve,
    ngram_buckets,
    number_words,
    perplexities,
    row_losses,
    top_bigrams,
    word_keys,
)

VOCABULARY = 12


class Successor(torch.nn.Module):
    """Gives probability 0.75 to k + 1 after k, and shares the rest equally."""

    def forward(self, input_ids, use_cache):
        masses = torch.tensor([0.25 / (VOCABULARY - 1), 0.75]).log()
        following = functional.one_hot((input_ids + 1) % VOCABULARY, VOCABULARY)
        return SimpleNamespace(logits=masses[following])


@pytest.mark.parametrize(
    ("counts", "expected"), [((5, 3, 1, 1), 1.1683), ((9, 1, 0, 0), 0.3251), ((7,), 0), ((), 0)]
)
def test_the_published_entropies(counts, expected):
    assert entropy(np.array(counts)) == pytest.approx(expected, abs=5e-5)


def test_the_published_importance_weight():
    row = np.array([0, 0, 0, 1])
    weights = dsir_log_weights([row, row[:0]], np.array([0.4, 0.1]), np.array([0.2, 0.3]))
    assert weights == pytest.approx([0.9808, 0], abs=5e-5)


def test_a_text_has_no_weight_towards_its_own_distribution():
    rows = [np.array([0, 1, 1]), np.array([3])]
    own = bucket_probabilities(bucket_counts(rows, 5))
    assert own.min() > 0
    assert own.sum() == pytest.approx(1)
    assert dsir_log_weights(rows, own, own).tolist() == [0, 0]


@pytest.mark.parametrize("source", [np.array([1.0, 0.0]), np.array([1.0])])
def test_a_distribution_with_an_impossible_bucket_is_an_error(source):
    with pytest.raises(ValueError, match="above 0"):
        dsir_log_weights([np.array([0])], np.array([0.5, 0.5]), source)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_probability_on_an_edge_belongs_to_the_upper_decile(dtype):
    edges = (np.arange(11) / 10).astype(dtype)
    assert decile_table(edges).tolist() == [1] * 9 + [2]
    below = np.nextafter(edges[1:10], dtype(0))
    assert decile_table(below).tolist() == [1] * 9 + [0]
    assert decile_table(np.array([], dtype=dtype)).tolist() == [0] * 10


@pytest.mark.parametrize("wrong", [-0.1, 1.1, np.nan])
def test_what_is_no_probability_is_an_error(wrong):
    with pytest.raises(ValueError, match="probabilities"):
        decile_table(np.array([0.5, wrong]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10**6), max_size=20), st.integers(1, 4), st.integers(1, 10_000))
def test_an_ngram_falls_into_the_same_bucket_wherever_it_stands(row, order, buckets):
    found = ngram_buckets(np.array(row, dtype=np.int64), order, buckets)
    assert len(found) == max(0, len(row) - order + 1)
    for place, bucket in enumerate(found):
        alone = ngram_buckets(np.array(row[place : place + order]), order, buckets)
        assert alone.tolist() == [bucket]
        assert 0 <= bucket < buckets


def test_buckets_spread_ngrams_evenly_and_tell_orders_and_directions_apart():
    counts = np.bincount(ngram_buckets(np.arange(100_000), 1), minlength=10_000)
    assert counts.max() < 35
    assert counts.min() > 0
    forth, back = (ngram_buckets(np.array(pair), 2)[0] for pair in ([3, 8], [8, 3]))
    assert forth != back
    assert ngram_buckets(np.array([3, 3]), 2)[0] != ngram_buckets(np.array([3]), 1)[0]


def test_the_bucket_of_a_word_does_not_depend_on_the_text_it_first_stood_in():
    first, words = number_words(["The cat, the mat.", ""])
    second, others = number_words(["mat cat"])
    assert words == ["the", "cat", ",", "mat", "."]
    assert first[0].tolist() == [0, 1, 2, 0, 3, 4]
    here = dict(zip(words, ngram_buckets(word_keys(words), 1), strict=True))
    there = dict(zip(others, ngram_buckets(word_keys(others), 1), strict=True))
    assert all(here[word] == bucket for word, bucket in there.items())
    assert first[1].tolist() == []
    assert second[0].tolist() == [0, 1]


def test_a_curve_is_of_shares_from_the_fullest_bucket_to_the_last_that_is_not_empty():
    assert frequency_curve(np.array([0, 1, 6, 3])).tolist() == [0.6, 0.3, 0.1]
    assert frequency_curve(np.zeros(4)).tolist() == []


def test_bigrams_do_not_reach_from_row_to_row_and_equals_are_in_order():
    rows = [np.array([1, 2, 1, 2]), np.array([5]), np.array([0, 9]), np.array([], dtype=np.int64)]
    assert top_bigrams(rows, 2) == ([(1, 2, 2), (0, 9, 1)], 4)
    assert top_bigrams(rows[1:2], 2) == ([], 0)


def test_a_loss_stands_for_each_token_but_the_first_at_any_length():
    rows = [
        np.array([3, 4, 9, 10]),
        np.array([7]),
        np.array([], dtype=np.int64),
        np.arange(23) % 12,
    ]
    losses = row_losses(Successor(), rows, context=8, batch_size=2, device="cpu")
    likely, unlikely = -np.log(0.75), -np.log(0.25 / 11)
    assert losses[0] == pytest.approx([likely, unlikely, likely], rel=1e-5)
    assert [len(row) for row in losses] == [3, 0, 0, 22]
    assert losses[3] == pytest.approx([likely] * 22, rel=1e-5)
    found = perplexities(losses)
    assert found[3] == pytest.approx(1 / 0.75, rel=1e-5)
    assert np.isnan(found[[1, 2]]).all()


def test_losses_of_a_row_do_not_depend_on_the_others():
    rows = [np.array([3, 4, 9]), np.arange(9), np.array([0, 1])]
    together = row_losses(Successor(), rows, context=8, device="cpu")
    for row, losses in zip(rows, together, strict=True):
        (alone,) = row_losses(Successor(), [row], context=8, device="cpu")
        assert np.array_equal(alone, losses)
