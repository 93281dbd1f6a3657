"""Tokens of any tokenizer must come out as the bytes they stand for."""

import pytest
from hub_tokenizers import END_OF_TEXT, byte_bpe, metaspace, word_level
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from operators.tokenization.byte_tokenizer import (
    ByteTokenizer,
    HubByteTokenizer,
    as_byte_tokenizer,
)

TEXT = "the cat — the ﻗﻂ\r\n\t 👩‍👩‍👧 é é 12 \0"


def test_tokens_of_byte_level_encodings_join_to_the_bytes_of_the_text():
    adapted = as_byte_tokenizer(byte_bpe([TEXT] * 3, 300))
    ids = adapted.encode(TEXT)
    assert b"".join(adapted.tokens[number] for number in ids) == TEXT.encode()
    assert adapted.decode(ids) == TEXT
    assert adapted.encode_batch([TEXT, ""]) == [ids, []]
    assert adapted.unknown_id is None


def test_a_special_token_stands_for_its_name_and_is_not_added():
    adapted = as_byte_tokenizer(byte_bpe([TEXT], 260))
    assert adapted.special_ids == {0}
    assert adapted.tokens[0] == END_OF_TEXT.encode()
    assert 0 not in adapted.encode(TEXT)


def test_a_metaspace_is_a_space_and_byte_fallback_a_byte():
    adapted = as_byte_tokenizer(metaspace(["▁the", "cat", "▁", "<0xE2>"], byte_fallback=True))
    assert adapted.tokens == (b"<unk>", b" the", b"cat", b" ", b"\xe2")
    assert adapted.fallback_ids == {4}
    assert adapted.unknown_id == 0


def test_without_byte_fallback_a_token_like_one_is_its_text():
    adapted = as_byte_tokenizer(metaspace(["▁the", "<0xE2>"]))
    assert adapted.tokens[2] == b"<0xE2>"
    assert adapted.fallback_ids == frozenset()


def test_wordpiece_words_begin_with_their_space_and_continuations_do_not():
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "play": 1, "##ing": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    adapted = as_byte_tokenizer(tokenizer)
    assert adapted.tokens[1:] == (b" play", b"ing")
    assert adapted.unknown_id == 0


def test_an_id_that_is_not_used_has_no_bytes():
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 3}, "a"))
    assert as_byte_tokenizer(tokenizer).tokens == (b"a", b"", b"", b"b")


def test_a_tokenizer_of_transformers_is_the_one_it_holds():
    held = byte_bpe([TEXT], 270)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=held, eos_token=END_OF_TEXT)
    assert as_byte_tokenizer(wrapped).tokens == as_byte_tokenizer(held).tokens


def test_an_adapted_tokenizer_stays_what_it_is():
    adapted = HubByteTokenizer(word_level(["a"]))
    assert isinstance(adapted, ByteTokenizer)
    assert as_byte_tokenizer(adapted) is adapted


def test_something_else_is_refused_by_name():
    with pytest.raises(ValueError, match="a list is no tokenizer"):
        as_byte_tokenizer([])
