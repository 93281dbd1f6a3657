"""A saved tokenizer must be the same one when Transformers loads it."""

import pytest

from operators.tokenization import TokenizerConfig, to_transformers
from operators.tokenization.laboratory import train_tokenizer

TEXTS = ["the cat sat on the mat , did n't it ?", " a  .\r\n\t é 😀 \0", ""]


@pytest.fixture(scope="module", params=["bpe", "unigram", "wordpiece"])
def tokenizer(request):
    config = TokenizerConfig(algorithm=request.param, vocab_size=300)
    return train_tokenizer(TEXTS * 20, config).to_hf()


@pytest.fixture(scope="module")
def loaded(tokenizer, tmp_path_factory):
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    to_transformers(tokenizer, "<|endoftext|>").save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def test_loaded_tokenizer_gives_the_same_ids_and_adds_none(tokenizer, loaded):
    assert loaded(TEXTS)["input_ids"] == [tokenizer.encode(text).ids for text in TEXTS]
    assert len(loaded) == tokenizer.get_vocab_size()


def test_decoding_must_not_clean_up_spaces(loaded):
    assert loaded.batch_decode(loaded(TEXTS)["input_ids"]) == TEXTS


def test_begin_end_and_padding_are_end_of_text(loaded):
    assert (loaded.bos_token_id, loaded.eos_token_id, loaded.pad_token_id) == (0, 0, 0)
    assert loaded.eos_token == "<|endoftext|>"


def test_wrapping_must_not_change_the_tokenizer_given(tokenizer):
    before = tokenizer.to_str()
    wrapped = to_transformers(tokenizer, "<|endoftext|>")
    wrapped(TEXTS, padding=True, truncation=True, max_length=3)
    assert tokenizer.to_str() == before


def test_an_unknown_end_of_text_is_refused_not_added(tokenizer):
    with pytest.raises(ValueError, match="</s>"):
        to_transformers(tokenizer, "</s>")
