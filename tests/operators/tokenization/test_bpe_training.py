"""BPE must make the merges of `tokenizers`, one by one, and each size must hold the smaller ones."""

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_bpe import naive_training

from operators.tokenization.bpe_family import train_bpe_family
from operators.tokenization.bpe_training import train_bpe
from operators.tokenization.byte_alphabet import ALPHABET, to_characters
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.picky_encoding import merge_encoder
from operators.tokenization.pretokenization import count_pretokens, from_counter
from operators.tokenization.symbols import symbols_of

REPOSITORY = Path(__file__).parents[3]
END_OF_TEXT = b"<|endoftext|>"


def bpe(texts, vocab_size, **settings_):
    config = TokenizerConfig(algorithm="bpe", vocab_size=vocab_size, **settings_)
    return train_bpe_family(config, count_pretokens(texts, config.pretokenizer))


def theirs(texts, vocab_size, min_frequency=2):
    """Tokens in the order of their ids, and merges as pairs of characters, by `tokenizers`."""
    import json

    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    vocabulary = tokenizer.get_vocab()
    merges = [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    return sorted(vocabulary, key=vocabulary.__getitem__), merges


def ours(model):
    names = ["<|endoftext|>", *(to_characters(token) for token in model.tokens[1:])]
    return names, [(names[left], names[right]) for left, right, _ in model.merges.tolist()]


def corpus(seed, alphabet="abcdé😀ש", texts=300):
    # Few letters and short words: many pairs tie, which is where the order could differ.
    generator = random.Random(seed)
    words = ["".join(generator.choices(alphabet, k=generator.randint(1, 8))) for _ in range(200)]
    return [" ".join(generator.choices(words, k=12)) for _ in range(texts)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("alphabet", ["ab", "aaab", "abcdé😀ש", "abcdefghij ,.'\n"])
@pytest.mark.parametrize("min_frequency", [0, 2, 5])
def test_merges_are_those_of_tokenizers(seed, alphabet, min_frequency):
    texts = corpus(seed, alphabet, texts=60)
    assert ours(bpe(texts, 900, min_frequency=min_frequency)) == theirs(texts, 900, min_frequency)


@pytest.mark.parametrize("texts", [["a" * n for n in range(1, 40)], ["ab" * 500, "ba" * 333]])
def test_repeated_letters_merge_as_in_tokenizers(texts):
    assert ours(bpe(texts, 320)) == theirs(texts, 320)


def test_merges_on_prose_are_those_of_tokenizers():
    if "TOKENMILL_DATA" not in os.environ:
        pytest.skip("TOKENMILL_DATA is unset: it names the folder with tiny Shakespeare")
    text = Path(os.environ["TOKENMILL_DATA"], "books", "tinyshakespeare.txt").read_text()
    texts = text.split("\n\n")
    assert ours(bpe(texts, 8000)) == theirs(texts, 8000)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=9).map(str.encode), st.integers(1, 9), max_size=9
    ),
    st.integers(1, 4),
)
def test_merges_are_those_of_counting_everything_anew(words, min_frequency):
    config = TokenizerConfig(algorithm="bpe", vocab_size=280, min_frequency=min_frequency)
    model = train_bpe(from_counter(words, "gpt2"), config)
    tokens, events = naive_training(
        words, (END_OF_TEXT, *ALPHABET), 280, min_frequency=min_frequency
    )
    assert [row[1:] for row in events] == list(map(tuple, model.merges.tolist()))
    assert tuple(tokens) == model.tokens


@pytest.mark.parametrize("seed", range(3))
def test_one_training_holds_every_smaller_one(seed):
    texts = corpus(seed)
    counts = count_pretokens(texts, "gpt2")
    largest = train_bpe(counts, TokenizerConfig(algorithm="bpe", vocab_size=700))
    for size in (257, 258, 300, 512, 699, 700):
        config = TokenizerConfig(algorithm="bpe", vocab_size=size)
        assert largest.prefix(size) == train_bpe(counts, config)


def test_a_prefix_of_an_exhausted_corpus_is_exhausted_too():
    counts = count_pretokens(["abab abab"], "gpt2")
    largest = train_bpe(counts, TokenizerConfig(algorithm="bpe", vocab_size=999))
    assert largest.vocab_size < 300
    config = TokenizerConfig(algorithm="bpe", vocab_size=500)
    assert largest.prefix(500) == train_bpe(counts, config)


def test_encoding_by_merges_gives_the_ids_of_tokenizers():
    from tokenizers import Tokenizer, models, pre_tokenizers

    texts = corpus(0, "abcdé😀ש ,.")
    model = bpe(texts, 800)
    names, merges = ours(model)
    reference = Tokenizer(models.BPE({name: n for n, name in enumerate(names)}, merges))
    reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pretokens = count_pretokens(corpus(1, "abcdé😀ש ,."), "gpt2").pretokens
    ids, ends = merge_encoder(model).encode(*symbols_of(model)(pretokens))
    for n, pretoken in enumerate(pretokens):
        expected = reference.model.tokenize(to_characters(pretoken))
        assert ids[ends[n] : ends[n + 1]].tolist() == [token.id for token in expected]


def test_a_pair_exactly_as_frequent_as_min_frequency_is_merged():
    texts = ["xy", "xy", "xy"]
    assert b"xy" in bpe(texts, 300, min_frequency=3).tokens
    assert b"xy" not in bpe(texts, 300, min_frequency=4).tokens


@pytest.mark.parametrize("texts", [[], [""], ["a"], ["\0"]], ids=["none", "empty", "one", "nul"])
def test_too_little_text_gives_the_alphabet(texts):
    model = bpe(texts, 1000)
    assert model.tokens == (END_OF_TEXT, *ALPHABET)
    assert model.merges.shape == (0, 3)


def test_a_size_that_the_corpus_cannot_reach_gives_what_it_can():
    model = bpe(["low lower lowest low"], 5000)
    assert 257 < model.vocab_size < 280
    assert model.config.vocab_size == 5000


def test_the_special_token_is_never_made_of_text():
    texts = ["<|endoftext|>"] * 50 + ["<|endoftext|> <|endoftext|>"] * 50
    model = bpe(texts, 400, pretokenizer="none")
    assert model.tokens.count(END_OF_TEXT) == 1
    assert not (model.merges[:, 2] == 0).any()
    ids, _ = merge_encoder(model).encode(*symbols_of(model)([END_OF_TEXT]))
    assert len(ids) > 1
    assert 0 not in ids.tolist()


def test_nul_is_learned_as_any_byte():
    assert b"\0\0" in bpe(["\0\0 \0\0 \0\0"], 300).tokens


def test_counts_of_another_pretokenizer_are_refused():
    config = TokenizerConfig(algorithm="bpe", vocab_size=300, pretokenizer="gpt4")
    with pytest.raises(ValueError, match="counts are of 'gpt2', but the tokenizer wants 'gpt4'"):
        train_bpe_family(config, count_pretokens(["a"], "gpt2"))


def test_an_algorithm_of_another_family_is_refused():
    config = TokenizerConfig(algorithm="unigram", vocab_size=300)
    with pytest.raises(ValueError, match="'unigram', which is not one of bpe, picky_bpe, superbpe"):
        train_bpe_family(config, count_pretokens(["a"], "gpt2"))


def test_counts_may_be_larger_than_32_bits_hold():
    words = {b"ab": 3_000_000_000, b"bc": 4_000_000_000, b"abc": 2_000_000_000}
    model = train_bpe(from_counter(words, "gpt2"), TokenizerConfig(algorithm="bpe", vocab_size=259))
    assert model.tokens[257:] == (b"bc", b"ab")


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {here!r}, {support!r}]
from test_bpe_training import bpe, corpus
print(__import__("hashlib").sha256(bpe(corpus(5), 800).to_json().encode()).hexdigest())
"""


def test_every_process_trains_the_same_tokenizer():
    here = Path(__file__).parent
    script = SCRIPT.format(
        root=str(REPOSITORY), here=str(here), support=str(REPOSITORY / "tests" / "support")
    )

    def digest(hash_seed: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert digest("1") == digest("2")


def test_the_trained_words_are_not_changed():
    counts = count_pretokens(corpus(0), "gpt2")
    before = (list(counts.pretokens), counts.counts.copy())
    train_bpe(counts, TokenizerConfig(algorithm="bpe", vocab_size=500))
    assert before[0] == list(counts.pretokens)
    assert np.array_equal(before[1], counts.counts)
