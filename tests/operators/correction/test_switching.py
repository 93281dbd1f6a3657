"""Code-switched sentences: what is chosen, what is said otherwise, which errors come back."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.correction import (
    LEARNERS,
    METHODS,
    Edit,
    Phrase,
    Sentence,
    apply_edits,
    candidate_spans,
    constituents,
    marker_chunks,
    parse_brackets,
    switch_language,
    switch_points,
)

SENTENCE = "the old man sat on a chair in the sun ."
TOKENS = tuple(SENTENCE.split())
ERRORS = (Edit(1, 1, ("very",), "U:ADV"), Edit(3, 4, ("sit",), "R:VERB:TENSE"),
          Edit(7, 8, ("at",), "R:PREP"), Edit(9, 10, ("sky",), "Um"))  # fmt: skip
TREE = ("(S (NP (DT the) (JJ old) (NN man)) (VP (VBD sat) (PP (IN on) (NP (DT a) (NN chair)))"
        " (PP-LOC (IN in) (NP (DT the) (NN sun)))) (. .))")  # fmt: skip


def upper(tokens):
    return [token.upper() for token in tokens]


def switch(sentence=None, translate=upper, seed=0, **settings):
    sentence = sentence or Sentence(TOKENS, ERRORS)
    settings.setdefault("phrases", constituents(parse_brackets(TREE)[1], len(TOKENS)))
    return switch_language(sentence, translate, generator=np.random.default_rng(seed), **settings)


def first(method, **settings):
    settings.setdefault("ratio", 0.3)
    chances = np.random.default_rng(settings.pop("seed", 0))
    phrases = constituents(parse_brackets(TREE)[1], len(TOKENS))
    return next(
        candidate_spans(method, len(TOKENS), phrases=phrases, generator=chances, **settings)
    )


def test_two_languages_in_turn_change_twice_and_two_of_five_tokens_are_foreign():
    tags = ["EN", "EN", "ZH", "ZH", "EN"]
    assert switch_points(tags) == 2
    assert tags.count("ZH") / len(tags) == 0.4
    assert switch_points([]) == switch_points(["EN"]) == 0
    made = switch(Sentence(tuple("abcde")), method="rand-phrase", phrases=[Phrase(2, 4, "NP")])
    assert switch_points(made.is_switched) == 2
    assert sum(made.is_switched) / 5 == 0.4


@pytest.mark.parametrize("method", METHODS)
def test_with_a_ratio_of_nothing_nothing_changes(method):
    phrases = [*parse_brackets(TREE)[1]]
    made = switch(method=method, ratio=0.0, phrases=phrases, dropped_types=frozenset())
    assert made.correct == TOKENS
    assert list(made.incorrect) == apply_edits(TOKENS, ERRORS)
    assert not made.is_eligible
    assert made.drawn == 0


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 200), ratio=st.floats(0.01, 1))
def test_no_error_inside_the_span_comes_back_and_all_others_do(method, seed, ratio):
    phrases = parse_brackets(TREE)[1]
    made = switch(method=method, ratio=ratio, seed=seed, phrases=phrases)
    for edit in ERRORS:
        inside = any(edit.overlaps(*span) for span in made.spans) or edit.type == "Um"
        assert (edit in made.dropped) == inside
        assert (edit in made.kept) != inside
    # Independently: what is foreign is alike on both sides, in order, and whole.
    foreign = [token for token in made.correct if token.isupper()]
    assert [token for token in made.incorrect if token.isupper()] == foreign
    words = [t for s in made.spans for t in upper(TOKENS[slice(*s)]) if t.isupper()]
    assert words == foreign
    for position, translation in zip(made.positions, made.translations, strict=True):
        assert made.correct[slice(*position)] == translation


@given(seed=st.integers(0, 50))
def test_without_a_switch_all_errors_make_the_learners_sentence_again(seed):
    made = switch(translate=lambda tokens: None, seed=seed, dropped_types=frozenset())
    assert list(made.incorrect) == apply_edits(TOKENS, ERRORS)
    assert made.correct == TOKENS
    assert made.is_eligible
    assert made.drawn > 0


def test_an_insertion_beside_a_span_stays_on_its_side_and_one_inside_goes():
    errors = (Edit(2, 2, ("left",)), Edit(3, 3, ("inside",)), Edit(4, 4, ("right",)))
    made = switch(Sentence(tuple("abcdef"), errors), method="rand-phrase",
                  phrases=[Phrase(2, 4, "NP")])  # fmt: skip
    assert made.incorrect == ("a", "b", "left", "C", "D", "right", "e", "f")


def test_how_many_tokens_a_ratio_takes():
    # 0.3 of 11 is 3.3: three tokens.
    assert len(switch(method="ratio-token", ratio=0.3).spans) <= 3
    assert sum(switch(method="ratio-token", ratio=0.3).is_switched) == 3
    assert sum(switch(method="ratio-token", ratio=0.05).is_switched) == 0
    ((start, end),) = first("cont-token")
    assert end - start == 3
    ((start, end),) = first("cont-token", ratio=0.01)
    assert end - start == 1


def test_a_product_on_the_border_is_not_rounded_below_it():
    tokens = Sentence(tuple("abcdefghijklmnopqrst"))  # 0.15 x 20 = 3, in floats 2.9999...
    assert sum(switch(tokens, method="ratio-token", ratio=0.15).is_switched) == 3


def test_a_phrase_is_the_one_whose_length_is_nearest_to_the_ratio():
    # Phrases have 2, 3, 3 and 7 tokens, of 11.
    lengths = {seed: [e - s for s, e in first("ratio-phrase", ratio=r, seed=seed)]
               for seed, r in enumerate([0.1, 0.28, 0.6])}  # fmt: skip
    assert lengths == {0: [2], 1: [3], 2: [7]}


def test_a_random_phrase_is_never_the_whole_sentence_and_each_has_its_chance():
    found = {tuple(first("rand-phrase", seed=seed)) for seed in range(60)}
    spans = {(p.start, p.end) for p in constituents(parse_brackets(TREE)[1], len(TOKENS))}
    assert found == {(span,) for span in spans}
    assert (0, len(TOKENS)) not in spans


def test_the_phrase_with_the_fewest_errors_is_the_longest_of_those():
    # "on a chair" and "a chair" hold none.
    assert first("overlap-phrase", edits=ERRORS) == [(4, 7)]
    # Without errors the one nearest to 0.15 of the tokens.
    ((start, end),) = first("overlap-phrase", ratio=0.9)
    assert end - start == 2


def test_a_noun_is_a_noun():
    phrases = parse_brackets(TREE)[1]
    found = {switch(method="noun-token", phrases=phrases, seed=s).spans for s in range(40)}
    assert found == {((2, 3),), ((6, 7),), ((9, 10),)}


def test_a_long_sentence_is_taken_in_pieces_at_full_stops():
    tokens = Sentence((*(["word"] * 60), ".", *(["thing"] * 60), "."))
    made = switch(tokens, method="cont-token", ratio=0.1)
    assert len(made.spans) == 2
    assert made.spans[0][1] <= 61 <= made.spans[1][0]
    assert len(switch(tokens, method="cont-token", ratio=0.1, longest=122).spans) == 1


def test_spans_are_tried_until_one_can_be_translated():
    def knows(tokens):
        return ["X"] if list(tokens) == ["sat"] else None

    made = switch(method="cont-token", ratio=0.1, translate=knows)
    assert made.spans == ((3, 4),)
    assert made.drawn > 1
    tired = switch(method="cont-token", ratio=0.1, translate=knows, attempts=made.drawn - 1)
    assert tired.spans == ()


def test_neighbouring_tokens_are_translated_together():
    def knows(tokens):
        return ["+".join(tokens)]

    made = switch(Sentence(tuple("ab")), method="ratio-token", ratio=1.0, translate=knows)
    assert made.correct == ("a+b",)


@pytest.mark.parametrize(("setting", "says"), [({"method": "best"}, "method"),
                                               ({"ratio": 1.5}, "ratio")])  # fmt: skip
def test_what_makes_no_sense_is_refused(setting, says):
    with pytest.raises(ValueError, match=says):
        switch(**setting)


def test_shares_are_drawn_with_the_mean_and_spread_of_the_learners():
    generator = np.random.default_rng(0)
    for learners in LEARNERS.values():
        drawn = np.array([learners.draw(generator) for _ in range(20_000)])
        assert drawn.min() >= 0
        assert drawn.max() <= 1
        assert drawn.mean() == pytest.approx(learners.ratio, abs=0.005)
        assert drawn.std() == pytest.approx(learners.english_std, abs=0.005)
        assert learners.density(learners.ratio) > learners.density(learners.ratio + 0.1)


def test_a_tree_gives_its_phrases_and_parts_of_speech():
    tokens, phrases = parse_brackets(TREE)
    assert tuple(tokens) == TOKENS
    labels = {(p.start, p.end): p.label for p in constituents(phrases, len(tokens))}
    assert labels == {(0, 3): "NP", (3, 10): "VP", (4, 7): "PP", (5, 7): "NP", (7, 10): "PP",
                      (8, 10): "NP"}  # fmt: skip
    assert Phrase(2, 3, "NN") in phrases


@pytest.mark.parametrize("tree", ["(S (NP a)", "(S a))", "a (S b)"])
def test_a_tree_whose_brackets_do_not_match_is_refused(tree):
    with pytest.raises(ValueError, match="bracket"):
        parse_brackets(tree)


def test_chunks_begin_at_marker_words_and_hold_more_than_these():
    sentence = "She lives in the old house , and they have never seen it ."
    tokens = sentence.split()
    chunks = [tuple(tokens[c.start : c.end]) for c in marker_chunks(tokens)]
    assert chunks == [("lives",), ("in", "the", "old", "house"), ("have", "never", "seen")]
    assert [c.label for c in marker_chunks(tokens)] == ["VP", "PP", "VP"]


@given(st.lists(st.sampled_from(["the", "in", "she", "cat", "sat", ",", ".", "has", "and"])))
def test_chunks_do_not_overlap_and_are_never_the_whole_sentence(tokens):
    chunks = marker_chunks(tokens)
    assert all(a.end <= b.start for a, b in pairwise(chunks))
    assert all(0 < c.end - c.start < len(tokens) for c in chunks)
