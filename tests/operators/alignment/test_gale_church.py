"""Alignment by length: published oracles, an exhaustive search, and real gold alignments."""

import itertools
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import operators.alignment
from operators.alignment import (
    GALE_CHURCH_PRIORS,
    Bead,
    align_lengths,
    length_deviation,
    match_cost,
    score_beads,
)
from operators.alignment.gale_church import usual_variance


def align_sentences(
    source: Sequence[str], target: Sequence[str], ratio: float | None = None
) -> list[Bead]:
    return operators.alignment.align_sentences(source, target, method="length", ratio=ratio)


LENGTHS = st.lists(st.integers(0, 200), max_size=7)


def links(beads: Sequence[Bead]) -> list[tuple[int, int]]:
    return [(i, j) for bead in beads for i in bead.source for j in bead.target]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ([5, 5, 5], [7, 7, 7], [(0, 0), (1, 1), (2, 2)]),
        ([10, 5, 5], [12, 20], [(0, 0), (1, 1), (2, 1)]),
        ([12, 20], [10, 5, 5], [(0, 0), (1, 1), (1, 2)]),
        (
            [10, 2, 10, 10, 2, 10],
            [12, 3, 20, 3, 12],
            [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (5, 4)],
        ),
    ],
)
def test_the_examples_of_nltk_are_reproduced(
    source: list[int], target: list[int], expected: list[tuple[int, int]]
) -> None:
    assert links(align_lengths(source, target)) == expected


@pytest.mark.parametrize(
    ("target", "deviation", "cost"), [(110, -0.3742, 0.3450), (150, -1.7150, 2.4494)]
)
def test_a_source_of_100_characters_costs_what_the_formula_says(
    target: int, deviation: float, cost: float
) -> None:
    assert length_deviation(100, target) == pytest.approx(deviation, abs=5e-5)
    assert match_cost(100, target) == pytest.approx(cost, abs=5e-5)
    (bead,) = align_lengths([100], [target])
    assert bead.score == pytest.approx(cost + 0.1165, abs=1e-4)


def test_equal_lengths_cost_the_prior_alone() -> None:
    assert align_lengths([40], [40]) == [Bead((0,), (0,), pytest.approx(-math.log(0.89)))]


def test_a_cost_stays_finite_where_the_probability_underflows() -> None:
    assert match_cost(0, 10**6) > 10**4
    assert np.isfinite(match_cost([0, 10**6], [10**6, 0])).all()


def test_two_empty_sides_match_perfectly() -> None:
    assert match_cost(0, 0) == pytest.approx(0.0)


@given(LENGTHS)
def test_identical_documents_give_the_identity(lengths: list[int]) -> None:
    expected = [((i,), (i,)) for i in range(len(lengths))]
    assert [(b.source, b.target) for b in align_lengths(lengths, lengths)] == expected
    sentences = ["x" * length for length in lengths]
    assert [(b.source, b.target) for b in align_sentences(sentences, sentences)] == expected


def test_one_empty_side_gives_deletions_or_insertions_only() -> None:
    assert align_lengths([], []) == align_sentences([], []) == []
    deleted = align_sentences(["a", "b"], [])
    assert [(b.source, b.target) for b in deleted] == [((0,), ()), ((1,), ())]
    inserted = align_sentences([], ["a", ""])
    assert [(b.source, b.target) for b in inserted] == [((), (0,)), ((), (1,))]
    assert all(math.isfinite(bead.score) for bead in deleted + inserted)


@given(LENGTHS, LENGTHS, st.sampled_from([0.3, 1.0, 1.7]))
def test_every_sentence_is_in_one_bead_and_beads_are_in_order(
    source: list[int], target: list[int], ratio: float
) -> None:
    beads = align_lengths(source, target, ratio=ratio)
    assert [i for bead in beads for i in bead.source] == list(range(len(source)))
    assert [j for bead in beads for j in bead.target] == list(range(len(target)))
    assert all((len(bead.source), len(bead.target)) in GALE_CHURCH_PRIORS for bead in beads)


def all_paths(n: int, m: int) -> Iterator[list[tuple[int, int]]]:
    if n == m == 0:
        yield []
    for a, b in GALE_CHURCH_PRIORS:
        if a <= n and b <= m:
            yield from ([*path, (a, b)] for path in all_paths(n - a, m - b))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 60), max_size=4),
    st.lists(st.integers(0, 60), max_size=4),
    st.sampled_from([0.5, 1.0]),
)
def test_no_alignment_is_cheaper(source: list[int], target: list[int], ratio: float) -> None:
    def path_cost(path: list[tuple[int, int]]) -> float:
        total, i, j = 0.0, 0, 0
        for a, b in path:
            l_s, l_t = sum(source[i : i + a]), sum(target[j : j + b])
            mean = (l_s + l_t / ratio) / 2
            deviation = abs(l_s * ratio - l_t) / math.sqrt(6.8 * mean) if mean else 0.0
            # 2 (1 - Phi(x)) = erfc(x / sqrt 2): a second way to the same number.
            total -= math.log(math.erfc(deviation / math.sqrt(2)) * GALE_CHURCH_PRIORS[a, b])
            i, j = i + a, j + b
        return total

    cost = sum(bead.score for bead in align_lengths(source, target, ratio=ratio))
    assert cost == pytest.approx(min(map(path_cost, all_paths(len(source), len(target)))))


def test_ties_prefer_the_bead_that_comes_first_in_priors_at_the_end_of_the_text() -> None:
    # Either target sentence can be the insertion; the last bead is the 1-1.
    assert [b.target for b in align_lengths([5], [5, 5], priors={(1, 1): 0.5, (0, 1): 0.5})] == [
        (0,),
        (1,),
    ]
    assert links(align_lengths([5], [5, 5], priors={(1, 1): 0.5, (0, 1): 0.5})) == [(0, 1)]
    assert links(align_lengths([5], [5, 5], priors={(0, 1): 0.5, (1, 1): 0.5})) == [(0, 0)]


def test_rounding_does_not_decide_ties() -> None:
    priors = {(1, 1): 0.1, (1, 0): 0.3, (0, 1): 0.7}
    for size in range(1, 12):
        beads = align_lengths([7] * size, [7] * (size + 3), priors=priors)
        kinds = [(len(bead.source), len(bead.target)) for bead in beads]
        assert kinds == sorted(kinds), "insertions first, then 1-1 beads"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 200), min_size=1, max_size=7),
    st.lists(st.integers(1, 90), min_size=1, max_size=7),
)
def test_it_does_not_matter_which_text_is_called_the_source(
    source: list[int], target: list[int]
) -> None:
    ratio = sum(target) / sum(source)
    cost, mirrored = (
        sum(b.score for b in align_lengths(x, y, ratio=c, variance=usual_variance(c)))
        for x, y, c in ((source, target, ratio), (target, source, 1 / ratio))
    )
    assert cost == pytest.approx(mirrored)


def test_a_band_gives_what_the_whole_table_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(5)
    source = [draw.randrange(10, 300) for _ in range(700)]
    target = [max(1, length + draw.randrange(-9, 10)) for length in source]
    del target[300:308]
    exact = align_lengths(source, target)
    monkeypatch.setattr("operators.alignment.gale_church._EXACT", 0)
    monkeypatch.setattr("operators.alignment.gale_church._RADIUS", 20)
    assert align_lengths(source, target) == exact


def test_the_ratio_is_taken_from_the_texts() -> None:
    # Chinese has about a third of the characters: at ratio 1 every right bead looks improbable.
    draw = random.Random(3)
    english = ["e" * draw.randrange(40, 240, 10) for _ in range(60)]
    chinese = ["汉" * (len(sentence) * 3 // 10) for sentence in english]
    beads = align_sentences(english, chinese)
    assert links(beads) == [(i, i) for i in range(60)]
    given = align_sentences(english, chinese, ratio=0.3)
    assert [(b.source, b.target) for b in beads] == [(b.source, b.target) for b in given]
    assert [b.score for b in beads] == pytest.approx([b.score for b in given])
    assert max(bead.score for bead in beads) == pytest.approx(-math.log(0.89))
    assert min(bead.score for bead in align_sentences(english, chinese, ratio=1.0)) > 2


def test_a_side_without_characters_has_a_ratio_of_one() -> None:
    for source, target in ((["", ""], ["ab"]), (["ab"], [""])):
        found = align_sentences(source, target)
        plain = align_lengths(list(map(len, source)), list(map(len, target)), ratio=1.0)
        assert [(b.source, b.target) for b in found] == [(b.source, b.target) for b in plain]


def test_beads_of_other_kinds_can_be_allowed() -> None:
    beads = align_lengths([90], [30, 30, 30], priors={(1, 1): 0.9, (1, 3): 0.1})
    assert [(bead.source, bead.target) for bead in beads] == [((0,), (0, 1, 2))]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="no alignment of 2 with 1"):
        align_lengths([1, 1], [1], priors={(1, 1): 1.0})
    for priors in ({}, {(0, 0): 0.5}, {(1, -1): 0.5}, {(1, 1): 0.0}, {(1, 1): 1.5}):
        with pytest.raises(ValueError, match="prior"):
            align_lengths([1], [1], priors=priors)
    with pytest.raises(ValueError, match="negative"):
        align_lengths([-1], [1])
    for wrong in ({"ratio": 0.0}, {"variance": -1.0}, {"ratio": math.nan}):
        with pytest.raises(ValueError, match="positive"):
            align_lengths([1], [1], **wrong)
    with pytest.raises(ValueError, match="method"):
        operators.alignment.align_sentences(["a"], ["a"], method="v")  # type: ignore[arg-type]


def test_a_document_of_400_sentences_takes_less_than_two_seconds() -> None:
    draw = random.Random(1)
    source = [draw.randrange(10, 300) for _ in range(400)]
    target = [draw.randrange(10, 300) for _ in range(500)]
    start = time.perf_counter()
    align_lengths(source, target)
    assert time.perf_counter() - start < 2


def gold_document(name: str) -> tuple[list[str], list[str], list[Bead]]:
    if "TOKENMILL_DATA" not in os.environ:
        pytest.skip("TOKENMILL_DATA is not set: it names the folder with gold alignments")
    stem = Path(os.environ["TOKENMILL_DATA"], "sentence_alignment", name)
    source, target, gold = (
        stem.with_suffix(suffix).read_text(encoding="utf-8").removesuffix("\n").split("\n")
        for suffix in (".src", ".tgt", ".gold")
    )
    sides = [[tuple(json.loads(side)) for side in line.split(":")] for line in gold]
    return source, target, list(itertools.starmap(Bead, sides))


@pytest.mark.parametrize(
    ("name", "strict", "lax"),
    [
        # With the paper's variance: .520.
        ("textberg_de-fr_dev/dev", 0.57, 0.78),
        ("maligna_pl-x/gpl", 0.97, 0.98),
        ("maligna_pl-x/poznan", 0.98, 0.98),
        ("maligna_pl-x/poznan-oracle", 0.98, 0.98),
        ("maligna_pl-x/stallman-ch1", 0.88, 0.95),
    ],
)
def test_gold_alignments_are_found_as_well_as_lengths_allow(
    name: str, strict: float, lax: float, record_property: Callable[[str, object], None]
) -> None:
    source, target, gold = gold_document(name)
    scores = score_beads([align_sentences(source, target)], [gold])
    record_property("strict_f1", round(scores.strict_f1, 4))
    record_property("lax_f1", round(scores.lax_f1, 4))
    print(f"{name}: strict F1 {scores.strict_f1:.3f}, lax F1 {scores.lax_f1:.3f}")
    assert scores.strict_f1 >= strict
    assert scores.lax_f1 >= lax
