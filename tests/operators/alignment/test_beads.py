"""Scores of alignments, against counts made by hand from the convention of vecalign's score.py."""

from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.alignment import Bead, BeadScores, score_beads

RATIOS = attrgetter(
    "strict_precision", "strict_recall", "strict_f1", "lax_precision", "lax_recall", "lax_f1"
)
COUNTS = attrgetter(
    "predicted_beads", "strict_correct", "lax_correct", "gold_beads", "strict_found", "lax_found"
)
SIDES = st.lists(st.integers(0, 5), max_size=2, unique=True).map(lambda ids: tuple(sorted(ids)))
DOCUMENTS = st.lists(st.lists(st.builds(Bead, SIDES, SIDES), max_size=6), max_size=3)


def test_a_gold_bead_needs_no_score() -> None:
    assert Bead((0,), (1, 2)) == Bead(source=(0,), target=(1, 2), score=0.0)


def test_strict_and_lax_counts_are_those_of_the_convention() -> None:
    gold = [Bead((0,), (0,)), Bead((1, 2), (1,)), Bead((3,), ()), Bead((4,), (2,))]
    predicted = [
        Bead((0,), (0,), 0.3),  # strict
        Bead((1,), (1,), 0.4),  # lax: a part of (1, 2) - (1,)
        Bead((2,), (), 0.5),  # wrong, and counted in precision
        Bead((3,), (), 0.6),  # a right deletion: strict in precision, absent from recall
        Bead((4,), (3,), 0.7),  # wrong
        Bead((), (2,), 0.8),  # wrong
    ]
    scores = score_beads([predicted], [gold])
    assert COUNTS(scores) == (6, 2, 3, 3, 1, 2)
    assert RATIOS(scores) == pytest.approx(
        (2 / 6, 1 / 3, 1 / 3, 3 / 6, 2 / 3, 2 * (3 / 6) * (2 / 3) / (3 / 6 + 2 / 3))
    )


def test_counts_are_pooled_over_documents_and_not_mixed_between_them() -> None:
    right, wrong = [Bead((0,), (0,))], [Bead((0,), (1,))]
    scores = score_beads([right * 3, wrong], [right, right])
    # A repeated bead counts once; document 2 does not profit from the gold of document 1.
    assert COUNTS(scores) == (2, 1, 1, 2, 1, 1)


def test_beads_empty_on_both_sides_are_dropped() -> None:
    nothing = Bead((), ())
    assert COUNTS(score_beads([[nothing]], [[nothing]])) == (0,) * 6


def test_ratios_of_nothing_are_zero() -> None:
    assert RATIOS(score_beads([], [])) == (0.0,) * 6
    assert RATIOS(BeadScores(0, 0, 0, 0, 0, 0)) == (0.0,) * 6


def test_different_numbers_of_documents_are_refused() -> None:
    with pytest.raises(ValueError, match="2 predicted documents, but 1 gold"):
        score_beads([[], []], [[]])


@given(DOCUMENTS)
def test_gold_against_itself_is_perfect(documents: list[list[Bead]]) -> None:
    scores = score_beads(documents, documents)
    assert scores.strict_correct == scores.lax_correct == scores.predicted_beads
    assert scores.strict_found == scores.lax_found == scores.gold_beads


@given(DOCUMENTS, DOCUMENTS)
def test_lax_is_never_below_strict_and_scores_do_not_count(
    predicted: list[list[Bead]], gold: list[list[Bead]]
) -> None:
    size = min(len(predicted), len(gold))
    scores = score_beads(predicted[:size], gold[:size])
    assert scores.strict_correct <= scores.lax_correct <= scores.predicted_beads
    assert scores.strict_found <= scores.lax_found <= scores.gold_beads
    rescored = [[Bead(b.source[::-1], b.target, 9.0) for b in d] for d in predicted[:size]]
    assert score_beads(rescored, gold[:size]) == scores
