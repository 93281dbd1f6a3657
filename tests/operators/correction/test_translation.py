"""Phrase pairs from word links, and what a phrase table makes of them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.correction import PhraseTable, phrase_pairs, words_of


def by_definition(source, target, links, longest):
    """All spans that hold a link and that no link leaves (Koehn et al. 2003)."""
    found = set()
    for i0, i1 in itertools.combinations(range(len(source) + 1), 2):
        for j0, j1 in itertools.combinations(range(len(target) + 1), 2):
            inside = [(i0 <= i < i1, j0 <= j < j1) for i, j in links]
            if (
                i1 - i0 <= longest
                and j1 - j0 <= longest
                and any(a and b for a, b in inside)
                and all(a == b for a, b in inside)
            ):
                found.add((tuple(source[i0:i1]), tuple(target[j0:j1])))
    return found


LINKS = st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8)


@given(LINKS, st.integers(1, 5))
def test_phrase_pairs_are_those_of_the_definition(links, longest):
    source, target = list("abcde"), list("vwxyz")
    found = phrase_pairs(source, target, links, longest=longest)
    assert len(found) == len(set(found))
    assert set(found) == by_definition(source, target, links, longest)


def test_punctuation_is_no_part_of_one_side_only():
    assert phrase_pairs(["yes", "."], ["ja", "!"], {(0, 0)}) == [
        (("yes",), ("ja",)), (("yes", "."), ("ja", "!"))]  # fmt: skip


def test_the_best_translation_is_probable_both_ways():
    table = PhraseTable.from_counts([
        (("house",), ("das",), 3.0),  # frequent, but "das" says anything
        (("the",), ("das",), 30.0),
        (("house",), ("Haus",), 2.0),
    ])  # fmt: skip
    assert table(["House"]) == ["Haus"]
    assert table(["the", "house"]) == ["das", "Haus"]
    assert table(["the", "dog"]) is None
    assert table([]) is None


def test_a_known_phrase_goes_before_its_words():
    rows = [(("old", "man"), ("Greis",), 1.0), (("old",), ("alt",), 1.0), (("man",), ("Mann",), 1)]
    assert PhraseTable.from_counts(rows)(["old", "man"]) == ["Greis"]
    assert PhraseTable.from_counts(rows)(["man", "old"]) == ["Mann", "alt"]


def test_of_equals_the_first_by_length_and_characters_whatever_the_order():
    rows = [(("a",), ("z",), 1.0), (("a",), ("y",), 1.0), (("a",), ("x", "x"), 1.0)]
    for order in itertools.permutations(rows):
        assert PhraseTable.from_counts(order)(["a"]) == ["y"]


def test_a_piece_is_one_token_where_words_have_no_spaces():
    rows = [(("house",), ("房", "子"), 1.0), (("in", "the"), ("里",), 1.0)]
    assert PhraseTable.from_counts(rows, is_spaced=False)(["in", "the", "house"]) == ["里", "房子"]
    assert PhraseTable.from_counts(rows)(["house"]) == ["房", "子"]


@pytest.mark.parametrize(("text", "language", "words"), [
    ("It's 9 a.m., isn't it?", "eng_Latn",
     ["It's", "9", "a", ".", "m", ".", ",", "isn't", "it", "?"]),
    ("我在NHK看2部电影。", "zho_Hans", ["我", "在", "NHK", "看", "2", "部", "电", "影", "。"]),
    ("", "eng_Latn", []),
])  # fmt: skip
def test_words_are_those_of_the_language(text, language, words):
    assert words_of(text, language) == words
