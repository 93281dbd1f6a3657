"""Equal tokens must be found, special ones only among special ones, pieces byte for byte."""

import math

import pytest
from hub_tokenizers import byte_bpe, metaspace, word_level
from hypothesis import given
from hypothesis import strategies as st

from operators.tokenization.byte_tokenizer import as_byte_tokenizer
from operators.tokenization.vocabulary_matching import (
    match_specials,
    match_tokens,
    spell_tokens,
    vocabulary_overlap,
)

CATS = as_byte_tokenizer(byte_bpe(["the cat sat on the mat 😀"] * 3, 290))
DOGS = as_byte_tokenizer(byte_bpe(["the dog hid in the fog 😀"] * 3, 290))


def test_equal_vocabularies_match_id_by_id_but_for_special_tokens():
    assert match_tokens(CATS, CATS).tolist() == [-1, *range(1, len(CATS.tokens))]
    assert match_specials(CATS, CATS) == {0: 0}


def test_matches_are_exactly_the_shared_bytes():
    matches = match_tokens(CATS, DOGS)
    for number, match in enumerate(matches.tolist()):
        if match >= 0:
            assert DOGS.tokens[number] == CATS.tokens[match]
        else:
            assert number == 0 or DOGS.tokens[number] not in CATS.tokens
    assert b" the" in {DOGS.tokens[n] for n, match in enumerate(matches.tolist()) if match >= 0}


def test_an_ordinary_token_never_matches_a_special_one_spelled_alike():
    old = as_byte_tokenizer(byte_bpe(["a"], 257, specials=["the"]))
    new = as_byte_tokenizer(byte_bpe(["the the the"] * 9, 270))
    assert b"the" in new.tokens
    assert match_tokens(old, new)[new.tokens.index(b"the")] == -1


def test_byte_fallback_comes_last_among_ids_of_the_same_bytes():
    old = as_byte_tokenizer(metaspace(["<0x41>", "A"], byte_fallback=True))
    new = as_byte_tokenizer(word_level(["A"]))
    assert match_tokens(old, new).tolist() == [-1, 2]
    assert match_tokens(old, old).tolist() == [-1, 1, 2]
    assert match_tokens(new, old).tolist() == [-1, 1, 1]


def test_the_only_special_token_of_each_takes_over_whatever_its_name():
    old = as_byte_tokenizer(byte_bpe(["a"], 257, specials=["</s>"]))
    assert match_specials(old, CATS) == {0: 0}


def test_several_special_tokens_match_by_name_or_as_told():
    old = as_byte_tokenizer(byte_bpe(["a"], 259, specials=["<s>", "</s>", "<pad>"]))
    new = as_byte_tokenizer(byte_bpe(["a"], 259, specials=["<pad>", "<end>", "<s>"]))
    assert match_specials(old, new) == {0: 2, 2: 0}
    assert match_specials(old, new, {"<end>": "</s>"}) == {0: 2, 2: 0, 1: 1}


@pytest.mark.parametrize(
    ("named", "message"),
    [({"<end>": "</s>"}, "no special token of the new"), ({"<pad>": "a"}, "of the old")],
)
def test_names_that_are_no_special_tokens_are_refused(named, message):
    old = as_byte_tokenizer(byte_bpe(["a"], 259, specials=["<s>", "</s>", "<pad>"]))
    with pytest.raises(ValueError, match=message):
        match_specials(old, old, named)


@given(st.lists(st.binary(max_size=12), max_size=5))
def test_spelled_tokens_join_to_the_token_whatever_its_bytes(tokens):
    spelled = spell_tokens(CATS, tokens)
    assert [b"".join(CATS.tokens[number] for number in ids) for ids in spelled] == tokens


def test_text_is_spelled_as_it_is_encoded():
    assert spell_tokens(CATS, [b" the cat"]) == [CATS.encode(" the cat")]


def test_a_special_token_is_spelled_with_ordinary_ones():
    (ids,) = spell_tokens(CATS, [CATS.tokens[0]])
    assert 0 not in ids
    assert b"".join(CATS.tokens[number] for number in ids) == CATS.tokens[0]


def test_a_space_that_encoding_adds_is_not_part_of_a_medial_token():
    old = as_byte_tokenizer(metaspace(["▁the", "the", "▁re"]))
    assert spell_tokens(old, [b"the", b" the", b" rethe"]) == [[2], [1], [3, 2]]


def test_what_cannot_be_spelled_has_no_pieces():
    assert spell_tokens(as_byte_tokenizer(metaspace(["▁the"])), ["кот".encode(), b""]) == [[], []]


def test_overlap_is_the_jaccard_index_without_special_tokens():
    left, right = (as_byte_tokenizer(word_level(words)) for words in (["a", "b"], ["b", "c", "d"]))
    assert vocabulary_overlap(left, right) == 1 / 4
    assert vocabulary_overlap(left, left) == 1.0
    assert math.isnan(vocabulary_overlap(*[as_byte_tokenizer(word_level([]))] * 2))
