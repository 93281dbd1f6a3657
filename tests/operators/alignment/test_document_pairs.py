"""Documents paired by name and by content; what has no counterpart stays alone."""

import numpy as np
import pytest

from operators.alignment import MixedVectors, nameless, pair_by_content, pair_by_name

EN, DE = ["en", "eng", "eng_Latn"], ["de", "deu", "german"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("site/en/about.html", "site/de/about.html"),
        ("about.en.html", "about.de.html"),
        ("manual_en-GB.txt", "manual_de.txt"),
        ("http://x.org/p?id=3&lang=en", "http://x.org/p?id=3&lang=de"),
        ("EN/Report.txt", "german/report.txt"),
    ],
)
def test_names_that_differ_in_the_language_alone_are_one(one, other):
    assert nameless(one, EN) == nameless(other, DE)


@pytest.mark.parametrize(
    ("one", "other"),
    [("opened.html", "odeed.html"), ("en/a.html", "de/b.html"), ("men.txt", "mde.txt")],
)
def test_other_names_stay_apart(one, other):
    assert nameless(one, EN) != nameless(other, DE)


def test_a_name_pairs_only_where_it_leaves_no_doubt():
    source = ["en/a.txt", "en/b.txt", "x/en/c.txt", "all.jsonl"]
    target = ["de/b.txt", "de/a.txt", "all.jsonl", "german/a.txt"]
    found = pair_by_name(source, target, EN, DE)
    assert [(pair.source, pair.target) for pair in found] == [(1, 0)]


def vectors(rows):
    rows = np.asarray(rows, np.float32)
    return MixedVectors(rows, np.zeros(len(rows) + 1, np.int64),
                        np.empty(0, np.uint64), np.empty(0, np.float32))  # fmt: skip


def noisy(rows, seed):
    return rows + 0.4 * np.random.default_rng(seed).standard_normal(rows.shape)


def test_shuffled_documents_find_each_other_and_strangers_stay_alone():
    base = np.random.default_rng(1).standard_normal((60, 40)) + 0.7
    order = np.random.default_rng(2).permutation(60)[:40]
    source, target = vectors(noisy(base, 3)), vectors(noisy(base, 4)[order])
    found = pair_by_content(source, target, threshold=1.2)
    right = sum(order[pair.target] == pair.source for pair in found)
    assert right >= 38
    assert right / len(found) >= 0.95
    assert len({pair.source for pair in found}) == len({p.target for p in found}) == len(found)


def test_pairs_are_chosen_for_all_together():
    # The first source is nearest to the second one's only partner.
    source, target = vectors([[1, 0.95], [1, 0.1]]), vectors([[1, 0.5], [0.2, 1]])
    found = pair_by_content(source, target, threshold=0.0, margin="absolute")
    assert [(pair.source, pair.target) for pair in found] == [(0, 1), (1, 0)]


def test_nothing_is_paired_with_nothing():
    assert pair_by_content(vectors(np.ones((2, 3))), vectors(np.ones((0, 3))), threshold=1) == []
    assert pair_by_content(vectors(np.ones((2, 3))), vectors(np.ones((3, 3))), threshold=9) == []
