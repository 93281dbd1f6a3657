"""Unigram must be as good as the library's, the same on every run, and nested sizes must be free."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hub_tokenizers import byte_unigram

from operators.tokenization.byte_alphabet import ALPHABET
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.pretokenization import PretokenCounts, count_pretokens, from_counter
from operators.tokenization.tokenizer import Tokenizer
from operators.tokenization.unigram_training import train_unigram, train_unigrams

REPOSITORY = Path(__file__).parents[3]
END_OF_TEXT = b"<|endoftext|>"


def config(vocab_size, **settings):
    return TokenizerConfig(algorithm="unigram", vocab_size=vocab_size, **settings)


def unigram(texts, vocab_size, **settings):
    asked = config(vocab_size, **settings)
    return train_unigram(count_pretokens(texts, asked.pretokenizer), asked)


def corpus(seed=0, texts=300, alphabet="abcdé😀ש"):
    # Few letters and short words: many pieces tie, which is where order could decide.
    generator = random.Random(seed)
    words = ["".join(generator.choices(alphabet, k=generator.randint(1, 8))) for _ in range(300)]
    weights = [1 / rank for rank in range(1, 301)]
    return [" ".join(generator.choices(words, weights, k=12)) for _ in range(texts)]


@pytest.mark.parametrize("sizes", [(500, 257, 300, 420, 258), (300, 301, 310)])
def test_one_training_gives_each_size_as_training_it_alone_does(sizes):
    counts = count_pretokens(corpus(), "gpt2")
    together = train_unigrams(counts, [config(size) for size in sizes])
    assert together == [train_unigram(counts, config(size)) for size in sizes]
    assert [model.vocab_size for model in together] == list(sizes)


def test_settings_that_change_the_pieces_are_trained_apart():
    counts = count_pretokens(corpus(), "gpt2")
    configs = [config(400), config(400, max_token_bytes=3), config(400, end_of_text="</s>")]
    together = train_unigrams(counts, configs)
    assert together == [train_unigram(counts, each) for each in configs]
    assert together[0].tokens[1:] == together[2].tokens[1:]
    assert max(map(len, together[1].tokens[257:])) == 3


def test_probabilities_sum_to_one():
    model = unigram(corpus(), 500)
    assert np.exp(model.scores[1:]).sum() == pytest.approx(1, abs=0.02)
    assert (model.scores[1:] < 0).all()


def test_bytes_that_never_occur_have_the_lowest_score():
    model = unigram(corpus(), 400)
    unseen = [1 + ALPHABET.index(bytes([byte])) for byte in (0, 7, 0xFF)]
    assert set(model.scores[unseen]) == {model.scores[1:].min()}


def test_ids_follow_score_and_then_bytes():
    model = unigram(corpus(), 450)
    learned = list(zip(-model.scores[257:], model.tokens[257:], strict=True))
    assert learned == sorted(learned)
    assert model.tokens[:257] == (END_OF_TEXT, *ALPHABET)


def test_frequent_words_are_pieces_and_rare_ones_are_spelled():
    texts = ["the cat sat on the mat and the dog lay on the cat"] * 50 + ["xylophone"]
    tokens = unigram(texts, 275).tokens
    assert b" the" in tokens
    assert b"xylophone" not in tokens


def test_a_word_that_is_part_of_no_other_can_be_a_piece():
    # Substrings counted once for each different word would never find it.
    assert b"Wikipedia" in unigram(["Wikipedia"] * 9 + ["a b c d"], 260).tokens


@pytest.mark.parametrize("texts", [[], [""]], ids=["none", "empty"])
def test_no_text_gives_an_alphabet_of_equals(texts):
    model = unigram(texts, 900)
    assert model.tokens == (END_OF_TEXT, *ALPHABET)
    assert np.exp(model.scores[1:]) == pytest.approx(np.full(256, 1 / 256), rel=1e-4)


@pytest.mark.parametrize("texts", [["a"], ["\0"], ["ab"]], ids=["one", "nul", "once"])
def test_text_without_repetition_gives_the_alphabet(texts):
    model = unigram(texts, 900)
    assert model.tokens == (END_OF_TEXT, *ALPHABET)
    assert np.isfinite(model.scores).all()


def test_a_size_that_the_corpus_cannot_reach_gives_what_it_can():
    model = unigram(["low lower lowest low"], 5000)
    assert 257 < model.vocab_size < 280
    assert model.config.vocab_size == 5000


def test_the_alphabet_alone_can_be_asked_for():
    model = unigram(corpus(), 257)
    assert model.tokens == (END_OF_TEXT, *ALPHABET)
    letter, absent = (model.scores[1 + ALPHABET.index(byte)] for byte in (b"a", b"z"))
    assert letter > absent


def test_the_special_token_is_never_made_of_text():
    texts = ["<|endoftext|>"] * 50
    model = unigram(texts, 400, pretokenizer="none")
    assert model.tokens.count(END_OF_TEXT) == 1
    ids = Tokenizer(model).encode("<|endoftext|>")
    assert len(ids) > 1
    assert 0 not in ids


def test_nul_is_learned_as_any_byte():
    assert b"\0\0" in unigram(["\0\0 \0\0 \0\0"], 300).tokens


def test_pieces_may_be_longer_than_a_pretoken_of_text_without_spaces():
    text = "กขฃคฅฆงจฉ" * 200
    model = unigram([text, text[::-1]], 300, pretokenizer="none", max_token_bytes=12)
    assert max(map(len, model.tokens[257:])) <= 12
    tokenizer = Tokenizer(model)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_counts_may_be_larger_than_32_bits_hold():
    words = {b"ab": 3_000_000_000, b"bc": 4_000_000_000, b"abc": 2_000_000_000}
    model = train_unigram(from_counter(words, "gpt2"), config(260))
    assert set(model.tokens[257:]) == {b"ab", b"bc", b"abc"}


def test_the_order_of_texts_leaves_no_trace():
    texts = corpus(3)
    assert unigram(texts, 450) == unigram(texts[::-1], 450)


def test_another_algorithm_is_refused():
    with pytest.raises(ValueError, match="algorithm is 'bpe', but must be 'unigram'"):
        train_unigram(
            count_pretokens(["a"], "gpt2"), TokenizerConfig(algorithm="bpe", vocab_size=300)
        )


def test_counts_of_another_pretokenizer_are_refused():
    with pytest.raises(ValueError, match="counts are of 'gpt4', but the tokenizer wants 'gpt2'"):
        train_unigram(count_pretokens(["a"], "gpt4"), config(300))


def test_text_that_cannot_be_numbered_is_refused(monkeypatch):
    monkeypatch.setattr("operators.tokenization.unigram_training._MOST_BYTES", 3)
    with pytest.raises(ValueError, match="have 4 bytes together, but at most 3"):
        train_unigram(PretokenCounts("gpt2", [b"ab", b"cd"], np.array([1, 1])), config(300))


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {here!r}, {support!r}]
from test_unigram_training import corpus, unigram
print(__import__("hashlib").sha256(unigram(corpus(5), 500).to_json().encode()).hexdigest())
"""


def test_every_process_trains_the_same_tokenizer():
    here = Path(__file__).parent
    script = SCRIPT.format(
        root=str(REPOSITORY), here=str(here), support=str(REPOSITORY / "tests" / "support")
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert elsewhere == hashlib.sha256(unigram(corpus(5), 500).to_json().encode()).hexdigest()


@pytest.mark.parametrize("language", ["eng_Latn", "fin_Latn", "hin_Deva", "zho_Hans"])
def test_held_out_text_takes_no_more_tokens_than_with_the_library(language):
    if "TOKENMILL_DATA" not in os.environ:
        pytest.skip("TOKENMILL_DATA is unset: it names the folder with FLORES")
    import pyarrow.parquet as pq

    path = Path(os.environ["TOKENMILL_DATA"], "flores_dev", "flores200_dev_60.parquet")
    texts = pq.read_table(path, columns=[language]).column(0).to_pylist()
    train, held_out = texts[:800], texts[800:]
    theirs = byte_unigram(train, 1500)
    tokens = sum(len(encoding.ids) for encoding in theirs.encode_batch(held_out))
    ours = Tokenizer(unigram(train, 1500)).encode_arrays(held_out)
    assert len(ours.ids) <= 1.02 * tokens
