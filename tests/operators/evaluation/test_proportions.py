"""Shares and their differences: published numbers, limits, and coverage where rows err together."""

import math

import numpy as np
import pytest

from operators.evaluation.proportions import (
    clustered_difference,
    proportion_difference,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilsons_interval_has_the_published_ends(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("a", "m", "b", "n", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17, 873-890, table II, method 10
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (10, 10, 0, 20, 0.6791, 1.0),
    ],
)
def test_newcombes_interval_has_the_published_ends(a, m, b, n, low, high):
    found = proportion_difference((a, b), (m, n))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert found.difference == pytest.approx(a / m - b / n)
    other = proportion_difference((b, a), (n, m))
    assert (other.low, other.high) == pytest.approx((-found.high, -found.low))


def test_a_side_without_rows_has_no_difference():
    assert wilson_interval(0, 0) == (0.0, 1.0)
    found = proportion_difference((3, 0), (4, 0))
    assert found.first == 0.75
    assert all(map(math.isnan, (found.second, found.difference, found.low, found.high)))


def test_what_is_no_share_is_refused():
    with pytest.raises(ValueError, match="5 of 4 is no share"):
        wilson_interval(5, 4)
    with pytest.raises(ValueError, match="-1 of 4 is no share"):
        proportion_difference((-1, 0), (4, 4))
    with pytest.raises(ValueError, match="confidence is 1"):
        wilson_interval(1, 2, confidence=1)
    with pytest.raises(ValueError, match=r"right has shape \(2,\), first \(2,\), and there are 1"):
        clustered_difference([1, 0], [1, 0], ["a"])


def test_between_clusters_the_variance_is_that_of_the_linearised_difference():
    # Two rows a group in each of two clusters; shares 3/4 and 1/4. A cluster adds
    # (1.0 - .75) * 2 / 4 - (.5 - .25) * 2 / 4 = 0 and the same: no variance, so Newcombe's ends.
    right, first = [1, 1, 1, 0, 1, 0, 0, 0], [1, 1, 0, 0, 1, 1, 0, 0]
    even = clustered_difference(right, first, list("aaaabbbb"))
    assert even == proportion_difference((3, 1), (4, 4))
    # Crossed, one adds .25 and the other -.25: sqrt(2 * .125) times t of one degree of freedom,
    # Cauchy's distribution.
    crossed = clustered_difference(right, first, list("aabbbbaa"), confidence=0.3)
    reach = math.sqrt(0.25) * math.tan(0.15 * math.pi)
    assert crossed.high - crossed.difference == pytest.approx(reach)
    assert crossed.difference == 0.5


def test_rows_that_are_clusters_of_their_own_have_walds_interval_or_a_wider_one():
    right = np.arange(400) % 4 != 0
    first = np.arange(400) < 240
    found = clustered_difference(right, first, [str(n) for n in range(400)])
    wald = 1.9659 * math.sqrt(400 / 399 * (0.75 * 0.25) * (1 / 240 + 1 / 160))
    assert found.difference == 0
    assert found.high == pytest.approx(
        max(wald, proportion_difference((180, 120), (240, 160)).high)
    )
    same = clustered_difference(right, first, ["one"] * 400)
    assert same == proportion_difference((180, 120), (240, 160))


def test_intervals_hold_the_truth_where_rows_of_a_document_err_together():
    generator, held, narrow, trials = np.random.default_rng(5), 0, 0, 600
    clusters = np.repeat(np.arange(12), 30)
    for _ in range(trials):
        first = generator.random(360) < 0.7
        # Rows of a document share their luck, and it is another one in each group.
        luck = generator.beta(8, 2, (2, 12)), generator.beta(6, 4, (2, 12))
        share = np.where(first, luck[0][0][clusters], luck[1][1][clusters])
        right = generator.random(360) < share
        found = clustered_difference(right, first, clusters.astype(str).tolist())
        held += found.low <= 0.2 <= found.high
        alone = proportion_difference(
            (int(right[first].sum()), int(right[~first].sum())),
            (int(first.sum()), int((~first).sum())),
        )
        narrow += alone.low <= 0.2 <= alone.high
    assert 0.92 <= held / trials <= 0.98
    assert narrow / trials < 0.85


def test_no_end_lies_beyond_what_a_difference_of_shares_can_be():
    found = clustered_difference([1, 1, 1, 0, 0], [1, 1, 0, 0, 0], list("aabbc"))
    assert -1 <= found.low <= found.difference <= found.high <= 1
