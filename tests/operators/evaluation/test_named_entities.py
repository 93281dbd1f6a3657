"""Named entities: sets of (label, phrase, k-th time), over the corpus."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.evaluation.named_entities import (
    EntityCounts,
    entity_scores,
    macro_f1,
    numbered_entities,
    slue_score,
)

entities = st.lists(st.tuples(st.sampled_from("PDO"), st.sampled_from(["a", "b"])), max_size=5)
utterances = st.lists(st.tuples(entities, entities), min_size=1, max_size=4)


def test_the_oracle_of_a_misspelled_place():
    gold, predicted = (
        [[("PLACE", "paris"), ("DATE", "monday")]],
        [[("PLACE", "pari"), ("DATE", "monday")]],
    )
    assert entity_scores(gold, predicted).micro.f1 == 0.5
    assert entity_scores(gold, predicted, labels_only=True).micro.f1 == 1.0


def test_the_same_phrase_twice_must_be_found_twice():
    assert numbered_entities([("GPE", "eu"), ("DATE", "today"), ("GPE", "eu")]) == {
        ("GPE", "eu", 0), ("DATE", "today", 0), ("GPE", "eu", 1),
    }  # fmt: skip
    once = entity_scores([[("GPE", "eu"), ("GPE", "eu")]], [[("GPE", "eu")]]).micro
    assert (once.right, once.gold, once.predicted) == (1, 2, 1)
    assert (once.precision, once.recall, once.f1) == (1, 0.5, pytest.approx(2 / 3))


def test_without_phrases_two_places_are_the_first_and_the_second():
    scores = entity_scores([[("P", "a"), ("P", "b")]], [[("P", "x")]], labels_only=True)
    assert scores.micro == EntityCounts(1, 2, 1)


def test_labels_are_combined_on_both_sides_before_phrases_are_numbered():
    combined = {"GPE": "PLACE", "LOC": "PLACE"}
    gold, predicted = [[("GPE", "alps"), ("LOC", "alps")]], [[("PLACE", "alps"), ("LOC", "alps")]]
    assert entity_scores(gold, predicted).micro.f1 == 0.5
    scores = entity_scores(gold, predicted, combined=combined)
    assert scores.micro.f1 == 1
    assert list(scores.by_label) == ["PLACE"]


def test_an_entity_in_another_utterance_is_not_found():
    assert entity_scores([[("P", "a")], []], [[], [("P", "a")]]).micro == EntityCounts(0, 1, 1)


def test_macro_is_over_the_labels_of_either_side():
    scores = entity_scores(
        [[("P", "a"), ("P", "b"), ("D", "c")]], [[("P", "a"), ("P", "b"), ("O", "z")]]
    )
    assert {label: counts.f1 for label, counts in scores.by_label.items()} == {
        "D": 0,
        "O": 0,
        "P": 1,
    }
    assert scores.macro_f1 == pytest.approx(1 / 3)
    assert scores.micro.f1 == pytest.approx(2 / 3)


@given(utterances)
def test_utterances_pool_to_the_headline(pairs):
    gold, predicted = zip(*pairs, strict=True)
    if not any(gold) and not any(predicted):
        with pytest.raises(ValueError, match="there is no entity"):
            entity_scores(gold, predicted)
        return
    scores = entity_scores(gold, predicted)
    pooled = sum(each.f1 * each.weight for each in scores.utterances) / sum(
        each.weight for each in scores.utterances
    )
    assert pooled == pytest.approx(scores.micro.f1)
    assert entity_scores(gold, predicted, labels_only=True).micro.f1 >= scores.micro.f1 - 1e-12
    assert entity_scores(gold, gold).micro.f1 == 1 if any(gold) else True


def test_sentiment_is_a_mean_over_classes_and_slue_a_mean_of_three():
    assert macro_f1(["pos", "neg", "neg"], ["pos", "neg", "pos"]) == pytest.approx(
        (2 / 3 + 2 / 3) / 2
    )
    assert slue_score(0.2, 0.5, 0.6) == pytest.approx((80 + 50 + 60) / 3)


def test_numbers_that_differ_are_refused():
    with pytest.raises(ValueError, match="1 references need as many hypotheses, got 0"):
        entity_scores([[]], [])
    with pytest.raises(ValueError, match="1 gold classes and 0 predicted"):
        macro_f1(["pos"], [])
