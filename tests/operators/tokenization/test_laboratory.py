"""What is shared must change nothing; every algorithm must give every text back."""

import random
from dataclasses import replace

import pytest
from fuzz_texts import FUZZ
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.tokenization import laboratory
from operators.tokenization.bpe_family import train_bpe_family
from operators.tokenization.config import ALGORITHMS, TokenizerConfig
from operators.tokenization.laboratory import (
    count_for,
    train_models,
    train_tokenizer,
    train_tokenizers,
)
from operators.tokenization.lib_training import train_lib
from operators.tokenization.pretokenization import count_pretokens
from operators.tokenization.tokenizer import load_tokenizer
from operators.tokenization.unigram_training import train_unigram
from operators.tokenization.wordpiece_training import train_wordpiece


def corpus(seed=0, texts=200):
    generator = random.Random(seed)
    words = ["".join(generator.choices("abcdé😀ש", k=generator.randint(1, 6))) for _ in range(150)]
    weights = [1 / rank for rank in range(1, 151)]
    return [" ".join(generator.choices(words, weights, k=12)) for _ in range(texts)]


def config(algorithm, vocab_size, **more):
    return TokenizerConfig(algorithm=algorithm, vocab_size=vocab_size, **more)


MIXED = [
    config("bpe", 400),
    config("wordpiece", 350),
    config("unigram", 380),
    config("bpe", 300, encoder="pathpiece", seed=5),
    config("superbpe", 420, transition_size=330),
    config("superbpe", 390, transition_size=330, encoder="longest_first"),
    config("superbpe", 420, transition_size=360),
    config("superbpe", 310, transition_size=310),
    config("superbpe", 450),
    config("picky_bpe", 400, picky_threshold=0.6),
    config("picky_bpe", 330, picky_threshold=0.6),
    config("picky_bpe", 400, picky_threshold=0.9),
    config("bpe", 400, pretokenizer="whitespace"),
    config("bpe", 350, min_frequency=20),
    config("unigram", 290),
    config("unigram", 380, pretokenizer="whitespace"),
    config("wordpiece", 400, max_token_bytes=4),
    config("lib", 320),
    config("bpe", 9000),
    config("superbpe", 9001, transition_size=9000, max_words=2),
]


def alone(texts, asked):
    counts = [count_pretokens(texts, name) for name in asked.counted]
    if asked.algorithm == "unigram":
        return train_unigram(counts[0], asked)
    if asked.algorithm == "wordpiece":
        return train_wordpiece(counts[0], asked)
    if asked.algorithm == "lib":
        return train_lib(counts[0], asked)
    return train_bpe_family(asked, *counts)


def test_each_tokenizer_is_the_one_that_training_it_alone_gives():
    texts = corpus()
    trained = train_models(count_for(texts, MIXED), MIXED)
    for asked, model in zip(MIXED, trained, strict=True):
        assert model == alone(texts, asked), asked


def test_the_order_of_configs_does_not_matter():
    texts = corpus()
    counts = count_for(texts, MIXED)
    assert train_models(counts, MIXED[::-1]) == train_models(counts, MIXED)[::-1]


def test_a_sweep_trains_bpe_once_for_all_its_sizes(monkeypatch):
    trained = []
    train_bpe = laboratory.train_bpe

    def watched(counts, asked):
        trained.append(asked.vocab_size)
        return train_bpe(counts, asked)

    monkeypatch.setattr(laboratory, "train_bpe", watched)
    sizes = (300, 420, 350)
    configs = [config(name, size) for size in sizes for name in ("bpe", "wordpiece")]
    configs += [config("superbpe", 500, transition_size=size) for size in sizes]
    train_tokenizers(count_for(corpus(), configs), configs)
    assert trained == [420]


def test_texts_are_read_once():
    texts = corpus()
    asked = config("superbpe", 350, transition_size=300)
    assert train_tokenizer(iter(texts), asked).model == train_tokenizer(texts, asked).model


def test_all_counts_are_made_in_one_pass():
    texts = corpus()
    counts = count_for(iter(texts), MIXED)
    names = [each.pretokenizer for each in counts]
    assert names == ["gpt2", "superbpe-stage2", "whitespace"]
    assert counts == [count_pretokens(texts, name) for name in names]


def test_one_count_needs_no_list():
    counts = count_pretokens(corpus(), "gpt2")
    (tokenizer,) = train_tokenizers(counts, [config("bpe", 300)])
    assert tokenizer.vocab_size == 300


def test_nothing_asked_gives_nothing():
    assert train_tokenizers([], []) == []


def test_models_of_other_conventions_are_trained_but_do_not_encode():
    asked = config("bpe", 60, conventions="subword-nmt")
    counts = count_for(corpus(), [asked])
    assert train_models(counts, [asked])[0].vocab_size == 60
    with pytest.raises(ValueError, match="encoders work on bytes"):
        train_tokenizers(counts, [asked])


def test_missing_counts_are_named():
    counts = count_pretokens(corpus(), "gpt2")
    asked = config("superbpe", 400, transition_size=300)
    with pytest.raises(ValueError, match="superbpe wants counts of pretokenizer 'superbpe-stage2'"):
        train_tokenizers(counts, [asked])
    with pytest.raises(ValueError, match="there are those of none"):
        train_tokenizers([], [asked])


def test_two_counts_of_one_pretokenizer_are_refused():
    counts = count_pretokens(corpus(), "gpt2")
    with pytest.raises(ValueError, match="two counts are of pretokenizer 'gpt2': add them"):
        train_tokenizers([counts, counts], [config("bpe", 300)])


def test_a_lone_surrogate_is_named():
    with pytest.raises(ValueError, match=r"text 1 has the lone surrogate U\+D800 at position 2"):
        train_tokenizer(["fine", "ab\ud800"], config("bpe", 300))
    tokenizer = train_tokenizer(["fine"], config("unigram", 300))
    with pytest.raises(ValueError, match=r"text 0 has the lone surrogate U\+DFFF at position 0"):
        tokenizer.encode("\udfff")


# --- every algorithm ---------------------------------------------------------------------------


@pytest.fixture(scope="module", params=ALGORITHMS)
def tokenizer(request):
    more = {"transition_size": 320} if request.param == "superbpe" else {}
    return train_tokenizer(corpus(), config(request.param, 380, **more))


@pytest.mark.parametrize("text", FUZZ.values(), ids=FUZZ.keys())
def test_a_text_comes_back_byte_for_byte(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_byte_for_byte(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_special_token_in_a_text_is_spelled(tokenizer):
    ids = tokenizer.encode(FUZZ["special_token_in_text"])
    assert 0 not in ids
    marked = tokenizer.encode(FUZZ["special_token_in_text"], allow_special=True)
    assert marked.count(0) == 2
    assert tokenizer.decode(marked) == FUZZ["special_token_in_text"]


def test_the_vocabulary_has_the_asked_size(tokenizer):
    assert tokenizer.vocab_size == 380


def test_a_saved_tokenizer_encodes_alike(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    again = load_tokenizer(tmp_path / "tokenizer.json")
    texts = corpus(1, 20)
    assert again.model == tokenizer.model
    assert again.encode_batch(texts) == tokenizer.encode_batch(texts)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("texts", [[], [""], ["\0"]], ids=["none", "empty", "nul"])
def test_a_corpus_with_nothing_to_learn_gives_the_alphabet(algorithm, texts):
    trained = train_tokenizer(texts, config(algorithm, 300))
    assert trained.vocab_size == 257
    assert trained.decode(trained.encode("Any text, ש\0")) == "Any text, ש\0"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_vocabulary_smaller_than_the_alphabet_is_refused(algorithm):
    with pytest.raises(ValueError, match="vocab_size is 256, but must be >= 257"):
        config(algorithm, 256)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_alphabet_without_more_can_be_asked_for(algorithm):
    assert train_tokenizer(corpus(), config(algorithm, 257)).vocab_size == 257


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_size_that_no_corpus_can_reach_gives_what_it_can(algorithm):
    trained = train_tokenizer(["low lower lowest low"] * 2, config(algorithm, 100_000))
    assert 257 < trained.vocab_size < 400
    assert trained.model.config.vocab_size == 100_000
    text = "lowlands"
    assert trained.decode(trained.encode(text)) == text


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_text_that_reads_like_the_special_token_never_becomes_it(algorithm):
    asked = config(algorithm, 400, pretokenizer="none")
    trained = train_tokenizer(["<|endoftext|>"] * 60, asked)
    assert trained.tokens.count(b"<|endoftext|>") == 1
    assert 0 not in trained.encode("<|endoftext|>")


def test_the_encoder_that_was_asked_for_is_used():
    asked = config("unigram", 380, encoder="unigram_sampled", seed=4)
    trained = train_tokenizer(corpus(), asked)
    assert trained.encoder == "unigram_sampled"
    plain = train_tokenizer(corpus(), replace(asked, encoder=None))
    assert trained.tokens == plain.tokens
