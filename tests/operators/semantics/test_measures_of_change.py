"""PRT, APD, JSD: their oracles, and what chance does to them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.semantics import (
    average_pairwise_distance,
    find_senses,
    jensen_shannon,
    measure_shift,
    prototype_distance,
    sense_distribution,
)


@pytest.fixture
def cloud():
    return np.random.default_rng(5).normal(size=(60, 6)) + 0.5


def halves(n):
    return np.arange(2 * n) >= n


def test_identical_usages_have_not_moved(cloud):
    assert prototype_distance(cloud, cloud) == 0
    labels = find_senses(cloud, seed=0, least_silhouette=-1).labels
    shares = sense_distribution(labels, labels.max() + 1)
    assert jensen_shannon(shares, shares) == 0
    both = np.vstack([cloud, cloud])
    shifts = measure_shift(both, halves(60), np.tile(labels, 2), resamples=200, seed=1)
    assert shifts["prt"].value == shifts["jsd"].value == 0
    assert shifts["prt"].p_value == shifts["jsd"].p_value == 1


def test_one_sense_that_gives_way_to_another_is_one_bit():
    assert jensen_shannon([1, 0], [0, 1]) == 1
    assert jensen_shannon([1, 0], [0.5, 0.5]) == pytest.approx(0.311278, abs=1e-6)
    assert sense_distribution([0, 0, 1], 3).tolist() == [2 / 3, 1 / 3, 0]


def test_apd_is_the_mean_over_all_pairs(cloud):
    old, new = cloud[:20], cloud[20:]

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    pairs = [1 - cosine(a, b) for a in old for b in new]
    assert average_pairwise_distance(old, new) == pytest.approx(np.mean(pairs))
    assert prototype_distance(old, new) == pytest.approx(1 - cosine(old.mean(0), new.mean(0)))
    assert prototype_distance([[1.0, 0]], [[-2.0, 0]]) == 2
    assert prototype_distance([[1.0, 0]], [[0.0, 0]]) == 1


@given(st.lists(st.integers(0, 9), min_size=2, max_size=5), st.data())
def test_jsd_is_symmetric_and_between_0_and_1(counts, data):
    other = data.draw(st.lists(st.integers(0, 9), min_size=len(counts), max_size=len(counts)))
    p, q = (np.array(c) / max(1, sum(c)) for c in (counts, other))
    if sum(counts) and sum(other):
        assert 0 <= jensen_shannon(p, q) <= 1 + 1e-12
        assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p))


def test_measures_of_a_shift_are_the_measures(cloud):
    is_new = np.arange(60) % 3 == 0
    labels = np.arange(60) % 4
    shifts = measure_shift(cloud, is_new, labels, resamples=100, seed=0)
    assert shifts["prt"].value == pytest.approx(prototype_distance(cloud[~is_new], cloud[is_new]))
    assert shifts["apd"].value == pytest.approx(
        average_pairwise_distance(cloud[~is_new], cloud[is_new])
    )
    sides = [sense_distribution(labels[side], 4) for side in (~is_new, is_new)]
    assert shifts["jsd"].value == pytest.approx(jensen_shannon(*sides))
    for shift in shifts.values():
        assert 0 <= shift.low <= shift.high


def test_what_moved_is_beyond_chance_and_what_did_not_is_not(cloud):
    still = measure_shift(cloud, halves(30), np.zeros(60, int), resamples=500, seed=0)["prt"]
    moved = cloud.copy()
    moved[30:, 0] -= 4
    shifted = measure_shift(moved, halves(30), np.zeros(60, int), resamples=500, seed=0)["prt"]
    assert still.p_value > 0.05
    assert shifted.p_value == 1 / 501
    assert shifted.value > shifted.low > shifted.expected


def test_chance_is_as_high_as_few_usages_make_it():
    # The same distribution in both halves: the plain distance grows as usages get fewer, the chance
    # level with it, so that frequency does not look like change.
    draw = np.random.default_rng(0)
    value, above = {}, {}
    for size in (8, 128):
        runs = []
        for _ in range(25):
            points = draw.normal(size=(2 * size, 6)) + 0.7
            runs.append(measure_shift(points, halves(size), np.zeros(2 * size, int), resamples=100,
                                      seed=0)["prt"])  # fmt: skip
        value[size] = np.mean([run.value for run in runs])
        above[size] = np.mean([run.value - run.expected for run in runs])
    assert value[8] > 5 * value[128]
    assert abs(above[8]) < 0.35 * value[8]


def test_what_tells_only_documents_apart_is_no_change_by_document():
    # Each document has a topic of its own, none has to do with the corpus.
    draw = np.random.default_rng(1)
    found = {"usage": [], "document": []}
    for _ in range(20):
        topics = np.repeat(draw.normal(size=(12, 6)), 20, axis=0)
        points = topics + 0.3 * draw.normal(size=topics.shape) + 0.5
        names = np.repeat([f"d{k}" for k in range(12)], 20).tolist()
        for unit, units in (("usage", None), ("document", names)):
            shift = measure_shift(points, halves(120), np.zeros(240, int), units=units,
                                  resamples=100, seed=0)["prt"]  # fmt: skip
            found[unit].append(shift.p_value <= 0.05)
    assert np.mean(found["usage"]) > 0.8
    assert np.mean(found["document"]) <= 0.2


def test_the_same_seed_gives_the_same_and_another_one_does_not(cloud):
    settings = {"resamples": 100, "seed": 3}
    once = measure_shift(cloud, halves(30), np.zeros(60, int), **settings)
    again = measure_shift(cloud, halves(30), np.zeros(60, int), **settings)
    assert once == again
    other = measure_shift(cloud, halves(30), np.zeros(60, int), resamples=100, seed=4)
    assert other["prt"].high != once["prt"].high


@pytest.mark.parametrize(
    ("is_new", "settings", "says"),
    [
        (np.zeros(60, bool), {}, "both corpora"),
        (np.ones(60, bool), {}, "both corpora"),
        (np.zeros(59, bool), {}, "59 corpora"),
        (halves(30), {"resamples": 0}, "resamples 0"),
        (halves(30), {"confidence": 1.0}, "confidence 1.0"),
    ],
)
def test_what_cannot_be_measured_is_refused(cloud, is_new, settings, says):
    with pytest.raises(ValueError, match=says):
        measure_shift(cloud, is_new, np.zeros(60, int), seed=0, **settings)


def test_senses_are_found_and_numbered_by_size():
    draw = np.random.default_rng(0)
    centres = np.eye(4)[:3] * 4
    sizes = (10, 40, 25)
    points = np.vstack([c + draw.normal(scale=0.3, size=(n, 4))
                        for c, n in zip(centres, sizes, strict=True)])  # fmt: skip
    senses = find_senses(points, seed=0)
    assert senses.count == 3
    assert senses.labels.tolist() == [2] * 10 + [0] * 40 + [1] * 25
    assert senses.silhouette > 0.7


def test_usages_that_are_all_alike_have_one_sense(cloud):
    alike = find_senses(np.ones((9, 3)), seed=0)
    assert (alike.count, alike.silhouette) == (1, 0)
    assert alike.labels.tolist() == [0] * 9
    assert find_senses(cloud, least_silhouette=0.9, seed=0).count == 1
    assert find_senses([[1.0, 2.0]], seed=0).count == 1
    with pytest.raises(ValueError, match="no usages"):
        find_senses(np.zeros((0, 3)), seed=0)
