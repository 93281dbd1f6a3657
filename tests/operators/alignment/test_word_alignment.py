"""Word alignment: worked examples, brute force, identities."""

from __future__ import annotations

import itertools
import json
import math
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma

from operators.alignment import (
    align_words,
    alignment_error_rate,
    learn_words,
    symmetrize,
    translation_table,
    word_kernels,
)

HAUS = [
    (["das", "Haus"], ["the", "house"]),
    (["das", "Buch"], ["the", "book"]),
    (["ein", "Buch"], ["a", "book"]),
]
LINKS = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=14)


# --- scores ---------------------------------------------------------------------------------------


def test_error_rate_of_the_worked_example() -> None:
    sure, possible = {(0, 0), (1, 1)}, {(2, 1)}
    score = alignment_error_rate([{(0, 0), (2, 1), (2, 2)}], [sure], [possible])
    assert (score.precision, score.recall) == (pytest.approx(2 / 3), 0.5)
    assert score.aer == pytest.approx(0.4)
    # Sure links are possible, whether they are listed as such or not.
    assert alignment_error_rate([{(0, 0), (2, 1), (2, 2)}], [sure], [possible | sure]) == score


def test_error_rate_pools_counts_and_does_not_average_sentences() -> None:
    predicted, sure = [{(0, 0)}, {(0, 1), (1, 0), (2, 2)}], [{(0, 0)}, {(0, 0), (1, 1), (2, 2)}]
    assert alignment_error_rate(predicted, sure).aer == pytest.approx(1 - 2 * 2 / (4 + 4))


@given(LINKS)
def test_a_perfect_prediction_has_no_errors(links: set[tuple[int, int]]) -> None:
    assert alignment_error_rate([links], [links]).aer == 0.0


def test_as_many_sentence_pairs_are_needed_of_each() -> None:
    with pytest.raises(ValueError, match="1 predicted, 2 sure"):
        alignment_error_rate([set()], [set(), set()])


# --- symmetrization -------------------------------------------------------------------------------


@given(LINKS, LINKS)
def test_one_alignment_lies_between_intersection_and_union(
    forward: set[tuple[int, int]], backward: set[tuple[int, int]]
) -> None:
    grown = symmetrize(forward, backward, "grow-diag")
    final = symmetrize(forward, backward, "grow-diag-final-and")
    assert symmetrize(forward, backward, "intersection") == forward & backward
    assert forward & backward <= grown <= final <= forward | backward
    assert symmetrize(forward, backward, "union") == forward | backward
    assert symmetrize(forward, forward, "grow-diag-final-and") == forward


def test_growing_takes_what_is_beside_a_link_and_new_to_one_side() -> None:
    forward, backward = {(0, 0), (1, 1), (4, 4)}, {(0, 0), (0, 1), (1, 0), (5, 4)}
    # (0,1) is beside (0,0) and target 1 is new; then source 1 is; both words of (1,1) have links.
    assert symmetrize(forward, backward, "grow-diag") == {(0, 0), (0, 1), (1, 0)}
    # (4,4): both words have none; then (5,4) shares target 4 with it.
    assert symmetrize(forward, backward, "grow-diag-final-and") == {
        (0, 0), (0, 1), (1, 0), (4, 4)
    }  # fmt: skip


# --- models ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("iterations", "expected"),
    [
        (
            1,
            {("das", "the"): 0.5, ("das", "house"): 0.25, ("das", "book"): 0.25, ("ein", "a"): 0.5},
        ),
        (2, {("das", "the"): 0.6364, ("Haus", "the"): 0.4286}),
        (3, {("das", "the"): 0.7479, ("Haus", "the"): 0.3466}),
        (10, {("das", "the"): 0.9933, ("Haus", "the"): 0.0828}),
    ],
)
def test_model_1_of_the_worked_example(
    iterations: int, expected: dict[tuple[str, str], float]
) -> None:
    table = translation_table(HAUS, iterations=iterations)
    for words, probability in expected.items():
        assert table[words] == pytest.approx(probability, abs=5e-5)
    for word in ("das", "Haus", "ein", "Buch"):
        assert sum(p for (f, _), p in table.items() if f == word) == pytest.approx(1)


def chain_by_force(
    emitted: np.ndarray, null: np.ndarray, jump: np.ndarray, p_null: float
) -> np.ndarray:
    """Posteriors by trying every path: at each word a position, or none, which keeps the last."""
    words, states = emitted.shape
    reach = len(jump) // 2

    def steps(x: int) -> np.ndarray:
        weights = np.array([jump[min(max(y - x, -reach), reach) + reach] for y in range(states)])
        return weights / weights.sum()

    total, linked = 0.0, np.zeros((words, states))
    for path in itertools.product(range(2 * states), repeat=words):
        weight, at = 1.0, -1
        for word, step in enumerate(path):
            to, is_null = step % states, step >= states
            if is_null:
                before = 1 / states if at < 0 else float(to == at)
                weight *= p_null * before * null[word]
            else:
                weight *= (1 - p_null) * steps(at)[to] * emitted[word, to]
            at = to
        total += weight
        for word, step in enumerate(path):
            if step < states:
                linked[word, step] += weight
    return linked / total


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(0, 10**6))
def test_the_chain_is_that_of_all_paths_in_both_directions(
    sources: int, targets: int, reach: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    cells = np.arange(sources * targets, dtype=np.int32)
    probability = rng.random(sources * targets)
    jump = rng.random(2 * reach + 1) + 0.1
    at = (np.array([0, sources]), np.array([0, targets]), np.array([0, sources * targets]))
    for backward in (False, True):
        null = rng.random(sources if backward else targets)
        posterior = np.empty(sources * targets)
        given = (probability, null, cells, *at, jump, 0.2, backward)
        counts = word_kernels.expect_chain(*given, posterior, True)
        again = np.empty(sources * targets)
        assert not word_kernels.expect_chain(*given, again, False).any()
        np.testing.assert_array_equal(again, posterior)
        table = probability.reshape(targets, sources)
        expected = chain_by_force(table.T if backward else table, null, jump, 0.2)
        found = posterior.reshape(targets, sources)
        np.testing.assert_allclose(found.T if backward else found, expected, atol=1e-12)
        words = sources if backward else targets
        assert counts.sum() <= words - 1 + 1e-9


@given(st.floats(0.01, 1e6))
def test_the_exponent_of_digamma_is_that_of_scipy(x: float) -> None:
    assert word_kernels.exp_digamma(x) == pytest.approx(math.exp(digamma(x)), rel=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.integers(0, 10**6))
def test_variational_weights_are_those_of_johnson(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts, prior, hints = rng.random(size) * 3, rng.random(size) + 0.01, rng.random(4)
    kinds, owner = rng.integers(0, 4, size), rng.integers(0, 3, size)
    alpha = prior + hints[kinds]
    total = np.bincount(owner, counts + alpha, 3)[owner]
    np.testing.assert_allclose(
        word_kernels.variational(counts, prior, hints, kinds, owner, 3),
        np.exp(digamma(counts + alpha) - digamma(total)), rtol=1e-8,
    )  # fmt: skip


@pytest.mark.parametrize("method", ["ibm1", "fast_align", "hmm"])
def test_a_text_and_itself_align_word_by_word(method: str) -> None:
    rng = np.random.default_rng(3)
    words = [f"w{n}" for n in range(40)]
    pairs = []
    for _ in range(60):
        sentence = rng.permutation(words)[: rng.integers(3, 9)].tolist()
        pairs.append((sentence, sentence))
    for (sentence, _), links in zip(pairs, align_words(pairs, method=method), strict=True):
        assert links == {(n, n) for n in range(len(sentence))}


@pytest.mark.parametrize("method", ["ibm1", "fast_align", "hmm"])
def test_an_empty_side_has_no_links_and_disturbs_nobody(method: str) -> None:
    pairs = [([], ["a", "b"]), *HAUS, (["x", "y"], []), ([], [])]
    links = align_words(pairs, method=method)
    assert [links[n] for n in (0, 4, 5)] == [set(), set(), set()]
    assert links[1:4] == align_words(HAUS, method=method)
    assert align_words([], method=method) == []
    assert align_words([([], [])], method=method) == [set()]


def test_case_makes_no_difference_to_the_chain() -> None:
    shouted = [([w.upper() for w in s], t) for s, t in HAUS]
    assert align_words(shouted) == align_words(HAUS)


def test_what_one_corpus_has_learnt_helps_another() -> None:
    # Of one pair nothing can be learnt about which word is which.
    alone = [(["das", "ist", "gut"], ["good", "that", "is"])]
    teacher = [(["das"], ["that"]), (["ist"], ["is"]), (["gut"], ["good"])] * 5
    priors = learn_words(teacher).priors
    assert {(r["source"], r["target"]) for r in priors.to_pylist()} == {
        ("das", "that"), ("ist", "is"), ("gut", "good")
    }  # fmt: skip
    for method in ("ibm1", "fast_align", "hmm"):
        assert align_words(alone, method=method, priors=priors) == [{(0, 1), (1, 2), (2, 0)}]
    assert align_words(alone) != [{(0, 1), (1, 2), (2, 0)}]


def test_what_is_no_method_and_no_prior_is_refused() -> None:
    with pytest.raises(ValueError, match="method must be"):
        align_words(HAUS, method="model 7")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="columns"):
        align_words(HAUS, priors=pa.table({"word": ["x"]}))


def test_links_of_real_pairs_are_as_good_as_said() -> None:
    folder = os.environ.get("TOKENMILL_DATA")
    if not folder:
        pytest.skip("TOKENMILL_DATA is not set: no hand-made word links here")
    text = Path(folder, "word_alignment", "en-sv.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    pairs = [(row["src_words"], row["tgt_words"]) for row in rows]
    gold = [{(i, j) for i, j in row["alignment"]} for row in rows]
    # eflomal: .262, fast_align: .362.
    assert alignment_error_rate(align_words(pairs), gold).aer < 0.26
