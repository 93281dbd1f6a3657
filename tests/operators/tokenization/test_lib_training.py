"""LiB must learn units that shorten the text, whatever spaces say, and the same for one seed."""

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from operators.tokenization.bpe_training import train_bpe
from operators.tokenization.byte_alphabet import ALPHABET
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.lib_training import LibSettings, train_lib
from operators.tokenization.pretokenization import count_pretokens
from operators.tokenization.tokenizer import Tokenizer

REPOSITORY = Path(__file__).parents[3]
END_OF_TEXT = b"<|endoftext|>"


def lib(texts, vocab_size, how=None, **settings):
    config = TokenizerConfig(algorithm="lib", vocab_size=vocab_size, **settings)
    return train_lib(count_pretokens(texts, config.pretokenizer), config, how)


def corpus(seed=0, texts=300):
    generator = random.Random(seed)
    words = ["".join(generator.choices("abcdefé", k=generator.randint(1, 7))) for _ in range(150)]
    weights = [1 / rank for rank in range(1, 151)]
    return [" ".join(generator.choices(words, weights, k=15)) for _ in range(texts)]


def tokens_of(model, texts):
    return len(Tokenizer(model).encode_arrays(texts).ids)


def test_units_of_several_words_appear_where_nothing_bounds_them():
    generator = random.Random(0)
    others = ["".join(generator.choices("mnopqrs", k=4)) for _ in range(300)]
    texts = [
        f"{generator.choice(others)} by the way {generator.choice(others)}" for _ in range(500)
    ]
    model = lib(texts, 300, pretokenizer="none")
    assert any(b"by the way" in token for token in model.tokens)


def test_more_tokens_in_the_vocabulary_make_the_text_shorter():
    texts = corpus()
    lengths = [tokens_of(lib(texts, size), texts) for size in (257, 290, 350, 500)]
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) == 4


def test_the_vocabulary_has_the_asked_size_and_no_chunk_twice():
    model = lib(corpus(), 400)
    assert model.vocab_size == 400
    assert model.tokens[:257] == (END_OF_TEXT, *ALPHABET)


def test_it_compresses_about_as_well_as_bpe():
    texts = corpus()
    counts = count_pretokens(texts, "gpt2")
    bpe = train_bpe(counts, TokenizerConfig(algorithm="bpe", vocab_size=400))
    assert tokens_of(lib(texts, 400), texts) < 1.15 * tokens_of(bpe, texts)


def test_no_chunk_is_longer_than_asked_or_crosses_a_pretoken():
    texts = corpus()
    model = lib(texts, 400, max_token_bytes=4)
    assert max(map(len, model.tokens[257:])) == 4
    assert not any(b" " in token[1:] for token in model.tokens[257:])


def test_a_reader_who_memorises_nothing_has_the_alphabet():
    assert lib(corpus(), 400, LibSettings(memorise=0)).vocab_size == 257


def test_a_reader_who_forgets_everything_at_once_has_the_alphabet():
    how = LibSettings(forget=1.0, life=0, settling=1)
    assert lib(corpus(), 400, how).vocab_size == 257


def test_the_seed_decides_what_is_learned():
    texts = corpus()
    assert lib(texts, 350, seed=1) == lib(texts[::-1], 350, seed=1)
    assert lib(texts, 350, seed=1).tokens != lib(texts, 350, seed=2).tokens


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {here!r}]
from test_lib_training import corpus, lib
print(__import__("hashlib").sha256(lib(corpus(5), 400, seed=3).to_json().encode()).hexdigest())
"""


def test_every_process_trains_the_same_tokenizer():
    script = SCRIPT.format(root=str(REPOSITORY), here=str(Path(__file__).parent))
    elsewhere = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert elsewhere == hashlib.sha256(lib(corpus(5), 400, seed=3).to_json().encode()).hexdigest()


def test_counts_stand_for_texts_that_come_again():
    # Of two words that no part of the other can spell, the one that saves more is the chunk.
    texts = ["often"] * 900 + ["seldom"] * 3
    assert [lib(texts, 258, seed=seed).tokens[257:] for seed in range(5)] == [(b"often",)] * 5
    texts = ["often"] * 3 + ["seldom"] * 900
    assert [lib(texts, 258, seed=seed).tokens[257:] for seed in range(5)] == [(b"seldom",)] * 5


def test_a_chunk_that_saves_nothing_sinks_below_one_that_does():
    # Where "bc" is known, "ab" makes "ab" + "c" of "a" + "bc".
    for seed in range(5):
        model = lib(["abc"] * 50 + ["bc"] * 50 + ["xbc"] * 50, 259, seed=seed)
        assert b"bc" in model.tokens
        assert b"ab" not in model.tokens


@pytest.mark.parametrize("language", ["eng_Latn", "zho_Hans"])
def test_real_text_takes_about_as_many_tokens_as_with_bpe(language):
    if "TOKENMILL_DATA" not in os.environ:
        pytest.skip("TOKENMILL_DATA is unset: it names the folder with FLORES")
    import pyarrow.parquet as pq

    path = Path(os.environ["TOKENMILL_DATA"], "flores_dev", "flores200_dev_60.parquet")
    texts = pq.read_table(path, columns=[language]).column(0).to_pylist()[:500]
    for pretokenizer in ("gpt2", "none"):
        counts = count_pretokens(texts, pretokenizer)
        asked = TokenizerConfig(algorithm="bpe", vocab_size=1000, pretokenizer=pretokenizer)
        bpe = train_bpe(counts, asked)
        model = lib(texts, 1000, pretokenizer=pretokenizer)
        assert model.vocab_size == 1000
        assert tokens_of(model, texts) < 1.1 * tokens_of(bpe, texts)


@pytest.mark.parametrize("texts", [[], [""], ["a"], ["\0"]], ids=["none", "empty", "one", "nul"])
def test_too_little_text_gives_the_alphabet(texts):
    assert lib(texts, 1000).tokens == (END_OF_TEXT, *ALPHABET)


def test_a_size_that_the_corpus_cannot_reach_gives_what_it_can():
    model = lib(["low lower lowest low"] * 3, 5000)
    assert 257 < model.vocab_size < 400


def test_the_alphabet_alone_can_be_asked_for():
    assert lib(corpus(), 257).tokens == (END_OF_TEXT, *ALPHABET)


def test_the_special_token_is_never_made_of_text():
    model = lib(["<|endoftext|>"] * 90, 400, pretokenizer="none")
    assert model.tokens.count(END_OF_TEXT) == 1
    assert 0 not in Tokenizer(model).encode("<|endoftext|>")


def test_a_long_run_of_one_letter_takes_no_quadratic_time():
    lib(["ab" * 50], 300)
    began = time.process_time()
    lib(["a" * 200_000, "ab" * 100_000], 300, pretokenizer="none")
    assert time.process_time() - began < 8


@pytest.mark.parametrize(
    ("setting", "value"),
    [("rounds", 0), ("life", -1), ("settling", 0), ("spare", 0.5), ("memorise", 1.5),
     ("forget", -0.1), ("fade", float("nan"))],
)  # fmt: skip
def test_a_setting_out_of_range_is_named(setting, value):
    with pytest.raises(ValueError, match=f"{setting} is {value}"):
        LibSettings(**{setting: value})


def test_counts_of_another_pretokenizer_are_refused():
    config = TokenizerConfig(algorithm="lib", vocab_size=300)
    with pytest.raises(ValueError, match="counts are of 'gpt4', but the tokenizer wants 'gpt2'"):
        train_lib(count_pretokens(["a"], "gpt4"), config)


def test_another_algorithm_is_refused():
    config = TokenizerConfig(algorithm="bpe", vocab_size=300)
    with pytest.raises(ValueError, match="algorithm is 'bpe', but must be 'lib'"):
        train_lib(count_pretokens(["a"], "gpt2"), config)
