"""Bitext mining by margin: the oracle, its limits, and that blocks and orders change nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.alignment import MinedPair, MixedVectors, mine_bitext, mining, xsim

X = [(1, 0), (0.6, 0.8), (0, 1)]
Y = [(0.8, 0.6), (0, 1), (1, 0)]


def links(pairs):
    return [(pair.source, pair.target) for pair in pairs]


def vectors(seed, rows=40, width=6):
    return np.random.default_rng(seed).standard_normal((rows, width)) + 0.5


@pytest.mark.parametrize("retrieval", ["max", "intersect"])
def test_the_oracle_is_mined_in_its_order(retrieval):
    found = mine_bitext(X, Y, k=2, retrieval=retrieval)
    assert links(found) == [(0, 2), (2, 1), (1, 0)]
    assert [pair.score for pair in found] == pytest.approx([1.1765, 1.1765, 1.0909], abs=5e-5)


def test_distance_and_absolute_are_what_they_say():
    distance = {(p.source, p.target): p.score for p in mine_bitext(X, Y, k=2, margin="distance")}
    assert distance[0, 2] == pytest.approx(1 - (0.9 + 0.8) / 2, abs=1e-6)
    absolute = {(p.source, p.target): p.score for p in mine_bitext(X, Y, k=2, margin="absolute")}
    assert absolute[0, 2] == 1.0


def test_a_margin_on_the_threshold_is_not_above_it():
    score = mine_bitext(X, Y, k=2)[-1].score
    assert len(mine_bitext(X, Y, k=2, threshold=score)) == 2
    assert len(mine_bitext(X, Y, k=2, threshold=score - 1e-6)) == 3


def test_lengths_of_vectors_change_nothing():
    scaled = np.array(X) * [[3], [0.01], [50]]
    assert mine_bitext(scaled, Y, k=2) == mine_bitext(X, Y, k=2)


def test_a_hub_does_not_swallow_what_has_a_partner_of_its_own():
    # Everything is near to the hub; each is nearer to its own partner than the hub's neighbours are.
    own = np.eye(5) + 1.0
    hub = np.ones((1, 5)) * 10
    found = links(mine_bitext(own, np.vstack([hub, own]), k=3))
    assert set(found) == {(n, n + 1) for n in range(5)}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from(["max", "intersect"]))
def test_each_sentence_is_in_one_pair_at_most_and_margins_fall(seed, k, retrieval):
    found = mine_bitext(vectors(seed), vectors(seed + 1, 23), k=k, retrieval=retrieval)
    assert len({p.source for p in found}) == len({p.target for p in found}) == len(found)
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_mutual_bests_among_all_are_among_the_greedy_pairs(seed):
    given_ = vectors(seed), vectors(seed + 1)
    greedy = set(links(mine_bitext(*given_, k=40)))
    assert set(links(mine_bitext(*given_, k=40, retrieval="intersect"))) <= greedy


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_blocks_do_not_change_what_is_found(kind, monkeypatch):
    x, y = vectors(1, 90).astype(kind), vectors(2, 70).astype(kind)
    whole = mine_bitext(x, y)
    monkeypatch.setattr(mining, "_CELLS", 64)
    monkeypatch.setattr(mining, "_HEIGHT", 7)
    assert mine_bitext(x, y) == whole


def test_of_equal_partners_the_first_is_taken_whatever_the_blocks(monkeypatch):
    x, y = np.ones((1, 3)), np.ones((60, 3))
    assert links(mine_bitext(x, y)) == [(0, 0)]
    monkeypatch.setattr(mining, "_CELLS", 8)
    assert links(mine_bitext(x, y)) == [(0, 0)]


def test_a_sparse_part_counts_as_the_same_numbers_written_out():
    chance = np.random.default_rng(5)
    full = [np.where(chance.random((30, 50)) < 0.2, chance.random((30, 50)), 0) for _ in range(2)]
    full = [np.hstack([vectors(n, 30, 4), part]).astype(np.float32) for n, part in enumerate(full)]
    mixed = []
    for rows in full:
        at, columns = np.nonzero(rows[:, 4:])
        begins = np.concatenate([[0], np.cumsum(np.bincount(at, minlength=30))])
        names = columns.astype(np.uint64) * 7
        mixed.append(MixedVectors(rows[:, :4], begins, names, rows[:, 4:][at, columns]))
    expected, found = mine_bitext(*full), mine_bitext(*mixed)
    assert links(found) == links(expected)
    assert [p.score for p in found] == pytest.approx([p.score for p in expected], abs=3e-6)
    assert mining.cosines(*mixed) == pytest.approx(full[0] @ full[1].T, abs=1e-5)


def test_fewer_sentences_than_neighbours_are_no_trouble():
    assert links(mine_bitext([[1.0, 0.2]], [[1.0, 0.1]], k=4)) == [(0, 0)]
    assert mine_bitext(np.empty((0, 3)), np.ones((2, 3))) == []
    assert mine_bitext(np.ones((2, 3)), np.empty((0, 3))) == []


def test_what_has_nothing_in_common_is_no_pair():
    assert mine_bitext([[0.0, 0.0], [1.0, 0.0]], [[0.0, 1.0]], threshold=-9) == []


def test_the_error_of_a_copy_is_nothing_and_of_a_turned_copy_everything():
    x = vectors(3)
    assert xsim(x, x) == 0.0
    assert xsim(x, np.roll(x, 1, axis=0)) == 1.0
    assert xsim(np.empty((0, 2)), np.empty((0, 2))) == 0.0


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"k": 0}, "k is 0"),
        ({"retrieval": "best"}, 'must be "max" or "intersect"'),
        ({"margin": "sum"}, 'must be "ratio", "distance" or "absolute"'),
    ],
)
def test_an_unknown_setting_is_named(settings_, said):
    with pytest.raises(ValueError, match=said):
        mine_bitext(X, Y, **settings_)


def test_vectors_that_cannot_be_compared_are_an_error_that_says_why():
    with pytest.raises(ValueError, match="2 numbers a row and target_vectors 3"):
        mine_bitext(X, np.ones((2, 3)))
    with pytest.raises(ValueError, match="source_vectors: row 1 is not finite"):
        mine_bitext([(1, 0), (np.nan, 1)], Y)
    with pytest.raises(ValueError, match="1 dimensions"):
        mine_bitext([1.0, 2.0], Y)


def test_a_pair_is_a_value():
    assert MinedPair(1, 2, 0.5) == MinedPair(1, 2, 0.5)
