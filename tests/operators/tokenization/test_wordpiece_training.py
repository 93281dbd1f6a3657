"""WordPiece must have the library's vocabulary and spell as the library does."""

import random

import pytest

from operators.tokenization.bpe_training import train_bpe
from operators.tokenization.byte_alphabet import ALPHABET, to_characters
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.pretokenization import count_pretokens
from operators.tokenization.tokenizer import Tokenizer
from operators.tokenization.wordpiece_training import train_wordpiece, wordpieces_of_bpe

END_OF_TEXT = b"<|endoftext|>"


def config(vocab_size, **settings):
    return TokenizerConfig(algorithm="wordpiece", vocab_size=vocab_size, **settings)


def wordpiece(texts, vocab_size, **settings):
    asked = config(vocab_size, **settings)
    return train_wordpiece(count_pretokens(texts, asked.pretokenizer), asked)


def corpus(seed=0, texts=200):
    generator = random.Random(seed)
    words = ["".join(generator.choices("abcdé😀ש", k=generator.randint(1, 8))) for _ in range(200)]
    return [" ".join(generator.choices(words, k=12)) for _ in range(texts)]


def theirs(texts, vocab_size, min_frequency=2):
    from tokenizers import Tokenizer as HubTokenizer
    from tokenizers import models, pre_tokenizers, trainers

    tokenizer = HubTokenizer(models.WordPiece(unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        continuing_subword_prefix="",
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("min_frequency", [0, 3])
def test_the_vocabulary_is_that_of_tokenizers(seed, min_frequency):
    texts = corpus(seed)
    vocabulary = theirs(texts, 700, min_frequency).get_vocab()
    tokens = wordpiece(texts, 700, min_frequency=min_frequency).tokens
    names = ["<|endoftext|>", *map(to_characters, tokens[1:])]
    assert names == sorted(vocabulary, key=vocabulary.__getitem__)


def test_a_text_is_spelled_as_tokenizers_spells_it():
    from tokenizers import models

    texts = corpus(1)
    model = wordpiece(texts, 600)
    names = ["<|endoftext|>", *map(to_characters, model.tokens[1:])]
    reference = models.WordPiece(
        {name: number for number, name in enumerate(names)},
        unk_token="<|endoftext|>",
        continuing_subword_prefix="",
    )
    tokenizer = Tokenizer(model)
    assert tokenizer.encoder == "greedy"
    for pretoken in count_pretokens(corpus(2), "gpt2").pretokens:
        expected = [token.id for token in reference.tokenize(to_characters(pretoken))]
        assert tokenizer.encode(pretoken.decode()) == expected


def test_the_vocabulary_is_that_of_bpe():
    counts = count_pretokens(corpus(), "gpt2")
    bpe = train_bpe(counts, TokenizerConfig(algorithm="bpe", vocab_size=500))
    model = train_wordpiece(counts, config(500))
    assert model.tokens == bpe.tokens
    assert not len(model.merges)


def test_tokens_that_are_too_long_leave_their_place_to_others():
    texts = ["abcdefgh" * 3 + " abcdefgh xyz xyzw"] * 9
    counts = count_pretokens(texts, "gpt2")
    full = train_bpe(counts, TokenizerConfig(algorithm="bpe", vocab_size=400)).tokens
    short = [token for token in full[1:] if len(token) <= 3]
    assert len(short) == 262
    assert max(map(len, full[:262])) > 3
    model = train_wordpiece(counts, config(262, max_token_bytes=3))
    assert list(model.tokens[1:]) == short[:261]
    # There are no more than six short ones to learn.
    assert list(train_wordpiece(counts, config(264, max_token_bytes=3)).tokens[1:]) == short


def test_a_text_that_makes_long_tokens_only_is_trained_on_a_few_times():
    asked = []

    def bpe(vocab_size):
        asked.append(vocab_size)
        learned = [b"x" * (10 + n) for n in range(min(vocab_size, 20_000) - 257)]
        return TokenizerModelLike((END_OF_TEXT, *ALPHABET, *learned))

    (model,) = wordpieces_of_bpe(bpe, [config(1000, max_token_bytes=5)])
    assert model.tokens == (END_OF_TEXT, *ALPHABET)
    assert len(asked) < 12


class TokenizerModelLike:
    def __init__(self, tokens):
        self.tokens = tokens


@pytest.mark.parametrize("texts", [[], [""], ["a"], ["\0"]], ids=["none", "empty", "one", "nul"])
def test_too_little_text_gives_the_alphabet(texts):
    assert wordpiece(texts, 1000).tokens == (END_OF_TEXT, *ALPHABET)


def test_the_special_token_is_never_made_of_text():
    model = wordpiece(["<|endoftext|>"] * 50, 400, pretokenizer="none")
    assert model.tokens.count(END_OF_TEXT) == 1
    assert 0 not in Tokenizer(model).encode("<|endoftext|>")


def test_another_algorithm_is_refused():
    with pytest.raises(ValueError, match="algorithm is 'lib', but must be 'wordpiece'"):
        train_wordpiece(
            count_pretokens(["a"], "gpt2"), TokenizerConfig(algorithm="lib", vocab_size=300)
        )
