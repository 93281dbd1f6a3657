"""A tokenizer's description must be checked, and its file must hold all of it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.tokenization.byte_alphabet import ALPHABET, from_characters, to_characters
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.model import TokenizerModel


def model(*learned: bytes, merges=(), **fields) -> TokenizerModel:
    config = TokenizerConfig(
        algorithm=fields.pop("algorithm", "bpe"), vocab_size=fields.pop("vocab_size", 300)
    )
    return TokenizerModel(
        config=config,
        tokens=(b"<|endoftext|>", *ALPHABET, *learned),
        merges=np.array(merges, np.int32).reshape(-1, 3),
        **fields,
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"algorithm": "bpc"}, "algorithm is 'bpc', but must be one of bpe, picky_bpe, superbpe"),
        ({"vocab_size": 256}, "vocab_size is 256, but must be >= 257: 256 bytes and end_of_text"),
        ({"conventions": "picky"}, "with 'picky' conventions, algorithm is 'bpe'"),
        ({"conventions": "latin"}, "conventions is 'latin'"),
        ({"encoder": "fastest"}, "encoder is 'fastest'"),
        ({"encoder": "events"}, "for encoder 'events', algorithm is 'bpe'"),
        ({"algorithm": "unigram", "encoder": "merges"}, "must be one of bpe, superbpe"),
        ({"min_frequency": -1}, "min_frequency is -1"),
        ({"end_of_text": "a"}, "end_of_text is 'a', but must have >= 2 bytes"),
        ({"end_of_text": "<end\ud800>"}, r"end_of_text is '<end\\ud800>': UTF-8 has no lone"),
        ({"picky_threshold": float("nan")}, "picky_threshold is nan"),
        ({"picky_threshold": -0.1}, "picky_threshold is -0.1"),
        ({"dropout": 1.5}, "dropout is 1.5"),
        ({"dropout": 0.1, "encoder": "greedy"}, "'greedy' makes no merges to drop: choose merges"),
        ({"algorithm": "picky_bpe", "dropout": 0.1}, "'events' makes no merges"),
        ({"power": -0.5}, "power is -0.5, but must be >= 0 and finite"),
        ({"power": float("inf")}, "power is inf"),
        ({"coverage": 0.0}, "coverage is 0.0"),
        ({"max_words": 0}, "max_words is 0"),
        ({"max_token_bytes": 0}, "max_token_bytes is 0"),
        (
            {"transition_size": 301},
            "transition_size is 301, but must be from 257 to vocab_size 300",
        ),
        ({"transition_size": 256}, "transition_size is 256"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_may_be(settings, message):
    with pytest.raises(ValueError, match=message):
        TokenizerConfig(**{"algorithm": "bpe", "vocab_size": 300, **settings})


def test_each_algorithm_has_an_encoder_of_its_own():
    own = {
        name: TokenizerConfig(algorithm=name, vocab_size=300).own_encoder
        for name in ("bpe", "picky_bpe", "superbpe", "unigram", "wordpiece", "lib")
    }
    assert own == {
        "bpe": "merges", "picky_bpe": "events", "superbpe": "merges", "unigram": "unigram",
        "wordpiece": "greedy", "lib": "greedy",
    }  # fmt: skip
    asked = TokenizerConfig(algorithm="bpe", vocab_size=300, encoder="pathpiece")
    assert asked.own_encoder == "pathpiece"


def test_a_superbpe_counts_twice_only_if_something_follows_its_transition():
    early = TokenizerConfig(algorithm="superbpe", vocab_size=400, transition_size=300)
    late = TokenizerConfig(algorithm="superbpe", vocab_size=400, transition_size=400)
    assert early.counted == ("gpt2", "superbpe-stage2")
    assert early.encoding_pretokenizer == "superbpe-stage2"
    assert late.counted == ("gpt2",)
    assert late.encoding_pretokenizer == "gpt2"
    assert early.with_vocab_size(290) == TokenizerConfig(
        algorithm="superbpe", vocab_size=290, transition_size=290
    )


def test_settings_come_back_from_plain_values():
    config = TokenizerConfig(algorithm="picky_bpe", vocab_size=999, picky_threshold=0.6, seed=3)
    assert TokenizerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_plain_values_with_an_unknown_or_a_missing_name_are_refused():
    with pytest.raises(ValueError, match=r"\['vocabsize'\] are no settings"):
        TokenizerConfig.from_dict({"algorithm": "bpe", "vocab_size": 300, "vocabsize": 1})
    with pytest.raises(ValueError, match=r"lack \['vocab_size'\]"):
        TokenizerConfig.from_dict({"algorithm": "bpe"})


def test_the_alphabet_is_numbered_as_tokenizers_does():
    from tokenizers import pre_tokenizers

    theirs = sorted(pre_tokenizers.ByteLevel.alphabet())
    assert [to_characters(byte) for byte in ALPHABET] == theirs


@given(st.binary(max_size=30))
def test_bytes_come_back_from_their_characters(token):
    characters = to_characters(token)
    assert from_characters(characters) == token
    assert len(characters) == len(token)
    assert characters.isprintable()


def test_a_character_that_stands_for_no_byte_is_refused():
    with pytest.raises(ValueError, match="' ' in 'a b' stands for no byte"):
        from_characters("a b")


def test_a_model_comes_back_from_its_file(tmp_path):
    saved = TokenizerModel(
        config=TokenizerConfig(algorithm="picky_bpe", vocab_size=300),
        tokens=(b"<|endoftext|>", *ALPHABET, b"abc", b"\xff\x00 "),
        merges=np.array([[1, 2, 259], [259, 3, 257], [9, 9, 258]], np.int32),
        removed=(b"ab",),
        events=np.array(
            [[0, 1, 2, 259], [0, 259, 3, 257], [1, 259, 0, 2], [0, 9, 9, 258]], np.int32
        ),
        pieces=np.array([1, 2], np.int32),
        scores=np.linspace(-9.123456789012345, -1e-300, 259),
    )
    saved.save(tmp_path / "model.json")
    assert TokenizerModel.load(tmp_path / "model.json") == saved
    again = TokenizerModel.from_json(saved.to_json())
    assert again.to_json() == saved.to_json()
    assert again.scores.tobytes() == saved.scores.tobytes()


def test_a_file_of_another_kind_or_format_is_refused():
    with pytest.raises(ValueError, match="not a tokenmill tokenizer"):
        TokenizerModel.from_json('{"model": {}}')
    later = json.loads(model().to_json()) | {"format": 2}
    with pytest.raises(ValueError, match="its format is 2, but this version reads 1"):
        TokenizerModel.from_json(json.dumps(later))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda: model(b"ab", b"ab"), "same bytes"),
        (lambda: model(b"ab", removed=(b"ab",)), "same bytes"),
        (lambda: model(b"ab", merges=[[1, 2, 258]]), "beyond the 258 tokens"),
        (lambda: model(b"ab", merges=[[-1, 2, 257]]), "beyond the 258 tokens"),
        (lambda: model(b"ab", scores=np.zeros(3)), "scores do not fit 258 tokens"),
        (lambda: model(events=np.zeros((1, 3), np.int32)), r"not \(n, 4\)"),
    ],
)
def test_a_model_that_does_not_fit_together_is_refused(broken, message):
    with pytest.raises(ValueError, match=message):
        broken()


def test_a_model_without_all_bytes_or_its_special_token_is_refused():
    config = TokenizerConfig(algorithm="bpe", vocab_size=300)
    with pytest.raises(ValueError, match="1 of the 256 bytes have no id"):
        TokenizerModel(config=config, tokens=(b"<|endoftext|>", *ALPHABET[1:]))
    with pytest.raises(ValueError, match="id 0 is not end_of_text"):
        TokenizerModel(config=config, tokens=ALPHABET)


def test_only_algorithms_that_learn_step_by_step_hold_their_smaller_vocabularies():
    with pytest.raises(ValueError, match="a unigram vocabulary does not hold its smaller ones"):
        model(algorithm="unigram").prefix(280)
    with pytest.raises(ValueError, match="vocab_size is 301, but this was trained for 300"):
        model().prefix(301)
