"""Sparsemax and the vectors that FOCUS compares."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from operators.tokenization.auxiliary_vectors import cooccurrence_vectors
from operators.tokenization.focus import focus_weights, sparsemax

SCORES = arrays(np.float64, st.integers(1, 30), elements=st.floats(-5, 5))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [((0.9, 0.6, 0.1), (0.65, 0.35, 0)), ((1.5, 0.2, 0.1), (1, 0, 0)), ((7,), (1,))],
)
def test_sparsemax_oracles(scores, expected):
    assert sparsemax(scores) == pytest.approx(expected)


@given(SCORES)
def test_sparsemax_is_the_nearest_point_of_the_simplex(scores):
    weights = sparsemax(scores)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    # Optimality: the support has one common value of score - weight, all others are below it.
    slack = scores - weights
    threshold = slack[weights > 0].max()
    assert slack[weights > 0] == pytest.approx(threshold, abs=1e-9)
    assert (slack <= threshold + 1e-9).all()


@given(SCORES, st.floats(-100, 100))
def test_sparsemax_does_not_see_a_constant(scores, constant):
    assert sparsemax(scores + constant) == pytest.approx(sparsemax(scores), abs=1e-9)


def test_sparsemax_with_more_support_than_it_looks_at_first():
    scores = np.vstack([np.zeros(3000), np.where(np.arange(3000) == 7, 2.0, 0.0)])
    weights = sparsemax(scores)
    assert weights[0] == pytest.approx(np.full(3000, 1 / 3000))
    assert weights[1, 7] == 1.0


@pytest.mark.parametrize("scores", [[], [np.nan], [np.inf, 0]])
def test_scores_without_a_sparsemax_are_refused(scores):
    with pytest.raises(ValueError, match="sparsemax of"):
        sparsemax(scores)


# --- weights ----------------------------------------------------------------------------------


def weigh(vectors, new, shared, old, size=10):
    return focus_weights(
        np.array(vectors, dtype=np.float32),
        *(np.array(ids, dtype=np.int64) for ids in (new, shared, old)),
        size,
    ).toarray()


def test_weights_are_sparsemax_of_cosines_at_the_old_ids():
    cosines = np.array([0.9, 0.6, 0.1])
    vectors = [[1, 0], *[[c, np.sqrt(1 - c * c)] for c in cosines], [0, 0]]
    # Lengths do not matter: cosines do.
    vectors[2] = [5 * x for x in vectors[2]]
    weights = weigh(vectors, [0, 4], [1, 2, 3], [7, 5, 2])
    assert weights[0, [7, 5, 2]] == pytest.approx([0.65, 0.35, 0], abs=1e-6)
    assert weights[0].sum() == pytest.approx(1)
    assert not weights[1].any()


def test_two_shared_tokens_of_one_old_token_add_up():
    weights = weigh([[1, 0], [1, 0], [1, 0]], [0], [1, 2], [4, 4])
    assert weights[0, 4] == pytest.approx(1)


def test_without_a_shared_vector_no_token_has_weights():
    assert not weigh([[1, 0], [0, 0]], [0], [1], [0]).any()
    assert not weigh([[1, 0], [0, 0]], [0], [], []).any()


def test_vectors_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        weigh([[np.nan, 0], [1, 0]], [0], [1], [0])


# --- auxiliary vectors ------------------------------------------------------------------------


def company():
    """Tokens 0 and 1 keep the company of 2 and 3; tokens 4 and 5 that of 6 and 7."""
    generator = np.random.default_rng(0)
    texts = []
    for _ in range(400):
        target, around = ((0, 1), (2, 3)) if generator.random() < 0.5 else ((4, 5), (6, 7))
        left, right = generator.permutation(around)
        texts.append([left, generator.choice(target), right])
    return texts


def cosine(vectors, left, right):
    a, b = vectors[left], vectors[right]
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_tokens_that_keep_the_same_company_are_similar():
    vectors = cooccurrence_vectors(company(), 10, dimensions=4, min_count=5)
    assert cosine(vectors, 0, 1) > 0.9
    assert cosine(vectors, 4, 5) > 0.9
    assert abs(cosine(vectors, 0, 4)) < 0.2


def test_the_same_texts_and_seed_give_the_same_bytes():
    first, second = (cooccurrence_vectors(company(), 10, dimensions=4, seed=3) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_rare_tokens_and_ids_never_seen_have_no_vector():
    vectors = cooccurrence_vectors([*company(), [8, 0]], 10, dimensions=4, min_count=5)
    assert not vectors[[8, 9]].any()
    assert vectors[:8].any(axis=1).all()


def test_neighbours_do_not_reach_across_texts():
    apart = cooccurrence_vectors([[0], [1]] * 20, 2, dimensions=2)
    assert not apart.any()


def test_a_window_beyond_the_text_is_the_whole_text():
    texts = company()
    wide, wider = (cooccurrence_vectors(texts[:1] * 12, 8, dimensions=2, window=w) for w in (3, 9))
    assert wide.shape == wider.shape == (8, 2)
    assert wider.any()


@pytest.mark.parametrize("texts", [[], [[]], [[1]]])
def test_texts_without_pairs_give_no_vectors(texts):
    assert not cooccurrence_vectors(texts, 3, dimensions=2, min_count=1).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": 2}, "vocab_size 2"), ({"vocab_size": 0}, "vocab_size is 0"),
        ({"dimensions": 0}, "dimensions is 0"), ({"window": 0}, "window is 0"),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        cooccurrence_vectors([[0, 5]], **({"vocab_size": 9} | options))
